"""Operation: a forward and a backward that share ``self``, and what happens when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax

from singa.core.tensor import Tensor, wrap
from singa.core.watching import FORWARD, calling, local
from singa.device import CTensor
from singa.engine import native
from singa.errors import DeviceError, DTypeError
from singa.placement import Part, announce, use_of
from singa.tape import hooks, host
from singa.tape.configuration import in_words
from singa.tape.differentiation import pulled_back
from singa.tape.kernel import Arrays, Trace, kernel_of, table
from singa.tape.modes import mode
from singa.tape.precision import computing_type
from singa.tape.record import Edge, Record


class Operation:
    """A differentiable function of Tensors, written as two plain functions that share ``self``.

    A subclass takes its configuration in ``__init__`` (plain values: numbers, strings, tuples)
    and defines

    - ``forward(self, *xs)``: takes CTensors, returns one CTensor or a tuple of them. It stores on
      ``self`` what the backward pass will need.
    - ``backward(self, *dys)``: takes the gradient of each output, returns the gradient of each
      input (None where there is none). A gradient may have the shape that the input was broadcast
      to: the tape sums over the broadcast axes. Without a ``backward`` jax derives one.

    Both are compiled by XLA, so they compute with ``jax.numpy`` and run as Python only once per
    configuration and input shapes. Checks of shapes and types belong into ``forward``: they run
    at that time, and cost nothing later. An operation that has to run as Python each time (host
    code, shapes that depend on values) sets ``traceable = False``.

    An operation is its configuration, and nothing else: it may be kept and called many times, from
    several threads, copied and pickled. Each call that is recorded makes a ``Record``.

    The compiled code is cached. Its key is the class, its ``forward`` and ``backward``, and the
    values and types of all attributes: numbers, strings, functions, and lists, tuples, sets and
    dicts of them. Attributes that are NumPy arrays are arguments of the compiled code, and may
    change without a recompilation; so may the numbers that ``numbers`` names. All else that
    ``forward`` and ``backward`` read, such as globals, attributes of the class and of objects, and
    helper methods, is compared in each call. When it has changed, they are compiled again: make
    an input of what changes often.

    Attributes:
        name: for messages: the class's name unless given.
        traceable: whether forward and backward are compiled.
        arithmetic: ``"wide"``: compute in at least float32, such as sums. If the inputs are of
            short types the result is short too, except in mixed precision, where it stays float32.
            ``"low"``: compute in the short type of mixed precision. None: compute in the types of
            the inputs.
        whole_from: on a mesh, the first of the axes that are not split, of inputs, outputs and
            their gradients; None if all may be. For windows over images it is 2.
        complex_numbers: None: complex inputs are refused. ``"own"``: ``backward`` is right for
            them too. ``"derived"``: jax derives the backward for them from ``forward``, and
            ``backward`` is for real inputs only. The gradient by z = x + iy is the derivative by x
            plus i times that by y: that of a product a b is dy conj(b) for a.
        numbers: the names of attributes whose numbers may change from call to call: bounds, slopes.
            In ``forward`` and ``backward`` they are scalars to compute with; an ``if`` cannot use
            their values.

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

    __slots__ = ("__dict__", "__weakref__", "_name")

    traceable: bool = True
    arithmetic: str | None = None
    complex_numbers: str | None = None
    whole_from: int | None = None
    numbers: tuple[str, ...] = ()

    _name: str | None

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """An attribute that ``forward`` leaves for ``backward``."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name

    @property
    def name(self) -> str:
        """The name in messages: the class's name, unless another one was given."""
        # A subclass need not call __init__.
        return getattr(self, "_name", None) or type(self).__name__

    @classmethod
    def derives_backward(cls) -> bool:
        """Whether it has no backward of its own."""
        return cls.backward is Operation.backward

    def forward(self, *xs: Any) -> Any:
        """Compute the outputs from the inputs: CTensors."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(self, *dys: Any) -> Any:
        """Compute the inputs' gradients from the outputs' gradients: CTensors."""
        return pulled_back(self, dys)

    def _backward_operation(
        self, trace: Trace, given: tuple[int, ...], needed: tuple[bool, ...]
    ) -> Operation | None:
        """The backward as an operation of the inputs and the given outputs' gradients.

        It notes on the trace which gradients it gives. None: jax derives the derivatives of
        ``backward``.
        """
        return None

    def mean_over(self) -> CTensor | int | None:
        """How many things the output is the mean of: elements, rows, or the sum of their weights.

        It may use what ``forward`` has stored on ``self``. An evaluation gives the loss of each
        batch this weight, so that the result does not depend on the batches. None: it is no mean.
        """
        return None

    def outputs_like(self, *xs: jax.ShapeDtypeStruct) -> Any:
        """The shapes and types that forward will return; needed in compiled steps if not traceable.

        Args:
            xs: the shapes and types of the inputs.

        Returns:
            The same of the outputs: an object with a shape and a dtype, or a tuple of them.
        """
        raise NotImplementedError

    def copy(self, attributes: dict[str, Any] | None = None) -> Operation:
        """An operation with the same configuration and these further attributes, not yet called."""
        fresh = object.__new__(type(self))
        fresh._name = getattr(self, "_name", None)
        fresh.__dict__.update(self.__dict__)
        if attributes:
            fresh.__dict__.update(attributes)
        return fresh

    def __call__(self, *xs: Tensor) -> tuple[Tensor, ...]:
        """Run forward on Tensors, and record it if recording is on and a gradient is wanted.

        Raises:
            ArgumentError: an attribute is a Tensor, or a value that cannot be compared.
            DeviceError: the inputs are on different devices.
            SingaError: ``forward`` refuses the inputs.
        """
        here = vars(local)
        is_captured = here["capture"] is not None
        arrays: Arrays = ()
        try:
            device = xs[0].device
            for x in xs:
                if x.device is not device:
                    raise DeviceError(_many_devices(self, xs))
                arrays += (x.data if is_captured else x._data,)
        except (AttributeError, IndexError):
            raise DTypeError(_not_tensors(self, xs)) from None
        is_recording = mode.is_recording(here)
        if here["guard"] is not None:
            self._note_reads(xs, is_recording)
        record = self._record(xs, here) if is_recording else None
        can_have: tuple[bool, ...]
        try:
            if not self.traceable:
                ys, can_have = _on_host(self, record, arrays)
            elif device.mesh is not None:
                ys, can_have = _on_mesh(self, record, arrays, xs)
            elif record is None:
                ys = computed(self, arrays)
            else:
                ys, can_have = _recorded(record, arrays, xs, here)
        except Exception as error:
            error.add_note(f"in {self.name}({', '.join(map(describe, xs))})")
            raise
        if record is None:
            return tuple([wrap(y, device) for y in ys])
        if len(ys) == 1 and can_have[0]:
            return (wrap(ys[0], device, True, record),)
        return tuple(
            [
                wrap(y, device, True, record, i) if has_gradient else wrap(y, device)
                for i, (y, has_gradient) in enumerate(zip(ys, can_have, strict=True))
            ]
        )

    def _record(self, xs: Sequence[Tensor], here: dict[str, Any]) -> Record | None:
        """The record of a call with these inputs; None if no gradient is wanted of any."""
        step = here["journal"]
        edges: tuple[Edge, ...] = ()
        is_wanted = here["follows"]
        for x in xs:
            edge: Edge = None
            if x._requires_grad:
                creator = x.creator
                # A Tensor that another step has computed is a leaf in this one.
                if creator is not None and creator.step is step:
                    edge = creator, x.output_index, x if x._stores_grad else None
                    is_wanted = True
                elif x._stores_grad:
                    edge = None, x.output_index, x
                    is_wanted = True
            edges += (edge,)
        return Record(self, edges, step) if is_wanted else None

    def _note_reads(self, xs: Sequence[Tensor], is_recording: bool) -> None:
        """Tell the guard what a call reads besides its inputs' values."""
        for cls in type(self).__mro__[:-1]:
            hooks.looked_for(cls)
        if is_recording:
            for x in xs:
                x._note_flags()

    @classmethod
    def register_forward_pre_hook(cls, hook: hooks.PreHook) -> hooks.Handle:
        """Call ``hook(operation, xs)`` before each call of an operation of this class.

        On ``Operation`` itself: before each call of any operation. If the hook does not return
        None, its result replaces the inputs. In a compiled step hooks run once, while it is
        captured.

        Returns:
            A handle, whose ``remove()`` removes the hook.
        """
        return hooks.register(hooks.before, cls, hook, _choose_call)

    @classmethod
    def register_forward_hook(cls, hook: hooks.PostHook) -> hooks.Handle:
        """Call ``hook(operation, xs, ys)`` after each call of an operation of this class."""
        return hooks.register(hooks.after, cls, hook, _choose_call)

    @classmethod
    def register_backward_hook(cls, hook: hooks.BackwardHook) -> hooks.Handle:
        """Call ``hook(record, dxs, dys)`` after each backward pass through such an operation.

        ``record`` is the record of the operation's call: it has a ``name`` and the ``operation``.
        ``dxs`` are the gradients of the inputs that need one, None where there is none; ``dys``
        are the gradients of the outputs that were used.
        """
        return hooks.register(hooks.backward, cls, hook, _choose_call)

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
    for note in _notes:
        note(self, xs, ys)
    return ys


