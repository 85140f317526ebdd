"""What Tensors were computed from: for ``to_onnx(inputs, [y])``, which gets no function to run.

Operations that are called outside of steps while ``autograd.training`` is on are noted as long as
their results are referenced. Arrays are not kept, except small ones. While it is off, calls cost
what they cost without this module.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from math import prod
from typing import Any, TypeAlias
from weakref import finalize, ref

from jax.core import Tracer

from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.errors import ArgumentError, FormatError
from singa.operation.batch_normalization import RunningAverage
from singa.sonnx.recording import Called, Recording, unused
from singa.tape import Operation, mode
from singa.tape.operation import note_calls

SMALL = 2**14
"""Constants of at most as many elements are kept, also if nothing else refers to them."""

DEEPEST = 10_000
"""A result is not followed further back than over so many operations."""


class Leaf:
    """A Tensor that no operation has computed: an input, a parameter, a state or a constant.

    Attributes:
        tensor: a weak reference to it.
        follows: whether its present value counts, as a parameter's, or that which it had.
    """

    __slots__ = ("_array", "_kept", "follows", "tensor")

    def __init__(self, x: Tensor, follows: bool = False) -> None:
        self.tensor = ref(x)
        self.follows = follows
        data: Any = x._data
        self._kept = data if prod(data.aval.shape) <= SMALL else None
        self._array = ref(data)

    def has(self, array: Any) -> bool:
        """Whether its value was this array."""
        return self._array() is array

    def array(self) -> Any:
        """Its value; None if that is no longer there."""
        tensor = self.tensor()
        if self.follows and tensor is not None:
            return tensor.data
        return self._array() if self._kept is None else self._kept


Source: TypeAlias = "tuple[Past, int] | Leaf | None"
"""A call and the number of one of its results, or a leaf; None if it is too far back."""


class Like:
    """The shape and the type of a result."""

    def __init__(self, aval: Any) -> None:
        self.shape, self.dtype = aval.shape, aval.dtype


class Past:
    """A call of an operation.

    Attributes:
        number: of the call; each is greater than those of the calls before.
        depth: over how many operations its results are followed.
        averages: the running averages of its results with their operations, by the results'
            numbers.
    """

    __slots__ = ("_avals", "_ys", "averages", "depth", "number", "operation", "xs")

    def __init__(
        self, operation: Operation, number: int, depth: int, xs: list[Source], avals: list[Any]
    ) -> None:
        self.operation, self.number, self.depth, self.xs = operation, number, depth, xs
        self.averages: dict[int, tuple[Leaf, Any]] | None = None
        self._avals = avals
        self._ys: tuple[Like, ...] | None = None

    @property
    def ys(self) -> tuple[Like, ...]:
        """Its results, always the same objects."""
        if self._ys is None:
            self._ys = tuple(map(Like, self._avals))
        return self._ys


class Made(ref[Any]):
    """A weak reference to an array that a call has made."""

    __slots__ = ("key", "source")

    key: int
    source: tuple[Past, int]


class History:
    """The calls whose results are referenced."""

    def __init__(self) -> None:
        self._made: dict[int, Made] = {}
        self._parameters: dict[int, Leaf] = {}
        self._numbers = count()

    def note(self, operation: Operation, xs: Sequence[Tensor], ys: Sequence[Tensor]) -> None:
        """Note a call of an operation."""
        if local.journal is not None or local.capture is not None or not mode.recording:
            return
        if not ys or isinstance(ys[0]._data, Tracer):
            return
        if isinstance(operation, RunningAverage):
            self._note_average(operation, *xs)
            return
        sources, depth = [], 0
        for x in xs:
            source = self._source(x)
            if type(source) is tuple and source[0].depth > depth:
                depth = source[0].depth
            sources.append(source)
        if depth >= DEEPEST:
            depth, sources = 0, [None for _ in sources]
        avals = [y._data.aval for y in ys]
        call = Past(operation.copy(), next(self._numbers), depth + 1, sources, avals)
        for i, y in enumerate(ys):
            made = Made(y._data, self._forget)
            made.key, made.source = id(y._data), (call, i)
            self._made[made.key] = made

    def _note_average(self, operation: Operation, running: Tensor, batch: Tensor) -> None:
        found = self.of(batch)
        if found is not None:
            call, number = found
            call.averages = call.averages or {}
            call.averages[number] = Leaf(running, True), operation

    def _forget(self, made: Made) -> None:
        if self._made.get(made.key) is made:
            del self._made[made.key]

    def _source(self, x: Tensor) -> Source:
        if x._stores_grad:  # a parameter, also if it was assigned what operations have computed
            leaf = self._parameters.get(id(x))
            if leaf is None or leaf.tensor() is not x or not leaf.has(x._data):
                if leaf is None:
                    finalize(x, self._parameters.pop, id(x), None)
                leaf = self._parameters[id(x)] = Leaf(x, True)
            return leaf
        made = self._made.get(id(x._data))
        return Leaf(x) if made is None else made.source

    def of(self, x: Tensor) -> tuple[Past, int] | None:
        """The call that has computed a Tensor's value, and the number of the result."""
        made = self._made.get(id(x._data))
        return None if made is None else made.source


history = History()


def _switch(is_on: bool) -> None:
    note_calls(history.note if is_on else None)


mode.switched.append(_switch)
_switch(mode.default)


