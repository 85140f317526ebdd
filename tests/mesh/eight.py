"""What one process with eight simulated devices sees; test_mesh.py starts it, and looks.

Each function of :data:`CHECKS` compares training on a mesh with training on one device.
"""

from __future__ import annotations

import copy
import importlib.util
import os
import pickle
import re
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from layer.test_table import ROWS
from singa import (
    Tensor,
    autograd,
    data,
    device,
    distributed,
    layer,
    model,
    models,
    opt,
    sonnx,
    train,
)
from singa.errors import (
    ArgumentError,
    CheckpointError,
    DependencyError,
    DeviceError,
    MeshWarning,
)

CPU = device.get_default_device()
LINE = device.create_mesh({"data": 8})
GRID = device.create_mesh({"data": 4, "model": 2})
MESHES = {"one axis": LINE, "two axes": GRID}

CHECKS: dict[str, Callable[[], Any]] = {}


def check(function: Callable[[], Any]) -> Callable[[], Any]:
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def seeded() -> None:
    for each in (CPU, *MESHES.values()):
        each.set_rand_seed(3)


def same(found: Any, expected: Any, rtol: float = 1e-4, what: str = "") -> None:
    np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol, 1e-5, err_msg=what)


def shards(net: layer.Layer) -> dict[str, Any]:
    return {name: distributed.placement(p) for name, p in net.get_params().items()}


def drawn(seed: int) -> Callable[..., Any]:
    """A rule that splits each axis along a random axis of the mesh, or not."""
    return partial(_drawn, seed)


def _drawn(seed: int, name: str, shape: Any, splits: Any, axes: dict[str, int]) -> list[str | None]:
    rng = np.random.default_rng([seed, *name.encode()])
    left, found = [str(axis) for axis in rng.permutation(list(axes))], []
    for size in shape:
        fitting = [a for a in left if size and size % axes[a] == 0 and rng.random() < 0.7]
        found.append(fitting[0] if fitting else None)
        left = [a for a in left if a != found[-1]]
    return found


# -- layers and optimizers ------------------------------------------------------------------------

KINDS = (
    "Linear", "Conv2d", "Bilinear", "BatchNorm2d", "Embedding", "MaxPool2d", "PReLU", "LSTM",
    "LayerNorm", "ConvTranspose2d", "Dropout", "MultiHeadAttention", "Gemm", "SoftMaxCrossEntropy",
    "Conv1d", "GroupNorm", "Dropout2d", "LocalResponseNorm", "RMSNorm", "TransformerEncoderLayer",
    "GRU", "AdaptiveAvgPool", "AvgPool2d", "CosineEmbeddingLoss", "Unfold", "EmbeddingBag",
)  # fmt: skip


def of_eight(name: str) -> list[np.ndarray]:
    row = ROWS[name]
    found = []
    for array in row.arrays():
        axis = row.batch if row.batch and array.ndim > row.batch else 0
        found.append(np.concatenate([array] * 3, axis).take(range(8), axis))
    return found


class Zoo(model.Model):
    """Layers side by side, each behind a factor, so that gradients reach the inputs."""

    def __init__(self, names: Sequence[str]) -> None:
        self.inner = {name: ROWS[name].make() for name in names}
        self.optimizer = opt.SGD(0.1, momentum=0.9)

    def initialize(self, *xs: Tensor) -> None:
        self.gain = Tensor((), xs[0].device, stores_grad=True).set_value(1.5)

    def forward(self, *xs: Tensor) -> dict[str, Tensor]:
        rest = iter([x * self.gain if x.dtype == np.float32 else x for x in xs])
        counts = {name: len(ROWS[name].inputs) for name in self.inner}
        return {n: each(*[next(rest) for _ in range(counts[n])]) for n, each in self.inner.items()}

    def train_one_batch(self, *xs: Tensor) -> dict[str, Tensor]:
        ys, total = self.forward(*xs), None
        for y in ys.values():
            weights = np.linspace(-1, 1, y.size()).reshape(y.shape).astype(np.float32)
            loss = (y * Tensor(data=weights, device=y.device)).sum()
            total = loss if total is None else total + loss
        self.optimizer(total)
        return ys


