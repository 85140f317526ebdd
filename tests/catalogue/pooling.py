import jax
import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

WINDOW = ((3, 2), (2, 1), ((1, 1), (0, 1)))


def plain_pool(x, start, function):
    (window, stride, pads) = WINDOW
    return jax.lax.reduce_window(
        x,
        jnp.asarray(start, x.dtype),
        function,
        (1, 1, *window),
        (1, 1, *stride),
        ((0, 0), (0, 0), *pads),
    )


def plain_avg(x):
    return plain_pool(x, 0, jax.lax.add) / plain_pool(jnp.ones_like(x), 0, jax.lax.add)


ROWS = {
    "max_pool_2d": Row(
        ops.MaxPooling2d, lambda x: ops.MaxPooling2d(*WINDOW)(x)[0],
        lambda x: plain_pool(x, -jnp.inf, jax.lax.max), [(2, 2, 6, 5)],
    ),
    "avg_pool_2d": Row(
        ops.AveragePooling2d, lambda x: ops.AveragePooling2d(*WINDOW)(x)[0], plain_avg,
        [(2, 2, 6, 5)],
    ),
}  # fmt: skip
