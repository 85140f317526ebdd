"""The calls of attention and its gradients, which never hold all weights at a time.

Queries are (..., L, E), keys (..., S, E), values (..., S, V). Axes of a mask, (..., L, S), may be
1; so may the last leading axes of keys and values: these heads of queries share them.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from singa.engine import native

_WIDE = jnp.float32


class Kind(NamedTuple):
    """The factor of the scores; and whether query i sees the keys up to i only."""

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
    """Whether the kernels take these arrays, or would if they were of one type."""
    # The numbers of dropout are those of jax only as long as jax counts them in this way.
    # (jax makes its options' attributes at run time, so types do not know them.)
    counted: bool = jax.config.jax_threefry_partitionable  # type: ignore[attr-defined]
    if hidden.key.size and not counted:
        return False
    dtype = jnp.result_type(q, k, v)
    return native.supports(*(jax.ShapeDtypeStruct(x.shape, dtype) for x in (q, k, v)), short=True)


def forward(kind: Kind, q: Array, k: Array, v: Array, *hidden: Array) -> tuple[Array, Array]:
    """The weighted means of the values, (..., L, V), and the scores in one number, (..., L).

    That is the logarithm of the sum of their exponentials; infinity if there are no keys to see.
    Both are float32. If q, k and v are bfloat16, so are the weights as they multiply the values.
    """
    y, lse = jax.ffi.ffi_call(
        "singa_attention",
        (
            jax.ShapeDtypeStruct((*q.shape[:-1], v.shape[-1]), _WIDE),
            jax.ShapeDtypeStruct(q.shape[:-1], _WIDE),
        ),
        vmap_method=_mapped(hidden),
    )(
        *native.taken(q, k, v, multiplied=True), *_given(q, *hidden),
        factor=np.float32(kind.factor), causal=kind.causal,
    )  # fmt: skip
    return y, lse


def backward(
    kind: Kind, y: Array, lse: Array, dy: Array, q: Array, k: Array, v: Array, *hidden: Array
) -> tuple[Array, Array, Array]:
    """The gradients of q, k and v, from what :func:`forward` returned and the gradient of y.

    They are float32. If q, k and v are bfloat16, so are y, its gradient and those of the scores as
    they are multiplied.
    """
    y, dy, *factors = native.taken(y.astype(q.dtype), dy.astype(q.dtype), q, k, v, multiplied=True)
    dq, dk, dv = jax.ffi.ffi_call(
        "singa_attention_gradient",
        tuple(jax.ShapeDtypeStruct(x.shape, _WIDE) for x in (q, k, v)),
        vmap_method=_mapped(hidden),
    )(
        *factors, *_given(q, *hidden), y, lse, dy,
        factor=np.float32(kind.factor), causal=kind.causal,
    )  # fmt: skip
    return dq, dk, dv


def _mapped(hidden: tuple[Array, ...]) -> str:
    """How the calls are mapped: at once, but one by one if each has a key of its own."""
    return "sequential" if Hidden(*hidden).key.size else "broadcast_all"


def _given(q: Array, mask: Array, *more: Array) -> tuple[Array, ...]:
    """What is hidden, with a mask of as many axes as q."""
    if mask.size:
        mask = mask.reshape(*[1] * (q.ndim - mask.ndim), *mask.shape)
    if mask.dtype != jnp.bool_:
        mask = mask.astype(_WIDE)
    return mask, *more