def zoo(
    kinds: Sequence[str], where: device.Device, rules: Any = None
) -> tuple[Zoo, list[dict[str, Any]]]:
    seeded()
    net = Zoo(kinds)
    xs = [Tensor(data=x, device=where) for name in kinds for x in of_eight(name)]
    net.compile(xs, use_graph=True)
    if rules:
        distributed.shard(net, rules)
    before = shards(net)
    found = [{name: y.to_numpy() for name, y in net(*xs).items()} for _ in range(2)]
    assert (net.captures, shards(net)) == (1, before)
    return net, found


def compare_layers(where: device.Device) -> None:
    kinds = KINDS[::2] if where is LINE else KINDS[1::2]
    net, found = zoo(kinds, CPU)
    other, others = zoo(kinds, where, drawn(1))
    for step, ys in enumerate(found):
        for name, y in ys.items():
            same(others[step][name], y, what=f"{name} in step {step}")
    for name, state in net.get_states().items():
        same(other.get_states()[name], state, what=name)
    if where is GRID:  # the partitioner sees no kernels of ours
        assert "singa_" not in other._steps.last.compiled.as_text()


class Optimizers(model.Model):
    """Each optimizer has a layer of its own."""

    def __init__(self) -> None:
        kinds = [getattr(opt, name) for name in opt.__all__]
        kinds = [k for k in kinds if isinstance(k, type) and issubclass(k, opt.Optimizer)]
        self.kinds = [k for k in kinds if k not in (opt.Optimizer, opt.LBFGS)]
        self.layers = {kind.__name__: layer.Linear(8) for kind in self.kinds}
        self.all = {kind.__name__: kind(0.01) for kind in self.kinds}
        self.all["SGD"] = opt.SGD(0.1, momentum=0.9, clip_norm=0.5, ema_decay=0.9)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [each(x) for each in self.layers.values()]

    def train_one_batch(self, x: Tensor) -> list[Tensor]:
        losses = [(y * y).mean() for y in self.forward(x)]
        for loss, optimizer in zip(losses, self.all.values(), strict=True):
            optimizer(loss)
        return losses


@cache
def optimized(where: device.Device, rules: Any = None) -> Optimizers:
    seeded()
    net = Optimizers()
    x = Tensor(data=np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32), device=where)
    net.compile([x], use_graph=True)
    if rules:
        distributed.shard(net, rules)
    for _ in range(3):
        net(x)
    return net


def compare_optimizers(where: device.Device) -> None:
    one, many = optimized(CPU), optimized(where, drawn(2))
    for name, p in one.get_params().items():
        same(many.get_params()[name], p, what=name)
    for owner, optimizer in many.optimizers().items():
        names = {p: name for name, p in many.get_params().items()}
        theirs = one.optimizers()[owner].get_states({p: n for n, p in one.get_params().items()})
        for key, state in optimizer.get_states(names).items():
            same(state, theirs[key], 1e-3, f"{owner}/{key}")
            param = many.get_params().get(key.rpartition(":")[0])
            if param is not None and param.shape == state.shape:
                assert distributed.placement(state) == distributed.placement(param), key


for title, mesh in MESHES.items():
    CHECKS[f"layers on {title}"] = lambda mesh=mesh: compare_layers(mesh)
    CHECKS[f"optimizers on {title}"] = lambda mesh=mesh: compare_optimizers(mesh)


# -- a small network ------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(24, 8)).astype(np.float32)
Y = np.random.default_rng(1).integers(0, 8, 24).astype(np.int32)


class Net(model.Model):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.norm, self.fc2 = layer.Linear(16), layer.BatchNorm1d(), layer.Linear(8)
        self.dropout = layer.Dropout(0.3)
        self.optimizer = opt.Adam(0.05)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.dropout(autograd.relu(self.norm(self.fc1(x)))))

    def train_one_batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        out = self.forward(x)
        loss = autograd.softmax_cross_entropy(out, y)
        self.optimizer(loss)
        return out, loss


def net_on(where: device.Device, *rules: Any, **options: Any) -> tuple[Net, list[Tensor]]:
    seeded()
    net, xs = Net(), [Tensor(data=X, device=where), Tensor(data=Y, device=where)]
    net.compile(xs[:1], **{"use_graph": True, **options})
    if rules:
        distributed.shard(net, *rules)
    return net, xs


def losses(net: Net, xs: list[Tensor], steps: int = 3) -> list[float]:
    return [net(*xs)[1].item() for _ in range(steps)]


