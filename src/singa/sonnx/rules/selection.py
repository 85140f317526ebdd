"""Parts of tensors: gathered, scattered, padded, sorted, chosen."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError
from singa.sonnx.rules.rule import Call, formula, rule

Known = np.ndarray[Any, Any]


@rule("Gather")
def _gather(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    return op.gather(x, call("axis", 0), indices)


@rule("GatherElements")
def _gather_elements(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    return op.gather_elements(x, indices, call("axis", 0))


@rule("GatherND")
def _gather_nd(call: Call, x: Tensor, indices: Tensor) -> Tensor:
    return formula(_gathered, x, indices, batch=call("batch_dims", 0))


def _gathered(x: CTensor, indices: CTensor, batch: int) -> CTensor:
    def rows(x: CTensor, indices: CTensor) -> CTensor:
        return x[tuple(jnp.moveaxis(indices, -1, 0))]

    for _ in range(batch):
        rows = jax.vmap(rows)
    return rows(x, indices)


@rule("ScatterElements", "Scatter")
def _scatter_elements(call: Call, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    axis, reduction = call("axis", 0), call("reduction", "none")
    if reduction == "none":
        return op.scatter_elements(x, indices, updates, axis)
    return formula(_scattered_elements, x, indices, updates, axis=axis, reduction=reduction)


_REDUCTIONS = {"none": "set", "add": "add", "mul": "multiply", "max": "max", "min": "min"}


def _scattered_elements(
    x: CTensor, indices: CTensor, updates: CTensor, axis: int, reduction: str
) -> CTensor:
    axis %= x.ndim
    indices = jnp.where(indices < 0, indices + x.shape[axis], indices)
    places = list(jnp.meshgrid(*map(jnp.arange, indices.shape), indexing="ij"))
    places[axis] = indices
    return getattr(x.at[tuple(places)], _REDUCTIONS[reduction])(updates)


@rule("ScatterND")
def _scatter_nd(call: Call, x: Tensor, indices: Tensor, updates: Tensor) -> Tensor:
    return formula(_scattered, x, indices, updates, reduction=call("reduction", "none"))


def _scattered(x: CTensor, indices: CTensor, updates: CTensor, reduction: str) -> CTensor:
    places = tuple(jnp.moveaxis(indices, -1, 0))
    return getattr(x.at[places], _REDUCTIONS[reduction])(updates)


@rule("TensorScatter")
def _tensor_scatter(
    call: Call, cache: Tensor, update: Tensor, starts: Tensor | None = None
) -> Tensor:
    if starts is None:
        starts = Tensor(data=np.zeros(len(cache), np.int64), requires_grad=False)
    circular = call("mode", "linear") == "circular"
    return formula(
        _written, cache, update, starts, axis=call("axis", -2) % cache.ndim, circular=circular
    )


def _written(
    cache: CTensor, update: CTensor, starts: CTensor, axis: int, circular: bool
) -> CTensor:
    size, count = cache.shape[axis], update.shape[axis]

    def of_one(cache: CTensor, update: CTensor, start: CTensor) -> CTensor:
        places = start + jnp.arange(count)
        places = places % size if circular else places
        rows = jnp.moveaxis(cache, axis - 1, 0).at[places].set(jnp.moveaxis(update, axis - 1, 0))
        return jnp.moveaxis(rows, 0, axis - 1)

    return jax.vmap(of_one)(cache, update, starts)


@rule("OneHot", known=(1,))
def _one_hot(call: Call, indices: Tensor, depth: Known, values: Tensor) -> Tensor:
    count, axis = int(depth.reshape(-1)[0]), call("axis", -1)
    return formula(_one_hot_of, indices, values, depth=count, axis=axis)


def _one_hot_of(indices: CTensor, values: CTensor, depth: int, axis: int) -> CTensor:
    axis %= indices.ndim + 1
    whole = indices.astype(jnp.int64)
    whole = jnp.where(whole < 0, whole + depth, whole)
    numbers = jnp.arange(depth).reshape((-1, *[1] * (indices.ndim - axis)))
    return jnp.where(jnp.expand_dims(whole, axis) == numbers, values[1], values[0])


@rule("TopK", since=10, known=(1,))
def _top_k(call: Call, x: Tensor, k: Known) -> Any:
    return _largest(call, x, int(k.reshape(-1)[0]))


@rule("TopK")
def _top_k_of_attribute(call: Call, x: Tensor) -> Any:
    return _largest(call, x, call("k"))


def _largest(call: Call, x: Tensor, k: int) -> Any:
    values, places = op.topk(x, k, call("axis", -1), bool(call("largest", 1)))
    return values, op.cast(places, np.int64)


@rule("NonZero")
def _non_zero(call: Call, x: Tensor) -> Tensor:
    return op.cast(op.nonzero(x), np.int64)


@rule("Compress", known=(1,))
def _compress(call: Call, x: Tensor, condition: Known) -> Tensor:
    axis = call("axis")
    if axis is None:
        x, axis = op.reshape(x, (-1,)), 0
    places = np.flatnonzero(condition[: x.shape[axis]])
    return op.gather(x, axis, Tensor(data=places, device=x.device, requires_grad=False))


@rule("Unique", known=(0,))
def _unique(call: Call, x: Known) -> Any:
    axis = call("axis")
    values, first, inverse, counts = np.unique(
        x, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not call("sorted", 1):
        order = np.argsort(first)
        rank = np.argsort(order)
        values = np.take(values, order, 0 if axis is None else axis)
        first, counts, inverse = first[order], counts[order], rank[inverse]
    return values, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)


@rule("Trilu", known=(1,), domain="com.microsoft")  # onnxruntime's, from before ONNX had it
@rule("Trilu", known=(1,))
def _trilu(call: Call, x: Tensor, k: Known | None = None) -> Tensor:
    number = 0 if k is None else int(k.reshape(-1)[0])
    return formula(jnp.triu if call("upper", 1) else jnp.tril, x, k=number)


@rule("Pad", since=11, known=(1, 2, 3))
def _pad(call: Call, x: Tensor, pads: Known, value: Known | None = None,
         axes: Known | None = None) -> Tensor:  # fmt: skip
    number = 0 if value is None or not value.size else value.reshape(-1)[0].item()
    which = range(x.ndim) if axes is None else [int(a) % x.ndim for a in axes]
    return _padded(call, x, pads.tolist(), number, [*which])


@rule("Pad")
def _pad_of_attributes(call: Call, x: Tensor) -> Tensor:
    return _padded(call, x, call("pads"), call("value", 0.0), [*range(x.ndim)])


_MODES = {"constant": "constant", "edge": "edge", "reflect": "reflect", "wrap": "wrap"}


def _padded(call: Call, x: Tensor, pads: list[int], value: float, axes: list[int]) -> Tensor:
    mode = call("mode", "constant")
    if mode not in _MODES:
        raise ArgumentError(f"Pad: the mode is one of {', '.join(_MODES)}, got {mode!r}")
    each = [(0, 0)] * x.ndim
    for i, axis in enumerate(axes):
        each[axis] = pads[i], pads[i + len(axes)]
    return formula(_padded_by, x, pads=tuple(each), mode=mode, value=value)


def _padded_by(x: CTensor, pads: Any, mode: str, value: float) -> CTensor:
    more = [(max(a, 0), max(z, 0)) for a, z in pads]
    if mode == "constant":
        x = jnp.pad(x, more, constant_values=jnp.asarray(value, x.dtype))
    else:
        x = jnp.pad(x, more, mode=mode)
    # A negative padding crops.
    return x[
        tuple(slice(max(-a, 0), n - max(-z, 0)) for n, (a, z) in zip(x.shape, pads, strict=True))
    ]


@rule("ReverseSequence")
def _reverse_sequence(call: Call, x: Tensor, lengths: Tensor) -> Tensor:
    return formula(_reversed, x, lengths, batch=call("batch_axis", 1), time=call("time_axis", 0))


def _reversed(x: CTensor, lengths: CTensor, batch: int, time: int) -> CTensor:
    rows = jnp.moveaxis(x, (batch, time), (0, 1))
    steps = jnp.arange(rows.shape[1])

    def one(row: CTensor, length: CTensor) -> CTensor:
        return row[jnp.where(steps < length, length - 1 - steps, steps)]

    return jnp.moveaxis(jax.vmap(one)(rows, lengths), (0, 1), (batch, time))
