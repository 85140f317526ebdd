from functools import partial

import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

conv = partial(ops.conv2d, stride=(2, 1), padding=(1, 1, 0, 2), dilation=(1, 2))


def plain_convolution(x, w, stride, pads, dilation, groups=1):
    """Shifted images times an element of each filter, added up."""
    x = jnp.pad(x, ((0, 0), (0, 0), *pads))
    x = x.reshape(x.shape[0], groups, -1, *x.shape[2:])
    w = w.reshape(groups, -1, *w.shape[1:])
    y = 0
    for taps in np.ndindex(w.shape[3:]):
        seen = tuple(
            slice(tap * gap, size - (count - 1 - tap) * gap, step)
            for tap, size, count, gap, step in zip(
                taps, x.shape[3:], w.shape[3:], dilation, stride, strict=True
            )
        )
        y += jnp.einsum("ngc...,goc->ngo...", x[(..., *seen)], w[(..., *taps)])
    return y.reshape(y.shape[0], -1, *y.shape[3:])


def plain_conv(x, w, b, groups=1):
    y = plain_convolution(x, w, (2, 1), ((1, 1), (0, 2)), (1, 2), groups)
    return y + b[:, None, None]


def plain_1d(x, w):
    return plain_convolution(x, w, (2,), ((2, 1),), (2,))


def plain_3d(x, w):
    return plain_convolution(x, w, (1, 2, 1), ((0, 0), (1, 1), (1, 1)), (1, 1, 1), 2)


def plain_transpose(
    x, w, b=None, stride=(2, 3), pads=((1, 0), (2, 1)), more=(1, 2), dilation=(2, 1)
):
    """Element by element, from the definition; then the padding is cut away."""
    kernel = w.shape[2:]
    size = [
        (n - 1) * s + d * (k - 1) + 1 + m
        for n, s, d, k, m in zip(x.shape[2:], stride, dilation, kernel, more, strict=True)
    ]
    y = jnp.zeros((x.shape[0], w.shape[1], *size), x.dtype)
    for i in np.ndindex(x.shape[2:]):
        for j in np.ndindex(kernel):
            place = tuple(a * s + b * d for a, s, b, d in zip(i, stride, j, dilation, strict=True))
            y = y.at[(slice(None), slice(None), *place)].add(
                x[(slice(None), slice(None), *i)] @ w[(slice(None), slice(None), *j)]
            )
    cut = [slice(a, n - b) for n, (a, b) in zip(size, pads, strict=True)]
    y = y[(slice(None), slice(None), *cut)]
    return y if b is None else y + b.reshape(-1, *[1] * len(kernel))


def plain_transpose_in_groups(x, w):
    halves = zip(jnp.split(x, 2, 1), jnp.split(w, 2, 0), strict=True)
    config = {"stride": (2,), "pads": ((1, 1),), "more": (0,), "dilation": (1,)}
    return jnp.concatenate([plain_transpose(*half, **config) for half in halves], 1)


ROWS = {
    "conv2d": Row(ops.Convolution2d, conv, plain_conv, [(2, 3, 5, 6), (4, 3, 3, 2), (4,)]),
    "conv2d in groups": Row(
        ops.Convolution2d,
        partial(conv, groups=2), partial(plain_conv, groups=2), [(2, 4, 5, 6), (6, 2, 3, 2), (6,)],
    ),
    **{
        f"conv2d {mode}": Row(
            ops.Convolution2d,
            partial(ops.conv2d, stride=2, padding=(1, 2, 0, 1), padding_mode=mode),
            lambda x, w, b, name=name: plain_convolution(
                jnp.pad(x, ((0, 0), (0, 0), (1, 2), (0, 1)), name), w, (2, 2), ((0, 0), (0, 0)),
                (1, 1),
            ) + b[:, None, None],
            [(2, 3, 4, 3), (2, 3, 3, 2), (2,)],
        )
        for mode, name in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap"))
    },
    "conv1d": Row(
        ops.Convolution, partial(ops.conv1d, stride=2, padding=(2, 1), dilation=2),
        lambda x, w, b: plain_1d(x, w) + b[:, None], [(2, 3, 6), (4, 3, 3), (4,)],
    ),
    "conv3d": Row(
        ops.Convolution, partial(ops.conv3d, stride=(1, 2, 1), padding=(0, 1, 1), groups=2),
        plain_3d, [(2, 2, 2, 3, 4), (4, 1, 2, 2, 3)],
    ),
    "conv_transpose": Row(
        ops.ConvolutionTranspose,
        partial(ops.conv_transpose, stride=(2, 3), padding=(1, 0, 2, 1), output_padding=(1, 2),
                dilation=(2, 1)),
        plain_transpose, [(2, 3, 2, 3), (3, 2, 2, 3), (2,)],
    ),
    "conv_transpose in groups": Row(
        ops.ConvolutionTranspose, partial(ops.conv_transpose, stride=2, padding=1, groups=2),
        plain_transpose_in_groups, [(2, 4, 3), (4, 3, 3)],
    ),
}  # fmt: skip
