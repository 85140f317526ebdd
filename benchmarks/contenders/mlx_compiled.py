"""MLX: its modules and optimizer, with the whole step compiled."""

from __future__ import annotations

from functools import partial

import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten

from benchmarks.contenders import DECAY, LR, MOMENTUM, Step
from benchmarks.workloads import Workload


def compiled(workload: Workload, device: str) -> Step:
    mx.set_default_device(mx.gpu if device == "cuda" else mx.cpu)
    model = workload.code.in_mlx()
    _set_params(model, workload)
    sgd = optim.SGD(LR, momentum=MOMENTUM, weight_decay=DECAY)
    sgd.init(model.trainable_parameters())
    x, t = mx.array(workload.x_channels_last()), mx.array(workload.t)
    state = [model.state, sgd.state]

    def loss(x: mx.array, t: mx.array) -> mx.array:
        return nn.losses.cross_entropy(model(x), t, reduction="mean")

    @partial(mx.compile, inputs=state, outputs=state)
    def step(x: mx.array, t: mx.array) -> mx.array:
        value, gradients = nn.value_and_grad(model, loss)(x, t)
        sgd.update(model, gradients)
        return value

    def run() -> float:
        value = step(x, t)
        mx.eval(value, state)
        return value.item()

    return run


def _set_params(model: nn.Module, workload: Workload) -> None:
    values = []
    for name, param in tree_flatten(model.trainable_parameters()):
        value = workload.param_channels_last(name)
        if value.ndim == 4:
            value = value.transpose(0, 2, 3, 1)
        elif value.ndim == 2:
            value = value.T
        assert param.shape == value.shape, name
        values.append((name, mx.array(value)))
    assert len(values) == len(workload.params)
    model.load_weights(values, strict=False)