@check
def drawn_rules() -> None:
    """The same model is spread anew between its steps; its optimizer's state follows."""
    expected = losses(*net_on(CPU), 5)
    net, xs = net_on(GRID)
    for step in range(5):
        distributed.shard(net, drawn(step))
        same(net(*xs)[1], expected[step])
        for state, param in pairs_of(net):
            assert distributed.placement(state) == distributed.placement(param)


def pairs_of(net: Net) -> list[tuple[Tensor, Tensor]]:
    """States of the optimizer with their parameters."""
    params = net.get_params()
    states = net.optimizer.get_states({p: name for name, p in params.items()})
    found = [(s, params.get(key.rpartition(":")[0])) for key, s in states.items()]
    return [(s, p) for s, p in found if p is not None and s.shape == p.shape]


@check
def ways_to_run() -> None:
    """Eager, and one by one; batches that are whole, or split otherwise."""
    expected = losses(*net_on(CPU))
    rule = {"fc1.b": ("model",), "fc2.W": ("model", "data")}
    for options in ({"use_graph": False}, {"sequential": True}):
        net, xs = net_on(GRID, rule, **options)
        before = shards(net)
        same(losses(net, xs), expected)
        assert shards(net) == before
    net, xs = net_on(GRID, rule)
    distributed.place(xs[0], (None, "model"))
    distributed.place(xs[1], ())
    same(losses(net, xs), expected)
    x = Tensor(data=X, device=GRID)  # and back again: another program, the same numbers
    assert distributed.placement(x) == ("data", None)
    same(net(x, xs[1])[1], losses(*net_on(CPU), 4)[-1])


@check
def ready_rules() -> None:
    expected = losses(*net_on(CPU))
    columns = distributed.tensor_parallel("model", outputs=["fc1"], inputs=["fc2"])
    net, xs = net_on(GRID, columns, distributed.fully_sharded())
    found = shards(net)
    assert (found["fc1.W"], found["fc2.W"]) == (("data", "model"), ("model", "data"))
    assert (found["fc1.b"], found["fc2.b"]) == (("model",), ("data",))
    same(losses(net, xs), expected)


@check
def exchanges() -> None:
    """Parameters are gathered for their use, and no batch is; gradients are summed at once."""
    net, xs = net_on(LINE, distributed.fully_sharded())
    net(*xs)
    program = net._steps.last.compiled.as_text()
    gathered = re.findall(r"= (\S+) all-gather\(", program)
    assert sum("16,8]" in shape or "8,16]" in shape for shape in gathered) >= 3  # W of both
    assert not any("[24" in shape for shape in gathered)
    weights = [found for found in re.findall(r"= (.*) all-reduce\(", program) if "16" in found]
    assert any("8,16]" in found or "16,8]" in found for found in weights)


@check
def collectives() -> None:
    """Reports say what the devices exchange: the sums of gradients, the parts of parameters."""
    net, xs = net_on(LINE)
    net(*xs)
    sizes = {name: p.memsize() for name, p in net.get_params().items()}
    found = net.collectives()
    assert {(row.kind, row.axes, row.devices) for row in found.rows} == {
        ("all-reduce", ("data",), 8)
    }
    moments = 4 * 16 * 3  # batch norm's: the mean and the variance, and one more
    total = sum(row.bytes for row in found.rows)
    assert sum(sizes.values()) < total <= sum(sizes.values()) + 2 * moments
    assert found.sent == 2 * 7 / 8 * total
    owners = {key: size for row in found.rows for key, size in row.parts}
    assert owners["backward", "Affine", 2] in (sizes["fc2.W"], sizes["fc2.b"])
    columns = distributed.tensor_parallel("model", outputs=["fc1"], inputs=["fc2"])
    net, xs = net_on(GRID, columns, distributed.fully_sharded())
    net(*xs)
    rows = net.collectives().rows
    gathered = [r for r in rows if any(key and key[1] == "GatherParameter" for key, _ in r.parts)]
    assert {row.kind for row in gathered} == {"all-gather"}
    assert {row.axes for row in gathered} == {("data",)}
    assert sizes["fc1.W"] // 2 in {row.bytes for row in gathered}  # half of the columns
    assert {row.axes for row in rows} >= {("data",), ("model",)}
    assert "all-reduce" in str(net.collectives())
    net.draw_graph("spread.svg")
    assert re.search(r"all-gather [\d.]+ \w+ over data", Path("spread.svg").read_text())
    with net.profile(skip=0, limit=1) as profile:
        net(*xs)
    assert any("over model" in each for row in profile.rows for each in row.exchanges)


