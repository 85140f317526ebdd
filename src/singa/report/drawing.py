"""The drawing of a recorded step, as SVG."""

from __future__ import annotations

import os
from pathlib import Path

from singa.errors import ArgumentError
from singa.formats.files import writing
from singa.graph.recording import BACKWARD, FORWARD, UPDATE, Node, Recording
from singa.report.collectives import Collectives
from singa.report.placement import HEADER, MARGIN, PILL_PITCH, Placement
from singa.report.profile import Profile, titles
from singa.report.scene import DETAIL_SIZE, NAME_SIZE, STUB, Box, Pill, Scene, shape
from singa.report.svg import Canvas, text_width

_COLOURS = {  # the fill, and the edge
    FORWARD: ("#dce9fb", "#3b78c4"),
    BACKWARD: ("#fde6d3", "#d9731f"),
    UPDATE: ("#dcf3e2", "#2f9150"),
    "parameter": ("#efe4fa", "#8557b5"),
    "state": ("#ececec", "#808080"),
    "argument": ("#fdf5bf", "#b39200"),
    "constant": ("#ffffff", "#a0a0a0"),
    "result": ("#ffffff", "#222222"),
}
_PANELS = {FORWARD: "#f5f8fe", BACKWARD: "#fef8f2", UPDATE: "#f4fbf6"}
_HEADINGS = {FORWARD: "forward ↓", BACKWARD: "backward ↑", UPDATE: "update"}
_LINE, _FAINT = "#555555", "#9a9a9a"
_PILL = 20  # height
_HOT = ((255, 250, 235), (254, 196, 110), (236, 100, 60))  # no time, some, most


def draw(
    fpath: str | os.PathLike[str],
    recording: Recording,
    title: str,
    profile: Profile | None = None,
    exchanged: Collectives | None = None,
) -> None:
    """Write an SVG, completely or not at all; an existing file is replaced.

    Args:
        fpath: the file's path; the name ends in ``.svg``.
        recording: the step.
        title: the title above the drawing.
        profile: colours the operations by their time.
        exchanged: what the devices of a mesh exchange in the step.

    Raises:
        ArgumentError: the name does not end in ``.svg``.
        ReportError: the profile is not complete yet.
        OSError: it cannot be written.

    Example:
        >>> captured = graph.Capture(lambda x: autograd.relu(2 * x), [Tensor((2,))])
        >>> report.draw("step.svg", graph.Recording(captured), "A step")
    """
    if Path(fpath).suffix.lower() != ".svg":
        raise ArgumentError(
            f"draw_graph: it draws SVG, and {os.fspath(fpath)!r} is named otherwise"
        )
    if profile is not None:
        profile.per_step()  # raises if it is not complete
    text = _Painter(recording, title, profile, exchanged).paint()
    with writing(fpath) as file:
        file.write(text.encode())


