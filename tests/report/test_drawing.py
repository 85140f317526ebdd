"""model.draw_graph(): the drawing of a captured step."""

import os
import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest

from singa import autograd, device, layer, model, models, opt
from singa.errors import ArgumentError, ReportError
from singa.graph import Recording
from singa.report.layout import Lane, layers, spread
from singa.report.placement import Placement
from singa.report.scene import Scene
from singa.report.svg import text_width
from singa.tensor import Tensor

CPU = device.get_default_device()
X = np.random.default_rng(0).normal(size=(4, 1, 8, 8)).astype(np.float32)
Y = np.arange(4, dtype=np.int32)
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _mode():
    yield
    autograd.training = False


class Block(layer.Layer):
    def __init__(self, channels):
        self.conv1 = layer.Conv2d(channels, 3, padding=1, bias=False)
        self.bn = layer.BatchNorm2d()
        self.conv2 = layer.Conv2d(channels, 3, padding=1)
        self.down = layer.Conv2d(channels, 1, bias=False)

    def forward(self, x):
        y = self.conv2(autograd.relu(self.bn(self.conv1(x))))
        return autograd.relu(autograd.add(y, self.down(x)))


class ResNet(models.Classifier):
    """Skips, dropout, a schedule."""

    def __init__(self):
        super().__init__()
        self.block1, self.block2 = Block(4), Block(8)
        self.dropout, self.linear = layer.Dropout(0.2), layer.Linear(10)

    def forward(self, x):
        return self.linear(self.dropout(autograd.flatten(self.block2(self.block1(x)))))


class Streamed(models.MLP):
    """Shared weights; gradients that are changed before each update, one at a time."""

    def __init__(self):
        super().__init__(64)
        self.square = layer.Linear(64)

    def forward(self, x):
        y = autograd.relu(self.square(autograd.flatten(x)))
        return super().forward(autograd.add(autograd.relu(self.square(y)), y))

    def train_one_batch(self, x, y):
        loss = self.softmax_cross_entropy(self.forward(x), y)
        for param, gradient in autograd.backward(loss):
            self.optimizer.update(param, gradient * 0.5)
        return {"loss": loss}


class StreamedCNN(models.CNN):
    """Four updates in one row."""

    def train_one_batch(self, x, y):
        loss = self.softmax_cross_entropy(self.forward(x), y)
        for param, gradient in autograd.backward(loss):
            self.optimizer.update(param, gradient)
        return loss


class Adversaries(models.MLP):
    """Two backward passes in one step."""

    def train_one_batch(self, x, y):
        losses = []
        for inputs in (x, x * 2):
            losses.append(self.softmax_cross_entropy(self.forward(inputs), y))
            self.optimizer(losses[-1])
        return losses


MODELS = [models.MLP, models.CNN, ResNet, Streamed, StreamedCNN, Adversaries]


def made(make, **options):
    net = make()
    net.set_optimizer(opt.SGD(opt.ExponentialDecay(0.1, 10, 0.9), momentum=0.9))
    options = {"use_graph": True, **options}
    net.compile([Tensor(data=X)], is_train=True, **options)
    return net


def batch():
    return Tensor(data=X, name="images"), Tensor(data=Y)


@pytest.fixture(scope="module", params=MODELS)
def drawn(request, tmp_path_factory):
    """A model after a few steps, and its drawing without and with times."""
    net = made(request.param)
    with net.profile() as profile:
        for _ in range(4):
            net(*batch())
    path = tmp_path_factory.mktemp("drawings") / "graph.svg"
    net.draw_graph(path)
    timed = path.with_name("timed.svg")
    net.draw_graph(timed, profile=profile)
    return net, ElementTree.parse(path).getroot(), ElementTree.parse(timed).getroot()


def recording(net):
    return Recording(net._steps.last.capture, net._tensor_names(), net._steps.last.arg_names)


def groups(root, kind):
    return [g for g in root.iter(f"{SVG}g") if kind in g.get("class", "").split()]


def tooltips(root, kind):
    return "\n".join(g.find(f"{SVG}title").text for g in groups(root, kind))


def written(element):
    return [text.text for text in element.iter(f"{SVG}text")]


def test_every_operation_is_in_it(drawn):
    net, root, timed = drawn
    nodes = recording(net).nodes
    for direction in ("forward", "backward", "update"):
        told = tooltips(root, direction)
        for node in (node for node in nodes if node.direction == direction):
            words = [node.name, *([direction] if direction != "forward" else [])]
            assert re.search(r" (\d+ )?".join(map(re.escape, words)), told), node.key
        names = {node.name for node in nodes if node.direction == direction}
        boxes = [written(g)[0].split(" ")[0] for g in groups(root, direction)]
        assert set(boxes) == names
    assert len(groups(root, "operation")) == len(groups(timed, "operation")) <= len(nodes)