@check
def constants() -> None:
    """What a step or a layer makes for itself is whole on each device."""
    found = []

    class Masked(Net):
        def initialize(self, x: Tensor) -> None:
            self.mask = Tensor(data=np.ones((8, 8), np.float32), device=x.device)

        def forward(self, x: Tensor) -> Tensor:
            made = Tensor(data=np.ones((8, 8), np.float32), device=x.device)
            found.extend([distributed.placement(self.mask), distributed.placement(made)])
            return super().forward(x)

    for use_graph in (False, True):
        net, xs = Masked(), [Tensor(data=X, device=LINE), Tensor(data=Y, device=LINE)]
        net.compile(xs[:1], use_graph=use_graph)
        net(*xs)
    assert set(found) == {(None, None)}


@check
def memory() -> None:
    """Each of eight devices holds an eighth of the parameters and of the state."""
    seeded()
    whole = {}
    for rules in ((), (distributed.fully_sharded(),)):
        net, xs = net_on(LINE, *rules)
        net(*xs)
        report = net.memory_report()
        assert report.devices == 8
        whole[bool(rules)] = report.parameters + report.states
        held = sum(part(p) for p in net.get_params().values())
        assert (report.parameters, net.summary().total("device_bytes") >= held) == (held, True)
        assert ("on each device" in str(net.summary())) == bool(rules)
    # Of so small a network the turns and counters, 0.5 KiB, would be a large share.
    turns = sum(t.memsize() for t in net.optimizer._state.pages)
    assert whole[True] - turns <= 1.1 / 8 * (whole[False] - turns) + 600


def part(t: Tensor) -> int:
    return t.data.addressable_shards[0].data.nbytes


@check
def before_the_parameters_are_made() -> None:
    seeded()
    net, x = Net(), Tensor(data=X, device=LINE)
    distributed.shard(net, distributed.fully_sharded())
    net.compile([x], use_graph=True)
    found = losses(net, [x, Tensor(data=Y, device=LINE)])
    other, xs = net_on(LINE, distributed.fully_sharded())
    assert (shards(other), losses(other, xs)) == (shards(net), found)
    for run in (lambda net: net.compile([x]), lambda net: net.forward(x)):
        net = Net()
        distributed.shard(net, {"fc1.W": (None, "data"), "fc3.*": ("data",)})
        with pytest.raises(ArgumentError, match=re.escape("no parameter matches 'fc3.*'")):
            run(net)


@check
def undivided_batches() -> None:
    """A batch that the mesh does not divide is computed as a whole by each device, with a word."""
    expected = net_on(CPU)[0](*[Tensor(data=array[:12]) for array in (X, Y)])[1]
    net, _ = net_on(LINE)
    some = [Tensor(data=array[:12], device=LINE) for array in (X, Y)]
    with pytest.warns(MeshWarning, match="a batch of 12 cannot be split into 8 equal parts along"):
        same(net(*some)[1], expected)
    net(*[Tensor(data=array[:20], device=LINE) for array in (X, Y)])  # once for each model


@check
def lbfgs() -> None:
    """It runs eagerly; its history is spread as the parameters are."""
    found = []
    for where, rules in ((CPU, ()), (GRID, (drawn(3),))):
        net, xs = net_on(where, *rules)
        net.dropout.ratio = 0.0
        lbfgs = opt.LBFGS(line_search_fn="strong_wolfe", max_iter=3, history_size=3)

        def loss(net: Net = net, xs: list[Tensor] = xs) -> Tensor:
            return autograd.softmax_cross_entropy(net.forward(xs[0]), xs[1])

        found.append([lbfgs.step(loss).item() for _ in range(2)])
    same(found[1], found[0], 1e-3)
    for name, p in net.get_params().items():
        history = lbfgs.get_states({p: name for name, p in net.get_params().items()})
        assert distributed.placement(history[f"{name}:steps"])[1:] == distributed.placement(p)


