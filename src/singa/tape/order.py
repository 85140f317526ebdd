"""The order of a backward pass, and the edges that it follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from singa.core.tensor import Tensor
from singa.tape.record import Edge, Record


def ways_back(
    y: Tensor, wanted: Sequence[Tensor] | None
) -> tuple[
    dict[Record, tuple[Edge, ...]],
    dict[Record, int],
    dict[Tensor, int],
    dict[Record, dict[int, Tensor]],
]:
    """The edges to the wanted Tensors (empty if all edges are used), and :func:`_count_uses`."""
    edges = {} if wanted is None else _edges_to(y.creator, wanted)
    uses, leaf_uses, stored = _count_uses(y.creator, edges)
    for x in [y] if wanted is None else wanted:
        if x.creator in uses and (wanted is not None or x.stores_grad):
            stored.setdefault(x.creator, {})[x.output_index] = x
    return edges, uses, leaf_uses, stored


def _edges_to(last: Record, wanted: Sequence[Tensor]) -> dict[Record, tuple[Edge, ...]]:
    """The edges of each record that ``last`` depends on; None if one leads to no wanted Tensor."""
    results = {(x.creator, x.output_index) for x in wanted if x.creator is not None}
    leaves = set(wanted)  # all of them, because results of another step are leaves in this step
    edges: dict[Record, tuple[Edge, ...]] = {}
    stack = [(last, False)]
    while stack:
        record, inputs_are_done = stack.pop()
        if inputs_are_done:
            edges[record] = tuple(
                edge
                if edge is not None
                and (
                    edge[2] in leaves
                    if edge[0] is None
                    else edge[:2] in results or any(edges[edge[0]])
                )
                else None
                for edge in record.src
            )
        elif record not in edges:
            edges[record] = ()  # replaced when its inputs are done
            stack.append((record, True))
            stack += [(edge[0], False) for edge in record.src if edge and edge[0] is not None]
    return edges


def _count_uses(
    last: Record, edges: Mapping[Record, tuple[Edge, ...]]
) -> tuple[dict[Record, int], dict[Tensor, int], dict[Record, dict[int, Tensor]]]:
    """How often ``last`` and what it depends on use each record and each leaf.

    Also the intermediate Tensors whose gradients are yielded, by creator and output.
    """
    uses: dict[Record, int] = {last: 0}
    leaf_uses: dict[Tensor, int] = {}
    stored: dict[Record, dict[int, Tensor]] = {}
    stack = [last]
    while stack:
        record = stack.pop()
        for edge in edges[record] if edges else record.src:
            if edge is None:
                continue
            creator, index, tensor = edge
            if creator is None:
                assert tensor is not None
                leaf_uses[tensor] = leaf_uses.get(tensor, 0) + 1
                continue
            if tensor is not None:
                stored.setdefault(creator, {})[index] = tensor
            if creator in uses:
                uses[creator] += 1
            else:
                uses[creator] = 1
                stack.append(creator)
    return uses, leaf_uses, stored


def in_order(
    last: Record, edges: Mapping[Record, tuple[Edge, ...]], uses: dict[Record, int]
) -> list[Record]:
    """The records in the order of the backward pass: each one after all that use it."""
    order, ready = [], [last]
    while ready:
        record = ready.pop()
        order.append(record)
        for edge in edges[record] if edges else record.src:
            if edge is not None and edge[0] is not None:
                creator = edge[0]
                uses[creator] -= 1
                if not uses[creator]:
                    ready.append(creator)
    return order
