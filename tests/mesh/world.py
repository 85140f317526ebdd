"""What two processes of four devices each see on a mesh of all; test_world.py starts them."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from singa import Tensor, autograd, data, device, distributed, layer, model, opt, placement, train
from singa.errors import ArgumentError, DeviceError

ROWS, FEATURES, HIDDEN, CLASSES = 16, 8, 16, 4


class Net(model.Model):
    def __init__(self) -> None:
        super().__init__()
        self.linear1, self.linear2 = layer.Linear(HIDDEN), layer.Linear(CLASSES)
        self.norm, self.dropout = layer.BatchNorm2d(HIDDEN), layer.Dropout(0.25)
        self.optimizer = opt.SGD(0.1, momentum=0.9)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(self.dropout(autograd.tanh(self.norm(self.linear1(x)))))

    def train_one_batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        out = self.forward(x)
        loss = autograd.softmax_cross_entropy(out, y)
        self.optimizer(loss)
        return out, loss


def samples(count: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    x = rng.normal(size=(count, FEATURES)).astype(np.float32)
    return x, rng.integers(0, CLASSES, count).astype(np.int32)


class Counted(data.ArrayDataset):
    """Notes which samples this process has made."""

    def __init__(self) -> None:
        super().__init__(*samples())
        self.made: set[int] = set()

    def take(self, rows: Any) -> Any:
        self.made |= {*map(int, rows)}
        return super().take(rows)


def meshes() -> dict[str, device.Device]:
    return {
        "by process": device.create_mesh({"data": 2, "model": 4}),
        "finer": device.create_mesh({"data": 4, "model": 2}),
        "across": device.create_mesh({"model": 4, "data": 2}),
    }


RULES = (distributed.tensor_parallel("model"), distributed.fully_sharded("data"))


def batch_on(where: device.Device) -> list[Tensor]:
    return [Tensor(data=each, device=where) for each in samples()]


def compiled(where: device.Device, is_compiled: bool = True, *rules: Any) -> tuple[Net, Any]:
    where.set_rand_seed(1)
    net, (x, y) = Net(), batch_on(where)
    net.compile([x], is_train=True, use_graph=is_compiled)
    if rules:
        distributed.shard(net, *rules)
    return net, (x, y)


def trained(where: device.Device, is_compiled: bool = True, *rules: Any) -> Any:
    net, batch = compiled(where, is_compiled, *rules)
    found = [net(*batch) for _ in range(3)]
    losses = [loss.item() for _, loss in found]
    return net, losses, found[-1][0].to_numpy(), values(net)


def values(net: Net) -> dict[str, np.ndarray]:
    return {name: t.to_numpy() for name, t in net.get_states().items()}


def steps() -> dict[str, Any]:
    """The same steps on one device and on meshes."""
    cpu = device.get_default_device()
    expected = trained(cpu)[1:]
    ways = {name: (mesh, True, *RULES) for name, mesh in meshes().items()}
    ways["eager"] = (ways["by process"][0], False)
    return {"expected": expected, **{name: trained(*way)[1:] for name, way in ways.items()}}


def checkpoints(folder: Path) -> dict[str, Any]:
    """From a mesh to a file, and from there to another mesh and to one device."""
    cpu, found = device.get_default_device(), {}
    mesh, other = meshes()["by process"], meshes()["finer"]
    net = trained(mesh, True, *RULES)[0]
    net.save_states(folder / "net.zip")
    distributed.communicator(cpu, is_wide=True).all_gather(
        [Tensor((1,)).data]
    )  # the file is there now
    found["saved"] = values(net), states_of(net)
    for name, where, rules in (("other", other, RULES), ("one", cpu, ())):
        again, batch = compiled(where, True, *rules)
        again.load_states(folder / "net.zip")
        found[name] = values(again), states_of(again)
        found[f"{name} goes on"] = again(*batch)[1].item()
    if importlib.util.find_spec("orbax") is not None:
        in_parts(folder / "parts", net)
    found["goes on"] = net(*batch_on(mesh))[1].item()
    return found


def in_parts(folder: Path, net: Net) -> None:
    """Each process writes and reads the parts that its devices hold."""
    expected = values(net), states_of(net)
    net.save_states(folder, {"epoch": Tensor(data=3)}, sharded=True, background=True)
    net.wait_until_saved()
    for where, rules in ((meshes()["finer"], RULES), (device.get_default_device(), ())):
        again, _ = compiled(where, True, *rules)
        assert again.load_states(folder)["epoch"].item() == 3
        np.testing.assert_equal((values(again), states_of(again)), expected)
    with contextlib.suppress(FileExistsError):
        net.save_states(folder, sharded=True)
        raise AssertionError("it was replaced, and nobody asked for that")
    for epoch in (4, 5):
        net.save_states(folder, {"epoch": Tensor(data=epoch)}, sharded=True, overwrite=True)
    assert again.load_states(folder)["epoch"].item() == 5


def killed_while_saving(folder: str) -> None:
    """The second checkpoint is not complete when one of the processes ends."""
    net, batch = compiled(meshes()["by process"], True, *RULES)
    net.save_states(Path(folder) / "net", {"step": Tensor(data=0)}, sharded=True)
    if distributed.rank() == 0:
        np.savez(Path(folder) / "expected.npz", **values(net))
    else:
        values(net)
    net(*batch)
    if distributed.rank() == 1:
        os._exit(7)
    net.save_states(Path(folder) / "net", {"step": Tensor(data=1)}, sharded=True, overwrite=True)


def states_of(net: Net) -> dict[str, np.ndarray]:
    names = {p: name for name, p in net.get_params().items()}
    return {name: t.to_numpy() for name, t in net.optimizer.get_states(names).items()}


def arrays() -> dict[str, Any]:
    """Tensors, and operations on them one by one."""
    mesh, cpu = meshes()["by process"], device.get_default_device()
    found: dict[str, Any] = {"same": pickle.loads(pickle.dumps(mesh)) is mesh}
    drawn = []
    for where in (mesh, cpu):
        where.set_rand_seed(5)
        x = Tensor((4, 8), where).gaussian()
        y = autograd.softmax(x * 2.0 + Tensor(data=np.ones((4, 8), np.float32), device=where))
        drawn.append([x.to_numpy(), y.to_numpy(), y.sum().item(), copy.deepcopy(y).to_numpy()])
    found["drawn"] = drawn
    heard: list[str] = []
    placement.exchanges.append(heard.append)
    for dtype in ("float32", "bfloat16", "bool", "complex64"):
        Tensor(data=np.ones((3, 0 if dtype == "bool" else 2)), device=mesh, dtype=dtype)
        Tensor(data=np.float32(3), device=mesh)
    placement.exchanges.remove(heard.append)
    found["heard"] = heard
    spread = distributed.place(Tensor(data=samples()[0], device=mesh), ("model", "data"))
    found["spread"] = distributed.placement(spread), spread.to_numpy(), repr(spread)
    found["moved"] = spread.to_device(cpu).to_numpy()
    found["small"] = device.create_mesh({"data": 4}).spans_processes
    found["name"] = mesh.name, mesh.spans_processes
    return found


def batches() -> dict[str, Any]:
    """What a loader makes in each process, and what the Tensors have."""
    found = {}
    for name, mesh in meshes().items():
        dataset = Counted()
        loader = data.DataLoader(dataset, 12, shard=True, device=mesh)
        xs, ys = zip(*loader, strict=True)
        found[name] = (
            sorted(dataset.made),
            [distributed.placement(x)[0] for x in xs],
            np.concatenate([x.to_numpy() for x in xs]),
            np.concatenate([y.to_numpy() for y in ys]),
        )
    return found


def fitted(where: device.Device, epochs: int = 2, **options: Any) -> tuple[Any, ...]:
    net = Net()
    if where.mesh is not None:
        distributed.shard(net, *RULES)
    options = {"validation": samples(10), "metrics": "accuracy", "progress": False} | options
    history = train.fit(net, samples(20), epochs, batch_size=8, device=where, **options)
    rows = {name: history[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    return rows, values(net), history.steps["loss"], net


class Refuses(train.Callback):
    def on_step_end(self, training: train.Training) -> None:
        raise AssertionError("nothing was left to train")


def fits(folder: Path) -> dict[str, Any]:
    mesh, cpu = meshes()["by process"], device.get_default_device()
    file = folder / "fit.zip"
    files = {"checkpoint": file, "csv": folder / "fit.csv", "run": folder / "run"}
    found = {"mesh": fitted(mesh, **files)[:3]}
    found["one"] = fitted(cpu)[:3]
    rows, states, steps, net = fitted(mesh, resume=file, callbacks=[Refuses()])
    found["again"] = rows, states, steps
    loader = data.DataLoader(data.ArrayDataset(*samples(10)), 8, shard=True, device=mesh)
    found["evaluated"] = train.evaluate(net, loader), train.evaluate(net, samples(10))
    found["predicted"] = train.predict(net, samples(10)[0]).shape
    if importlib.util.find_spec("orbax") is not None:
        in_parts_by_fit(folder / "fit parts", found["mesh"])
    return found


def in_parts_by_fit(folder: Path, expected: Any) -> None:
    """Each process writes its parts while the training goes on; it is resumed anywhere."""
    mesh = meshes()["by process"]

    def parts() -> train.Checkpoint:
        return train.Checkpoint(folder, sharded=True, background=True)

    fitted(mesh, 1, checkpoint=parts())
    assert [each.name for each in folder.iterdir()] == ["1"]
    np.testing.assert_equal(fitted(mesh, checkpoint=parts(), resume=True)[:3], expected)
    for where in (meshes()["finer"], device.get_default_device()):
        again = fitted(where, resume=folder, callbacks=[Refuses()])
        np.testing.assert_equal(again[:3], expected)


def refusals() -> list[str]:
    mesh, said = meshes()["by process"], []

    def attempt(do: Any, *args: Any, **options: Any) -> None:
        try:
            do(*args, **options)
            said.append("")
        except (ArgumentError, DeviceError) as error:
            said.append(str(error))

    attempt(device.create_mesh, {"data": 3, "model": 2})
    without = data.DataLoader(data.ArrayDataset(*samples()), 8, shard=True)
    attempt(train.fit, Net(), without, 1, device=mesh, progress=False)
    net = Net()
    net.optimizer = opt.DistOpt(opt.SGD(0.1))
    attempt(train.fit, net, samples(), 1, device=mesh, progress=False)
    return said


def all_of_it(folder: str) -> dict[str, Any]:
    return {
        "steps": steps(),
        "arrays": arrays(),
        "batches": batches(),
        "checkpoints": checkpoints(Path(folder)),
        "fits": fits(Path(folder)),
        "refusals": refusals(),
    }
