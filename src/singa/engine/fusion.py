"""Keeps XLA from fusing operations that must not be computed again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from singa.engine import native


def again(x: Array) -> Array:
    """``x``, from which a backward pass computes what the forward pass had computed from it, too.

    In one program XLA would find both computations, do them once, and keep all intermediate results
    until the backward pass. To compute them again, in one loop that reads nothing but ``x``, is
    faster: two arrays for each GELU of a transformer instead of five.
    """
    return jax.lax.optimization_barrier(x)


def unfused(function: Callable[..., Any], *xs: Array) -> Any:
    """``function(*xs)``, with inputs and outputs that are really computed and kept in memory.

    XLA fuses a producer into its consumer by computing it again for each read of the consumer. If
    the consumer reads each element in many windows, the producer is computed many times: a max
    pooling's gradient that found the arg-max again for each of its nine offsets took 51 ms of a
    100 ms step. On CPUs XLA removes ``optimization_barrier`` before it fuses, but it does not fuse
    into or out of the branch of a conditional. So this makes a conditional whose first branch is
    always taken, which the compiler cannot know.
    """

    def barrier(*xs: Array) -> Any:
        return jax.lax.optimization_barrier(function(*jax.lax.optimization_barrier(xs)))

    def branch(*xs: Array) -> Any:
        outputs = jax.eval_shape(function, *xs)
        first = xs[0].reshape(-1)[0]
        bits = jax.lax.bitcast_convert_type(first, f"uint{8 * first.dtype.itemsize}")
        return jax.lax.cond(
            jax.lax.population_count(bits).astype(jnp.int32) < 1000,
            function,
            lambda *xs: jax.tree.map(lambda y: jnp.zeros(y.shape, y.dtype), outputs),
            *xs,
        )

    if not xs[0].size:
        return function(*xs)
    if native.here.spread is not None:
        # The condition would need an element of one device on all of them.
        return barrier(*xs)
    return jax.lax.platform_dependent(*xs, cpu=branch, default=barrier)