def _call_with_note(self: Operation, *xs: Tensor) -> tuple[Tensor, ...]:
    ys = _call(self, *xs)
    for note in _notes:
        note(self, xs, ys)
    return ys


_notes: list[hooks.PostHook] = []


def note_calls(note: hooks.PostHook | None) -> None:
    """Call ``note(operation, xs, ys)`` after each call of an operation; None: no longer.

    It is no hook: it changes nothing, and so compiled steps do not depend on it.
    """
    _notes[:] = [] if note is None else [note]
    _choose_call()


def _choose_call() -> None:
    """Calls look for hooks only as long as there are any."""
    noted = _call_with_note if _notes else _call
    call = _call_with_hooks if hooks.before or hooks.after else noted
    Operation.__call__ = call  # type: ignore[method-assign]


def computed(operation: Operation, arrays: Sequence[CTensor], kind: str = FORWARD) -> Arrays:
    """The outputs of an operation without a record; ``kind`` is the kind of the call."""
    here = vars(local)
    low = here["precision"]
    kernel, given = kernel_of(operation, low and computing_type(operation.arithmetic, low))
    if here["capture"] is None:
        found = kernel.infer(*given, *arrays)
    else:
        with calling(kind, operation):
            found = kernel.infer(*given, *arrays)
    [(tracing, ys)] = found.items()
    if tracing.used != table.clock:
        table.use(tracing)
    return ys


