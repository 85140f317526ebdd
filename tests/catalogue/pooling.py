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


def plain_by_windows(x, window, stride, pads, function, dilation=(1, 1)):
    """In ``ceil_mode``: of each window's elements that are in the image, one by one."""

    def along(axis):
        k, s, p, d = (each[axis] for each in (window, stride, pads, dilation))
        length = x.shape[2 + axis]
        starts = range(-p, min(length, length + p - d * (k - 1) - 1 + s), s)
        places = [np.arange(a, a + d * k, d) for a in starts]
        return [(i[0], i[(i >= 0) & (i < length)]) for i in places]

    rows = [
        jnp.stack([function(x[:, :, r][..., c], (a, b)) for b, c in along(1)], -1)
        for a, r in along(0)
    ]
    return jnp.stack(rows, 2)


def plain_padded_mean(seen, start):
    """The divisor has the elements of the image (6, 5) and of the padding of 1, but no more."""
    (a, b), ends = start, (min(start[0] + 3, 7), min(start[1] + 2, 6))
    return seen.sum((2, 3)) / ((ends[0] - a) * (ends[1] - b))


PLACES = np.array([[[[3, 0], [7, 5]], [[1, 2], [6, 11]]]], np.int32)

ROWS = {
    "max_pool_2d dilated": Row(
        ops.MaxPooling2d,
        lambda x: ops.max_pool_2d(x, (3, 2), (2, 2), 1, dilation=(1, 2), ceil_mode=True),
        lambda x: plain_by_windows(
            x, (3, 2), (2, 2), (1, 1), lambda seen, _: seen.max((2, 3)), (1, 2)
        ),
        [(2, 2, 6, 6)],
    ),
    "max_pool_2d with indices": Row(
        ops.MaxPooling2d, lambda x: ops.MaxPooling2d(*WINDOW, return_indices=True)(x)[0],
        plain_max, [(2, 2, 6, 5)],
    ),
    "avg_pool_2d of all": Row(
        ops.AveragePooling2d,
        lambda x: ops.avg_pool_2d(x, (3, 2), 2, 1, ceil_mode=True, count_include_pad=True),
        lambda x: plain_by_windows(x, (3, 2), (2, 2), (1, 1), plain_padded_mean), [(2, 2, 6, 5)],
    ),
    "max_pool_2d rounded up": Row(
        ops.MaxPooling2d, lambda x: ops.max_pool_2d(x, (3, 2), (2, 3), 1, ceil_mode=True),
        lambda x: plain_by_windows(x, (3, 2), (2, 3), (1, 1), lambda seen, _: seen.max((2, 3))),
        [(2, 2, 6, 6)],
    ),
    "avg_pool_2d rounded up": Row(
        ops.AveragePooling2d, lambda x: ops.avg_pool_2d(x, (3, 2), (2, 3), 1, ceil_mode=True),
        lambda x: plain_by_windows(x, (3, 2), (2, 3), (1, 1), lambda seen, _: seen.mean((2, 3))),
        [(2, 2, 6, 6)],
    ),
    "avg_pool_2d by a divisor": Row(
        ops.AveragePooling2d, lambda x: ops.avg_pool_2d(x, 2, ceil_mode=True, divisor_override=3),
        lambda x: plain_by_windows(x, (2, 2), (2, 2), (0, 0), lambda s, _: s.sum((2, 3)) / 3),
        [(2, 2, 3, 5)],
    ),
    "max_unpool": Row(
        ops.MaxUnpooling, lambda x, i: ops.max_unpool(x, i, 2, 2, output_size=(3, 4)),
        lambda x, i: jnp.zeros((1, 2, 12)).at[0, np.arange(2)[:, None], i.reshape(2, 4)].set(
            x.reshape(2, 4)
        ).reshape(1, 2, 3, 4),
        [(1, 2, 2, 2)], constants=(PLACES,),
    ),
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
