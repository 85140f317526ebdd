import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops
from singa.tensor import Tensor


def plain_norm(x, scale, bias):
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    wide = (slice(None),) + (None,) * (x.ndim - 2)
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale[wide] + bias[wide]


def plain_frozen(x, scale, bias):
    wide = (slice(None), None, None)
    return x / jnp.sqrt(2 + 1e-5) * scale[wide] + bias[wide]


def frozen(x, scale, bias):
    mean = Tensor((3,), dtype=x.dtype)
    return ops.FrozenBatchNormalization2d(1e-5)(x, scale, bias, mean, mean + 2.0)[0]


ROWS = {
    "batchnorm_2d": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0], plain_norm,
        [(3, 3, 2, 2), (3,), (3,)],
    ),
    "batchnorm_2d of rows": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0], plain_norm,
        [(5, 3), (3,), (3,)],
    ),
    "batchnorm_2d frozen": Row(
        ops.FrozenBatchNormalization2d, frozen, plain_frozen, [(2, 3, 2, 2), (3,), (3,)]
    ),
}  # fmt: skip
