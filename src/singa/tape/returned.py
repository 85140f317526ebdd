"""What a backward returns: checked, summed over broadcast axes, in the types of the inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor, float32, has_gradients
from singa.engine import native
from singa.errors import GradientError, ShapeError
from singa.placement import whole_from
from singa.tape import differentiation
from singa.tape.broadcasting import back_broadcast
from singa.tape.likes import OperationLike
from singa.tape.precision import WIDE, converted

A = TypeVar("A")


def whole(operation: OperationLike, arrays: Sequence[A]) -> Sequence[A]:
    """On a mesh: arrays whose axes are not split that the operation needs as a whole."""
    spread, first = native.here.spread, operation.whole_from
    if spread is None or first is None:
        return arrays
    return [
        whole_from(first, array, spread.mesh) if isinstance(array, jax.Array) else array
        for array in arrays
    ]


def input_gradients(
    operation: OperationLike,
    dys: dict[int, CTensor],
    input_avals: Sequence[Any],
    output_avals: Sequence[Any],
    needed: Sequence[bool],
) -> list[CTensor | None]:
    """Call ``operation.backward``, and check and convert its results for the needed inputs.

    ``dys`` holds the outputs' gradients by number; those that are missing are zeros.

    This is the only place where gradients are summed over the axes along which an input was
    broadcast, and converted to the input's data type; operations need not do it. The gradient of a
    real input of a complex result is the real part.
    """
    given = tuple(
        dys[i] if i in dys else jnp.zeros(aval.shape, aval.dtype)
        for i, aval in enumerate(output_avals)
    )
    if operation.arithmetic == WIDE and differentiation.PULLBACK not in operation.__dict__:
        given = converted(given, float32)  # a backward that jax derives needs the outputs' types
    dxs = differentiation.backward(operation, tuple(whole(operation, given)))
    if not isinstance(dxs, (tuple, list)):
        dxs = (dxs,)
    dxs = arrays_of(dxs)
    if len(dxs) != len(input_avals):
        raise GradientError(
            f"{operation.name}.backward returned {len(dxs)} gradients for {len(input_avals)} "
            "inputs; one is expected for each, None where there is none"
        )
    dxs = whole(operation, dxs)
    return [
        _fit(operation, i, dx, aval)
        for i, (dx, aval) in enumerate(zip(dxs, input_avals, strict=True))
        if needed[i]
    ]


def _fit(operation: OperationLike, i: int, dx: Any, aval: Any) -> CTensor | None:
    if dx is None or not has_gradients(aval.dtype):
        return None
    if not isinstance(dx, (jax.Array, np.ndarray)):
        raise GradientError(
            f"{operation.name}.backward returned {type(dx).__name__} as the gradient of input {i}; "
            "a CTensor or None is expected"
        )
    try:
        fitted: Any = back_broadcast(dx.shape, aval.shape, dx)  # type: ignore[arg-type]
    except ShapeError:
        raise GradientError(
            f"{operation.name}.backward returned a gradient of shape {dx.shape} for input {i}, "
            f"which is of shape {aval.shape}"
        ) from None
    # Without a conversion return the same object: gradients that are passed on are found by that.
    return fitted if fitted.dtype == aval.dtype else differentiation.as_gradient(fitted, aval.dtype)


def arrays_of(values: Sequence[Any]) -> list[Any]:
    """The values, with the arrays of Tensors that a kernel has made, as SINGA's operations do."""
    return [value.data if isinstance(value, Tensor) else value for value in values]
