"""jax functions as functions of Tensors, and functions of Tensors as jax functions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any

import jax

from singa.core.tensor import Tensor, wrap
from singa.core.watching import Exchange, Listener, local
from singa.device import CTensor, get_default_device
from singa.errors import CaptureError, DTypeError
from singa.tape.differentiation import DERIVED
from singa.tape.operation import Operation


class FromJax(Operation):
    """A function of arrays as an operation; jax derives its backward."""

    complex_numbers = DERIVED

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(getattr(function, "__name__", None))
        self.function = function

    def forward(self, *xs: CTensor) -> Any:
        return self.function(*xs)


class FromJaxWithRule(FromJax):
    """The same with a given rule for its backward."""

    def __init__(self, function: Callable[..., Any], rule: Callable[..., Any]) -> None:
        super().__init__(function)
        self.rule = rule

    def forward(self, *xs: CTensor) -> Any:
        self.xs = xs
        return self.function(*xs)

    def backward(self, *dys: CTensor) -> Any:
        return self.rule(*dys, *self.xs)


def from_jax(
    function: Callable[..., Any], backward: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """A function of jax arrays as a function of Tensors, which is recorded and differentiable.

    Args:
        function: from arrays to one array or a tuple of them; pure, as jax requires. Bind all
            arguments that are not arrays beforehand, with ``functools.partial``. Give the same
            function object each time: it is compiled once for each object.
        backward: the gradients of the inputs, an array or a tuple of them (None for an input
            without one), from the gradient of each output and all inputs. If it is not given, jax
            derives it.

    Returns:
        From Tensors to a Tensor, or a tuple of them if ``function`` gives one.

    Example:
        >>> sinc = autograd.from_jax(jnp.sinc)
        >>> sinc(Tensor(data=[0.0, 0.5]))
        Tensor([1.    , 0.6366], shape=(2,), dtype=float32, device=cpu)
        >>> straight_through = autograd.from_jax(jnp.round, backward=lambda dy, x: dy)
        >>> autograd.vjp(straight_through, [[0.4, 1.6]], dy=[1.0, 2.0])[1][0].tolist()
        [1.0, 2.0]
    """

    @wraps(function)
    def operation(*xs: Tensor) -> Tensor | tuple[Tensor, ...]:
        kinds = jax.eval_shape(function, *[x.data for x in xs])
        made = FromJax(function) if backward is None else FromJaxWithRule(function, backward)
        ys = made(*xs)
        return ys if isinstance(kinds, (tuple, list)) else ys[0]

    return operation


def to_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of Tensors as a function of jax arrays, for ``jax.jit``, ``jax.grad``, ``vmap``.

    jax derives the derivatives from the forward formulas. Tensors that the function reads
    besides its arguments (parameters) are constants, with their values at the time of the trace.

    Args:
        function: from Tensors to Tensors in any nesting. It must not assign Tensors from outside.

    Raises:
        CaptureError: it assigns one, such as a running mean or the state of random numbers.

    Example:
        >>> f = autograd.to_jax(lambda x: (x * x).sum())
        >>> jax.jit(jax.grad(f))(np.array([1.0, 2.0], np.float32))
        Array([2., 4.], dtype=float32)
    """

    @wraps(function)
    def pure(*arrays: CTensor) -> Any:
        outer = local.capture, local.journal
        local.capture = local.journal = Pure("to_jax")
        try:
            xs = [wrap(array, get_default_device()) for array in arrays]
            result = function(*xs)
            return jax.tree.map(_array, result, is_leaf=lambda leaf: isinstance(leaf, Tensor))
        finally:
            local.capture, local.journal = outer

    return pure


def _array(leaf: Any) -> CTensor:
    if not isinstance(leaf, Tensor):
        raise DTypeError(f"to_jax: the function must return Tensors, got {type(leaf).__name__}")
    return leaf._data


class Pure(Listener[Tensor]):
    """Allows Tensors to be read, and those that were made in the same block to be assigned.

    Args:
        what: the function whose block it is, for messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._made: set[Tensor] = set()

    def calling(self, kind: str, owner: Any) -> AbstractContextManager[Any]:
        return nullcontext()

    def check(self, holds: CTensor, error: Callable[[], Exception]) -> None:
        raise CaptureError(
            f"{self._what}: detect_anomaly, and operations that run as Python on the host, cannot "
            "be in a function that jax traces"
        )

    def communicates(self, communicator: Exchange) -> None:
        raise CaptureError(
            f"{self._what}: a function that jax traces cannot communicate with other ranks"
        )

    def attribute(self, owner: Any, name: str) -> None:
        raise CaptureError(
            f"{self._what}: the function assigns {type(owner).__name__}.{name}; {_CHANGES_NOTHING}"
        )

    def made(self, tensor: Tensor) -> None:
        self._made.add(tensor)

    def has_made(self, tensor: Tensor) -> bool:
        """Whether this Tensor was made in the block."""
        return tensor in self._made

    def read(self, tensor: Tensor) -> CTensor:
        return tensor._data

    def write(self, tensor: Tensor, value: CTensor) -> None:
        if tensor not in self._made:
            name = f" ({tensor.name})" if tensor.name else ""
            raise CaptureError(
                f"{self._what}: the function assigns a Tensor{name} from outside; "
                f"{_CHANGES_NOTHING}. Batch norm and dropout assign Tensors in training only"
            )
        tensor._data = value


_CHANGES_NOTHING = "jax needs functions that change nothing"
