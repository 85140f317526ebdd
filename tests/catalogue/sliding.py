import jax
import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops


def plain_unfold(x):
    y = jax.lax.conv_general_dilated_patches(
        x, (2, 2), (1, 2), ((1, 1), (1, 1)), rhs_dilation=(2, 1)
    )
    return y.reshape(*y.shape[:2], -1)


def plain_fold(y):
    image = jax.ShapeDtypeStruct((2, 2, 3, 4), y.dtype)
    return jax.linear_transpose(plain_unfold, image)(y)[0]


OPTIONS = {"kernel_size": 2, "dilation": (2, 1), "padding": 1, "stride": (1, 2)}

ROWS = {
    "unfold": Row(
        ops.Unfold, lambda x: ops.unfold(x, **OPTIONS), plain_unfold, [(2, 2, 3, 4)]
    ),
    "unfold of sequences": Row(
        ops.Unfold, lambda x: ops.unfold(x, 2),
        lambda x: jnp.stack((x[..., :-1], x[..., 1:]), 2).reshape(2, 4, 3), [(2, 2, 4)],
    ),
    "fold": Row(
        ops.Fold, lambda x: ops.fold(x, (3, 4), **OPTIONS), plain_fold, [(2, 8, 9)]
    ),
}  # fmt: skip
