"""An operation's backward as an operation, so that the backward pass can itself be recorded."""

from __future__ import annotations

from collections.abc import Sequence

from singa.core.tensor import Tensor, wrap
from singa.device import CTensor, Device
from singa.errors import GradientError
from singa.tape.checkpointing import Recomputed
from singa.tape.differentiation import DERIVED
from singa.tape.host import HostTrace
from singa.tape.kernel import Trace
from singa.tape.modes import enable_grad
from singa.tape.operation import Operation
from singa.tape.record import Edge, Record
from singa.tape.returned import input_gradients


class Gradient(Operation):
    """An operation's backward, as a function of all arrays that it depends on.

    These are inputs, outputs or further arrays of the operation, and the outputs' gradients.
    jax derives its derivatives of any order.
    """

    complex_numbers = DERIVED

    def __init__(self, trace: Trace, given: tuple[int, ...], needed: tuple[bool, ...]) -> None:
        super().__init__()
        self.trace, self.given, self.needed = trace, given, needed

    def forward(self, *arrays: CTensor) -> tuple[CTensor, ...]:
        trace, count = self.trace, len(arrays) - len(self.given)
        dys = dict(zip(self.given, arrays[count:], strict=True))
        operation = trace.differentiable(arrays[:count])
        dxs = input_gradients(operation, dys, trace.input_avals, trace.output_avals, self.needed)
        trace.exist[self.given, self.needed] = tuple(dx is not None for dx in dxs)
        return tuple(dx for dx in dxs if dx is not None)


def recorded_gradients(
    record: Record, dys: dict[int, Tensor], needed: tuple[bool, ...]
) -> Sequence[Tensor | None]:
    """:meth:`Record.input_gradients` from Tensors to Tensors, and recorded."""
    trace = record._trace
    if isinstance(trace, Recomputed):
        with trace.restored(record, [dy.data for dy in dys.values()]):
            return recorded_gradients(record, dys, needed)
    if not isinstance(trace, Trace):
        assert isinstance(trace, HostTrace)
        raise GradientError(
            f"{record.name} runs as Python on the host (traceable = False): its backward cannot "
            "be recorded, so create_graph=True is not possible here"
        )
    arrived = list(dys.values())
    sources, edges = _sources(record, trace, arrived[0].device)
    given = tuple(dys)
    operation = record.operation._backward_operation(trace, given, needed)
    with enable_grad():
        dxs = (operation or Gradient(trace, given, needed))(*sources, *arrived)
    if dxs and (creator := dxs[0].creator) is not None:
        # The record gets the original edges, not these handles: a Tensor that they stand for may
        # have another value by now.
        creator.src = (*edges, *creator.src[len(edges) :])
        assert creator._needed == tuple(edge is not None for edge in creator.src)
    found = iter(dxs)
    return [next(found) if exists else None for exists in trace.exist[given, needed]]


def _sources(record: Record, trace: Trace, device: Device) -> tuple[list[Tensor], list[Edge]]:
    """Handles of the values that the backward depends on, as they were, and their edges."""
    handles, edges = [], []
    for array, number, output in trace.sources(record):
        edge: Edge = None
        if number is not None:
            edge = record.src[number]
        elif output is not None and trace.has_gradients[output]:
            edge = (record, output, None)
        handle = wrap(array, device, edge is not None)
        handle._stores_grad = edge is not None
        handles.append(handle)
        edges.append(edge)
    return handles, edges
