"""jax, written by hand: one jitted function of parameters, velocities and running statistics."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.contenders import ADAMW_DECAY, ADAMW_LR, DECAY, LR, MOMENTUM, Step
from benchmarks.workloads import Workload


def jitted(workload: Workload, device: str) -> Step:
    params = {name: jnp.asarray(value) for name, value in workload.params.items()}
    x, t = jnp.asarray(workload.x), jnp.asarray(workload.t)

    def loss(p: Any, x: jax.Array, t: jax.Array) -> tuple[jax.Array, Any]:
        stats: dict[str, jax.Array] = {}
        log_p = jax.nn.log_softmax(workload.code.in_jax(p, x, stats))
        return -jnp.take_along_axis(log_p, t[:, None], 1).mean(), stats

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, x: jax.Array, t: jax.Array) -> Any:
        p, v, running = state
        (value, stats), g = jax.value_and_grad(loss, has_aux=True)(p, x, t)
        assert value.dtype == jnp.float32  # singa turns 64-bit types on in the whole process
        p, v = update(p, v, g)
        running = {k: 0.9 * running[k] + 0.1 * stats[k] for k in running}
        return (p, v, running), value

    start, update = (_no_moments, _adamw) if workload.has_ids else (_no_velocities, _sgd)
    _, stats = jax.eval_shape(loss, params, x, t)
    state = (
        params,
        start(params),
        {k: jnp.zeros(s.shape, s.dtype) for k, s in stats.items()},
    )

    def run() -> float:
        nonlocal state
        state, value = step(state, x, t)
        return float(value)

    return run


def _no_velocities(params: Any) -> Any:
    return jax.tree.map(jnp.zeros_like, params)


def _sgd(p: Any, v: Any, g: Any) -> Any:
    v = {k: MOMENTUM * v[k] + g[k] + DECAY * p[k] for k in p}
    return {k: p[k] - LR * v[k] for k in p}, v


def _no_moments(params: Any) -> Any:
    return _no_velocities(params), _no_velocities(params), jnp.zeros(())


def _adamw(p: Any, moments: Any, g: Any) -> Any:
    m, v, count = moments
    count = count + 1
    m = {k: 0.9 * m[k] + 0.1 * g[k] for k in p}
    v = {k: 0.999 * v[k] + 0.001 * g[k] ** 2 for k in p}
    m_part, v_part = 1 - 0.9**count, 1 - 0.999**count

    def new(p: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        step = m / m_part / (jnp.sqrt(v / v_part) + 1e-8)
        return p - ADAMW_LR * (step + ADAMW_DECAY * p)

    return {k: new(p[k], m[k], v[k]) for k in p}, (m, v, count)


# -- what the image models are written with -------------------------------------------------------


def conv(x: jax.Array, w: jax.Array, stride: int = 1) -> jax.Array:
    """Padded so that a stride of 1 keeps the size."""
    pads = [(size // 2, size // 2) for size in w.shape[2:]]
    return jax.lax.conv_general_dilated(x, w, (stride, stride), pads)


def batch_norm(x: jax.Array, p: Any, name: str, stats: dict[str, jax.Array]) -> jax.Array:
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    stats[f"{name}.mean"], stats[f"{name}.var"] = map(jax.lax.stop_gradient, (mean, var))
    x = (x - mean[:, None, None]) * jax.lax.rsqrt(var + 1e-5)[:, None, None]
    return x * p[f"{name}.weight"][:, None, None] + p[f"{name}.bias"][:, None, None]


def pool(x: jax.Array, start: float, function: Any) -> jax.Array:
    """Over windows of 3x3 around each pixel."""
    pads = ((0, 0), (0, 0), (1, 1), (1, 1))
    return jax.lax.reduce_window(x, start, function, (1, 1, 3, 3), (1, 1, 1, 1), pads)
