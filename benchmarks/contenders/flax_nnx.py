"""Flax as its users write it: nnx modules, nnx.jit and an optimizer from optax."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.contenders import DECAY, LR, MOMENTUM, Step
from benchmarks.workloads import Workload


def jitted(workload: Workload, device: str) -> Step:
    model = workload.code.in_flax(nnx.Rngs(0))
    _set_params(model, workload)
    sgd = optax.chain(optax.add_decayed_weights(DECAY), optax.sgd(LR, momentum=MOMENTUM))
    optimizer = nnx.Optimizer(model, sgd, wrt=nnx.Param)
    x, t = jnp.asarray(workload.x_channels_last()), jnp.asarray(workload.t)

    @nnx.jit
    def step(model: Any, optimizer: Any, x: jax.Array, t: jax.Array) -> jax.Array:
        def loss(model: Any) -> jax.Array:
            return optax.softmax_cross_entropy_with_integer_labels(model(x), t).mean()

        value, gradients = nnx.value_and_grad(loss)(model)
        assert value.dtype == jnp.float32  # singa turns 64-bit types on in the whole process
        optimizer.update(model, gradients)
        return value

    return lambda: float(step(model, optimizer, x, t))


def _set_params(model: Any, workload: Workload) -> None:
    params = nnx.to_flat_state(nnx.state(model, nnx.Param))
    assert len(params) == len(workload.params)
    for path, param in params:
        *owner, own = map(str, path)
        name = ".".join((*owner, {"kernel": "weight", "scale": "weight"}.get(own, own)))
        value = workload.param_channels_last(name)
        if value.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        assert param.shape == value.shape, name
        param[...] = jnp.asarray(np.ascontiguousarray(value))
    nnx.update(model, nnx.from_flat_state(params))