def test_parameters_states_and_arguments_are_in_it(drawn):
    net, root, _ = drawn
    text = " ".join(written(root))
    for name, param in net.get_params().items():
        assert f"{name}\u2002{'×'.join(map(str, param.shape))}" in text
    for name in net.get_states().keys() - net.get_params().keys():
        assert name in text
    assert "images\u20024×1×8×8" in text
    assert "argument 2\u20024 int32" in text
    assert "step_counter" in text
    assert f"momentum of {len(net.get_params())} parameters" in text


def test_every_gradient_arrives_under_its_parameters_name(drawn):
    net, root, _ = drawn
    told = tooltips(root, "array")
    if type(net) is not Streamed:  # there the scaled ones do
        for name in net.get_params():
            assert f"gradient: {name}\u2002" in told


def test_with_a_profile_it_shows_times(drawn):
    _, root, timed = drawn
    assert not [text for text in written(root) if " ms" in text]
    for group in groups(timed, "operation"):
        assert any(" ms\u2002" in text or text == "fused into others" for text in written(group))
        assert "calls" in group.find(f"{SVG}title").text
    assert any(text.endswith("ms per step") for text in written(timed))
    fills = {g.find(f"{SVG}rect").get("fill") for g in groups(timed, "operation")}
    assert "#ec643c" in fills  # the one that takes longest
    assert len(fills) > 3


def rectangles(root):
    """Of each operation and each thing from outside: left, top, right, bottom."""
    found = []
    kinds = ("operation", "parameter", "state", "argument", "constant", "result")
    for group in (g for kind in kinds for g in groups(root, kind)):
        rect = group.find(f"{SVG}rect")
        x, y, width, height = (float(rect.get(a)) for a in ("x", "y", "width", "height"))
        found.append((x, y, x + width, y + height, written(group)))
    return found


def texts(root):
    """Of each text: left, top, right, bottom."""
    found = []
    for text in root.iter(f"{SVG}text"):
        size = float(text.get("font-size"))
        width = text_width(text.text, size, text.get("font-weight") == "bold")
        part = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor")]
        left, base = float(text.get("x")) - part * width, float(text.get("y"))
        found.append((left, base - 0.75 * size, left + width, base + 0.2 * size, text.text))
    return found


def apart(a, b):
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


@pytest.mark.parametrize("which", [1, 2], ids=["plain", "timed"])
def test_nothing_covers_anything_else(drawn, which):
    root = drawn[which]
    for things in (rectangles(root), texts(root)):
        for i, one in enumerate(things):
            for other in things[:i]:
                assert apart(one, other), (one, other)
    # A text is inside of its box, or outside of all.
    for text in texts(root):
        for box in rectangles(root):
            inside = box[0] <= text[0] and text[2] <= box[2] and box[1] <= text[1] <= box[3]
            assert inside == (text[4] in box[4]) or apart(text, box), (text, box)
    width, height = float(root.get("width")), float(root.get("height"))
    for left, top, right, bottom, _ in (*rectangles(root), *texts(root)):
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height


def test_no_line_runs_through_a_box(drawn):
    net, _, _ = drawn
    scene = Scene(recording(net), None)
    placement = Placement(scene)
    boxes = [box for lane in scene.boxes.values() for box in lane]
    lines = [(link.source, link.target, points) for link, (points, _) in placement.kept.items()]
    lines += [(k.source, k.target, points) for k, (points, _) in placement.gradients.items()]
    lines += [(*pair, points) for pair, points in placement.flows.items()]
    for source, target, points in lines:
        for (x, y), (u, v) in pairwise(points):
            for box in boxes:
                # Behind one update there may be another one: lines go below the first.
                if box in (source, target) or box.direction == target.direction == "update":
                    continue
                beside = max(x, u) <= box.left or min(x, u) >= box.right
                above = max(y, v) <= box.top or min(y, v) >= box.bottom
                assert beside or above, (source.lines, target.lines, box.lines)


def test_a_backward_stands_beside_its_forward(drawn):
    net, _, _ = drawn
    scene = Scene(recording(net), None)
    rows = {box.node: box.first for box in scene.boxes["forward"]}
    for box in scene.boxes["backward"]:
        if box.node.forward is not None:
            assert box.first == rows[box.node.forward]
    for a, b in scene.flows:
        assert a.first < b.first if a.direction == "forward" else a.first > b.first


