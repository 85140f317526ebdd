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


def from_jax(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of jax arrays as a function of Tensors, which is recorded and differentiable.

    Args:
        function: from arrays to one array or a tuple of them; pure, as jax requires. Bind all
            arguments that are not arrays beforehand, with ``functools.partial``. Give the same
            function object each time: it is compiled once for each object.

    Returns:
        From Tensors to a Tensor, or a tuple of them if ``function`` gives one.

    Example:
        >>> sinc = autograd.from_jax(jnp.sinc)
        >>> sinc(Tensor(data=[0.0, 0.5]))
        Tensor([1.    , 0.6366], shape=(2,), dtype=float32, device=cpu)
    """

    @wraps(function)
    def operation(*xs: Tensor) -> Tensor | tuple[Tensor, ...]:
        kinds = jax.eval_shape(function, *[x.data for x in xs])
        ys = FromJax(function)(*xs)
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
        local.capture = local.journal = _Pure()
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


class _Pure(Listener[Tensor]):
    """Allows Tensors to be read, and those that were made in the same call to be assigned."""

    def __init__(self) -> None:
        self._made: set[Tensor] = set()

    def calling(self, kind: str, owner: Any) -> AbstractContextManager[Any]:
        return nullcontext()

    def check(self, holds: CTensor, error: Callable[[], Exception]) -> None:
        raise CaptureError("to_jax: detect_anomaly cannot look into a function that jax traces")

    def communicates(self, communicator: Exchange) -> None:
        raise CaptureError("to_jax: a function that jax traces cannot communicate with other ranks")

    def made(self, tensor: Tensor) -> None:
        self._made.add(tensor)

    def read(self, tensor: Tensor) -> CTensor:
        return tensor._data

    def write(self, tensor: Tensor, value: CTensor) -> None:
        if tensor not in self._made:
            name = f" ({tensor.name})" if tensor.name else ""
            raise CaptureError(
                f"to_jax: the function assigns a Tensor{name} from outside; jax needs functions "
                "that change nothing. Batch norm and dropout assign Tensors in training only"
            )
        tensor._data = value
