"""Stretches of the backward pass: consecutive records whose backwards are one compiled program.

A call of a compiled function takes some microseconds, however small its arrays are. So if stretches
of the same *form* come often, their backwards are compiled together. The form is which operations
there are, which gradients they are given, and where their results go; the arrays do not belong to
it. So equal layers one after another share a program, and so do passes of other lengths.

In the program each backward is a call that XLA does not inline, because fused backwards would be
rounded differently. So the numbers are those of the single calls, bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, islice
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.experimental.xla_metadata import set_xla_metadata
from jax.extend.core import jaxpr_as_fun

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.tape.host import HostTrace
from singa.tape.kernel import Trace, named, table
from singa.tape.record import Edge, Record
from singa.tape.table import Tracing

FEWEST, MOST = 3, 32
"""How many records a stretch has. XLA's time to compile grows faster than the program."""

OFTEN = 100
"""A form is compiled when it comes for this time: about when that has cost as much as compiling."""

MOST_FORMS = 4096
"""The number of forms that are counted."""

Slot: TypeAlias = int
"""A gradient's number in a stretch: that of a record's output, or of a leaf."""

Part: TypeAlias = tuple[int, tuple[tuple[int, Slot], ...], tuple[Slot | None, ...]]
"""A record in a form: the number of its trace; the numbers of its outputs and the slots of their
gradients; the slots of its inputs' gradients, None if no gradient is needed."""

Form: TypeAlias = tuple[tuple[Part, ...], tuple[Slot, ...]]
"""The parts, and the slots that have a gradient before."""

_times: dict[int, int] = {}
"""How often forms have come, by their hashes."""


def stretches(order: Sequence[Record]) -> Iterator[list[Record]]:
    """The records in stretches. One whose trace is not small is alone.

    So are all after one that runs on the host: it may have moved its input from another device.
    """
    stretch: list[Record] = []
    is_moved = False
    for record in order:
        is_moved = is_moved or isinstance(record._trace, HostTrace)
        is_small = record._trace.is_small and not is_moved
        if stretch and (not is_small or len(stretch) == MOST):
            yield stretch
            stretch = []
        if is_small:
            stretch.append(record)
        else:
            yield [record]
    if stretch:
        yield stretch


class StretchKernel:
    """The compiled backwards of a form.

    Args:
        form: what it computes.
        traces: of the records.

    Attributes:
        run: from what the records have saved, and the gradients before, to those after, by slot.
        tracings: the only one: it is counted among the compiled programs.
    """

    __slots__ = ("__weakref__", "run", "tracings")

    def __init__(self, form: Form, traces: Sequence[Any]) -> None:
        tracing = Tracing()
        self.tracings: list[Tracing] = []
        table.traced(self.tracings, tracing, hash(form))
        self.run = jax.jit(named(partial(_run, form, traces), "Backwards"))


def _run(
    form: Form, traces: Sequence[Trace], saved: list[CTensor], before: list[CTensor]
) -> dict[Slot, CTensor]:
    parts, given = form
    gradients = dict(zip(given, before, strict=True))
    arrays = iter(saved)
    for trace, (_, outputs, inputs) in zip(traces, parts, strict=True):
        own = tuple(islice(arrays, trace.saves))
        dys = {i: gradients.pop(slot) for i, slot in outputs if slot in gradients}
        slots = [slot for slot in inputs if slot is not None]
        if not dys or not slots:
            continue
        kernel = trace.kernel(own, dys, tuple([slot is not None for slot in inputs]))
        arrived = list(dys.values())
        ((layout, computed),) = _apart(kernel, own, arrived).items()
        arrived += computed
        for slot, place in zip(slots, layout, strict=True):
            dx = arrived[place]
            if dx is not None:
                gradients[slot] = _apart(_sum, gradients[slot], dx) if slot in gradients else dx
    return gradients


_sum = jax.jit(jnp.add)


def _apart(kernel: Callable[..., Any], *args: Any) -> Any:
    """Call a compiled function inside of another one, so that XLA does not inline it."""
    if isinstance(kernel, partial):  # it computes nothing
        return kernel(*args)
    traced = kernel.trace(*args)  # type: ignore[attr-defined]
    with set_xla_metadata(inlineable="false"):
        results = jax.jit(jaxpr_as_fun(traced.jaxpr))(*jax.tree.leaves(args))
    return jax.tree.unflatten(jax.tree.structure(traced.out_info), results)


