from functools import partial

import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops


def plain_response(x):
    padded = jnp.pad(x * x, ((0, 0), (2, 1), (0, 0)))
    total = sum(padded[:, i : i + x.shape[1]] for i in range(4))
    return x / (2 + 0.5 * total / 4) ** 0.75


def over_norm(x, p, axis):
    return x / (abs(x) ** p).sum(axis, keepdims=True) ** (1 / p)


ROWS = {
    "normalize": Row(ops.Normalize, ops.normalize, partial(over_norm, p=2, axis=1), [(2, 3, 2)]),
    "normalize by another norm": Row(
        ops.Normalize, partial(ops.normalize, p=3, axis=(0, -1)),
        partial(over_norm, p=3, axis=(0, 2)), [(2, 3, 2)],
    ),
    "local_response_norm": Row(
        ops.LocalResponseNormalization, partial(ops.local_response_norm, size=4, alpha=0.5, k=2),
        plain_response, [(2, 5, 3)],
    ),
}  # fmt: skip
