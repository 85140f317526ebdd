"""The training steps that are timed, in each contender's own way of writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import autograd, layer, model, opt
from singa.tensor import Tensor

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

Step = Callable[[], float]
Params = dict[str, np.ndarray]

LR, MOMENTUM, DECAY = 0.005, 0.9, 1e-5


class Workload:
    """One model with one batch: ``x``, ``t``, and the same initial parameters for everyone."""

    title: str
    x: np.ndarray
    t: np.ndarray

    def build(self) -> model.Model:
        raise NotImplementedError

    def jax_forward(self, p: dict[str, Any], x: jax.Array) -> jax.Array:
        raise NotImplementedError

    def torch_forward(self, p: dict[str, Any], x: Any) -> Any:
        raise NotImplementedError

    def contenders(self) -> dict[str, Step]:
        first = self.build()
        first.compile([Tensor(data=self.x)], use_graph=True)
        initial = {name: t.to_numpy() for name, t in first.get_states().items()}
        steps = {
            "singa compiled": self.singa_step(initial, graph=True),
            "singa eager": self.singa_step(initial, graph=False),
            "jax.jit of jax.grad": self.jax_step(initial),
        }
        if torch is not None:
            torch.set_num_threads(2)
            steps["PyTorch eager"] = self.torch_step(initial)
        return steps

    def singa_step(self, initial: Params, graph: bool) -> Step:
        net = self.build()
        x, t = Tensor(data=self.x), Tensor(data=self.t)
        net.compile([x], use_graph=graph)
        net.set_states(initial)
        net.optimizer = opt.SGD(LR, momentum=MOMENTUM, weight_decay=DECAY)
        return lambda: float(net(x, t))

    def jax_step(self, initial: Params) -> Step:
        # Other models' running statistics are not trained; jax's loss does not need them.
        params = {k: jnp.asarray(v) for k, v in initial.items() if "running" not in k}
        velocity = {k: jnp.zeros_like(v) for k, v in params.items()}
        x, t = jnp.asarray(self.x), jnp.asarray(self.t)

        def loss(p: dict[str, Any], x: jax.Array, t: jax.Array) -> jax.Array:
            log_p = jax.nn.log_softmax(self.jax_forward(p, x))
            return -jnp.take_along_axis(log_p, t[:, None], 1).mean()

        @jax.jit
        def step(p: Any, v: Any, x: jax.Array, t: jax.Array) -> Any:
            value, g = jax.value_and_grad(loss)(p, x, t)
            v = {k: MOMENTUM * v[k] + g[k] + DECAY * p[k] for k in p}
            return {k: p[k] - LR * v[k] for k in p}, v, value

        def run() -> float:
            nonlocal params, velocity
            params, velocity, value = step(params, velocity, x, t)
            return float(value)

        return run

    def torch_step(self, initial: Params) -> Step:
        params = {
            k: torch.tensor(v, requires_grad=True) for k, v in initial.items() if "running" not in k
        }
        x, t = torch.tensor(self.x), torch.tensor(self.t, dtype=torch.long)
        sgd = torch.optim.SGD(list(params.values()), LR, momentum=MOMENTUM, weight_decay=DECAY)

        def run() -> float:
            sgd.zero_grad()
            loss = torch.nn.functional.cross_entropy(self.torch_forward(params, x), t)
            loss.backward()
            sgd.step()
            return loss.item()

        return run


class _Trained(model.Model):
    optimizer: opt.Optimizer

    def train_one_batch(self, x: Tensor, t: Tensor) -> Tensor:
        loss = autograd.softmax_cross_entropy(self.forward(x), t)
        self.optimizer(loss)
        return loss


class _MLPModel(_Trained):
    def __init__(self) -> None:
        super().__init__()
        self.linear1 = layer.Linear(100)
        self.linear2 = layer.Linear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(autograd.relu(self.linear1(x)))


class _MLP(Workload):
    title = "MLP 64-100-10, batch 32"

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((32, 64)).astype(np.float32)
        self.t = rng.integers(0, 10, 32).astype(np.int32)

    def build(self) -> model.Model:
        return _MLPModel()

    def jax_forward(self, p: dict[str, Any], x: jax.Array) -> jax.Array:
        h = jnp.maximum(x @ p["linear1.W"] + p["linear1.b"], 0)
        return h @ p["linear2.W"] + p["linear2.b"]

    def torch_forward(self, p: dict[str, Any], x: Any) -> Any:
        h = torch.relu(x @ p["linear1.W"] + p["linear1.b"])
        return h @ p["linear2.W"] + p["linear2.b"]


class _CNNModel(_Trained):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = layer.Conv2d(32, 3, padding=1, bias=False)
        self.bn1 = layer.BatchNorm2d()
        self.pool1 = layer.MaxPool2d(3, 1, padding=1)
        self.conv21 = layer.Conv2d(16, 3, padding=1)
        self.conv22 = layer.Conv2d(16, 3, padding=1)
        self.bn2 = layer.BatchNorm2d()
        self.pool2 = layer.AvgPool2d(3, 1, padding=1)
        self.linear = layer.Linear(10)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool1(self.bn1(autograd.relu(self.conv1(x))))
        y = autograd.relu(autograd.cat((self.conv21(y), self.conv22(y)), 1))
        return self.linear(autograd.flatten(self.pool2(self.bn2(y))))


class _CNN(Workload):
    title = "CNN, batch 64, 1x28x28"

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        self.x = rng.standard_normal((64, 1, 28, 28)).astype(np.float32)
        self.t = rng.integers(0, 10, 64).astype(np.int32)

    def build(self) -> model.Model:
        return _CNNModel()

    def jax_forward(self, p: dict[str, Any], x: jax.Array) -> jax.Array:
        def conv(x: jax.Array, name: str) -> jax.Array:
            y = jax.lax.conv(x, p[f"{name}.W"], (1, 1), "SAME")
            return y + p[f"{name}.b"][:, None, None] if f"{name}.b" in p else y

        def norm(x: jax.Array, name: str) -> jax.Array:
            mean, var = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
            x = (x - mean) * jax.lax.rsqrt(var + 1e-5)
            return x * p[f"{name}.scale"][:, None, None] + p[f"{name}.bias"][:, None, None]

        def pool(x: jax.Array, start: float, function: Any) -> jax.Array:
            pads = ((0, 0), (0, 0), (1, 1), (1, 1))
            return jax.lax.reduce_window(x, start, function, (1, 1, 3, 3), (1, 1, 1, 1), pads)

        y = pool(norm(jax.nn.relu(conv(x, "conv1")), "bn1"), -jnp.inf, jax.lax.max)
        y = jax.nn.relu(jnp.concatenate((conv(y, "conv21"), conv(y, "conv22")), 1))
        y = norm(y, "bn2")
        y = pool(y, 0.0, jax.lax.add) / pool(jnp.ones((1, 1, 28, 28)), 0.0, jax.lax.add)
        return y.reshape(len(y), -1) @ p["linear.W"] + p["linear.b"]

    def torch_forward(self, p: dict[str, Any], x: Any) -> Any:
        f = torch.nn.functional

        def norm(x: Any, name: str) -> Any:
            return f.batch_norm(
                x, None, None, p[f"{name}.scale"], p[f"{name}.bias"], training=True, eps=1e-5
            )

        y = norm(torch.relu(f.conv2d(x, p["conv1.W"], padding=1)), "bn1")
        y = f.max_pool2d(y, 3, 1, 1)
        y1 = f.conv2d(y, p["conv21.W"], p["conv21.b"], padding=1)
        y2 = f.conv2d(y, p["conv22.W"], p["conv22.b"], padding=1)
        y = norm(torch.relu(torch.cat((y1, y2), 1)), "bn2")
        y = f.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
        return y.flatten(1) @ p["linear.W"] + p["linear.b"]


MLP = _MLP()
CNN = _CNN()