def _recorded(
    record: Record, arrays: Arrays, xs: Sequence[Tensor], here: dict[str, Any]
) -> tuple[Arrays, tuple[bool, ...]]:
    """The outputs of a recorded operation, and which of them can have gradients."""
    low, operation = here["precision"], record.operation
    kernel, given = kernel_of(operation, low and computing_type(operation.arithmetic, low))
    args = given + arrays
    if here["capture"] is None:
        found = kernel.record(*args)
    else:
        with calling(FORWARD, record):
            found = kernel.record(*args)
    [(reference, results)] = found.items()
    trace = reference()
    assert trace is not None  # the kernel has it
    if trace.used != table.clock:
        table.use(trace)
    record._trace = trace
    record._saved = trace.pick(args + results)
    if trace.recomputes:
        record._inputs = arrays
    if here["segment"] is not None:
        here["segment"].add(record, (kernel, given), arrays, xs)
    return results[: trace.outputs], trace.has_gradients


def _on_mesh(
    operation: Operation, record: Record | None, arrays: Arrays, xs: Sequence[Tensor]
) -> tuple[Arrays, tuple[bool, ...]]:
    """The same for arrays that are spread over several devices: without native kernels."""
    device = xs[0].device
    assert device.mesh is not None
    if device.spans_processes:
        announce(in_words(operation), arrays, device.mesh)
    parts: dict[int, Part] = {}  # by the id of the gathered array
    whole = list(arrays)
    for i, x in enumerate(xs):
        place = use_of(x._data, device.batch) if x._stores_grad else None
        if place is not None:
            part = Part(arrays[i], place)
            whole[i] = part.gathered()
            parts[id(whole[i])] = part
    arrays = tuple(whole)
    with native.spread(native.Spread(device.mesh, is_mapped=native.here.spread is not None)):
        if record is None:
            return computed(operation, arrays), ()
        results = _recorded(record, arrays, xs, vars(local))
    if parts:  # the backward pass gathers them again
        record._saved = tuple([parts.get(id(array), array) for array in record._saved])
    return results


def _on_host(
    operation: Operation, record: Record | None, arrays: Arrays
) -> tuple[Arrays, tuple[bool, ...]]:
    """The outputs of an operation that runs as Python, and which of them can have gradients."""
    called = operation.copy()  # forward stores attributes on it
    with calling(FORWARD, operation if record is None else record):
        ys = host.forward(called, arrays)
    trace = host.HostTrace(arrays, ys)
    if record is not None:
        record.operation, record._trace = called, trace
    return ys, trace.has_gradients


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


def describe(x: Tensor) -> str:
    """A Tensor's type and shape in a few characters, for messages."""
    data = x._data
    return f"{data.dtype}{list(data.shape)}"
