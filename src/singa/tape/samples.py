"""Functions of one sample, applied to all samples of a batch by one operation.

The function's Python runs on Tensors of one sample, under ``jax.vmap``, inside the operation
:class:`Mapped`. Its inputs are the arguments, and the Tensors from outside that the function reads:
so parameters have gradients. Its backward is the tape's backward pass through the function, mapped
in the same way: derivatives of any order are those of the operations inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, random_key, wrap
from singa.core.watching import local, within
from singa.device import CTensor, Device, DType, has_gradients
from singa.errors import CaptureError
from singa.tape.backward import grad
from singa.tape.jax_functions import Pure
from singa.tape.kernel import Trace
from singa.tape.modes import enable_grad
from singa.tape.operation import Operation
from singa.tape.precision import wide

_ALONE = {"segment": None, "calls": None, "anomaly": False, "follows": False}
"""What else is off in a function that is mapped: its operations are not seen from outside."""


@dataclass(frozen=True)
class Modes:
    """A call's device and modes. What is traced later, such as its gradient, has the same."""

    device: Device
    training: bool
    recording: bool
    precision: DType | None


class Mapped(Operation):
    """A function of samples, applied to a batch."""

    complex_numbers = "own"

    def __init__(self, function: SampleFunction) -> None:
        super().__init__("vmap")
        self.function = function

    def forward(self, *xs: CTensor) -> Any:
        self.xs = xs
        return tuple(self.function.mapped(xs))

    def backward(self, *dys: CTensor) -> Any:
        floats = [has_gradients(x.dtype) for x in self.xs]
        given = tuple([i for i, dy in enumerate(dys) if has_gradients(dy.dtype)])
        gradient = self.function.gradient(given, floats)
        dxs = iter(gradient.mapped([*self.xs, *[dys[i] for i in given]]))
        return tuple([next(dxs) if is_given else None for is_given in floats])

    def _backward_operation(
        self, trace: Trace, given: tuple[int, ...], needed: tuple[bool, ...]
    ) -> Operation:
        trace.exist[given, needed] = tuple([True for is_needed in needed if is_needed])
        return Mapped(self.function.gradient(given, needed))


@dataclass(frozen=True)
class Input:
    """What one input of a :class:`Mapped` is.

    Attributes:
        axis: along which the samples are; None if it is the same for all.
        has_gradient: whether a gradient may be wanted of it, if it is an argument.
        outside: the Tensor from outside whose value it is; None for an argument.
    """

    axis: int | None
    has_gradient: bool
    outside: Tensor | None


class SampleFunction:
    """A function from Tensors of one sample to Tensors, and how it is mapped.

    Args:
        function: it gets those inputs that are arguments.
        inputs: what the inputs are.
        out_axes: for each result, the axis along which the samples will be; None: their sum.
        modes: those in which it runs.
    """

    def __init__(
        self,
        function: Callable[..., list[Tensor]],
        inputs: Sequence[Input],
        out_axes: Sequence[int | None],
        modes: Modes,
    ) -> None:
        self._function, self._inputs, self._out_axes = function, inputs, out_axes
        self._modes = modes
        self._stream = random_key(modes.device)

    def mapped(self, xs: Sequence[CTensor]) -> list[CTensor]:
        """The results for a batch: arrays."""
        count = next(
            x.shape[each.axis]
            for x, each in zip(xs, self._inputs, strict=True)
            if each.axis is not None
        )
        given, axes = [], []
        for x, each in zip(xs, self._inputs, strict=True):
            draws = each.outside is self._stream
            given.append(jax.random.split(x, count) if draws else x)
            axes.append(0 if draws else each.axis)
        ys = jax.vmap(self.of_one, tuple(axes), [axis or 0 for axis in self._out_axes])(*given)
        return [
            y.sum(0, dtype=wide(y.dtype)).astype(y.dtype) if axis is None else y
            for y, axis in zip(ys, self._out_axes, strict=True)
        ]

    def of_one(self, *xs: CTensor) -> list[CTensor]:
        """The results for one sample: arrays."""
        values = {
            each.outside: x
            for x, each in zip(xs, self._inputs, strict=True)
            if each.outside is not None
        }
        with Sample(self._modes, values) as sample:
            arguments = [
                sample.argument(x, each.has_gradient)
                for x, each in zip(xs, self._inputs, strict=True)
                if each.outside is None
            ]
            return [sample.read(y) for y in self._function(*arguments)]

    def with_gradient(self) -> Callable[..., list[CTensor]]:
        """:meth:`of_one` for jax's control flow: its gradient there is the tape's backward pass.

        It is computed again for the gradient. It is not for complex numbers: their gradients are
        the conjugates of jax's.
        """
        needed = [each.has_gradient for each in self._inputs]
        function = jax.custom_vjp(self.of_one)

        def forward(*xs: CTensor) -> tuple[list[CTensor], tuple[CTensor, ...]]:
            return function(*xs), xs  # which has its gradient also if jax differentiates this again

        def backward(xs: tuple[CTensor, ...], dys: list[CTensor]) -> tuple[CTensor | None, ...]:
            given = [i for i, dy in enumerate(dys) if has_gradients(dy.dtype)]
            gradient = self.gradient(given, needed).with_gradient()
            dxs = iter(gradient(*xs, *[dys[i] for i in given]) if any(needed) else ())
            return tuple([next(dxs) if is_needed else None for is_needed in needed])

        function.defvjp(forward, backward)
        return function

    def gradient(self, given: Sequence[int], needed: Sequence[bool]) -> SampleFunction:
        """The gradients of the needed inputs, as a function of all inputs and gradients of results.

        Args:
            given: the numbers of the results whose gradients are given.
            needed: for each input, whether its gradient is wanted.
        """
        of_arguments = sum(each.outside is None for each in self._inputs)

        def function(*xs: Tensor) -> list[Tensor]:
            arguments = iter(xs)
            wanted = []
            for each, is_needed in zip(self._inputs, needed, strict=True):
                x = next(arguments) if each.outside is None else each.outside
                if is_needed:
                    _allow_gradient(x)
                    wanted.append(x)
            with enable_grad():
                ys = self._function(*xs[:of_arguments])
                return _gradients([ys[i] for i in given], xs[of_arguments:], wanted)

        inputs = [
            *[
                replace(each, has_gradient=each.has_gradient or is_needed)
                for each, is_needed in zip(self._inputs, needed, strict=True)
            ],
            *[Input(self._out_axes[i], True, None) for i in given],
        ]
        out = [each.axis for each, is_needed in zip(self._inputs, needed, strict=True) if is_needed]
        return SampleFunction(function, inputs, out, replace(self._modes, recording=True))


