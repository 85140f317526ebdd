"""Normalizations."""

from __future__ import annotations

from typing import Any

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer


@form(op.FrozenBatchNormalization2d)
def _batch(w: Writer, operation: Any, *xs: Value) -> str:
    if len({x.dtype for x in xs}) != 1:
        raise Unfit("the inputs are of several types")
    mean = xs[3]
    return w.add(
        "BatchNormalization", *xs, epsilon=float(operation.eps), momentum=w.momenta.get(mean)
    )


@form(op.LayerNormalization)
def _layer(w: Writer, operation: Any, x: Value, scale: Value, *bias: Value) -> str:
    eps = float(operation.eps)
    return w.add("LayerNormalization", x, scale, *bias, axis=-scale.ndim, epsilon=eps)


@form(op.InstanceNormalization)
def _instance(w: Writer, operation: Any, x: Value, *vectors: Value) -> str:
    if len(vectors) != 2 or x.ndim < 3:
        raise Unfit("it needs a scale, a bias and space")
    return w.add("InstanceNormalization", x, *vectors, epsilon=float(operation.eps))


@form(op.GroupNormalization)
def _group(w: Writer, operation: Any, x: Value, *vectors: Value) -> str:
    if len(vectors) != 2 or x.ndim < 3:
        raise Unfit("it needs a scale, a bias and space")
    groups, eps = int(operation.groups), float(operation.eps)
    if w.opset < 21:  # the scale was for each group before
        raise Unfit("it is written by others here")
    return w.add("GroupNormalization", x, *vectors, num_groups=groups, epsilon=eps)