def recorded(inputs: Sequence[Tensor], outputs: Any) -> tuple[Recording, dict[int, str]]:
    """What the outputs were computed by, and the names of parameters by their arrays' identity.

    Raises:
        ArgumentError: the outputs are no Tensors, or nothing is known of them.
        FormatError: a value from which they were computed is no longer there.
    """
    ys = [outputs] if isinstance(outputs, Tensor) else outputs
    if not isinstance(ys, Sequence) or not ys or not all(isinstance(y, Tensor) for y in ys):
        raise ArgumentError(
            "to_onnx: the second argument is the model, a function of the inputs, or a list of "
            f"Tensors, got {type(outputs).__name__}"
        )
    ends = [history.of(y) for y in ys]
    for i, (end, y) in enumerate(zip(ends, ys, strict=True)):
        if end is None and not any(x is y for x in inputs):
            raise ArgumentError(
                f"to_onnx: what the output {i} was computed from is not known: it was not computed "
                "in training, or by a step. Give the model, to_onnx(inputs, model); or set "
                "autograd.training = True, compute the outputs again, and give those"
            )
    return _Recorded(inputs, ys, ends).finished()


class _Recorded:
    """Makes a recording of the past of some Tensors."""

    def __init__(
        self, inputs: Sequence[Tensor], outputs: Sequence[Tensor],
        ends: Sequence[tuple[Past, int] | None],
    ) -> None:  # fmt: skip
        names = _names(inputs)
        shapes = [Like(x.data.aval) for x in inputs]
        self._recording = Recording(dict(zip(names, shapes, strict=True)))
        self._inputs, self._given = inputs, shapes
        self._starts: dict[Any, Any] = {}
        for x, shape in zip(inputs, shapes, strict=True):
            found = history.of(x)
            if found is not None:
                self._starts[found[0].number, found[1]] = shape
        self._kept = {id(shape): id(x) for x, shape in zip(inputs, shapes, strict=True)}
        self._names: dict[int, str] = {}
        self._taken = {*names}
        self._averaged: set[int] = set()
        self._used: set[int] = set()
        for call in self._calls([end[0] for end in ends if end is not None]):
            self._add(call)
        ids = ["output"] if len(ends) == 1 else [f"output_{i}" for i in range(len(ends))]
        for name, end, y in zip(ids, ends, outputs, strict=True):
            array = self._input(y) if end is None else self._result(*end)
            self._recording.outputs[name] = array

    def finished(self) -> tuple[Recording, dict[int, str]]:
        """The recording, and the names of parameters. Running averages are no inputs.

        Raises:
            FormatError: an input is not used.
        """
        for i, x in enumerate(self._inputs):
            if id(x) not in self._used | self._averaged:
                raise FormatError(
                    f"to_onnx: no operation that is known leads from the input {i} to the outputs"
                )
        given = zip(self._inputs, [*self._recording.inputs], strict=True)
        for name in [name for x, name in given if id(x) in self._averaged]:
            del self._recording.inputs[name]
        self._recording.settle()
        return self._recording, self._names

    def _calls(self, ends: list[Past]) -> list[Past]:
        """The calls that the outputs need, in order, up to the inputs."""
        found: dict[int, Past] = {}
        while ends:
            call = ends.pop()
            if call.number in found:
                continue
            found[call.number] = call
            for x in call.xs:
                if isinstance(x, tuple) and (x[0].number, x[1]) not in self._starts:
                    ends.append(x[0])
        return [found[number] for number in sorted(found)]

    def _add(self, call: Past) -> None:
        if all((call.number, i) in self._starts for i in range(len(call.ys))):
            return  # it has computed inputs
        xs = tuple(self._array(call, x) for x in call.xs)
        self._recording.calls.append(Called(call.operation, xs, call.ys))
        for number, (leaf, operation) in (call.averages or {}).items():
            average, tensor = leaf.array(), leaf.tensor()
            self._name(average, (tensor is not None and tensor.name) or "running_average")
            self._averaged.add(id(tensor))
            self._recording.average(operation, average, call.ys[number])

    def _array(self, call: Past, x: Source) -> Any:
        if isinstance(x, tuple):
            return self._result(*x)
        if x is None:
            raise FormatError(
                f"{call.operation.name}: its inputs were computed by more than {DEEPEST} operations"
            )
        tensor = x.tensor()
        for given, shape in zip(self._inputs, self._given, strict=True):
            if tensor is given or (not x.follows and x.has(given.data)):  # or a copy of it
                self._used.add(id(given))
                return shape
        array = x.array()
        if array is None:
            raise FormatError(
                f"{call.operation.name}: one of its inputs is no longer there, or has another "
                "value; keep it, or give the model: to_onnx(inputs, model)"
            )
        name = None if tensor is None else tensor.name
        if x.follows or name:
            self._name(array, name or "parameter")
            if x.follows:
                self._recording.parameters[id(array)] = self._names[id(array)]
        return array

    def _result(self, call: Past, number: int) -> Any:
        start = self._starts.get((call.number, number))
        self._used.add(self._kept.get(id(start), 0))
        return call.ys[number] if start is None else start

    def _input(self, y: Tensor) -> Any:
        self._used.add(id(y))
        return next(s for x, s in zip(self._inputs, self._given, strict=True) if x is y)

    def _name(self, array: Any, wanted: str) -> None:
        """Name an array, once."""
        if id(array) not in self._names:
            name = self._names[id(array)] = unused(wanted, self._taken)
            self._taken.add(name)


def _names(inputs: Sequence[Tensor]) -> list[str]:
    names: list[str] = []
    for i, x in enumerate(inputs):
        name = x.name or ("x" if len(inputs) == 1 else f"x{i}")
        names.append(name if name not in names else f"{name}_{i}")
    return names
