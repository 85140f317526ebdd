"""The functions that the tests' ranks run, in separate processes. Each returns its results."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import Tensor, autograd, distributed, layer, model, opt
from singa.device import create_mesh, get_default_device
from singa.errors import DistributedError

FEATURES, HIDDEN, CLASSES, BATCH, STEPS = 6, 5, 3, 8, 4


class Net(model.Model):
    """Without dropout or batch norm, so that two halves of a batch make up the whole."""

    def __init__(self, optimizer: Any, update: str = "backward_and_update", **options: Any) -> None:
        super().__init__()
        self.hidden = layer.Linear(HIDDEN)
        self.output = layer.Linear(CLASSES)
        self.optimizer = optimizer
        self.update, self.options = update, options

    def forward(self, x: Tensor) -> Tensor:
        return self.output(autograd.tanh(self.hidden(x)))

    def train_one_batch(self, x: Tensor, y: Tensor) -> Tensor:
        loss = autograd.softmax_cross_entropy(self.forward(x), y)
        getattr(self.optimizer, self.update)(loss, **self.options)
        return loss


def batches(rank: int = 0, size: int = 1) -> list[tuple[Tensor, Tensor]]:
    """A rank's part of each batch: every ``size``-th sample."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS, BATCH, FEATURES)).astype(np.float32)
    y = rng.integers(0, CLASSES, (STEPS, BATCH)).astype(np.int32)
    return [
        (Tensor(data=a[rank::size]), Tensor(data=b[rank::size])) for a, b in zip(x, y, strict=True)
    ]


def train(net: Net, compiled: bool = True, sequential: bool = False, **part: int) -> list[float]:
    """The losses of some steps on this rank's part of the batches."""
    get_default_device().set_rand_seed(0)
    data = batches(**part)
    net.compile([data[0][0]], is_train=True, use_graph=compiled, sequential=sequential)
    return [net(x, y).item() for x, y in data]


def weights(net: Net) -> dict[str, np.ndarray]:
    return {name: p.to_numpy() for name, p in net.get_params().items()}


def momentum() -> opt.SGD:
    return opt.SGD(0.2, momentum=0.9, weight_decay=1e-3)


WAYS: dict[str, dict[str, Any]] = {
    "backward_and_update": {},
    "backward_and_update_half": {"clipping": True, "clip_Value": 2.0},
    "backward_and_partial_update": {"threshold": 16},
    "backward_and_sparse_update": {"spars": 0.05},
    "backward_and_sparse_update top": {"spars": 0.3, "topK": True, "threshold": 16},
    "backward_and_sparse_update forgetful": {"spars": 0.05, "corr": False},
}
MODES = {"eager": (False, False), "compiled": (True, False), "sequential": (True, True)}


def training(way: str) -> dict[str, Any]:
    """The same training eagerly, compiled, and operation by operation."""
    part = {"rank": distributed.rank(), "size": distributed.world_size()}
    found = {}
    for mode, (compiled, sequential) in MODES.items():
        net = Net(opt.DistOpt(momentum()), way.split()[0], **WAYS[way])
        losses = train(net, compiled, sequential, **part)
        found[mode] = losses, weights(net)
    return found


def all_training() -> dict[str, Any]:
    return {way: training(way) for way in WAYS}


def exchanges() -> dict[str, Any]:
    """What DistOpt's parts and the communicator make of small arrays."""
    rank = distributed.rank()
    sgd = opt.DistOpt(opt.SGD(0.1))
    ours = distributed.communicator(get_default_device())
    own = Tensor(data=np.array([1.0, 2.0, 3.0], np.float32) * (rank + 1))
    found: dict[str, Any] = {"who": (sgd.global_rank, sgd.local_rank, sgd.world_size)}
    found["all_reduce"] = sgd.all_reduce(own.clone()).to_numpy()
    third = Tensor(data=np.array([1 / 3], np.float32))
    found["all_reduce_half"] = sgd.all_reduce_half(third).to_numpy()
    first, second = own.clone(), Tensor(data=np.full((2, 2), rank, np.float32))
    found["put off"] = len(sgd.fused_all_reduce([first], send=False)), first.to_numpy()
    found["fused"] = [t.to_numpy() for t in sgd.fused_all_reduce([second])]
    sgd.wait()
    large, left = Tensor(data=[3.0, -0.1, 0.2 + rank, -4.0]), Tensor(data=[0.0, 0.0, 0.5, 0.5])
    sgd.sparsification(large, left, 1.0, False)
    found["large"] = large.to_numpy(), left.to_numpy()
    top, left = Tensor(data=[3.0 + rank, -0.1, 0.2, -8.0 * rank]), Tensor((4,))
    sgd.sparsification(top, left, 0.25, True)
    found["top"] = top.to_numpy(), left.to_numpy()
    mine = [jnp.array([-0.0, np.nan, rank]), jnp.array([bool(rank)]), jnp.float16(rank)]
    found["broadcast"] = [np.asarray(a) for a in ours.broadcast(mine, root=1)]
    found["all_gather"] = np.asarray(ours.all_gather([own.data])[0])
    found["are_equal"] = ours.are_equal([own.data, jnp.array([np.nan]), jnp.arange(2) > 0])
    return found


