"""Capture: one run of a step under jax's tracing, with all that it reads and changes noted.

No second graph language: the step's own Python runs once, on traced arrays. Because all numeric
state lives in Tensors, whatever the step reads is an input of the program and whatever it assigns
is an output, be it a parameter, a running mean, a momentum buffer or the random stream's key.

Nothing outside changes meanwhile. Assignments go into the capture's own table, and what the step
did to Python's objects is noted and undone: it is the program's to do, in each call.
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
    """

    kind: str
    owner: type
    forward: int | None


_CALL = "call."


def call_of(equation: Any) -> int | None:
    """The number of the call that made an equation, among its capture's ``calls``."""
    for scope in reversed(equation.source_info.name_stack.stack):
        if scope.name.startswith(_CALL):
            return int(scope.name.removeprefix(_CALL))
    return None


def without_calls(name_stack: Any) -> Any:
    """The names that the step's own code has given to what surrounds an equation."""
    return type(name_stack)(
        tuple([scope for scope in name_stack.stack if not scope.name.startswith(_CALL)])
    )


class Capture(Listener[Tensor]):
    """The record of one run of a function on Tensors of the shapes and types of ``args``.

    Args:
        function: the step.
        args: its arguments, which it gets as they are: reading them gives traced values.
        guard: notes what the step reads of Python's objects; None if nobody wants to know.

    Attributes:
        jaxpr: the program. Its inputs are the arguments' values, and in ``read_tensor`` those of
            ``inputs``. Its outputs are the new values of ``written``, those of the arguments
            numbered in ``written_args``, the values of ``fresh`` and of the arrays in ``result``
            and ``effects``, and whether each of the conditions holds.
        inputs: what the step read from outside: Tensors, or the value of a Tensor that the step
            made itself and did not keep.
        written: the Tensors outside that it assigned, or made and left where nobody looks.
        written_args: the numbers of the arguments that it assigned.
        fresh: of the Tensors that it made and left, what they are other than their values. Each
            call of the program makes such ones anew.
        effects: what it did to Python's objects.
        result: what it returned.
        outside: the Tensors in results and effects that were there before.
        has_arrays: whether there are arrays in results and effects that are in no Tensor.
        is_for_once: whether the step has left something where no other call can leave its own. The
            program serves this call, and the next one runs the Python again.
        first: of the Tensors that a call makes those that this run has made and somebody holds.
        errors: for each condition, what makes the error to raise if it does not hold.
        calls: what it called, by number: see :func:`call_of`.
        communicator: by which the step exchanges something with other ranks; None if it does not.

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
        # What the step sees of Tensors that were there before: by Tensor, the value that it read
        # or assigned, and which of them it assigned.
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
                        with within("journal", None):  # what comes now is none of the step's doing
                            return self._finish(args, values, result, journal, guard)
                    except BaseException:
                        _put_back(guard)
                        raise
            finally:
                local.capture = outer

        avals = [jax.ShapeDtypeStruct(arg.shape, arg.dtype) for arg in args]
        # The axis is for what other ranks are told and asked.
        self.jaxpr: ClosedJaxpr = jax.make_jaxpr(run, axis_env=[(AXIS, world_size())])(*avals)
        del self._values, self._assigned, self._conditions, self._forward_calls

    # -- what it is told ----------------------------------------------------------------------

    @contextmanager
    def calling(self, kind: str, owner: Any) -> Iterator[None]:
        """Number all that is computed in a block: it is one call."""
        number, forward = len(self.calls), None
        if isinstance(owner, Record):
            if kind == FORWARD:
                self._forward_calls[owner] = number
            else:
                forward = self._forward_calls.get(owner)
            owner = owner.operation
        self.calls.append(Call(kind, type(owner), forward))
        with jax.named_scope(f"{_CALL}{number}"):
            yield

    def owners(self) -> list[type | None]:
        """For each equation, the class of the operation of whose forward pass it is a part."""
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
        """Note by whom the step exchanges something with other ranks."""
        if self.communicator not in (None, communicator):
            raise CaptureError("a compiled step can communicate on one kind of device only")
        self.communicator = communicator

    def read(self, tensor: Tensor) -> CTensor:
        """The value that the step sees of a Tensor; an input, if it is from outside."""
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
        """Let the step see this value from now on; the Tensor outside stays as it is."""
        if isinstance(tensor._data, jax.core.Tracer):
            tensor._data = value
        else:
            self._values[tensor] = value
            self._assigned[tensor] = None

    def has_assigned(self, tensor: Tensor) -> bool:
        """Whether a Tensor's value is one of the step, and not what it was before."""
        return tensor in self._assigned or _is_traced(tensor)

    def peek(self, tensor: Tensor) -> tuple[CTensor | None, bool]:
        """What the step sees of a Tensor at present, for :meth:`put_back`."""
        if isinstance(tensor._data, jax.core.Tracer):
            return tensor._data, True
        return self._values.get(tensor), tensor in self._assigned

    def put_back(self, tensor: Tensor, before: tuple[CTensor | None, bool]) -> None:
        """Let the step see of a Tensor what it saw before."""
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
        """Sort out what the program's outputs are, undo what the step has done, return them."""
        was_there = guard.was_there if guard is not None else lambda _: False
        left = Leavings(args, set(journal.survivors()), self._value_of, was_there)
        self.result = left.template(box.pop())
        self.effects = [*left.of_flags(journal), *left.of_attributes(journal)]
        if guard is not None:
            changes = iter(guard.changes())  # an iterator lets go of what it has given
            self.effects += [left.effect(part, None, contents) for part, contents in changes]
        self.fresh, self.outside = left.made, left.outside
        self.has_arrays = bool(left.arrays)
        self.is_for_once, who = left.is_for_once, left.who
        written_args = [i for i, arg in enumerate(args) if self._values[arg] is not values[i]]
        self.written_args = written_args
        outputs = [*(self._values[args[i]] for i in written_args), *left.of_made, *left.arrays]
        del left  # with all Tensors that the step has made
        _put_back(guard)
        journal.undo()
        written = self._written(args, journal, who)
        return [*written, *outputs, *self._conditions]

    def _written(
        self, args: Sequence[Tensor], journal: Journal, who: Sequence[ref[Tensor]]
    ) -> list[CTensor]:
        """The new values of what was there before, and of what the step made and left somewhere.

        Of the Tensors that it made, only those that somebody else still holds matter: to see which,
        let go of them.
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
            gc.collect()  # perhaps they are only garbage
        kept = [tensor for tensor in journal.survivors() if _is_traced(tensor)]
        self.first = {i: tensor for i, made in enumerate(who) if (tensor := made()) is not None}
        # Whether somebody of whom nothing is known has got Tensors of this very run.
        self.is_for_once |= bool(kept or self.first)
        written += [(tensor, tensor._data) for tensor in kept]
        self.written = [tensor for tensor, _ in written]
        for tensor in self.written:
            tensor.creator = None
        return [value for _, value in written]


def _put_back(guard: Guard | None) -> None:
    """Undo what the step did to containers and plain objects."""
    for part, _ in [] if guard is None else guard.changes():
        part.become(part.expected)


def _kept(found: ref[Tensor], value: CTensor) -> Tensor | CTensor:
    """A Tensor that the step has made, if somebody still holds it; else its value."""
    tensor = found()
    return value if tensor is None else tensor


def _is_traced(tensor: Tensor) -> bool:
    return isinstance(tensor._data, jax.core.Tracer)
