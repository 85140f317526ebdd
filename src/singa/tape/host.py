"""Operations that run as Python on the host: any code, in eager and in compiled steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.watching import local
from singa.device import CTensor, has_gradients
from singa.errors import CaptureError, ShapeError
from singa.tape.differentiation import refuse_complex
from singa.tape.kernel import Arrays
from singa.tape.likes import OperationLike, RecordLike
from singa.tape.returned import input_gradients


def forward(operation: OperationLike, arrays: Arrays) -> Arrays:
    """Call ``operation.forward``: now or, in a capture, whenever the captured step runs."""
    refuse_complex(operation, arrays)
    if local.capture is None:
        return tuple(jnp.asarray(y) for y in _outputs(operation, arrays))
    try:
        like = operation.outputs_like(*[_struct(array) for array in arrays])
    except NotImplementedError:
        raise CaptureError(
            f"{operation.name} runs as Python on the host (traceable = False). A compiled step has "
            "to know beforehand what it will return: define outputs_like(self, *xs), or run the "
            "model eagerly with model.graph(False)"
        ) from None
    expected = tuple(
        jax.ShapeDtypeStruct(y.shape, y.dtype)
        for y in (like if isinstance(like, (tuple, list)) else (like,))
    )

    def compute(*xs: CTensor) -> Sequence[Any]:
        ys = _outputs(operation, [np.asarray(x) for x in xs])
        found = [(np.shape(y), np.asarray(y).dtype) for y in ys]
        if found != [(y.shape, y.dtype) for y in expected]:
            raise ShapeError(
                f"{operation.name}.forward returned {_described(found)}, and outputs_like "
                f"{_described([(y.shape, y.dtype) for y in expected])}"
            )
        return ys

    return tuple(_call(compute, expected, *arrays))


class HostTrace:
    """The counterpart of ``Trace`` for an operation that runs as Python on the host.

    What forward left is on the record's operation, and backward is called without compilation.
    """

    __slots__ = ("_outputs", "has_gradients", "input_avals", "output_avals")

    is_small = False

    def __init__(self, xs: Sequence[CTensor], ys: Arrays) -> None:
        self.input_avals = tuple(jax.typeof(x) for x in xs)
        self.output_avals = tuple(jax.typeof(y) for y in ys)
        self.has_gradients = tuple(has_gradients(y.dtype) for y in ys)
        self._outputs = () if local.capture is None else ys

    def after_forward(self, record: RecordLike) -> OperationLike:
        """The operation as forward left it."""
        return record.operation

    def backward(
        self, record: RecordLike, dys: dict[int, CTensor], needed: tuple[bool, ...]
    ) -> Sequence[CTensor | None]:
        """Call ``operation.backward``: now or, in a capture, whenever the captured step runs."""
        operation = record.operation
        if local.capture is None:
            dxs = input_gradients(operation, dys, self.input_avals, self.output_avals, needed)
            return [None if dx is None else jnp.asarray(dx) for dx in dxs]
        expected = [
            _struct(x) for x, is_needed in zip(self.input_avals, needed, strict=True) if is_needed
        ]
        zeros = {i: np.zeros(y.shape, y.dtype) for i, y in enumerate(self.output_avals)}
        given = tuple(dys)

        def compute(*arrays: CTensor) -> list[Any]:
            dys = zeros | {i: np.asarray(dy) for i, dy in zip(given, arrays, strict=False)}
            dxs = input_gradients(operation, dys, self.input_avals, self.output_avals, needed)
            return [
                np.zeros(x.shape, x.dtype) if dx is None else dx
                for dx, x in zip(dxs, expected, strict=True)
            ]

        # The outputs are arguments so that forward runs first, even if no gradient depends on it.
        return _call(compute, expected, *dys.values(), *self._outputs)


def _call(
    function: Callable[..., Sequence[Any]], expected: Sequence[jax.ShapeDtypeStruct], *xs: CTensor
) -> list[CTensor]:
    """Make the captured step call a function on the host, and raise the errors that it raises."""
    raised: list[Exception] = []

    def guarded(*xs: CTensor) -> tuple[Any, ...]:
        try:
            return True, *[np.asarray(y) for y in function(*xs)]
        except Exception as error:
            raised.append(error)
            return False, *[np.zeros(y.shape, y.dtype) for y in expected]

    flag = jax.ShapeDtypeStruct((), np.bool_)
    succeeded, *ys = jax.pure_callback(guarded, (flag, *expected), *xs)
    assert local.capture is not None
    local.capture.check(succeeded, raised.pop)
    return ys


def _outputs(operation: OperationLike, arrays: Sequence[Any]) -> Sequence[Any]:
    ys = operation.forward(*arrays)
    return ys if isinstance(ys, (tuple, list)) else (ys,)


def _struct(array: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _described(kinds: Sequence[tuple[tuple[int, ...], Any]]) -> str:
    return ", ".join(f"{dtype}{list(shape)}" for shape, dtype in kinds)