def different_beginnings() -> tuple[str, float]:
    """What is said of parameters that differ, and that a broadcast mends it."""
    w = Tensor(data=[1.0 + distributed.rank()], stores_grad=True, name="w")
    autograd.training = True
    sgd = opt.DistOpt(opt.SGD(0.5))
    message = ""
    try:
        sgd(w * w)
    except DistributedError as error:
        message = str(error)
    distributed.broadcast([w])
    sgd(w * w)
    return message, w.item()


def different_models() -> str:
    shape = (2 + distributed.rank(),)
    w = Tensor(data=np.ones(shape, np.float32), stores_grad=True, name="w")
    autograd.training = True
    try:
        opt.DistOpt(opt.SGD(0.5))((w * w).sum())
    except DistributedError as error:
        return str(error)
    return ""


def half_precision() -> tuple[float, float, int]:
    """One rank's gradient overflows: all leave the step out."""
    net = Net(opt.DistOpt(opt.SGD(0.1)))
    get_default_device().set_rand_seed(0)
    x, y = batches()[0]
    net.compile([x], is_train=True, use_graph=True, precision="float16")
    net(x, y)
    before, scale = weights(net), net.optimizer.loss_scale.item()
    net(x * (1e30 if distributed.rank() else 1.0), y)
    changed = sum(int((weights(net)[name] != w).any()) for name, w in before.items())
    return scale, net.optimizer.loss_scale.item(), changed


SCALED_WAYS: dict[str, dict[str, Any]] = {
    "backward_and_update": {},
    "backward_and_update_half": {"clipping": True, "clip_Value": 0.75},
    "backward_and_partial_update": {"threshold": 2},
    "backward_and_sparse_update": {"spars": 0.5},
    "backward_and_sparse_update top": {"spars": 0.3, "topK": True},
}


def scaled(way: str, precision: str, compiled: bool) -> dict[str, Any]:
    """Steps with given gradients, in which rank 1 then has an overflow; and one more."""
    w = Tensor(data=np.array([1.0, -2.0, 3.0, 0.5], np.float32), stores_grad=True)
    sgd = opt.DistOpt(opt.SGD(0.5, momentum=0.5))

    class Given(model.Model):
        def train_one_batch(self, g: Tensor) -> Tensor:
            with autograd.mixed_precision(precision):
                loss = autograd.reduce_sum(w * g)
                getattr(sgd, way.split()[0])(loss, **SCALED_WAYS[way])
            return loss

    net = Given()
    net.train()
    net.graph(compiled)
    rank = distributed.rank()
    own = np.array([[1.0, 0.25, -0.125, 0.5], [-0.25, 0.25, 2.0, 0.625]], np.float32)[rank]
    seen: dict[str, Any] = {}

    def look(when: str) -> None:
        states = {name: t.to_numpy() for name, t in sgd.get_states({w: "w"}).items()}
        seen[when] = states | {"w": w.to_numpy()}

    for _ in range(3):
        net(Tensor(data=own))
    look("before")
    if precision == "float16":
        net(Tensor(data=own * np.float32(1e38 if rank else 1)))
        look("overflown")
    net(Tensor(data=own))
    look("after")
    return seen


def all_scaled() -> dict[str, Any]:
    return {
        way: {
            (precision, compiled): scaled(way, precision, compiled)
            for precision, compiled in (("float32", False), ("float16", False), ("float16", True))
        }
        for way in SCALED_WAYS
    }


