from functools import partial

import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops
from singa.tensor import Tensor


def plain_norm(x, scale, bias):
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    wide = (slice(None),) + (None,) * (x.ndim - 2)
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale[wide] + bias[wide]


def in_halves(x, scale, bias):
    return jnp.concatenate([plain_norm(half, scale, bias) for half in jnp.split(x, 2)])


def plain_frozen(x, scale, bias):
    wide = (slice(None),) + (None,) * (x.ndim - 2)
    return x / jnp.sqrt(2 + 1e-5) * scale[wide] + bias[wide]


def frozen(x, scale, bias):
    mean = Tensor((3,), dtype=x.dtype)
    return ops.FrozenBatchNormalization2d(1e-5)(x, scale, bias, mean, mean + 2.0)[0]


def plain_layer(x, scale, bias=0):
    axes = tuple(range(-scale.ndim, 0))
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale + bias


def plain_group(x, scale, bias=None, groups=1):
    grouped = x.reshape(x.shape[0], groups, -1)
    ones = jnp.ones(grouped.shape[-1], x.dtype)
    normalized = plain_layer(grouped, ones, 0 * ones).reshape(x.shape)
    return normalized * scale[:, None, None] + (0 if bias is None else bias[:, None, None])


def plain_rms(x, scale, bias=0):
    return x / jnp.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * scale + bias


ROWS = {
    "batchnorm_2d": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0], plain_norm,
        [(3, 3, 2, 2), (3,), (3,)],
    ),
    "batchnorm_2d of rows": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0], plain_norm,
        [(5, 3), (3,), (3,)],
    ),
    "batchnorm_2d of sequences": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0], plain_norm,
        [(3, 2, 4), (2,), (2,)],
    ),
    "batchnorm_2d of volumes": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0], plain_norm,
        [(2, 2, 2, 2, 3), (2,), (2,)],
    ),
    "batchnorm_2d of parts": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5, 2)(*xs)[0], in_halves,
        [(6, 3, 2), (3,), (3,)],
    ),
    "batchnorm_2d of volumes frozen": Row(
        ops.FrozenBatchNormalization2d, frozen, plain_frozen, [(2, 3, 2, 2, 2), (3,), (3,)]
    ),
    "batchnorm_2d frozen": Row(
        ops.FrozenBatchNormalization2d, frozen, plain_frozen, [(2, 3, 2, 2), (3,), (3,)]
    ),
    "clip_by_norm": Row(
        ops.ClipByNorm, lambda x: ops.clip_by_norm(x, 2.0, 1),
        lambda x: x * jnp.minimum(1, 2 / jnp.linalg.norm(x, axis=1, keepdims=True)), [(2, 3, 4)],
    ),
    "layer_norm": Row(
        ops.LayerNormalization, ops.layer_norm, plain_layer, [(2, 3, 4), (3, 4), (3, 4)]
    ),
    "group_norm": Row(
        ops.GroupNormalization, lambda x, *vectors: ops.group_norm(x, 2, *vectors),
        partial(plain_group, groups=2), [(2, 4, 2, 3), (4,), (4,)],
    ),
    "instance_norm": Row(
        ops.InstanceNormalization, ops.instance_norm, partial(plain_group, groups=3),
        [(2, 3, 2, 2), (3,), (3,)],
    ),
    "rms_norm": Row(ops.RMSNormalization, ops.rms_norm, plain_rms, [(2, 3, 4), (4,), (4,)]),
    "layer_norm without bias": Row(
        ops.LayerNormalization, ops.layer_norm, plain_layer, [(2, 3, 4), (3, 4)]
    ),
    "group_norm without bias": Row(
        ops.GroupNormalization, lambda x, scale: ops.group_norm(x, 2, scale),
        partial(plain_group, groups=2), [(2, 4, 2, 3), (4,)],
    ),
    "instance_norm without bias": Row(
        ops.InstanceNormalization, ops.instance_norm, partial(plain_group, groups=3),
        [(2, 3, 2, 2), (3,)],
    ),
    "rms_norm without bias": Row(ops.RMSNormalization, ops.rms_norm, plain_rms, [(2, 3, 4), (4,)]),
}  # fmt: skip
