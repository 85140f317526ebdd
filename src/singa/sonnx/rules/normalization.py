"""Normalizations, and dropout."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.sonnx.rules.rule import Call, rule


@rule("BatchNormalization", states=(3, 4))
def _batch_norm(
    call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, var: Tensor
) -> Any:
    momentum, eps = call("momentum", 0.9), call("epsilon", 1e-5)
    several = len(call.node.outputs) > 1
    if several and call("training_mode", 0):  # the statistics are values, as the file says
        axes = (0, *range(2, x.ndim))
        around = (-1, *[1] * (x.ndim - 2))
        new_var, new_mean = op.var_mean(x, axes)
        standard = (x - op.reshape(new_mean, around)) / op.sqrt(
            op.reshape(new_var, around) + _number(eps, x)
        )
        y = standard * op.reshape(scale, around) + op.reshape(bias, around)
        kept = _number(momentum, mean)
        left = _number(1 - momentum, mean)
        return y, mean * kept + new_mean * left, var * kept + new_var * left
    if call.fixed_statistics:
        return op.FrozenBatchNormalization2d(eps)(x, scale, bias, mean, var)[0]
    return op.batchnorm_2d(x, scale, bias, mean, var, momentum, eps)


@rule("InstanceNormalization")
def _instance_norm(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return op.instance_norm(x, scale, bias, call("epsilon", 1e-5))


@rule("GroupNormalization", since=21)
def _group_norm(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return op.group_norm(x, call("num_groups"), scale, bias, call("epsilon", 1e-5))


@rule("GroupNormalization", since=18)
def _group_norm_of_groups(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    each = x.shape[1] // call("num_groups")
    scale, bias = op.repeat(scale, each), op.repeat(bias, each)
    return op.group_norm(x, call("num_groups"), scale, bias, call("epsilon", 1e-5))


@rule("LayerNormalization")
def _layer_norm(call: Call, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    axis = call("axis", -1) % x.ndim
    eps = call("epsilon", 1e-5)
    shape = x.shape[axis:]
    scale = op.expand(scale, shape)
    bias = None if bias is None else op.expand(bias, shape)
    y = op.layer_norm(x, scale, bias, eps)
    if len(call.node.outputs) == 1:
        return y
    wide = op.cast(x, jnp.promote_types(x.dtype, np.float32))
    var, mean = op.var_mean(wide, tuple(range(axis, x.ndim)), True)
    return y, mean, op.rsqrt(var + _number(eps, var))


@rule("RMSNormalization")
def _rms_norm(call: Call, x: Tensor, scale: Tensor) -> Tensor:
    axis = call("axis", -1) % x.ndim
    return op.rms_norm(x, op.expand(scale, x.shape[axis:]), None, call("epsilon", 1e-5))


@rule("LRN")
def _lrn(call: Call, x: Tensor) -> Tensor:
    size, alpha = call("size"), call("alpha", 1e-4)
    return op.local_response_norm(x, size, alpha, call("beta", 0.75), call("bias", 1.0))


@rule("LpNormalization")
def _lp_normalization(call: Call, x: Tensor) -> Tensor:
    return op.normalize(x, float(call("p", 2)), call("axis", -1), 0.0)


@rule("Dropout", since=12, known=(1, 2))
def _dropout(call: Call, x: Tensor, ratio: Any = None, training: Any = None) -> Any:
    ratio = 0.5 if ratio is None else float(ratio)
    drops = call.training and (training is None or bool(training))
    return _dropped(call, x, ratio, drops)


@rule("Dropout")
def _dropout_of_attribute(call: Call, x: Tensor) -> Any:
    return _dropped(call, x, call("ratio", 0.5), call.training)


def _dropped(call: Call, x: Tensor, ratio: float, drops: bool) -> Any:
    wants_mask = len(call.node.outputs) > 1
    if not wants_mask:
        return op.dropout(x, ratio) if drops and ratio else op.identity(x)
    ones = Tensor(data=np.ones(x.shape, x.dtype), device=x.device, requires_grad=False)
    factors = op.dropout(ones, ratio) if drops and ratio else ones
    return x * factors, op.cast(factors, np.bool_)


def _number(value: float, x: Tensor) -> Tensor:
    return Tensor(data=np.asarray(value, x.dtype), device=x.device, requires_grad=False)