@check
def onnx_files() -> None:
    """A spread model is exported as a whole one; what is read trains on a mesh, in parts."""
    net, xs = net_on(GRID, drawn(7))
    net.eval()
    expected = net(xs[0]).to_numpy()
    net.export("spread.onnx", xs[:1])
    found = []
    for where in (CPU, GRID):

        class Read(sonnx.SONNXModel):
            def train_one_batch(self, x: Tensor, y: Tensor) -> Tensor:
                loss = autograd.softmax_cross_entropy(self.forward(x)[0], y)
                self.optimizer(loss)
                return loss

        read, xs = Read("spread.onnx", where), [Tensor(data=each, device=where) for each in (X, Y)]
        read.set_optimizer(opt.SGD(0.1, momentum=0.9))
        read.compile(xs[:1], is_train=False, use_graph=True)
        if where is GRID:
            distributed.shard(read, drawn(8))
        before = shards(read)
        same(read(xs[0])[0], expected)
        read.train()
        found.append([read(*xs).item() for _ in range(3)])
        assert shards(read) == before
    same(found[1], found[0])


@check
def random_numbers() -> None:
    for where in MESHES.values():
        seeded()
        for fill in ("gaussian", "uniform", "bernoulli"):
            pair = [Tensor((16, 6), each) for each in (CPU, where)]
            distributed.place(pair[1], (None, tuple(where.axes)[-1]) if where is GRID else ())
            for t in pair:
                getattr(t, fill)(*[0.5] * (1 if fill == "bernoulli" else 2))
            np.testing.assert_array_equal(*pair)


@check
def donation() -> None:
    net, xs = net_on(LINE, distributed.fully_sharded())
    net(*xs)
    given, kept = net.fc1.W.data, net.fc2.W.data
    values = np.asarray(kept)
    refers = [kept]
    del given
    pointer = net.fc1.W.data.addressable_shards[0].data.unsafe_buffer_pointer()
    net(*xs)
    assert net.fc1.W.data.addressable_shards[0].data.unsafe_buffer_pointer() == pointer
    np.testing.assert_array_equal(np.asarray(refers[0]), values)


@check
def checkpoints() -> None:
    """Bit for bit from one mesh to another, and to a single device."""
    net, xs = net_on(GRID, drawn(4))
    losses(net, xs)
    net.save_states("spread.zip", overwrite=True)
    saved = {n: t.to_numpy() for n, t in net.get_states().items()}
    expected = losses(net, xs)
    for where, rules in ((CPU, ()), (LINE, (distributed.fully_sharded(),)), (GRID, (drawn(5),))):
        other, ys = net_on(where, *rules)
        if where is LINE:
            other(*ys)  # its optimizer has a state already
        before = shards(other)
        other.load_states("spread.zip")
        for name, state in other.get_states().items():
            np.testing.assert_array_equal(state, saved[name])
        same(losses(other, ys), expected)
        assert shards(other) == before
        for state, param in pairs_of(other):
            assert distributed.placement(state) == distributed.placement(param)


def kept(net: model.Model) -> dict[str, np.ndarray]:
    """All that a checkpoint has."""
    states = net.states_to_save({})
    return {name: array for arrays in states.values() for name, array in arrays.items()}


@check
def checkpoints_in_parts() -> None:
    """Written by orbax, of all optimizers; bit for bit onto other meshes, and one device."""
    if importlib.util.find_spec("orbax") is None:
        net, _ = net_on(GRID)
        with pytest.raises(DependencyError, match=re.escape("pip install 'singa-xla[orbax]'")):
            net.save_states("parts", sharded=True)
        return
    net = optimized(GRID, drawn(2))
    rng = np.random.default_rng(0)
    expected = kept(net)
    aux = {"epoch": Tensor(data=3), "mask": Tensor(data=X, device=GRID)}
    net.save_states("parts", aux, sharded=True, background=True)
    for _ in range(2):  # goes on, and writes over its arrays
        net(Tensor(data=rng.normal(size=(8, 16)).astype(np.float32), device=GRID))
    net.wait_until_saved()
    for where, rules in ((CPU, None), (LINE, distributed.fully_sharded()), (GRID, drawn(9))):
        other = Optimizers()
        x = Tensor(data=np.ones((8, 16), np.float32), device=where)
        other.compile([x], use_graph=True)
        if rules:
            distributed.shard(other, rules)
        before = shards(other)
        found = other.load_states("parts")
        assert (found["epoch"].item(), found["mask"].shape) == (3, X.shape)
        assert shards(other) == before
        found = kept(other)
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)
        names = {p: name for name, p in other.get_params().items()}
        states = other.all["Adam"].get_states(names)
        for name, split in before.items():
            if f"{name}:mean" in states:
                assert distributed.placement(states[f"{name}:mean"]) == split
        other(x)
    net.load_states("parts")  # as it was: others use it too
    net.save_states("parts", sharded=True, overwrite=True)
    assert sorted(path.name for path in Path().glob("*parts*")) == ["parts"]
    refused = [
        (lambda: net.save_states("parts", sharded=True), FileExistsError, "overwrite=True"),
        (lambda: net_on(GRID)[0].load_states("parts"), CheckpointError, "of another model"),
        (lambda: net.load_states("."), CheckpointError, "not a checkpoint"),
    ]
    for call, kind, words in refused:
        with pytest.raises(kind, match=words):
            call()


