"""The contents of a step's drawing: boxes in rows, the pills beside them, and links.

Forward goes down, and backward goes up beside it: the backward of an operation is in the
operation's own row. An update is to the right of all rows that it gets gradients from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

from singa.graph.recording import BACKWARD, FORWARD, UPDATE, Node, Recording, Source
from singa.report.collectives import Collectives
from singa.report.layout import layers
from singa.report.profile import Profile
from singa.report.svg import text_width
from singa.report.text import listed

NAME_SIZE, DETAIL_SIZE = 12, 10
STUB = 24  # pixels from a pill to its box


@dataclass(eq=False)
class Pill:
    """An input from outside, or a result, beside the operation that uses or makes it."""

    kind: str
    name: str
    shape: str
    is_assigned: bool = False

    @property
    def text(self) -> str:
        return f"{self.name}\u2002{self.shape}".rstrip()

    @property
    def width(self) -> float:
        return text_width(self.text, DETAIL_SIZE) + 20


@dataclass(eq=False)
class Box:
    """One operation, or several similar ones drawn as one: running mean and running variance.

    Attributes:
        lines: its text: a name, and details.
        seconds: its time in a step; None if it was not profiled.
        first, last: its first and its last row.
        x, top, width, height: its position and size, in pixels; x is its middle.
    """

    nodes: list[Node]
    lines: list[str] = field(default_factory=list)
    pills: list[Pill] = field(default_factory=list)
    seconds: float | None = None
    first: int = 0
    last: int = 0
    x: float = 0.0
    top: float = 0.0
    width: float = 0.0
    height: float = 0.0

    @property
    def node(self) -> Node:
        return self.nodes[0]

    @property
    def direction(self) -> str:
        return self.node.direction

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def middle(self) -> float:
        return self.top + self.height / 2

    @property
    def pills_width(self) -> float:
        return max(pill.width for pill in self.pills) + STUB if self.pills else 0.0


@dataclass(eq=False)
class Link:
    """An array that goes from one lane to the next.

    Attributes:
        text: its label.
        track: its number among the lines that pass beside the row, from 1; 0 if it is straight.
    """

    source: Box
    target: Box
    text: str
    track: int = 0


class Scene:
    """All boxes of a step, and the links between them.

    Attributes:
        boxes: by lane: forward, backward, update, and ``setup``: what updates need besides
            gradients (a step counter, a schedule).
        flows: for each pair of boxes of forward, or of backward, the shapes of the arrays that go
            from the first to the second.
        kept: links for the arrays of forward that backward needs.
        gradients: links for the inputs of updates.
        state: the state of updates, one pill for all of a kind.
    """

    def __init__(
        self,
        recording: Recording,
        profile: Profile | None,
        exchanged: Collectives | None = None,
    ) -> None:
        self._exchanged = exchanged
        self._several = {node.name for node in recording.nodes if node.number > 1}
        self._assigned = {(name, origin) for name, (origin, _) in recording.assigned}
        self.boxes: dict[str, list[Box]] = {FORWARD: [], BACKWARD: [], UPDATE: [], "setup": []}
        self.flows: dict[tuple[Box, Box], list[str]] = {}
        self.kept: list[Link] = []
        self.gradients: list[Link] = []
        self.state: list[Pill] = []
        self._box: dict[Node, Box] = {}
        self._make_boxes(recording, profile)
        self._link()
        self._choose_rows()

    # -- boxes ----------------------------------------------------------------------------------

    def _make_boxes(self, recording: Recording, profile: Profile | None) -> None:
        is_used = {origin for node in recording.nodes for origin, _ in node.inputs}
        # Updates with an input from forward or backward, directly or through other updates.
        reach_back: set[Any] = {node for node in recording.nodes if node.direction != UPDATE}
        groups: dict[Any, list[Node]] = {}
        for node in recording.nodes:
            origins = frozenset(origin for origin, _ in node.inputs if isinstance(origin, Node))
            alike = (node.name, node.layer, origins)
            leads_on = node in is_used or node.direction != FORWARD or not origins
            groups.setdefault(node if leads_on else alike, []).append(node)
        for nodes in groups.values():
            box = Box(nodes)
            self._box.update(dict.fromkeys(nodes, box))
            if any(
                origin in reach_back and not _is_count(origin, index)
                for origin, index in box.node.inputs
            ):
                reach_back.add(box.node)
            self.boxes[box.direction if box.node in reach_back else "setup"].append(box)
        rows = {row.key: row for row in profile.rows} if profile else {}
        for nodes in groups.values():
            box = self._box[nodes[0]]
            self._label(box)
            found = [rows[node.key] for node in nodes if node.key in rows]
            if profile is not None and found:
                box.seconds = sum(row.seconds for row in found) / max(profile.iterations, 1)
                share = sum(row.share for row in found)
                is_fused = any(row.part_of and not row.seconds for row in found)
                time = f"{box.seconds * 1e3:.3f} ms\u2002{share:.1%}"
                box.lines.append("fused into others" if is_fused else time)
            box.lines += self._exchanges(nodes)
            sizes = [NAME_SIZE] + [DETAIL_SIZE] * (len(box.lines) - 1)
            widths = [
                text_width(t, s, s == NAME_SIZE) for t, s in zip(box.lines, sizes, strict=True)
            ]
            box.width = max(*widths, 90) + 24
            box.height = 12 + 15 * len(box.lines)
            self._add_pills(box)
        for number, (origin, index) in enumerate(recording.results, 1):
            if isinstance(origin, Node):
                pill = Pill("result", f"result {number}", shape(origin.outputs[index]))
                self._box[origin].pills.append(pill)

    def _exchanges(self, nodes: Sequence[Node]) -> list[str]:
        """What the devices of a mesh exchange for operations."""
        if self._exchanged is None:
            return []
        return list(dict.fromkeys(t for node in nodes for t in self._exchanged.of(node.key)))

    def _label(self, box: Box) -> None:
        node = box.node
        if len(box.nodes) > 1:
            box.lines = [f"{node.name} × {len(box.nodes)}"]
        else:
            box.lines = [node.name + (f" {node.number}" if node.name in self._several else "")]
        if node.direction == UPDATE:
            count = max(len(node.parameters), len(self._gradients_of(node)))
            if node.is_rule:
                only = node.parameters[:1] if count == 1 else []
                box.lines += only or [f"{count} parameter{'s' * (count != 1)}"]
            elif box in self.boxes[UPDATE]:
                box.lines += [f"with {source.name}" for source in node.sources[:1]]
        else:
            box.lines.append(
                "\u2002".join(filter(None, [node.layer, shape(self._passed_on(node))]))
            )

    def _gradients_of(self, node: Node) -> list[tuple[Node, int]]:
        """An update's inputs from forward and backward, directly or through other operations."""
        return [
            (origin, index)
            for origin, index in node.inputs
            if isinstance(origin, Node)
            and not origin.is_rule
            and self._box[origin] not in self.boxes["setup"]
        ]

    def _passed_on(self, node: Node) -> Any:
        """The output that the next operation of the same direction takes; else the first one."""
        taken = [
            index
            for user in self._box
            if user.direction == node.direction
            for origin, index in user.inputs
            if origin is node
        ]
        return node.outputs[min(taken, default=0)] if node.outputs else None

    def _add_pills(self, box: Box) -> None:
        for node in box.nodes:
            known = node.forward.sources if node.forward is not None else []
            for source in dict.fromkeys(node.sources):
                if source not in known and box not in self.boxes[UPDATE]:
                    is_assigned = source.kind == "state" and (source.name, node) in self._assigned
                    name = source.name.rpartition("/")[2]  # without the optimizer's
                    pill = Pill(source.kind, name, shape(source.aval), is_assigned)
                    box.pills.append(pill)
            kept = node.forward.inputs if node.forward is not None else []
            for origin, index in node.inputs:
                if (origin, index) in kept or node.direction == UPDATE:
                    continue
                if isinstance(origin, Node) and origin.direction == UPDATE:
                    name = f"from {origin.name} {origin.number}"  # an updated parameter
                    box.pills.append(Pill("parameter", name, shape(origin.outputs[index])))

    # -- links ----------------------------------------------------------------------------------

    def _link(self) -> None:
        for node, box in self._box.items():
            for origin, index in node.inputs:
                if isinstance(origin, Node) and origin.direction == node.direction != UPDATE:
                    shapes = self.flows.setdefault((self._box[origin], box), [])
                    shapes.append(shape(origin.outputs[index]))
        for box in self.boxes[BACKWARD]:
            forward = box.node.forward
            own: list[tuple[int, str]] = []
            for origin, index in box.node.inputs:
                aval = origin.outputs[index] if isinstance(origin, Node) else origin.aval
                if forward is not None and (origin is forward or (origin, index) in forward.inputs):
                    is_parameter = isinstance(origin, Source) and origin.kind == "parameter"
                    text = origin.name if is_parameter else shape(aval)
                    own.append((0 if is_parameter else -aval.size, text))
                elif isinstance(origin, Node) and origin.direction == FORWARD:
                    self.kept.append(Link(self._box[origin], box, shape(aval)))
            if forward is not None and own:
                self.kept.append(
                    Link(
                        self._box[forward],
                        box,
                        listed([*dict.fromkeys(text for _, text in sorted(own))]),
                    )
                )
        state: dict[tuple[str, str, bool], set[Source]] = {}
        for box in self.boxes[UPDATE]:
            node = box.node
            gradients = self._gradients_of(node)
            names = node.parameters if len(node.parameters) == len(gradients) else repeat("")
            for (origin, index), name in zip(gradients, names, strict=False):
                text = f"{name}\u2002{shape(origin.outputs[index])}".strip()
                self.gradients.append(Link(self._box[origin], box, text))
            earlier = Counter(
                origin
                for origin, index in node.inputs
                if isinstance(origin, Node) and origin.is_rule and not _is_count(origin, index)
            )
            for origin, count in earlier.items():  # arrays that an earlier update has changed
                self.gradients.append(Link(self._box[origin], box, f"{count} arrays"))
            for source in node.sources:
                if node.is_rule and source.kind != "parameter":
                    _, of, name = source.name.rpartition("/")[2].rpartition(":")
                    state.setdefault((source.kind, name, bool(of)), set()).add(source)
        for (kind, name, is_slot), origins in state.items():
            of_each = f" of {len(origins)} parameters" if is_slot else ""
            self.state.append(Pill(kind, name + of_each, ""))

    # -- rows -----------------------------------------------------------------------------------

    def _choose_rows(self) -> None:
        """Give every box of forward and backward a row, and updates the rows of their gradients."""
        boxes = [*self.boxes[FORWARD], *self.boxes[BACKWARD]]
        level = {box: box for box in boxes}
        for box in self.boxes[BACKWARD]:
            if box.node.forward is not None:
                level[box] = self._box[box.node.forward]
        found = self._rows(boxes, level)
        if found is None:  # pairs of forward and backward cannot all be in the same rows
            level = {box: box for box in boxes}
            found = self._rows(boxes, level)
            assert found is not None  # neither direction has a cycle
        for box in boxes:
            box.first = box.last = found[level[box]]
        for box in self.boxes[UPDATE]:  # in recorded order: its inputs have their rows already
            origins = [
                self._box[origin]
                for origin, index in box.node.inputs
                if isinstance(origin, Node) and not _is_count(origin, index)
            ]
            origins = [origin for origin in origins if origin not in self.boxes["setup"]]
            box.first = min(origin.first for origin in origins)
            box.last = max(origin.last for origin in origins)

    def _rows(self, boxes: Iterable[Box], level: dict[Box, Box]) -> dict[Box, int] | None:
        edges = [
            (level[a], level[b]) if a.direction == FORWARD else (level[b], level[a])
            for a, b in self.flows
        ]
        edges = [(a, b) for a, b in edges if a is not b]
        return layers(list(dict.fromkeys(level[box] for box in boxes)), edges)


def _is_count(origin: Node | Source, index: int) -> bool:
    """Whether an array is a number of steps or updates, which one update passes to the next."""
    if not isinstance(origin, Node) or not origin.is_rule:
        return False
    counts = origin.outputs[index]
    return not counts.shape or counts.dtype.kind == "i"


def shape(aval: Any) -> str:
    """A shape as readable text; with the data type, if it is not float32."""
    if aval is None:
        return ""
    sizes = "×".join(map(str, aval.shape)) or "scalar"
    return sizes if str(aval.dtype) == "float32" else f"{sizes} {aval.dtype}"