def test_the_forward_pass_alone(tmp_path):
    net = made(models.CNN)
    net.eval()
    net(Tensor(data=X))
    net.draw_graph(tmp_path / "graph.svg")
    root = ElementTree.parse(tmp_path / "graph.svg").getroot()
    assert root.find(f"{SVG}title").text == "The forward pass of CNN"
    assert len(groups(root, "forward")) == 12
    assert groups(root, "backward") == groups(root, "update") == []


def test_a_sequential_step_is_drawn_too(tmp_path):
    net = made(models.MLP, sequential=True)
    with net.profile(skip=1) as profile:
        for _ in range(3):
            net(*batch())
    net.draw_graph(tmp_path / "graph.svg", profile)
    root = ElementTree.parse(tmp_path / "graph.svg").getroot()
    assert len(groups(root, "operation")) == len(profile.rows)


def test_an_empty_step(tmp_path):
    class Nothing(model.Model):
        def forward(self, x):
            return x

    net = Nothing()
    net.compile([Tensor(data=X)], is_train=False, use_graph=True)
    net(Tensor(data=X))
    net.draw_graph(tmp_path / "graph.svg")
    assert groups(ElementTree.parse(tmp_path / "graph.svg").getroot(), "operation") == []


def test_names_are_escaped(tmp_path):
    class Odd(model.Model):
        def forward(self, x):
            return x + x

    net = Odd()
    x = Tensor(data=X, name='<&">')
    net.compile([x], is_train=False, use_graph=True)
    net(x)
    net.draw_graph(tmp_path / "graph.svg")
    root = ElementTree.parse(tmp_path / "graph.svg").getroot()
    assert '<&">\u20024×1×8×8' in written(root)


# -- the file ------------------------------------------------------------------------------------


def test_no_step_has_been_captured(tmp_path):
    for options in ({}, {"use_graph": False}):
        net = made(models.MLP, **options)
        if options:
            net(*batch())
        with pytest.raises(ReportError, match=r"no step has been captured yet.*call it once"):
            net.draw_graph(tmp_path / "graph.svg")
    assert not list(tmp_path.iterdir())


def test_only_svg(tmp_path):
    net = made(models.MLP)
    net(*batch())
    with pytest.raises(ArgumentError, match=r"draws SVG.*graph\.png"):
        net.draw_graph(tmp_path / "graph.png")


def test_an_incomplete_profile(tmp_path):
    net = made(models.MLP)
    with net.profile() as profile:
        net(*batch())
        with pytest.raises(ReportError, match="when the block"):
            net.draw_graph(tmp_path / "graph.svg", profile)
    assert not list(tmp_path.iterdir())


def test_it_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    net = made(models.MLP)
    net(*batch())
    path = tmp_path / "graph.svg"
    path.write_text("before")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        net.draw_graph(path)
    assert path.read_text() == "before"
    monkeypatch.undo()
    net.draw_graph(str(path))
    assert path.read_text(encoding="utf-8").startswith("<?xml")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        net.draw_graph(tmp_path / "missing" / "graph.svg")


# -- the layout ----------------------------------------------------------------------------------


def test_layers_follow_the_longest_path():
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("late", "c")]
    assert layers(["a", "b", "c", "late"], edges) == {"a": 0, "b": 1, "c": 2, "late": 1}
    assert layers(["a", "b"], [("a", "b"), ("b", "a")]) is None
    assert layers([], []) == {}


def test_spread_keeps_its_distances_and_moves_as_little_as_possible():
    assert spread([0, 100], [10], [1, 1]) == [0, 100]
    assert spread([50, 50], [10], [1, 1]) == [45, 55]
    assert spread([50, 50], [10], [1, 1e-9]) == pytest.approx([50, 60])
    places = spread([3, 2, 1, 90], [1, 1, 1], [1, 1, 1, 1])
    assert places == [1, 2, 3, 90]


def test_a_chain_beside_a_skip_is_straight():
    boxes = {name: (i, 20.0, 20.0) for i, name in enumerate("abcd")}
    edges = [("a", "b"), ("b", "c"), ("c", "d"), ("a", "d")]
    lane = Lane(boxes, edges, gap=10)
    assert [len(lane.paths[edge]) for edge in edges] == [0, 0, 0, 2]
    assert lane.items["b"].x == pytest.approx(lane.items["c"].x)
    skip = lane.paths["a", "d"]
    assert all(abs(place.x - lane.items["b"].x) >= 20 + 10 for place in skip)


def test_crossings_are_undone():
    boxes = {"a": (0, 5, 5), "b": (0, 5, 5), "y": (1, 5, 5), "x": (1, 5, 5)}
    lane = Lane(boxes, [("a", "x"), ("b", "y")], gap=1)
    order = [lane.items[name].x for name in "abxy"]
    assert (order[0] < order[1]) == (order[2] < order[3])
