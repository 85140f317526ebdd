"""Normalizations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer


@form(op.FrozenBatchNormalization2d, of=("eps",))
def _batch(w: Writer, operation: Any, *xs: Value) -> str:
    if len({x.dtype for x in xs}) != 1:
        raise Unfit("the inputs are of several types")
    mean = xs[3]
    return w.add(
        "BatchNormalization", *xs, epsilon=float(operation.eps), momentum=w.momenta.get(mean)
    )


@form(op.LayerNormalization, of=("eps",))
def _layer(w: Writer, operation: Any, x: Value, scale: Value, *bias: Value) -> str:
    eps = float(operation.eps)
    return w.add("LayerNormalization", x, scale, *bias, axis=-scale.ndim, epsilon=eps)


@form(op.InstanceNormalization, of=("groups", "eps"))
def _instance(w: Writer, operation: Any, x: Value, scale: Value, *bias: Value) -> str:
    if x.ndim < 3 or x.dtype != scale.dtype:
        raise Unfit("it needs space, and one type")
    shift = bias[0] if bias else w.constant(np.zeros(scale.shape, scale.dtype))
    return w.add("InstanceNormalization", x, scale, shift, epsilon=float(operation.eps))


@form(op.GroupNormalization, of=("groups", "eps"))
def _group(w: Writer, operation: Any, x: Value, scale: Value, *bias: Value) -> str:
    if x.ndim < 3 or x.dtype != scale.dtype:
        raise Unfit("it needs space, and one type")
    groups, eps = int(operation.groups), float(operation.eps)
    shift = bias[0] if bias else w.constant(np.zeros(scale.shape, scale.dtype))
    if w.opset >= 21:
        return w.add("GroupNormalization", x, scale, shift, num_groups=groups, epsilon=eps)
    # Before, its scale was for each group. A group is normalized as one channel instead.
    count = x.shape[1] // groups * math.prod(x.shape[2:])
    rows = w.reshape(x, (x.shape[0], groups, count))
    one, zero = (w.constant(np.full(groups, fill, x.dtype)) for fill in (1, 0))
    made = w.add("InstanceNormalization", rows, one, zero, epsilon=eps)
    y = w.reshape(Value(made, rows.shape, x.dtype), x.shape)
    shape = (x.shape[1], *[1] * (x.ndim - 2))
    return w.add("Add", w.add("Mul", y, w.reshape(scale, shape)), w.reshape(shift, shape))


@form(op.Dropout, of=("ratio",))
def _dropout(w: Writer, operation: Any, x: Value, key: Value) -> str:
    return dropped(w, operation.ratio, x) if w.training else x


@form(op.ChannelDropout, of=("ratio",))
def _channel_dropout(w: Writer, operation: Any, x: Value, key: Value) -> str:
    if not w.training:
        return x
    shape = x.shape[:2] + (1,) * (x.ndim - 2)
    ones = w.expand(w.constant(np.ones((1,) * x.ndim, x.dtype)), shape)
    return w.add("Mul", x, dropped(w, operation.ratio, ones))


def dropped(w: Writer, ratio: float, x: Value) -> Value:
    """Dropout in training."""
    made = w.add("Dropout", x, w.constant(np.asarray(ratio, x.dtype)), w.constant(np.asarray(True)))
    return Value(made, x.shape, x.dtype)