@check
def copies() -> None:
    net, xs = net_on(GRID, drawn(6))
    net(*xs)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.fc1.W.device is GRID
        assert shards(twin) == shards(net)
        for name, state in twin.get_states().items():
            np.testing.assert_array_equal(state, net.get_states()[name])


@check
def moves() -> None:
    x = Tensor(data=X, device=GRID)
    for target in (CPU, LINE, GRID, LINE):
        x.to_device(target)
        assert x.device is target
        np.testing.assert_array_equal(x, X)
    with autograd.enable_grad():
        w = Tensor(data=X, device=LINE, stores_grad=True)
        y = (w.to(GRID) * 2.0).sum()
        same(autograd.grad(y, w), np.full_like(X, 2))


@check
def statistics_of_parts() -> None:
    """Batch norm by each device's own statistics is that of the parts, one by one."""
    images = np.random.default_rng(2).normal(size=(16, 3, 2, 2)).astype(np.float32)
    weights = np.random.default_rng(3).normal(size=images.shape).astype(np.float32)
    autograd.training = True

    def run(xs: np.ndarray, ws: np.ndarray, where: Any, options: Any) -> list[np.ndarray]:
        norm, x = layer.BatchNorm2d(**options), Tensor(data=xs, device=where, stores_grad=True)
        y = norm(x)
        grads = autograd.grad((y * Tensor(data=ws, device=where)).sum(), [x, norm.scale, norm.bias])
        return [t.to_numpy() for t in (y, *grads, norm.running_mean, norm.running_var)]

    for where, count in ((LINE, 8), (GRID, 4)):
        options = {"unbiased": where is GRID}
        parts = [
            run(x, w, CPU, options)
            for x, w in zip(np.split(images, count), np.split(weights, count), strict=True)
        ]
        y, dx, dscale, dbias, mean, var = zip(*parts, strict=True)
        expected = [np.concatenate(y), np.concatenate(dx), sum(dscale), sum(dbias)]
        expected += [sum(mean) / count, sum(var) / count]
        found = run(images, weights, where, {**options, "synchronized": False})
        for one, other in zip(found, expected, strict=True):
            same(one, other)
    assert not np.allclose(run(images, weights, LINE, {})[0], expected[0], atol=0.1)


@check
def exchanges_of_batch_norm() -> None:
    """The statistics of parts need no exchange, before those of the gradients."""
    for synchronized in (True, False):
        net, xs = Net(), [Tensor(data=X, device=LINE), Tensor(data=Y, device=LINE)]
        net.norm = layer.BatchNorm1d(synchronized=synchronized)
        net.compile(xs[:1], use_graph=True)
        net(*xs)
        sums = [key for row in net.collectives().rows for key, _ in row.parts if key]
        between = ("backward", "BatchNormalization2d", 1)
        exchanged = [r for r in net.collectives().rows if any(key == between for key, _ in r.parts)]
        assert ("forward", "BatchNormalization2d", 1) in sums
        # If it is synchronized, dx waits for the sums; else they go with the other gradients.
        assert (len(net.collectives().rows) >= 4) == synchronized, str(net.collectives())
        assert exchanged