class _Several(Operation):
    """Joins several results, so that one backward pass starts at all of them."""

    complex_numbers = "own"

    def forward(self, *ys_and_dys: CTensor) -> CTensor:
        self.dys = ys_and_dys[len(ys_and_dys) // 2 :]
        return jnp.zeros(())

    def backward(self, dy: CTensor) -> Any:
        return *self.dys, *[None for _ in self.dys]


def _gradients(
    ys: Sequence[Tensor], dys: Sequence[Tensor], wanted: Sequence[Tensor]
) -> list[Tensor]:
    """The gradients of the sum of all ``ys * dys``, recorded."""
    pairs = [(y, dy) for y, dy in zip(ys, dys, strict=True) if may_have_gradient(y)]
    if not pairs:
        return [Tensor(x.shape, x.device, x.dtype, requires_grad=False) for x in wanted]
    together = _Several()(*[y for y, _ in pairs], *[dy for _, dy in pairs])[0]
    return grad(together, wanted, create_graph=True)


class Sample(Pure):
    """A block in which a function runs for one sample.

    Args:
        modes: those in which it runs.
        values: of the Tensors from outside. If not given, those that the function reads are
            found.
    """

    def __init__(self, modes: Modes, values: dict[Tensor, CTensor] | None = None) -> None:
        super().__init__("vmap")
        self.outside: dict[Tensor, None] = {}
        self._modes, self._values = modes, values
        self._stream = random_key(modes.device)
        self._outer = local.capture
        self._flagged: list[tuple[Tensor, bool]] = []
        self._assigned: dict[Tensor, CTensor] = {}

    def __enter__(self) -> Sample:
        self._block = ExitStack()
        here: dict[str, Any] = {"capture": self, "journal": self}
        here |= {"training": self._modes.training, "recording": self._modes.recording}
        here |= {"precision": self._modes.precision}
        for name, value in (here | _ALONE).items():
            self._block.enter_context(within(name, value))
        return self

    def __exit__(self, *_: object) -> None:
        self._block.close()
        for tensor, requires_grad in self._flagged:
            tensor._requires_grad, tensor._stores_grad = requires_grad, False

    def argument(self, value: CTensor, has_gradient: bool) -> Tensor:
        """An argument of the function."""
        x = wrap(value, self._modes.device, has_gradient)
        x._stores_grad = has_gradient
        return x

    def store_gradient(self, tensor: Tensor) -> None:
        """Make a Tensor a leaf with a gradient until the end of the block."""
        if not tensor._stores_grad:
            self._flagged.append((tensor, tensor._requires_grad))
            tensor._requires_grad = tensor._stores_grad = True

    def read(self, tensor: Tensor) -> CTensor:
        if self.has_made(tensor):
            return tensor._data
        if tensor in self._assigned:
            return self._assigned[tensor]
        if tensor.creator is not None and tensor._requires_grad:
            self.store_gradient(tensor)  # what was computed outside is a leaf here
        if self._values is None:
            self.outside[tensor] = None
            # Its value is not looked at, and could not come into this trace from the outer one.
            like = (self._outer or self).aval(tensor)
            return jnp.zeros(like.shape, like.dtype)
        if tensor not in self._values:
            raise CaptureError(
                f"vmap: the function reads a Tensor of shape {tensor.shape} from outside that it "
                "has not read before; it must do the same each time it is called"
            )
        return self._values[tensor]

    def aval(self, tensor: Tensor) -> Any:
        return jax.typeof(tensor._data if self._outer is None else self.read(tensor))

    def write(self, tensor: Tensor, value: CTensor) -> None:
        if tensor is self._stream:
            self._assigned[tensor] = value  # each sample has its own random numbers
        else:
            super().write(tensor, value)


def may_have_gradient(x: Tensor) -> bool:
    """Whether it is a leaf that stores its gradient, or was recorded."""
    return x._requires_grad and (x.creator is not None or x._stores_grad)


def _allow_gradient(x: Tensor) -> None:
    """Make a Tensor a leaf with a gradient until the end of this call of the function."""
    assert isinstance(local.capture, Sample)
    local.capture.store_gradient(x)
