"""Reductions."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer


@form(
    op.ReduceSum, op.ReduceMean, op.ReduceProd, op.ReduceMax, op.ReduceMin, of=("axes", "keepdims")
)
def _reduction(w: Writer, operation: Any, x: Value) -> str:
    if x.dtype is None or not jnp.issubdtype(x.dtype, jnp.floating):
        raise Unfit("it is written for floats")
    axes = [*range(x.ndim)] if operation.axes is None else operation.axes
    axes = sorted(axis % x.ndim for axis in axes)
    return w.reduce(type(operation).__name__, x, axes, operation.keepdims)