class _Painter:
    def __init__(
        self,
        recording: Recording,
        title: str,
        profile: Profile | None,
        exchanged: Collectives | None,
    ) -> None:
        self._scene = Scene(recording, profile, exchanged)
        self._placement = Placement(self._scene)
        self._canvas = Canvas()
        self._title = title
        self._names = titles(node.key for node in recording.nodes)
        self._rows = {row.key: row for row in profile.rows} if profile else {}
        times = [b.seconds for boxes in self._scene.boxes.values() for b in boxes if b.seconds]
        self._most = max(times, default=0.0)
        self._is_timed = profile is not None

    def paint(self) -> str:
        scene, placement = self._scene, self._placement
        self._panels()
        for pair, points in placement.flows.items():
            with self._canvas.group("array", ", ".join(scene.flows[pair])):
                self._canvas.curve(points, _LINE)
        for link, (points, (x, y)) in placement.kept.items():
            with self._canvas.group("array", f"kept for backward: {link.text}"):
                self._canvas.line(points, _LINE, dashed=True)
                self._canvas.text(x, y, link.text, DETAIL_SIZE, fill=_LINE)
        for link, (points, (x, y)) in placement.gradients.items():
            with self._canvas.group("array", f"gradient: {link.text}"):
                self._canvas.line(points, _LINE)
                self._canvas.text(x, y, link.text, DETAIL_SIZE, "end", _LINE)
        for points, has_arrow in placement.helpers:
            self._canvas.line(points, _FAINT, has_arrow=has_arrow)
        x, y = placement.state
        for i, pill in enumerate(scene.state):
            self._pill(pill, x, y + PILL_PITCH * (i + 0.5))
        for boxes in scene.boxes.values():
            for box in boxes:
                self._box(box)
        width = max(placement.width, self._legend() + MARGIN)
        return self._canvas.document(width, placement.height, self._title)

    def _panels(self) -> None:
        self._canvas.text(MARGIN, 30, self._title, 16, bold=True)
        top = HEADER - 36
        for lane, (begin, end) in self._placement.lanes.items():
            height = self._placement.bottom - top
            self._canvas.box(begin, top, end - begin, height, _PANELS[lane], radius=8)
            colour = _COLOURS[lane][1]
            self._canvas.text(
                begin + 12, top + 19, _HEADINGS[lane], NAME_SIZE, "start", colour, True
            )

    def _box(self, box: Box) -> None:
        fill, edge = _COLOURS[box.direction]
        if self._is_timed:
            fill = "#ffffff" if box.seconds is None else _heat(box.seconds / (self._most or 1))
        for pill, (x, y) in zip(box.pills, self._beside(box), strict=True):
            self._pill(pill, x, y)
            self._stub(box, pill, x, y)
        with self._canvas.group(f"operation {box.direction}", self._tooltip(box)):
            self._canvas.box(box.left, box.top, box.width, box.height, fill, edge)
            self._canvas.box(box.left, box.top, 5, box.height, edge, edge, radius=2.5)
            y = box.middle - 7.5 * len(box.lines) + 11.5
            for i, line in enumerate(box.lines):
                size = DETAIL_SIZE if i else NAME_SIZE
                self._canvas.text(box.x + 2, y + 15 * i, line, size, "middle", bold=not i)

    def _beside(self, box: Box) -> list[tuple[float, float]]:
        """The positions of a box's pills: the middle of the left edge of each."""
        count = len(box.pills)
        if box.direction == BACKWARD:  # below the box: both sides have lines already
            return [(box.left, box.bottom + PILL_PITCH * (i + 1)) for i in range(count)]
        first = box.middle - PILL_PITCH * (count - 1) / 2
        heights = [first + PILL_PITCH * i for i in range(count)]
        if box.direction == UPDATE:
            return [(box.right + STUB, y) for y in heights]
        widths = [pill.width for pill in box.pills]
        return [(box.left - STUB - w, y) for w, y in zip(widths, heights, strict=True)]

    def _stub(self, box: Box, pill: Pill, left: float, y: float) -> None:
        """The line between a box and one of its pills."""
        # Many pills together are higher than the box: their lines must still end at the box.
        at = min(max(y, box.top + 6), box.bottom - 6)
        if box.direction == BACKWARD:
            x = left + pill.width / 2
            ends = [(x, y - _PILL / 2), (x, box.bottom)]
        elif box.direction == UPDATE:
            ends = [(left, y), (box.right, at)]
        else:
            ends = [(left + pill.width, y), (box.left, at)]
        if pill.kind != "result":
            self._canvas.line(ends, _LINE)
        if pill.kind == "result" or pill.is_assigned:
            self._canvas.line(ends[::-1], _LINE)

    def _pill(self, pill: Pill, left: float, middle: float) -> None:
        fill, edge = _COLOURS[pill.kind]
        with self._canvas.group(pill.kind, f"{pill.kind}: {pill.text}"):
            self._canvas.box(left, middle - _PILL / 2, pill.width, _PILL, fill, edge, _PILL / 2)
            self._canvas.text(left + pill.width / 2, middle + 3.5, pill.text, DETAIL_SIZE, "middle")

    def _tooltip(self, box: Box) -> str:
        return "\n".join(line for node in box.nodes for line in self._told(node))

    def _told(self, node: Node) -> list[str]:
        lines = [self._names[node.key] + (f", of {node.layer}" if node.layer else "")]
        for what, avals in (
            ("takes", [o.outputs[i] if isinstance(o, Node) else o.aval for o, i in node.inputs]),
            ("makes", node.outputs),
        ):
            many = f" and {len(avals) - 8} more" if len(avals) > 8 else ""
            lines.append(f"{what} {', '.join(map(shape, avals[:8]))}{many}")
        row = self._rows.get(node.key)
        if row is not None:
            lines.append(f"{row.seconds * 1e3:.3f} ms in {row.calls} calls, {row.share:.1%}")
            lines += [f"with {', '.join(row.includes)}"] if row.includes else []
            lines += [f"in {', '.join(row.part_of)}"] if row.part_of else []
        return lines

    def _legend(self) -> float:
        """Draw what the colours and lines mean; returns the right end of it."""
        x, y = float(MARGIN), 48.0
        kinds = {
            pill.kind for boxes in self._scene.boxes.values() for b in boxes for pill in b.pills
        }
        kinds |= {pill.kind for pill in self._scene.state}
        for kind in (kind for kind in _COLOURS if kind in kinds):
            pill = Pill(kind, kind, "")
            self._pill(pill, x, y)
            x += pill.width + 10
        if self._scene.kept:
            self._canvas.line([(x, y), (x + 30, y)], _LINE, dashed=True)
            self._canvas.text(x + 36, y + 3.5, "kept for backward", DETAIL_SIZE)
            x += 36 + text_width("kept for backward", DETAIL_SIZE) + 10
        if self._is_timed:
            for i in range(40):
                self._canvas.box(x + 3 * i, y - 7, 3.2, 14, _heat(i / 39), radius=0)
            text = f"0 to {self._most * 1e3:.3g} ms per step"
            self._canvas.text(x + 128, y + 3.5, text, DETAIL_SIZE)
            x += 128 + text_width(text, DETAIL_SIZE)
        return x


def _heat(share: float) -> str:
    """A colour from light to hot, for a share of the longest time."""
    cold, warm = (_HOT[0], _HOT[1]) if share < 0.5 else (_HOT[1], _HOT[2])
    part = 2 * share if share < 0.5 else 2 * share - 1
    mixed = [round(a + (b - a) * part) for a, b in zip(cold, warm, strict=True)]
    return "#{:02x}{:02x}{:02x}".format(*mixed)
