"""Capture: one run of a step under jax's tracing that notes all that the step reads and changes.

There is no second graph language: the step's own Python runs once, on traced arrays. All numeric
state is in Tensors. So all that the step reads is an input of the program, and all that it assigns
is an output: a parameter, a running mean, a momentum buffer or the random stream's key.

Nothing outside changes during the capture. Assignments go into the capture's own table. The step's
changes of Python objects are noted and undone; the program makes them again in each call.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple
from weakref import ref

import jax
from jax.extend.core import ClosedJaxpr, Primitive

from singa.core.guard import Guard
from singa.core.journal import Journal
from singa.core.tensor import Tensor
from singa.core.watching import FORWARD, Exchange, Listener, local, within
from singa.device import CTensor
from singa.distributed import AXIS, world_size
from singa.errors import CaptureError
from singa.graph.effects import Effect, Leavings, Made
from singa.tape.record import Record

# Stands in the recorded program for a Tensor's value before the step; ``index`` says which.
read_tensor = Primitive("read_tensor")
read_tensor.def_abstract_eval(lambda *, index, aval: aval)


class Call(NamedTuple):
    """Something compiled that a step calls.

    Attributes:
        kind: ``forward``, ``backward`` or ``update``.
        owner: the class of the operation or of the optimizer.
        forward: of a backward, the number of the call that it belongs to, if the step has it.
        part: the part of a layer that has called it, as a node of an imported graph; or empty.
    """

    kind: str
    owner: type
    forward: int | None
    part: str


_CALL = "call."


def call_of(equation: Any) -> int | None:
    """The number of the call that made an equation, among its capture's ``calls``."""
    for scope in reversed(equation.source_info.name_stack.stack):
        if scope.name.startswith(_CALL):
            return int(scope.name.removeprefix(_CALL))
    return None


def without_calls(name_stack: Any) -> Any:
    """The name stack without the captures' own scopes: only names that the step's code has set."""
    return type(name_stack)(
        tuple([scope for scope in name_stack.stack if not scope.name.startswith(_CALL)])
    )


