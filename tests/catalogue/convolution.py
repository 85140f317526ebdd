from functools import partial

import jax

from catalogue.row import Row
from singa import autograd as ops

conv = partial(ops.conv2d, stride=(2, 1), padding=(1, 1, 0, 2), dilation=(1, 2))


def plain_conv(x, w, b, groups=1):
    y = jax.lax.conv_general_dilated(
        x, w, (2, 1), ((1, 1), (0, 2)), rhs_dilation=(1, 2), feature_group_count=groups
    )
    return y + b[:, None, None]


ROWS = {
    "conv2d": Row(ops.Convolution2d, conv, plain_conv, [(2, 3, 5, 6), (4, 3, 3, 2), (4,)]),
    "conv2d in groups": Row(
        ops.Convolution2d,
        partial(conv, groups=2), partial(plain_conv, groups=2), [(2, 4, 5, 6), (6, 2, 3, 2), (6,)],
    ),
}  # fmt: skip
