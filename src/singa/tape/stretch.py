"""Stretches of the backward pass: consecutive records whose backwards are one compiled program.

A call of a compiled backward takes some microseconds, however small its arrays are. If a stretch of
the same form has come often, its backwards are compiled together. The form is which operations
there are, which gradients each is given, and where its results go; the arrays do not belong to it.
So equal layers one after another share one program, and so do steps of different lengths.

XLA compiles each backward in the program on its own, as a call that it must not inline: it would
round differently if it fused one with the next. So the numbers are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeAlias

import jax
from jax.experimental.xla_metadata import set_xla_metadata

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.tape.kernel import Trace, table
from singa.tape.record import Edge, Record
from singa.tape.sums import added
from singa.tape.table import Tracing

FEWEST, MOST = 3, 32
"""How many records a stretch has: XLA's time to compile grows faster than the program."""

OFTEN = 100
"""A form is compiled when it comes for this time: then the calls have taken as long as it takes."""

MOST_FORMS = 4096
"""The number of forms that are counted."""

Slot: TypeAlias = int
"""The number of a gradient in a stretch: of a record's output, or of a leaf."""

Part: TypeAlias = "tuple[int, tuple[tuple[int, Slot], ...], tuple[Slot | None, ...]]"
"""One record in a form: its trace's number, the slots of its outputs' gradients by the outputs'
numbers, and those of its inputs' gradients; None where none is needed."""

_times: dict[int, int] = {}
"""How often forms have come, by their hashes."""


def stretches(order: Sequence[Record]) -> Iterator[list[Record]]:
    """The records in their order, in stretches; what cannot be in one with others is alone."""
    stretch: list[Record] = []
    for record in order:
        if not record._trace.is_small or len(stretch) == MOST:
            if stretch:
                yield stretch
            stretch = []
        if record._trace.is_small:
            stretch.append(record)
        else:
            yield [record]
    if stretch:
        yield stretch


class Program:
    """The compiled backwards of all stretches of a form.

    Args:
        parts: the form's records.
        given: the slots that have a gradient before.
        traces: of the records.
    """

    __slots__ = ("__weakref__", "run", "tracing", "tracings")

    def __init__(
        self, parts: tuple[Part, ...], given: tuple[Slot, ...], traces: Sequence[Trace]
    ) -> None:
        self.tracings: list[Tracing] = []
        self.tracing = tracing = Tracing()
        table.traced(self.tracings, tracing, hash((parts, given)))

        def stretch(saved: list[CTensor], before: list[CTensor]) -> dict[Slot, CTensor]:
            gradients = dict(zip(given, before, strict=True))
            arrays = iter(saved)
            with set_xla_metadata(inlineable="false"):
                for trace, (_, outputs, inputs) in zip(traces, parts, strict=True):
                    own = list(islice(arrays, trace.saves))
                    dys = {i: gradients.pop(slot) for i, slot in outputs if slot in gradients}
                    needed = tuple([slot is not None for slot in inputs])
                    if not dys or not any(needed):
                        continue
                    slots = [slot for slot in inputs if slot is not None]
                    for slot, dx in zip(slots, trace.gradients(own, dys, needed), strict=True):
                        if dx is not None:
                            sofar = gradients.get(slot)
                            gradients[slot] = dx if sofar is None else added(sofar, dx)
            return gradients

        self.run = jax.jit(stretch)


class Stretch:
    """A stretch in a backward pass.

    Args:
        records: in the pass's order.
        edges: of each record, if not all of its own are used.
        arrived: the gradients so far, for each record by output.
        sums: the gradients so far, for each leaf.

    Attributes:
        leaves: the leaf at the end of each edge that leads to one, in order.
    """

    def __init__(
        self,
        records: Sequence[Record],
        edges: Mapping[Record, tuple[Edge, ...]],
        arrived: dict[Record, dict[int, CTensor]],
        sums: dict[Tensor, CTensor],
    ) -> None:
        self._records, self._arrived, self._sums = records, arrived, sums
        self.leaves: list[Tensor] = []
        self._of_outputs: dict[Record, dict[int, Slot]] = {}
        self._of_leaves: dict[Tensor, Slot] = {}
        self._size = 0
        self._given: list[Slot] = []
        self._before: list[CTensor] = []
        parts: list[Part] = []
        for record in records:
            outputs = self._of_outputs.get(record)
            if outputs is None:
                outputs = self._outputs_of(record)
            inputs = []
            for edge in edges[record] if edges else record.src:
                if edge is None:
                    inputs.append(None)
                    continue
                creator, index, leaf = edge
                if creator is None:
                    inputs.append(self._of_leaf(leaf))
                    self.leaves.append(leaf)
                    continue
                own = self._of_outputs.get(creator)
                if own is None:
                    own = self._outputs_of(creator)
                slot = own.get(index)
                if slot is None:
                    slot = own[index] = self._size
                    self._size += 1
                inputs.append(slot)
            parts.append((record._trace.number, (*outputs.items(),), (*inputs,)))
        self._key = (*parts,), (*self._given,)

    def _outputs_of(self, record: Record) -> dict[int, Slot]:
        own: dict[int, Slot] = {}
        self._of_outputs[record] = own
        for index, gradient in self._arrived.get(record, {}).items():
            own[index] = self._known(gradient)
        return own

    def _of_leaf(self, leaf: Tensor) -> Slot:
        slot = self._of_leaves.get(leaf)
        if slot is None:
            if leaf in self._sums:
                slot = self._known(self._sums[leaf])
            else:
                slot = self._size
                self._size += 1
            self._of_leaves[leaf] = slot
        return slot

    def _known(self, gradient: CTensor) -> Slot:
        self._given.append(self._size)
        self._before.append(gradient)
        self._size += 1
        return self._size - 1

    def run(self) -> bool:
        """Compute its gradients and add them to the others, if there is a program for its form."""
        program = table.kernels.get(self._key)
        if program is None:
            number = hash(self._key)
            times = _times[number] = _times.get(number, 0) + 1
            if times < OFTEN:
                if len(_times) > MOST_FORMS:
                    _times.clear()
                return False
            traces = [record._trace for record in self._records]
            program = table.kernels[self._key] = Program(*self._key, traces)
        if program.tracing.used != table.clock:
            table.use(program.tracing)
        saved: list[CTensor] = []
        for record in self._records:
            saved += record._saved
        found = program.run(saved, self._before)
        arrived = self._arrived
        for record in self._records:
            arrived.pop(record, None)
            del self._of_outputs[record]
        for record, outputs in self._of_outputs.items():
            arrived[record] = {i: found[slot] for i, slot in outputs.items() if slot in found}
        for leaf, slot in self._of_leaves.items():
            if slot in found:
                self._sums[leaf] = found[slot]
        return True
