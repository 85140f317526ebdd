"""The layout of boxes in layers: the layer of each, its order in the layer, and its position.

The method is Sugiyama's (Sugiyama, Tagawa and Toda, 1981): longest paths give the layers, an edge
gets a place in each layer that it passes, barycentres give the order, and least squares give the
positions, one layer at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Generic, TypeVar

V = TypeVar("V", bound=Hashable)

_SWEEPS = 8


def layers(vertices: Sequence[V], edges: Iterable[tuple[V, V]]) -> dict[V, int] | None:
    """The number of each vertex's layer, from 0, so that every edge leads to a higher one.

    Vertices without incoming edges are in the layer before the first vertex that they lead to.

    Returns:
        None if there is a cycle.
    """
    after: dict[V, list[V]] = {v: [] for v in vertices}
    waiting = dict.fromkeys(vertices, 0)
    for a, b in set(edges):
        after[a].append(b)
        waiting[b] += 1
    starts = [v for v in vertices if not waiting[v]]
    found = dict.fromkeys(vertices, 0)
    order = list(starts)
    for v in order:  # it grows during the loop
        for w in after[v]:
            found[w] = max(found[w], found[v] + 1)
            waiting[w] -= 1
            if not waiting[w]:
                order.append(w)
    if len(order) < len(vertices):
        return None
    for v in starts:
        if after[v]:
            found[v] = min(found[w] for w in after[v]) - 1
    return found


@dataclass(eq=False)
class Item:
    """An item in a layer: a box, or the place of an edge that passes the layer.

    Attributes:
        layer: the layer's number.
        left, right: its extent on both sides of the point where its edges meet.
        x: the position of that point.
    """

    layer: int
    left: float = 8
    right: float = 8
    x: float = 0.0
    neighbours: dict[int, list[Item]] = field(default_factory=lambda: {-1: [], 1: []})

    @property
    def leads_nowhere(self) -> bool:
        return not (self.neighbours[-1] and self.neighbours[1])


class Lane(Generic[V]):
    """The layout of the boxes of one direction.

    Args:
        boxes: the layer of each, and its extent to the left and to the right; in each layer in the
            initial order.
        edges: between boxes of different layers.
        gap: the least gap between neighbours in a layer.

    Attributes:
        items: the item of each box.
        paths: for each edge, its items in the layers between its ends.
        left, right: the extent of all items.
    """

    def __init__(
        self,
        boxes: Mapping[V, tuple[int, float, float]],
        edges: Iterable[tuple[V, V]],
        gap: float,
    ) -> None:
        self._gap = gap
        self.items = {v: Item(*box) for v, box in boxes.items()}
        self.paths: dict[tuple[V, V], list[Item]] = {}
        self._layers: dict[int, list[Item]] = {}
        for item in self.items.values():
            self._layers.setdefault(item.layer, []).append(item)
        for a, b in dict.fromkeys(edges):
            self.paths[a, b] = self._connect(self.items[a], self.items[b])
        for sweep in range(_SWEEPS):
            self._sweep(1 if sweep % 2 else -1, reorder=sweep < _SWEEPS // 2)
        items = [item for layer in self._layers.values() for item in layer]
        self.left = min((item.x - item.left for item in items), default=0.0)
        self.right = max((item.x + item.right for item in items), default=0.0)

    def _connect(self, a: Item, b: Item) -> list[Item]:
        step = 1 if b.layer > a.layer else -1
        path = [Item(layer) for layer in range(a.layer + step, b.layer, step)]
        for item in path:
            self._layers.setdefault(item.layer, []).append(item)
        for one, two in zip([a, *path], [*path, b], strict=True):
            one.neighbours[step].append(two)
            two.neighbours[-step].append(one)
        return path

    def _sweep(self, side: int, reorder: bool) -> None:
        """Move the items of each layer towards their neighbours on one side."""
        for number in sorted(self._layers, reverse=side > 0):
            layer = self._layers[number]
            wanted = {item: _centre(item, side) for item in layer}
            if reorder:
                layer.sort(key=wanted.__getitem__)
            # Items without edges on one side move aside, so that the other edges are straight.
            weights = [0.01 if item.leads_nowhere else 1.0 for item in layer]
            wishes = [wanted[item] for item in layer]
            places = spread(wishes, self._distances(layer), weights)
            for item, x in zip(layer, places, strict=True):
                item.x = x

    def _distances(self, layer: Sequence[Item]) -> list[float]:
        return [one.right + self._gap + two.left for one, two in pairwise(layer)]


def _centre(item: Item, side: int) -> float:
    around = item.neighbours[side]
    around = [other for other in around if not other.leads_nowhere] or around
    return sum(other.x for other in around) / len(around) if around else item.x


def spread(
    wanted: Sequence[float], distances: Sequence[float], weights: Sequence[float]
) -> list[float]:
    """Positions in this order, as near to the wanted ones as the least distances allow.

    They minimize the weighted sum of squares (pool adjacent violators; Ayer et al., 1955).
    """
    offsets = [0.0, *accumulate(distances)]
    pools: list[tuple[float, float, int]] = []  # mean wanted position, weight, number of items
    for want, offset, weight in zip(wanted, offsets, weights, strict=True):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            other, more, others = pools.pop()
            mean = (mean * weight + other * more) / (weight + more)
            weight, count = weight + more, count + others
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
