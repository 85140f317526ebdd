"""Sums, means, products, extremes, norms over axes, and where the extremes are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.sonnx.rules.rule import Call, formula, rule

_Reduction = Callable[[Tensor, tuple[int, ...] | None, bool], Tensor]


def _sum_of_squares(x: Tensor, axes: tuple[int, ...] | None, keepdims: bool) -> Tensor:
    return op.reduce_sum(op.mul(x, x), axes, keepdims)


def _of_nothing_too(function: _Reduction, start: float) -> _Reduction:
    """A reduction that our operation refuses where there is nothing along the axes."""

    def reduced(x: Tensor, axes: tuple[int, ...] | None, keepdims: bool) -> Tensor:
        if x.size():
            return function(x, axes, keepdims)
        return formula(_of_nothing, x, start=start, axes=axes, keepdims=keepdims)

    return reduced


def _of_nothing(x: CTensor, start: float, axes: Any, keepdims: bool) -> CTensor:
    if jnp.issubdtype(x.dtype, jnp.floating):
        end: Any = start
    else:
        info = None if x.dtype == bool else jnp.iinfo(x.dtype)
        end = start > 0 if info is None else info.max if start > 0 else info.min
    shape = x.sum(axes, keepdims=keepdims).shape
    return jnp.full(shape, end, x.dtype)


_REDUCTIONS: dict[str, tuple[_Reduction, int]] = {  # with the version whose axes are an input
    "ReduceSum": (op.reduce_sum, 13),
    "ReduceMean": (op.reduce_mean, 18),
    "ReduceMax": (_of_nothing_too(op.reduce_max, -np.inf), 18),
    "ReduceMin": (_of_nothing_too(op.reduce_min, np.inf), 18),
    "ReduceProd": (op.reduce_prod, 18),
    "ReduceL1": (lambda x, axes, keep: op.reduce_sum(op.abs(x), axes, keep), 18),
    "ReduceL2": (lambda x, axes, keep: op.norm(x, 2, axes, keep), 18),
    "ReduceLogSum": (lambda x, axes, keep: op.log(op.reduce_sum(x, axes, keep)), 18),
    "ReduceLogSumExp": (_of_nothing_too(op.logsumexp, -np.inf), 18),
    "ReduceSumSquare": (_sum_of_squares, 18),
}


def _register(kind: str, function: _Reduction, since: int) -> None:
    @rule(kind, since=since, known=(1,))
    def of_an_input(call: Call, x: Tensor, axes: Any = None) -> Tensor:
        given = () if axes is None else tuple(axes.tolist())
        if not given and call("noop_with_empty_axes", 0):
            return op.identity(function(op.unsqueeze(x, 0), (0,), False))
        return function(x, given or None, bool(call("keepdims", 1)))

    @rule(kind)
    def of_an_attribute(call: Call, x: Tensor) -> Tensor:
        axes = call("axes")
        return function(x, None if axes is None else tuple(axes), bool(call("keepdims", 1)))


for _kind, (_function, _since) in _REDUCTIONS.items():
    _register(_kind, _function, _since)


@rule("ArgMax", "ArgMin")
def _arg(call: Call, x: Tensor) -> Tensor:
    function = op.argmax if call.node.kind == "ArgMax" else op.argmin
    last = bool(call("select_last_index", 0))
    return op.cast(function(x, call("axis", 0), bool(call("keepdims", 1)), last), np.int64)
