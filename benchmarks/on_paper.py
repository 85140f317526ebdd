"""What the collectives of a step would cost on many GPUs: formulas, applied to compiled programs.

The program is compiled for eight simulated devices, and says what they exchange. With the same
batch on each device, the arrays of collectives do not grow with the number of devices; so only n
changes in the formulas. Within a node of G GPUs data move at one bandwidth, between the N = n / G
nodes at another, each GPU having a network card of its own. For B bytes the seconds are

- all-reduce: 2 (G - 1)/G B / inside + 2 (N - 1)/N (B/G) / between, and 2 (G - 1) + 2 log2(N) times
  the latency: the parts of a node's sum are scattered in a ring, summed between the nodes, and
  gathered again;
- all-gather and reduce-scatter: half of that;
- all-to-all: (G - 1)/n B / inside + (n - G)/n B / between, and n - 1 times the latency;
- what is passed on: B / between, or inside of one node, and the latency.

Nothing overlaps here. In a real step collectives overlap with computation, and share links.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from singa.report.collectives import ALL_GATHER, ALL_REDUCE, REDUCE_SCATTER, Collective

COUNTS = (8, 64, 512, 4096)


@dataclass(frozen=True)
class Network:
    """The links of a cluster.

    Attributes:
        inside: bytes a second from a GPU to others of its node; 450 GB/s is that of an H100.
        between: bytes a second from a GPU to another node; 50 GB/s is a card of 400 Gbit/s.
        latency: seconds of one message.
        node: the number of GPUs in a node.
    """

    inside: float = 450e9
    between: float = 50e9
    latency: float = 5e-6
    node: int = 8


def seconds(kind: str, size: float, count: int, of_node: int, network: Network) -> float:
    """The time of one collective.

    Args:
        kind: XLA's name.
        size: its bytes, as of :class:`singa.report.collectives.Collective`.
        count: how many devices exchange.
        of_node: how many of them are in one node.
        network: the links.
    """
    inside = min(count, of_node)
    nodes = max(count // inside, 1)
    if kind in (ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER):
        rounds = 2 if kind == ALL_REDUCE else 1
        moved = (inside - 1) / inside * size / network.inside
        moved += (nodes - 1) / nodes * size / inside / network.between
        messages = inside - 1 + math.log2(nodes)
        return rounds * (moved + messages * network.latency)
    if "all-to-all" in kind:
        moved = (inside - 1) / count * size / network.inside
        moved += (count - inside) / count * size / network.between
        return moved + (count - 1) * network.latency
    return size / (network.between if nodes > 1 else network.inside) + network.latency


def step(
    rows: Iterable[Collective], axes: Mapping[str, int], count: int, network: Network
) -> tuple[float, float]:
    """The bytes that each of ``count`` GPUs sends in a step, and the seconds of all collectives.

    The axis ``data`` grows to the number of GPUs; other axes keep their sizes, inside of nodes.

    Args:
        rows: the collectives of the compiled program.
        axes: the sizes of the mesh's axes that it was compiled for.
        count: the number of GPUs.
        network: the links.
    """
    others = math.prod(size for name, size in axes.items() if name != "data")
    sent = time = 0.0
    for row in rows:
        grows = "data" in row.axes
        among = row.devices * count // math.prod(axes.values()) if grows else row.devices
        own = math.prod(axes[name] for name in row.axes if name != "data")
        of_node = max(network.node * own // others, 1) if grows else network.node
        sent += Collective(row.kind, row.axes, among, row.bytes, row.times, ()).sent
        time += row.times * seconds(row.kind, row.bytes, among, of_node, network)
    return sent, time


def as_rows(found: Iterable[Any]) -> list[Collective]:
    """Collectives from JSON."""
    return [
        Collective(
            each["kind"], tuple(each["axes"]), each["devices"], each["bytes"], each["times"], ()
        )
        for each in found
    ]
