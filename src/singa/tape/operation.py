"""Operation: a forward and a backward that share ``self``, and what happens when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from singa._tensor import Tensor, wrap
from singa.device import CTensor, DType, is_float
from singa.errors import DeviceError, DTypeError
from singa.tape import hooks, host
from singa.tape.checkpointing import Recomputed
from singa.tape.kernel import Kernel, Trace
from singa.tape.modes import mode
from singa.tape.precision import computing_type
from singa.watching import local

Edge: TypeAlias = "tuple[Operation | None, int, Tensor | None] | None"
"""Where an input came from: its creator, which of the creator's outputs it is, and the Tensor
itself if its gradient is to be yielded. None for an input that needs no gradient."""

_kernels: dict[Any, Kernel] = {}


class Operation:
    """A differentiable function of Tensors, written as two plain functions that share ``self``.

    A subclass takes its configuration in ``__init__`` (plain values: numbers, strings, tuples)
    and defines

    - ``forward(self, *xs)``: CTensors in, one CTensor or a tuple of them out. What the backward
      pass will need is kept on ``self``.
    - ``backward(self, *dys)``: for each output its gradient in, for each input its gradient out
      (None where there is none). A gradient of an input's broadcast shape will do: the sum over
      the broadcast axes is taken for you. Without a ``backward`` jax derives one.

    Both are compiled by XLA, so they compute with ``jax.numpy`` and run as Python only once per
    configuration and input shapes. Checks of shapes and types belong into ``forward``: they run
    at that time, and cost nothing later. An operation that has to run as Python each time (host
    code, shapes that depend on values) sets ``traceable = False``.

    Attributes:
        name: for people: the class's name unless given.
        src: where the inputs came from, an :data:`Edge` each; empty if nothing was recorded.
        traceable: whether forward and backward are compiled.
        arithmetic: in mixed precision, ``"low"`` for what computes in the short type, ``"wide"``
            for what computes in float32; None for what takes its inputs as they are.

    Example:
        >>> class Softsign(autograd.Operation):
        ...     def forward(self, x):
        ...         self.scale = 1 / (1 + jnp.abs(x))  # kept for backward
        ...         return x * self.scale
        ...
        ...     def backward(self, dy):
        ...         return dy * self.scale * self.scale
        >>> Softsign()(Tensor(data=[-1.0, 3.0]))[0]
        Tensor([-0.5 ,  0.75], shape=(2,), dtype=float32, device=cpu)
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_inputs",
        "_name",
        "_needed",
        "_precision",
        "_saved",
        "_trace",
        "src",
    )

    traceable: bool = True
    arithmetic: str | None = None
    derives_backward: bool = True  # set for each subclass: it has no backward of its own

    _inputs: list[CTensor]  # the inputs' arrays, if the trace says that it recomputes
    _name: str | None
    _needed: tuple[bool, ...]  # which inputs have an edge
    _precision: DType | None  # what its kernel converts its inputs to
    _saved: list[CTensor]  # the arrays that backward takes
    _trace: (
        Trace | host.HostTrace | Recomputed | None
    )  # the layout of what forward left; set when recorded
    src: tuple[Edge, ...]

    def __new__(cls, *args: Any, **kwargs: Any) -> Operation:
        operation = object.__new__(cls)
        operation._name = operation._trace = operation._precision = None
        operation.src = ()
        return operation

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.derives_backward = cls.backward is Operation.backward

    @property
    def name(self) -> str:
        """For people: the class's name, unless it was given another one."""
        return self._name or type(self).__name__

    @property
    def requires_grad(self) -> bool:
        """Whether a backward pass goes through this operation."""
        return any(self.src)

    def forward(self, *xs: Any) -> Any:
        """Compute the outputs from the inputs: CTensors."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *dys: Any) -> Any:
        """Compute the inputs' gradients from the outputs': CTensors."""
        # jax wants gradients of type float0 for outputs that are not floats.
        dxs = self._pullback(
            tuple(dy if is_float(dy.dtype) else np.zeros(dy.shape, jax.dtypes.float0) for dy in dys)
        )
        return tuple(None if dx.dtype == jax.dtypes.float0 else dx for dx in dxs)

    def outputs_like(self, *xs: jax.ShapeDtypeStruct) -> Any:
        """What forward will return, for compiled steps with an operation that is not traceable.

        Args:
            xs: the shapes and types of the inputs.

        Returns:
            Of each output the same: anything with a shape and a dtype. One, or a tuple.
        """
        raise NotImplementedError

    def copy(self, attributes: dict[str, Any] | None = None) -> Operation:
        """One that is configured alike and has not been called, with more attributes."""
        fresh = Operation.__new__(type(self))
        fresh._name = self._name
        fresh._precision = self._precision
        fresh.__dict__.update(self.__dict__)
        if attributes:
            fresh.__dict__.update(attributes)
        return fresh

    def __getattr__(self, name: str) -> Any:
        # What forward left behind went through the compiled kernel, and is looked up on demand.
        if self._trace is not None:
            left = self._trace.left(self)
            if name in left:
                return left[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __call__(self, *xs: Tensor) -> tuple[Tensor, ...]:
        """Run forward on Tensors, and record it if recording is on and a gradient is wanted.

        Raises:
            DeviceError: the inputs are on different devices.
            SingaError: whatever ``forward`` finds wrong with the inputs.
        """
        if local.guard is not None:
            for cls in type(self).__mro__[:-1]:
                hooks.looked_for(cls)
        # An operation is in the record once for each call.
        operation = self if self._trace is None else self.copy()
        try:
            device = xs[0].device
            arrays = [x._data for x in xs] if local.capture is None else [x.data for x in xs]
        except (AttributeError, IndexError):
            raise DTypeError(_not_tensors(operation, xs)) from None
        for x in xs:
            if x.device is not device:
                raise DeviceError(_many_devices(operation, xs))
        low = local.precision
        operation._precision = None if low is None else computing_type(self.arithmetic, low)
        recording = False
        if mode.recording:
            if local.guard is not None:
                for x in xs:
                    x._note_flags()
            edges: list[Edge] = []
            needed: list[bool] = []
            for x in xs:
                if x._requires_grad and (x.creator is not None or x._stores_grad):
                    edges.append((x.creator, x.output_index, x if x._stores_grad else None))
                    needed.append(True)
                    recording = True
                else:
                    edges.append(None)
                    needed.append(False)
        try:
            trace: Trace | host.HostTrace
            if not operation.traceable:
                operation = operation.copy()  # its attributes are what forward leaves on it
                ys = host.forward(operation, arrays)
                operation._saved = []
                operation._trace = trace = host.HostTrace(arrays, ys)
            else:
                kernel, attributes = _kernel_of(operation)
                if not recording:
                    ys = kernel.infer(attributes, *arrays)
                else:
                    ys, found = kernel.record(attributes, *arrays)
                    [(traced, residuals)] = found.items()
                    operation._saved = traced.saved(arrays, ys, residuals)
                    operation._trace = trace = traced
                    if traced.recomputes:
                        operation._inputs = arrays
                    if local.segment is not None:
                        local.segment.add(operation, (kernel, attributes), arrays, xs)
        except Exception as error:
            error.add_note(f"in {operation.name}({', '.join(map(describe, xs))})")
            raise
        if not recording:
            return tuple([wrap(y, device) for y in ys])
        operation.src = tuple(edges)
        operation._needed = tuple(needed)
        if len(ys) == 1 and trace.outputs_are_float[0]:
            return (wrap(ys[0], device, True, operation),)
        # Only floats have gradients.
        return tuple(
            [
                wrap(y, device, True, operation, i) if is_float else wrap(y, device)
                for i, (y, is_float) in enumerate(zip(ys, trace.outputs_are_float, strict=True))
            ]
        )

    @classmethod
    def register_forward_pre_hook(cls, hook: hooks.PreHook) -> hooks.Handle:
        """Call ``hook(operation, xs)`` before each call of an operation of this class.

        Of ``Operation`` itself: of all operations. What the hook returns, if it is not None, are
        the inputs in their place. In a compiled step hooks run once, while it is captured.

        Returns:
            A handle, whose ``remove()`` ends it.
        """
        return hooks.register(hooks.before, cls, hook, _choose_call)

    @classmethod
    def register_forward_hook(cls, hook: hooks.PostHook) -> hooks.Handle:
        """Call ``hook(operation, xs, ys)`` after each call of an operation of this class."""
        return hooks.register(hooks.after, cls, hook, _choose_call)

    @classmethod
    def register_backward_hook(cls, hook: hooks.BackwardHook) -> hooks.Handle:
        """Call ``hook(operation, dxs, dys)`` after each backward pass through such an operation.

        ``dxs`` are the gradients of the inputs that need one, None where there is none; ``dys``
        those of the outputs that were used.
        """
        return hooks.register(hooks.backward, cls, hook, _choose_call)

    def input_gradients(
        self, dys: dict[int, CTensor], needed: tuple[bool, ...]
    ) -> Sequence[CTensor | None]:
        """The gradients of the needed inputs, in order; None where there is none.

        ``dys`` holds the gradients of the outputs that somebody used, by number.
        """
        assert self._trace is not None  # only what was recorded is walked
        return self._trace.backward(self, dys, needed)

    def __repr__(self) -> str:
        config = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({config})"


_call = Operation.__call__


def _call_with_hooks(self: Operation, *xs: Tensor) -> tuple[Tensor, ...]:
    for before in hooks.for_class(hooks.before, type(self)):
        given = before(self, xs)
        xs = xs if given is None else tuple(given)
    ys = _call(self, *xs)
    for after in hooks.for_class(hooks.after, type(self)):
        after(self, xs, ys)
    return ys


def _choose_call() -> None:
    """Calls look for hooks only as long as there are any."""
    call = _call_with_hooks if hooks.before or hooks.after else _call
    Operation.__call__ = call  # type: ignore[method-assign]


def _not_tensors(operation: Operation, xs: Sequence[Any]) -> str:
    for x in xs:
        if not isinstance(x, Tensor):
            return (
                f"{operation.name}: its inputs must be Tensors, got {type(x).__name__}; "
                "Tensor(data=...) makes one"
            )
    return f"{operation.name}: at least one input Tensor is needed"


def _many_devices(operation: Operation, xs: Sequence[Tensor]) -> str:
    names = ", ".join(x.device.name for x in xs)
    return f"{operation.name}: inputs are on different devices: {names}; to_device moves a Tensor"


def _kernel_of(operation: Operation) -> tuple[Kernel, dict[str, Any]]:
    """The compiled operation for this configuration, and the configuration's arrays."""
    config = operation.__dict__
    arrays: dict[str, Any] = {}
    # The types belong to the key because 1, 1.0 and True are equal.
    key = (
        operation.__class__,
        operation._precision,
        *config,
        *config.values(),
        *map(type, config.values()),
    )
    try:
        kernel = _kernels.get(key)
    except TypeError:  # something that cannot be hashed
        arrays = {
            name: value
            for name, value in config.items()
            if isinstance(value, (np.ndarray, jax.Array))
        }
        key = (
            operation.__class__,
            operation._precision,
            *config,
            *[None if name in arrays else _frozen(value) for name, value in config.items()],
            *map(type, config.values()),
        )
        kernel = _kernels.get(key)
    if kernel is None:
        kernel = _kernels[key] = Kernel(operation, arrays)
    return kernel, arrays


def _frozen(value: Any) -> Any:
    """A hashable value that is equal for equal lists, dicts and sets."""
    if isinstance(value, (list, tuple)):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return tuple((key, _frozen(item)) for key, item in value.items())
    if isinstance(value, set):
        return frozenset(value)
    hash(value)
    return value


def describe(x: Tensor) -> str:
    """A Tensor's type and shape in a few characters, for messages."""
    data = x._data
    return f"{data.dtype}{list(data.shape)}"