@check
def fit() -> None:
    histories = []
    for where in (CPU, LINE):
        net = models.MLP()
        net.set_optimizer(opt.SGD(0.1, momentum=0.9))
        digits = data.load_digits()
        some = (digits.train_images[:100], digits.train_labels[:100])  # the last batch is of 4
        history = train.fit(
            net, some, 2, validation=0.2, batch_size=16, device=where, progress=False
        )
        histories.append(history.epochs)
        assert net.linear1.W.device is where
    for name, values in histories[0].items():
        if "seconds" not in name and "second" not in name:
            same(histories[1][name], values, 1e-3, name)


@check
def mapped_convolutions() -> None:
    """A convolution in a mapped function is one in groups, which XLA does not split rightly."""
    found = []
    for where in (CPU, GRID):
        rng = np.random.default_rng(5)
        x, w = (rng.normal(size=s).astype(np.float32) for s in ((4, 2, 2, 5, 5), (4, 3, 2, 3, 3)))
        xs = [Tensor(data=a, device=where, stores_grad=True) for a in (x, w)]
        for each in xs:
            if where is GRID:
                distributed.place(each, ("data", None))
        with autograd.enable_grad():
            y = autograd.vmap(lambda x, w: autograd.conv2d(x, w, padding=1))(*xs)
            grads = autograd.grad((y * y).sum(), xs)
        found.append([y.to_numpy(), *(g.to_numpy() for g in grads)])
    for one, many in zip(*found, strict=True):
        same(many, one, 1e-3)


@check
def refusals() -> None:
    net, _ = net_on(GRID)
    one, _ = net_on(CPU)
    before = shards(net)
    refused = [
        (lambda: distributed.shard(net, {"fc3.*": ("model",)}), "no parameter matches 'fc3.*'"),
        (lambda: distributed.shard(net, {"fc1.W": ("rows",)}), "no axis 'rows'; its axes are data"),
        (lambda: distributed.shard(net, {"fc1.W": ("model", "model")}), "'model' twice"),
        (lambda: distributed.shard(net, {"fc1.b": (None, "model")}), "is for 2 axes"),
        (lambda: distributed.shard(net, {"*": "model"}), "such as (None, 'model'); got 'model'"),
        (lambda: distributed.shard(net, distributed.fully_sharded("x")), "no axis 'x'"),
        (lambda: distributed.shard(one, {"fc1.W": ("data",)}), "which is a single device"),
        (lambda: distributed.place(Tensor((6, 2), GRID), ("data",)), "cannot be split into 4"),
        (lambda: distributed.tensor_parallel(outputs="fc1"), "a list of patterns"),
        (
            lambda: distributed.shard(net, distributed.tensor_parallel("model", ["fc1"], ["fc3"])),
            "no layer matches 'fc3'; those with parameters are fc1",
        ),
        (lambda: distributed.shard(net, distributed.tensor_parallel()), "no layer matches '*lin"),
        (lambda: distributed.shard(net, {"fc1.W": 3}), "such as (None, 'model'); got 3"),
        (lambda: distributed.shard(net, "fc1.W"), "a rule maps patterns of names to splits"),
        (lambda: device.create_mesh({"data": 16}), "is 16 devices, and there are 8"),
        (lambda: device.create_mesh({"rows": 8}), "along 'data', which is none of the axes rows"),
        (lambda: device.create_mesh({"data": 0}), "has a size of 1 or more"),
        (lambda: device.create_mesh({}), "axes with names and sizes"),
        (lambda: device.create_mesh({"a b": 2}), "an axis has a name"),
        (lambda: device.create_mesh({"data": 2}, [CPU, CPU]), "given twice"),
        (lambda: distributed.communicator(GRID), "is a mesh"),
        (lambda: Tensor((8,), GRID) + Tensor((8,)), "on different devices: cpu[data=4, model=2]"),
    ]
    for call, words in refused:
        with pytest.raises((ArgumentError, DeviceError), match=re.escape(words)):
            call()
    assert shards(net) == before


def main(where: str) -> None:
    os.chdir(where)
    found: dict[str, str | None] = {}
    for name, function in CHECKS.items():
        before, start = autograd.training, time.process_time()
        try:
            function()
            found[name] = None
        except BaseException:
            found[name] = traceback.format_exc()
        autograd.training = before
        print(f"{name}: {time.process_time() - start:.1f} s of CPU time")
    Path("found.pickle").write_bytes(pickle.dumps(found))


if __name__ == "__main__":
    assert jax.device_count() == 8
    main(sys.argv[1])