def run(
    records: Sequence[Record],
    edges: Mapping[Record, tuple[Edge, ...]],
    arrived: dict[Record, dict[int, Any]],
    of_leaves: dict[Tensor, Any],
) -> list[Tensor] | None:
    """Compute the gradients of a stretch, and put them where they belong; see :class:`Stretch`.

    Returns:
        The leaves that its edges lead to, in order. None if it has no program, and nothing is done.
    """
    if len(records) < FEWEST:
        return None
    stretch = Stretch(records, edges, arrived, of_leaves)
    return stretch.leaves if stretch.run() else None


class Stretch:
    """A stretch in a backward pass.

    Args:
        records: in the pass's order.
        edges: of each record; empty if these are all of its own.
        arrived: the gradients so far, for each record by output.
        of_leaves: the gradients so far, for each leaf.

    Attributes:
        leaves: the leaves at the ends of edges, in order.
    """

    def __init__(
        self,
        records: Sequence[Record],
        edges: Mapping[Record, tuple[Edge, ...]],
        arrived: dict[Record, dict[int, Any]],
        of_leaves: dict[Tensor, Any],
    ) -> None:
        self._records, self._arrived, self._of_leaves = records, arrived, of_leaves
        self.leaves: list[Tensor] = []
        # The slots of each record by output; a leaf has its only slot as its output 0.
        slots = self._slots = dict[Any, dict[int, Slot]]()
        self._given: list[Slot] = []
        self._before: list[CTensor] = []
        self._numbers = count()
        parts: list[Part] = []
        for record in records:
            outputs = slots.get(record)
            if outputs is None:
                outputs = self._met(record, arrived.get(record))
            inputs: list[Slot | None] = []
            for edge in edges[record] if edges else record.src:
                if edge is None:
                    inputs.append(None)
                    continue
                target, index, leaf = edge
                if target is None:
                    assert leaf is not None
                    self.leaves.append(leaf)
                    own = slots.get(leaf)
                    if own is None:
                        before = {0: of_leaves[leaf]} if leaf in of_leaves else None
                        own = self._met(leaf, before)
                    index = 0
                else:
                    own = slots.get(target)
                    if own is None:
                        own = self._met(target, arrived.get(target))
                slot = own.get(index)
                if slot is None:
                    slot = own[index] = next(self._numbers)
                inputs.append(slot)
            trace: Any = record._trace
            parts.append((trace.number, (*outputs.items(),), (*inputs,)))
        self._form: Form = (*parts,), (*self._given,)

    def _met(self, target: Any, before: dict[int, CTensor] | None) -> dict[int, Slot]:
        """The slots of a record or a leaf that is met first: of the gradients that it has."""
        own = self._slots[target] = {}
        for index, gradient in (before or {}).items():
            own[index] = next(self._numbers)
            self._given.append(own[index])
            self._before.append(gradient)
        return own

    def _kernel(self) -> StretchKernel | None:
        """The kernel of its form; None if that has not come often."""
        kernel = table.kernels.get(self._form)
        if kernel is None:
            number = hash(self._form)
            times = _times[number] = _times.get(number, 0) + 1
            if times < OFTEN:
                if len(_times) > MOST_FORMS:
                    _times.clear()
                return None
            traces = [record._trace for record in self._records]
            kernel = table.kernels[self._form] = StretchKernel(self._form, traces)
        (tracing,) = kernel.tracings
        if tracing.used != table.clock:
            table.use(tracing)
        return kernel

    def run(self) -> bool:
        """Compute its gradients, if there is a kernel for it, and put them where they belong."""
        kernel = self._kernel()
        if kernel is None:
            return False
        saved: list[CTensor] = []
        for record in self._records:
            saved += record._saved
        gradients = kernel.run(saved, self._before)
        for record in self._records:
            del self._slots[record]
            self._arrived.pop(record, None)
        for target, slots in self._slots.items():
            found = {index: gradients[slot] for index, slot in slots.items() if slot in gradients}
            if isinstance(target, Record):
                self._arrived[target] = found
            elif found:
                self._of_leaves[target] = found[0]
        return True
