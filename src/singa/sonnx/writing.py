"""Writes what was recorded as the nodes of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from singa.errors import ArgumentError, FormatError
from singa.sonnx.forms import OMITTED
from singa.sonnx.forms.form import form_of
from singa.sonnx.forms.tracing import NoOperator, write_primitives
from singa.sonnx.forms.writer import Newer, Unfit, Value, Writer
from singa.sonnx.recording import Called, Recording, unused

OLDEST, NEWEST, USUAL = 13, 28, 22
"""The sets of operators that can be asked for; newer ones than the usual only if they are."""


class Written:
    """A recording as nodes.

    Attributes:
        writer: has the nodes and constants.
        initial: the arrays of parameters and states that are used, by name.
        outputs: the name of the value of each output, by the output's name.
    """

    def __init__(self, recording: Recording, names: Mapping[int, str], writer: Writer) -> None:
        self.writer = writer
        writer.taken |= {*recording.inputs, *recording.outputs, *names.values()}
        self.initial: dict[str, Any] = {}
        self.outputs: dict[str, str] = {}
        self._names = names
        self._values = {
            id(x): Value(name, x.shape, x.dtype) for name, x in recording.inputs.items()
        }
        self.missing: dict[str, str] = {}

    def write(self, recording: Recording, newest: int) -> None:
        """Write all calls that the outputs need.

        Args:
            newest: the newest set of operators that may be asked for.
        """
        for array, momentum in recording.momenta.items():
            if array in self._names:
                self.writer.momenta[self._names[array]] = momentum
        for call in recording.needed():
            xs = [self._value(x) for x in call.xs]
            try:
                ys = _written(self.writer, call, xs, newest)
            except NoOperator as error:
                self.missing.setdefault(call.operation.name, str(error))
                ys = [Value("", y.shape, y.dtype) for y in call.ys]
            for made, y in zip(ys, call.ys, strict=True):
                self._values[id(y)] = Value(made, y.shape, y.dtype)
        for name, y in recording.outputs.items():
            self.outputs[name] = str(self._value(y))

    def _value(self, array: Any) -> Value:
        """The value of an array: a result, an input, a parameter, or else a constant."""
        found = self._values.get(id(array))
        if found is None and id(array) in self._names:
            found = Value(self._names[id(array)], array.shape, array.dtype)
            self.initial[str(found)] = array
        if found is None:
            found = self.writer.constant(np.asarray(array))
        self._values[id(array)] = found
        return found


def written(
    recording: Recording,
    names: Mapping[int, str],
    opset: int | None,
    open_sizes: bool = False,
    training: bool = False,
) -> Written:
    """Write a recording in the lowest set of operators that has those that its forms use.

    Raises:
        ArgumentError: the set of operators that was asked for is none of those known.
        FormatError: operations that cannot be written; all are named.
    """
    is_number = isinstance(opset, int) and not isinstance(opset, bool)
    if opset is not None and not (is_number and OLDEST <= opset <= NEWEST):
        raise ArgumentError(f"opset: from {OLDEST} to {NEWEST}, got {opset!r}")
    taken = {*recording.inputs, *names.values()}
    found = recording.outputs
    recording.outputs = {unused(name, taken): y for name, y in found.items()}
    version, newest = opset or OLDEST, opset or USUAL
    while True:
        made = Written(recording, names, Writer(version, open_sizes, training))
        try:
            made.write(recording, newest)
        except Newer as error:
            wanted = error.version
            if opset is not None or wanted is None:
                where = f"opset {opset}" if wanted else "any set of operators"
                raise FormatError(f"{error}: it is not in {where}") from None
            version = wanted
            newest = max(newest, wanted)
            continue
        if made.missing:
            each = "; ".join(f"{name} ({why})" for name, why in made.missing.items())
            raise FormatError(f"ONNX has no operators for these operations: {each}")
        return made


def _written(writer: Writer, call: Called, xs: list[Value], newest: int) -> list[Value]:
    """The results of a call, by the operation's form or by the primitives in it."""
    omitted = OMITTED.get(type(call.operation))
    if omitted is not None:
        raise NoOperator(omitted)
    mark = writer.mark()
    found = form_of(call.operation)
    if found is not None:
        try:
            ys = found(writer, call.operation, *xs)
            made = [Value(y) for y in ([ys] if isinstance(ys, str) else ys)]
            if len(made) != len(call.ys):
                raise FormatError(
                    f"{call.operation.name}: its form gives {len(made)} of {len(call.ys)} outputs"
                )
            return made
        except Unfit:
            writer.back_to(mark)
        except Newer as error:
            if error.version is not None and error.version <= newest:
                raise
            writer.back_to(mark)
    try:
        return write_primitives(writer, call.operation, xs, call.ys)
    except Unfit as error:
        raise NoOperator(str(error)) from None
    except Newer as error:
        if error.version is None:
            raise NoOperator(str(error)) from None
        raise
