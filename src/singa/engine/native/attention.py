"""The calls of attention and its gradients, which never hold all weights at a time.

Queries are (..., L, E), keys (..., S, E), values (..., S, V); a mask of bools or float32 has as many
axes. Axes of the mask may be 1; so may the last leading axes of keys and values: these heads of
queries share them.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from singa.engine import native


class Kind(NamedTuple):
    """What is not an array: the factor of the scores, and whether query i sees keys up to i only."""

    factor: float
    causal: bool


class Hidden(NamedTuple):
    """What becomes of single weights.

    Attributes:
        mask: bools, or float32 to be added to scores; of no element if there is none.
        key: a key for dropout, uint32 (2,); (0,) without dropout.
        kept: the probability that a weight stays, and what it is divided by then: float32 (2,).
    """

    mask: Array
    key: Array
    kept: Array


def supports(q: Array, k: Array, v: Array, hidden: Hidden) -> bool:
    """Whether the kernels take these arrays."""
    # The numbers of dropout are those of jax only as long as jax counts them in this way.
    drawn = bool(hidden.key.size)
    return native.supports(q, k, v) and (not drawn or bool(jax.config.jax_threefry_partitionable))


def forward(kind: Kind, q: Array, k: Array, v: Array, *hidden: Array) -> tuple[Array, Array]:
    """The weighted means of the values, (..., L, V); and the logarithms of the scores'
    exponentials' sums, (..., L): infinity for a query that attends to no key."""
    y, lse = jax.ffi.ffi_call(
        "singa_attention",
        (
            jax.ShapeDtypeStruct((*q.shape[:-1], v.shape[-1]), q.dtype),
            jax.ShapeDtypeStruct(q.shape[:-1], q.dtype),
        ),
        vmap_method="sequential",
    )(q, k, v, *hidden, factor=np.float32(kind.factor), causal=kind.causal)
    return y, lse


def backward(
    kind: Kind, y: Array, lse: Array, dy: Array, q: Array, k: Array, v: Array, *hidden: Array
) -> tuple[Array, Array, Array]:
    """The gradients of q, k and v, from what :func:`forward` returned and the gradient of y."""
    dq, dk, dv = jax.ffi.ffi_call(
        "singa_attention_gradient",
        tuple(jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (q, k, v)),
        vmap_method="sequential",
    )(q, k, v, *hidden, y, lse, dy, factor=np.float32(kind.factor), causal=kind.causal)
    return dq, dk, dv
