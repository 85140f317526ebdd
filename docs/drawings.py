"""Draws the record of a small program, and its captured step, for the concepts: ``make docs``.

The contents are not written here: operations, edges and order come from the record, from
``backward`` and from the capture of the program in concepts/backward.md and concepts/step.md.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from docs import drawing
from docs.drawing import (
    FAINT,
    FOLLOWED,
    GRADIENT,
    INK,
    LINE,
    OPERATION,
    PANEL,
    TENSOR,
    THIN,
    UPDATE,
)
from singa import autograd, model, opt
from singa.autograd import Operation
from singa.graph import Capture, Recording
from singa.graph.recording import Node, Source
from singa.tape.record import Edge, Record
from singa.tensor import Tensor

IMAGES = Path("docs/images")
FOLLOW = "w"

_COLUMN, _BOX, _PILL = 132, (104, 40), 104
_WIDTH = 808


# -- the program ----------------------------------------------------------------------------------


class Line(model.Model):
    """y = x w + b; the loss is the mean square of y."""

    def __init__(self) -> None:
        super().__init__()
        self.w = Tensor(data=np.float32([[1], [-1]]), stores_grad=True, name="w")
        self.b = Tensor(data=np.float32([0.5]), stores_grad=True, name="b")
        self.optimizer = opt.SGD(0.02)

    def forward(self, x: Tensor) -> Tensor:
        """The line at x: x w + b."""
        return autograd.add_bias(autograd.matmul(x, self.w), self.b)

    def loss(self, x: Tensor) -> Tensor:
        """The mean of the squares."""
        y = self.forward(x)
        return autograd.reduce_mean(y * y)

    def train_one_batch(self, x: Tensor) -> Tensor:
        """A step of training."""
        loss = self.loss(x)
        self.optimizer(loss)
        return loss


def _input() -> Tensor:
    return Tensor(data=np.float32([[1, 2], [3, 4]]), name="x")


# -- the record -----------------------------------------------------------------------------------


class Walk:
    """A loss's records, and the order of the backward pass.

    Attributes:
        columns: the operations, each in a column after all that it depends on.
        leaves: for each operation the names of the leaves among its inputs; None for inputs to
            which no edge leads.
        order: the order in which ``backward`` calls operations and yields leaves.
    """

    def __init__(self, loss: Tensor) -> None:
        assert loss.creator is not None
        self.columns: dict[Record, int] = {}
        self._place(loss.creator)
        self.leaves = {
            operation: [_leaf(edge) for edge in operation.src if edge is None or edge[0] is None]
            for operation in self.columns
        }
        self.order: dict[Record | str, int] = {}
        with Operation.register_backward_hook(lambda operation, dxs, dys: self._note(operation)):
            for tensor, _ in autograd.backward(loss):
                self._note(str(tensor.name))

    def _place(self, operation: Record) -> int:
        if operation not in self.columns:
            before = [self._place(edge[0]) for edge in operation.src if edge and edge[0]]
            self.columns[operation] = max(before, default=0) + 1
        return self.columns[operation]

    def _note(self, what: Record | str) -> None:
        self.order[what] = len(self.order) + 1


def _leaf(edge: Edge) -> str | None:
    return None if edge is None or edge[2] is None else edge[2].name


def record() -> str:
    """Forward at the top, with the recorded edges; backward at the bottom, with the order."""
    autograd.training, before = True, autograd.training
    try:
        found = Walk(Line().loss(_input()))
    finally:
        autograd.training = before
    canvas = drawing.Drawing()
    canvas.text(20, 30, "Recorded: where each input came from", 15, bold=True)
    canvas.box(16, 44, _WIDTH - 32, 150, PANEL, radius=8)
    _strip(canvas, found, 84, is_backward=False)
    canvas.text(20, 228, "backward(loss): the same edges in reverse", 15, bold=True)
    canvas.box(16, 242, _WIDTH - 32, 150, PANEL, radius=8)
    _strip(canvas, found, 282, is_backward=True)
    canvas.text(
        20, 416, "Numbers: the order in which operations run and gradients are yielded.", 12,
        fill=FAINT,
    )  # fmt: skip
    return canvas.document(_WIDTH, 432, "The record of a loss, and the backward pass over it")


def _strip(canvas: drawing.Drawing, found: Walk, y: float, is_backward: bool) -> None:
    """All operations in a row, their leaves to the left of them or below."""
    at = {operation: (_middle(column), y) for operation, column in found.columns.items()}
    last = max(found.columns, key=lambda operation: found.columns[operation])
    loss = (_middle(found.columns[last] + 1), y)
    _arrows(canvas, at[last], loss, 1, is_backward)
    _tensor(canvas, *loss, "loss", TENSOR)
    for operation, (x, _) in at.items():
        before = [edge[0] for edge in operation.src if edge is not None and edge[0] is not None]
        for creator in dict.fromkeys(before):
            _arrows(canvas, at[creator], at[operation], before.count(creator), is_backward)
        row = 0 if not before else 1
        for name in sorted(found.leaves[operation], key=lambda name: name is None):
            place = (x - _COLUMN, y + 66 * row)
            if name is not None:
                _arrows(canvas, place, at[operation], 1, is_backward)
                _tensor(canvas, *place, name, FOLLOWED if name == FOLLOW else TENSOR)
                if is_backward:
                    _number(canvas, place[0] - _PILL / 2, place[1] - 18, found.order[name])
            else:
                canvas.text(*place, "x: no edge", 12, "middle", FAINT)
            row += 1
        fill, edge = GRADIENT if is_backward else OPERATION
        width, height = _BOX
        canvas.box(x - width / 2, y - height / 2, width, height, fill, edge)
        canvas.text(x, y + 5, operation.name, 13, "middle")
        if is_backward:
            _number(canvas, x - width / 2, y - height / 2, found.order[operation])


def _middle(column: float) -> float:
    return 74 + column * _COLUMN


def _arrows(
    canvas: drawing.Drawing,
    left: tuple[float, float],
    right: tuple[float, float],
    count: int,
    is_backward: bool,
) -> None:
    """``count`` arrows between two boxes, one for each use, to the right or back to the left."""
    half = _BOX[0] / 2
    for i in range(count):
        shift = 12 * (i - (count - 1) / 2)
        begin, end = (left[0] + half, left[1] + shift), (right[0] - half, right[1] + shift)
        if is_backward:
            begin, end = end, begin
        canvas.line([begin, end], GRADIENT[1] if is_backward else LINE)


def _tensor(
    canvas: drawing.Drawing, x: float, y: float, name: str, colours: tuple[str, str]
) -> None:
    canvas.box(x - _PILL / 2, y - 16, _PILL, 32, *colours, radius=16)
    canvas.text(x, y + 5, name, 13, "middle", bold=name == FOLLOW)


def _number(canvas: drawing.Drawing, x: float, y: float, number: int) -> None:
    canvas.box(x - 10, y - 10, 20, 20, GRADIENT[1], radius=10)
    canvas.text(x, y + 4, str(number), 11, "middle", "#fffffe", bold=True)


# -- the captured step ----------------------------------------------------------------------------

_LANES = {"forward": OPERATION, "backward": GRADIENT, "update": UPDATE}


def capture() -> str:
    """The Tensors that the step reads, its operations, and the Tensors that it assigns."""
    net, x = Line(), _input()
    net.compile([x], is_train=True, use_graph=True)
    names = {net.w: "w", net.b: "b", net.optimizer.step_counter: "step_counter"}
    names[net.optimizer.lr(net.optimizer.step_counter)] = "lr"
    try:
        found = Recording(Capture(net.train_one_batch, [x]), names, ["x"])
    finally:
        net.eval()
    return _step(found)


def _step(found: Recording) -> str:
    canvas = drawing.Drawing()
    sources = dict.fromkeys(s for node in found.nodes for s in node.sources if s.kind != "constant")
    lanes = {lane: [n for n in found.nodes if n.direction == lane] for lane in _LANES}
    rows = max(len(sources), *(len(nodes) for nodes in lanes.values()))
    bottom = 76 + rows * 56
    canvas.text(
        20, 30, "One program: what is read, what is computed, what is assigned", 15, bold=True
    )
    places: dict[Node, tuple[float, float]] = {}
    for i, (lane, (_, edge)) in enumerate(_LANES.items()):
        left = 146 + i * 170
        canvas.box(left, 48, 156, bottom - 48, PANEL, radius=8)
        canvas.text(left + 12, 68, lane, 12, fill=edge, bold=True)
        nodes = lanes[lane]
        for row, node in enumerate(nodes if lane != "backward" else reversed(nodes)):
            places[node] = (left + 78, 106 + row * 56)
    reads = {source: (68.0, 106.0 + row * 56) for row, source in enumerate(sources)}
    writes = {
        name: (_WIDTH - 68.0, 106.0 + row * 56) for row, (name, _) in enumerate(found.assigned)
    }
    _flows(canvas, found, places, reads, writes)
    for source, (x, y) in reads.items():
        _tensor(canvas, x, y, source.name, FOLLOWED if source.name == FOLLOW else TENSOR)
    for name, (x, y) in writes.items():
        _tensor(canvas, x, y, name, FOLLOWED if name == FOLLOW else TENSOR)
    for node, (x, y) in places.items():
        canvas.box(x - 64, y - 20, 128, 40, *_LANES[node.direction])
        canvas.text(x, y + 5, node.name, 13, "middle", INK)
    canvas.text(18, 68, "read", 12, fill=TENSOR[1], bold=True)
    canvas.text(_WIDTH - 118, 68, "assigned", 12, fill=TENSOR[1], bold=True)
    canvas.text(20, bottom + 26, "Coloured lines follow w.", 12, fill=FAINT)
    return canvas.document(_WIDTH, bottom + 42, "A captured step")


def _flows(
    canvas: drawing.Drawing,
    found: Recording,
    places: dict[Node, tuple[float, float]],
    reads: dict[Source, tuple[float, float]],
    writes: dict[str, tuple[float, float]],
) -> None:
    """Lines from Tensors to operations, between operations, and to Tensors; those of w on top."""
    lines: list[tuple[bool, list[tuple[float, float]]]] = []
    for node, (x, y) in places.items():
        for origin in dict.fromkeys(origin for origin, _ in node.inputs):
            if isinstance(origin, Source):
                if origin in reads:
                    left = reads[origin]
                    lines.append(
                        (origin.name == FOLLOW, [(left[0] + _PILL / 2, left[1]), (x - 65, y)])
                    )
            elif origin.direction == node.direction:
                up = 20 if places[origin][1] > y else -20
                lines.append((False, [(x, places[origin][1] - up), (x, y + up)]))
            elif origin.direction == "backward" or node.direction == "backward":
                at = places[origin]
                lines.append((_is_gradient_of(origin, node), [(at[0] + 64, at[1]), (x - 65, y)]))
    for name, (node, _) in found.assigned:
        if isinstance(node, Node):
            at, end = places[node], writes[name]
            lines.append((name == FOLLOW, [(at[0] + 64, at[1]), (end[0] - _PILL / 2, end[1])]))
    for is_followed, points in sorted(lines, key=lambda line: line[0]):
        canvas.line(points, FOLLOWED[1] if is_followed else THIN, has_arrow=is_followed)


def _is_gradient_of(origin: Node, node: Node) -> bool:
    """Whether an update gets the followed Tensor's gradient from ``origin``."""
    forward = origin.forward
    return node.direction == "update" and forward is not None and FOLLOW in forward.parameters


if __name__ == "__main__":
    (IMAGES / "record.svg").write_text(record(), encoding="utf-8")
    (IMAGES / "capture.svg").write_text(capture(), encoding="utf-8")