def sets_that_differ() -> list[str]:
    """What is said when ranks that have begun alike go on with different things, and after it."""
    rank = distributed.rank()
    a, b = (Tensor(data=np.ones(n, np.float32), stores_grad=True) for n in (2, 3))
    autograd.training = True
    sgd = opt.DistOpt(opt.SGD(0.5))
    said = []

    def attempt(do: Any, *args: Any) -> None:
        try:
            do(*args)
            said.append("")
        except DistributedError as error:
            said.append(str(error))

    def loss(*params: Tensor) -> Tensor:
        total = autograd.reduce_sum(params[0] * params[0])
        for p in params[1:]:
            total = total + autograd.reduce_sum(p * p)
        return total

    for update in (sgd, sgd.backward_and_sparse_update, sgd.backward_and_partial_update):
        attempt(update, loss(a))
        attempt(update, loss(a, b) if rank else loss(a))
        attempt(update, loss(a, b))  # b is new
        attempt(update, loss(b) if rank else loss(a))
        attempt(update, loss(a, b))
    b.requires_grad = bool(rank)  # frozen on one rank
    attempt(sgd, loss(a, b))
    attempt(sgd.all_reduce, a if rank else b)
    attempt(sgd.all_reduce, a)
    attempt(*((sgd.update, a, a) if rank else (sgd.all_reduce, a)))
    attempt(sgd.fused_all_reduce, [a, b] if rank else [a])
    return said


def resumed(folder: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The weights after all steps at a stretch, and after a checkpoint in between."""
    part = {"rank": distributed.rank(), "size": distributed.world_size()}
    data = batches(**part)
    path = Path(folder) / f"{distributed.rank()}.zip"
    nets = []
    for _ in range(2):
        get_default_device().set_rand_seed(0)
        net = Net(opt.DistOpt(momentum()), "backward_and_sparse_update", spars=0.05)
        net.compile([data[0][0]], is_train=True, use_graph=True)
        nets.append(net)
    straight, again = nets
    for x, y in data[:2]:
        straight(x, y)
    straight.save_states(path)
    again.load_states(path)
    for x, y in data[2:]:
        straight(x, y)
        again(x, y)
    return weights(straight), weights(again)


def fail_on_rank_1() -> None:
    if distributed.rank() == 1:
        raise ValueError("rank 1 has had enough")
    distributed.communicator(get_default_device()).all_reduce([jnp.ones(2)])


def kill_rank_1() -> None:
    if distributed.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.communicator(get_default_device()).all_reduce([jnp.ones(2)])


def sum_along_another_axis() -> None:
    """On a mesh of all ranks: one of the two sums needs an exchange, and the other one does not."""
    mesh = create_mesh({"data": 2})
    x = Tensor(data=np.ones((2, 2), np.float32), device=mesh)
    for step in range(10_000):
        x = autograd.tanh(x)
        autograd.reduce_sum(x, [distributed.rank() if step == 2 else 0]).to_numpy()


def exit_on_rank_1(address: str, rank: str) -> None:
    """In the order of SINGA's programs: the device and the optimizer before the connection."""
    dev = get_default_device()
    dev.SetRandSeed(0)
    sgd = opt.SGD(0.1, momentum=0.9)
    sgd = opt.DistOpt(sgd, nccl_id=address, local_rank=int(rank), world_size=2)
    assert sgd.all_reduce(Tensor((2,), dev).set_value(1.0)).to_numpy().tolist() == [2, 2]
    if sgd.global_rank == 1:
        os._exit(7)
    time.sleep(60)


def wait_for_ever(folder: str) -> None:
    (Path(folder) / str(os.getpid())).touch()
    time.sleep(600)


def policies() -> tuple[int, set[int]]:
    """By which the system schedules this thread, and all threads of this process."""
    threads = [*map(int, os.listdir("/proc/self/task"))]
    return os.sched_getscheduler(0), {os.sched_getscheduler(thread) for thread in threads}


def all_of_it(folder: str) -> dict[str, Any]:
    return {
        "exchanges": exchanges(),
        "training": all_training(),
        "beginnings": different_beginnings(),
        "models": different_models(),
        "half": half_precision(),
        "scaled": all_scaled(),
        "sets": sets_that_differ(),
        "resumed": resumed(folder),
        "policies": policies() if sys.platform == "linux" else None,
    }