class Capture(Listener[Tensor]):
    """The record of one run of a function on Tensors of the shapes and types of ``args``.

    Args:
        function: the step.
        args: its arguments. It gets these Tensors themselves: reading them gives traced values.
        guard: notes what the step reads of Python's objects; None if that is not needed.

    Attributes:
        jaxpr: the program. Its inputs are the arguments' values, and in ``read_tensor`` those of
            ``inputs``. Its outputs are the new values of ``written``, those of the arguments
            numbered in ``written_args``, the values of ``fresh`` and of the arrays in ``result``
            and ``effects``, and whether each of the conditions holds.
        inputs: what the step read from outside: Tensors, or the value of a Tensor that the step
            made itself and did not keep.
        written: the Tensors outside that it assigned; and those that it made and that are still
            referenced, but from an unknown place.
        written_args: the numbers of the arguments that it assigned.
        fresh: the device, flags and name of each Tensor that it made and left in its results or
            effects. Each call of the program makes new ones.
        effects: its changes of Python objects.
        result: what it returned.
        outside: the Tensors in results and effects that existed before.
        has_arrays: whether there are arrays in results and effects outside of Tensors.
        is_for_once: whether the step has left something in a place where another call cannot leave
            its own. The program is used for this call only; the next one runs the Python again.
        first: of the Tensors that each call makes: those of this run that are still referenced.
        errors: for each condition, a function that makes the error to raise if it is false.
        calls: what it called, by number: see :func:`call_of`.
        communicator: exchanges data with other ranks for the step; None if it exchanges nothing.

    Example:
        >>> total, x = Tensor((2,), name="total"), Tensor(data=[1.0, 2.0])
        >>> def step(x):
        ...     total.data = (total + x).data
        ...     return x + x
        >>> captured = graph.Capture(step, [x])
        >>> [t.name for t in captured.inputs], [t.name for t in captured.written]
        (['total'], ['total'])
        >>> total.to_numpy()  # nothing has been computed yet
        array([0., 0.], dtype=float32)
    """

    def __init__(
        self, function: Callable[..., Any], args: Sequence[Tensor], guard: Guard | None = None
    ) -> None:
        self.inputs: list[Tensor | CTensor] = []
        self.written: list[Tensor] = []
        self.written_args: list[int] = []
        self.fresh: list[Made] = []
        self.first: dict[int, Tensor] = {}
        self.is_for_once = False
        self.effects: list[Effect] = []
        self.errors: list[Callable[[], Exception]] = []
        self.calls: list[Call] = []
        self.communicator: Exchange | None = None
        self.result: Any
        # For Tensors that existed before: by Tensor, the value that the step read or assigned; and
        # which of them it assigned.
        self._values: dict[Tensor, CTensor] = {}
        self._assigned: dict[Tensor, None] = {}
        self._conditions: list[CTensor] = []
        self._forward_calls: dict[Record, int] = {}

        def run(*values: CTensor) -> list[CTensor]:
            self._values.update(zip(args, values, strict=True))
            outer, local.capture = local.capture, self
            try:
                with Journal() as journal:
                    if guard is not None:
                        guard.journal = journal
                    try:
                        with nullcontext() if guard is None else guard:
                            result = [function(*args)]
                        with within("journal", None):  # from here on nothing is a part of the step
                            return self._finish(args, values, result, journal, guard)
                    except BaseException:
                        _put_back(guard)
                        raise
            finally:
                local.capture = outer

        avals = [jax.ShapeDtypeStruct(arg.shape, arg.dtype) for arg in args]
        # The axis is for the exchange with other ranks.
        self.jaxpr: ClosedJaxpr = jax.make_jaxpr(run, axis_env=[(AXIS, world_size())])(*avals)
        del self._values, self._assigned, self._conditions, self._forward_calls

    # -- what it notes ------------------------------------------------------------------------

    @contextmanager
    def calling(self, kind: str, owner: Any) -> Iterator[None]:
        """A block that is one call: all that is computed in it gets the call's number."""
        number, forward = len(self.calls), None
        if isinstance(owner, Record):
            if kind == FORWARD:
                self._forward_calls[owner] = number
            else:
                forward = self._forward_calls.get(owner)
            owner = owner.operation
        self.calls.append(Call(kind, type(owner), forward, local.part))
        with jax.named_scope(f"{_CALL}{number}"):
            yield

    def owners(self) -> list[type | None]:
        """For each equation, the class of the operation if it is a part of its forward pass."""
        calls = [call_of(equation) for equation in self.jaxpr.eqns]
        return [
            self.calls[n].owner if n is not None and self.calls[n].kind == FORWARD else None
            for n in calls
        ]

    def check(self, holds: CTensor, error: Callable[[], Exception]) -> None:
        """Note a condition; ``holds`` is a bool of shape ()."""
        self._conditions.append(holds)
        self.errors.append(error)

    def communicates(self, communicator: Exchange) -> None:
        """Note the communicator by which the step exchanges data with other ranks."""
        if self.communicator not in (None, communicator):
            raise CaptureError("a compiled step can communicate on one kind of device only")
        self.communicator = communicator

    def read(self, tensor: Tensor) -> CTensor:
        """A Tensor's value in the step; it becomes an input, if it is from outside."""
        data = tensor._data
        if isinstance(data, jax.core.Tracer):  # computed in the step
            return data
        value = self._values.get(tensor)
        if value is None:
            if local.guard is not None:
                local.guard.note(tensor, "device")
            value = read_tensor.bind(index=len(self.inputs), aval=jax.typeof(data))
            self.inputs.append(tensor)
            self._values[tensor] = value
        return value

    def write(self, tensor: Tensor, value: CTensor) -> None:
        """Set a Tensor's value in the step; outside of the step the Tensor does not change."""
        if isinstance(tensor._data, jax.core.Tracer):
            tensor._data = value
        else:
            self._values[tensor] = value
            self._assigned[tensor] = None

    def aval(self, tensor: Tensor) -> Any:
        return jax.typeof(self._value_of(tensor))

    def has_assigned(self, tensor: Tensor) -> bool:
        """Whether the step has assigned a Tensor: it no longer has its value from before."""
        return tensor in self._assigned or _is_traced(tensor)

    def peek(self, tensor: Tensor) -> tuple[CTensor | None, bool]:
        """The state of a Tensor in the step at present, for :meth:`put_back`."""
        if isinstance(tensor._data, jax.core.Tracer):
            return tensor._data, True
        return self._values.get(tensor), tensor in self._assigned

    def put_back(self, tensor: Tensor, before: tuple[CTensor | None, bool]) -> None:
        """Set a Tensor's state in the step to what :meth:`peek` gave."""
        value, was_assigned = before
        if isinstance(tensor._data, jax.core.Tracer):
            assert value is not None
            tensor._data = value
            return
        self._values.pop(tensor, None)
        self._assigned.pop(tensor, None)
        if value is not None:
            self._values[tensor] = value
        if was_assigned:
            self._assigned[tensor] = None

    def _value_of(self, tensor: Tensor) -> CTensor:
        return tensor._data if _is_traced(tensor) else self._values.get(tensor, tensor._data)

    # -- after the run ------------------------------------------------------------------------

    def _finish(
        self,
        args: Sequence[Tensor],
        values: Sequence[CTensor],
        box: list[Any],
        journal: Journal,
        guard: Guard | None,
    ) -> list[CTensor]:
        """Find the program's outputs, undo what the step has done, and return the outputs."""
        was_there = guard.was_there if guard is not None else lambda _: False
        left = Leavings(args, set(journal.survivors()), self._value_of, was_there)
        self.result = left.template(box.pop())
        self.effects = [*left.of_flags(journal), *left.of_attributes(journal)]
        if guard is not None:
            changes = iter(guard.changes())  # an iterator releases what it has given
            self.effects += [left.effect(part, None, contents) for part, contents in changes]
        self.fresh, self.outside = left.made, left.outside
        self.has_arrays = bool(left.arrays)
        self.is_for_once, who = left.is_for_once, left.who
        written_args = [i for i, arg in enumerate(args) if self._values[arg] is not values[i]]
        self.written_args = written_args
        outputs = [*(self._values[args[i]] for i in written_args), *left.of_made, *left.arrays]
        del left  # and release all Tensors that the step has made
        _put_back(guard)
        journal.undo()
        written = self._written(args, journal, who)
        return [*written, *outputs, *self._conditions]

    def _written(
        self, args: Sequence[Tensor], journal: Journal, who: Sequence[ref[Tensor]]
    ) -> list[CTensor]:
        """The new values of Tensors that existed before, or were made and are still referenced.

        Of the Tensors that the step made, only those matter that are referenced from elsewhere. To
        find these, release all references here first.
        """
        own_ones = set(args)
        made = set(journal.survivors())
        inputs = [
            (ref(t), t._data) if isinstance(t, Tensor) and t in made else t for t in self.inputs
        ]
        assigned = [
            (ref(t), None if t in made else t, self._values[t])
            for t in self._assigned
            if t not in own_ones
        ]
        tables = (self.inputs, self._values, self._assigned, self._forward_calls, made, own_ones)
        for table in tables:
            table.clear()
        journal.forget()
        self.inputs = [_kept(*item) if isinstance(item, tuple) else item for item in inputs]
        written = [(found, value) for r, _, value in assigned if (found := r()) is not None]
        if any(map(_is_traced, journal.survivors())) or any(made() is not None for made in who):
            gc.collect()  # perhaps only cyclic garbage references them
        kept = [tensor for tensor in journal.survivors() if _is_traced(tensor)]
        self.first = {i: tensor for i, made in enumerate(who) if (tensor := made()) is not None}
        # Whether Tensors of this run are referenced from an unknown place.
        self.is_for_once |= bool(kept or self.first)
        written += [(tensor, tensor._data) for tensor in kept]
        self.written = [tensor for tensor, _ in written]
        for tensor in self.written:
            tensor.creator = None
        return [value for _, value in written]


def _put_back(guard: Guard | None) -> None:
    """Undo the step's changes of containers and plain objects."""
    for part, _ in [] if guard is None else guard.changes():
        part.become(part.expected)


def _kept(found: ref[Tensor], value: CTensor) -> Tensor | CTensor:
    """A Tensor that the step has made, if it is still referenced; else its value."""
    tensor = found()
    return value if tensor is None else tensor


def _is_traced(tensor: Tensor) -> bool:
    return isinstance(tensor._data, jax.core.Tracer)
