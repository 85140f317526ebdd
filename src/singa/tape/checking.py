"""Checks of gradients: is what ``backward`` returns the slope of ``forward``?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor, TensorLike
from singa.device import float64, has_gradients, is_complex
from singa.errors import GradientError
from singa.tape.backward import gradients
from singa.tape.derivatives import vjp
from singa.tape.modes import enable_grad, no_grad
from singa.tape.operation import Operation

Array: TypeAlias = np.ndarray[Any, Any]


def check_gradients(
    op: Operation | Callable[..., Tensor | Sequence[Tensor]],
    inputs: Sequence[TensorLike],
    rtol: float = 1e-5,
    atol: float = 1e-7,
    step: float = 1e-6,
    order: int = 1,
) -> None:
    """Compare every gradient of an Operation, or of any function of Tensors, with its slope.

    The outputs are added up with random weights. The gradient of that sum with respect to each
    element of each float input is compared with the central difference, in float64. That takes two
    calls for each element, so the inputs should be small. They should not be at a kink. Complex
    inputs are moved in both parts, and of complex outputs both parts are added up.

    Args:
        op: an Operation, or a function that takes Tensors and returns one or several.
        inputs: the inputs of the calls. Floats are converted to float64, complex numbers to
            complex128; others are constants.
        rtol, atol: the relative and the absolute tolerance.
        step: the step size of the central differences.
        order: 2 also checks the gradients of the gradients.

    Raises:
        GradientError: they differ, and the message has the element with the largest error and both
            values; or two calls with the same inputs gave different results, so there is no slope.

    Example:
        >>> autograd.check_gradients(autograd.tanh, [[0.5, -1.0]])
        >>> autograd.check_gradients(autograd.relu, [[0.0]])  # a kink
        Traceback (most recent call last):
            ...
        singa.errors.GradientError: check_gradients: relu: input 0, element (0,), ...
    """
    arrays = [x.to_numpy() if isinstance(x, Tensor) else np.asarray(x) for x in inputs]
    arrays = [a.astype(jnp.promote_types(a.dtype, float64)) if _moves(a) else a for a in arrays]
    name = op.name if isinstance(op, Operation) else getattr(op, "__name__", repr(op))
    total = _WeightedSum(op)
    if total.value(arrays) != total.value(arrays):
        raise GradientError(
            f"check_gradients: {name} gives different results for the same inputs (random numbers, "
            "or state that it changes), and so has no slope"
        )
    fault = _largest_fault(total, arrays, rtol, atol, step)
    if fault:
        raise GradientError(f"check_gradients: {name}: {fault}")
    if order > 1:
        gradient = total.gradient([i for i, a in enumerate(arrays) if _moves(a)])
        gradient.__name__ = f"the gradient of {name}"
        check_gradients(gradient, arrays, rtol, atol, step, order - 1)


def _moves(array: Array) -> bool:
    return has_gradients(array.dtype)


class _WeightedSum:
    """The sum of a function's outputs, with random weights that are chosen once: a real scalar."""

    def __init__(self, function: Operation | Callable[..., Tensor | Sequence[Tensor]]) -> None:
        self._function = function
        self._weights: list[Array] = []

    def __call__(self, *xs: Tensor) -> Tensor:
        results = self._function(*xs)
        ys = [results] if isinstance(results, Tensor) else results
        ys = [y for y in ys if has_gradients(y.dtype)]
        if not self._weights:
            rng = np.random.default_rng(0)
            self._weights = [np.asarray(rng.uniform(0.5, 1.5, y.shape)) for y in ys]
            for i, y in enumerate(ys):
                if is_complex(y.dtype):
                    self._weights[i] = self._weights[i] + 1j * rng.uniform(0.5, 1.5, y.shape)
        terms = [(y * Tensor(data=w)).sum() for y, w in zip(ys, self._weights, strict=True)]
        terms = [term.real if is_complex(term.dtype) else term for term in terms]
        return sum(terms[1:], start=terms[0])

    def value(self, arrays: Sequence[Array]) -> float:
        """The sum for inputs given as arrays; nothing is recorded."""
        with no_grad():
            return float(self(*[Tensor(data=a) for a in arrays]))

    def gradient(self, numbers: Sequence[int]) -> Callable[..., list[Tensor]]:
        """A function from all inputs to the gradients of those inputs that have these numbers."""

        def gradient(*xs: Tensor) -> list[Tensor]:
            def of_some(*moved: Tensor) -> Tensor:
                all_of_them = list(xs)
                for i, x in zip(numbers, moved, strict=True):
                    all_of_them[i] = x
                return self(*all_of_them)

            return vjp(of_some, [xs[i] for i in numbers])[1]

        return gradient


def _largest_fault(
    total: _WeightedSum, arrays: Sequence[Array], rtol: float, atol: float, step: float
) -> str:
    """A message about the gradient that differs most from the slope; empty if none differs."""
    leaves = [Tensor(data=a, stores_grad=_moves(a)) for a in arrays]
    with enable_grad():
        found = gradients(total(*leaves))
    worst, fault = 1.0, ""
    for i, (leaf, array) in enumerate(zip(leaves, arrays, strict=True)):
        if not _moves(array):
            continue
        analytic = found[leaf].to_numpy() if leaf in found else np.zeros_like(array)
        for place in np.ndindex(array.shape):
            numeric: Any = 0.0
            for unit in (1, 1j) if is_complex(array.dtype) else (1,):
                above, below = array.copy(), array.copy()
                above[place] += step * unit
                below[place] -= step * unit
                ends = [total.value([*arrays[:i], end, *arrays[i + 1 :]]) for end in (above, below)]
                change = abs(above[place] - below[place])
                numeric = numeric + unit * (ends[0] - ends[1]) / change
            error = abs(analytic[place] - numeric) / (atol + rtol * abs(numeric))
            if not error <= worst:
                worst = float(error) if np.isfinite(error) else np.inf
                fault = (
                    f"input {i}, element {place}, where it is {array[place]:.6g}: backward gives "
                    f"{analytic[place]:.9g}, the slope of forward is {numeric:.9g}"
                )
    return fault
