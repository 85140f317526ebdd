import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

WINDOW = ((3, 2), (2, 1), ((1, 1), (0, 1)))
WINDOW_1D = ((3,), (2,), ((2, 1),))
WINDOW_3D = ((2, 1, 3), (1, 2, 2), ((0, 1), (0, 0), (1, 1)))


def plain_pool(x, start, function, config=WINDOW):
    (window, stride, pads) = config
    return jax.lax.reduce_window(
        x,
        np.asarray(start, x.dtype),
        function,
        (1, 1, *window),
        (1, 1, *stride),
        ((0, 0), (0, 0), *pads),
    )


def plain_max(x, config=WINDOW):
    return plain_pool(x, -jnp.inf, jax.lax.max, config)


def plain_avg(x, config=WINDOW):
    ones = jnp.ones_like(x)
    return plain_pool(x, 0, jax.lax.add, config) / plain_pool(ones, 0, jax.lax.add, config)


def plain_adaptive(x, function):
    """To (2, 3), from 5 rows and 4 columns."""
    rows = [function(x[:, :, a:b], 2) for a, b in ((0, 3), (2, 5))]
    y = jnp.stack(rows, 2)
    return jnp.stack([function(y[..., a:b], 3) for a, b in ((0, 2), (1, 3), (2, 4))], 3)


ROWS = {
    "max_pool_2d": Row(
        ops.MaxPooling2d, lambda x: ops.MaxPooling2d(*WINDOW)(x)[0],
        plain_max, [(2, 2, 6, 5)],
    ),
    "avg_pool_2d": Row(
        ops.AveragePooling2d, lambda x: ops.AveragePooling2d(*WINDOW)(x)[0], plain_avg,
        [(2, 2, 6, 5)],
    ),
    "max_pool_1d": Row(
        ops.MaxPooling, lambda x: ops.max_pool_1d(x, 3, 2, (2, 1)),
        lambda x: plain_max(x, WINDOW_1D), [(2, 2, 6)],
    ),
    "max_pool_3d": Row(
        ops.MaxPooling, lambda x: ops.max_pool_3d(x, (2, 1, 3), (1, 2, 2), (0, 1, 0, 0, 1, 1)),
        lambda x: plain_max(x, WINDOW_3D), [(1, 2, 3, 4, 5)],
    ),
    "avg_pool_1d": Row(
        ops.AveragePooling, lambda x: ops.avg_pool_1d(x, 3, 2, (2, 1)),
        lambda x: plain_avg(x, WINDOW_1D), [(2, 2, 6)],
    ),
    "avg_pool_3d": Row(
        ops.AveragePooling, lambda x: ops.avg_pool_3d(x, (2, 1, 3), (1, 2, 2), (0, 1, 0, 0, 1, 1)),
        lambda x: plain_avg(x, WINDOW_3D), [(1, 2, 3, 4, 5)],
    ),
    "adaptive_avg_pool": Row(
        ops.AdaptiveAveragePooling, lambda x: ops.adaptive_avg_pool(x, (2, 3)),
        lambda x: plain_adaptive(x, jnp.mean), [(2, 2, 5, 4)],
    ),
    "adaptive_max_pool": Row(
        ops.AdaptiveMaxPooling, lambda x: ops.adaptive_max_pool(x, (2, 3)),
        lambda x: plain_adaptive(x, jnp.max), [(2, 2, 5, 4)],
    ),
    "globalaveragepool": Row(
        ops.GlobalAveragePool, ops.globalaveragepool, lambda x: x.mean((2, 3), keepdims=True),
        [(2, 3, 2, 2)],
    ),
}  # fmt: skip
