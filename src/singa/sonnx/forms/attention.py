"""Attention, by products of matrices and a softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.normalization import dropped
from singa.sonnx.forms.writer import Unfit, Value, Writer


@form(op.ScaledDotProductAttention, of=("causal", "dropout", "scale", "masked", "need_weights"))
def _attention(w: Writer, operation: Any, q: Value, k: Value, v: Value, *more: Value) -> list[str]:
    if len({x.dtype for x in (q, k, v)}) != 1:
        raise Unfit("the inputs are of several types")
    scores = _scores(w, operation, q, k)
    if operation.causal and not operation.masked:  # each query attends to the first key at least
        hidden = np.triu(np.full(scores.shape[-2:], -np.inf, scores.dtype), 1)
        scores = w.add("Add", scores, w.constant(hidden), like=scores)
    if operation.masked:
        weights = _masked(w, operation, scores, more[0])
    else:
        weights = w.add("Softmax", scores, axis=-1, like=scores)
    weights = w.cast(weights, q.dtype)
    if w.training and len(more) > operation.masked:
        weights = dropped(w, operation.dropout, weights)
    y = w.add("MatMul", weights, v)
    return [y, weights] if operation.need_weights else [y]


def _scores(w: Writer, operation: Any, q: Value, k: Value) -> Value:
    """The products of queries and keys, at least in float32: (..., L, S)."""
    wide = np.float32 if q.dtype.itemsize < 4 else q.dtype
    given = operation.scale
    scale = 1 / math.sqrt(max(q.shape[-1], 1)) if given is None else float(given)
    turned = w.transpose(k, [*range(k.ndim - 2), k.ndim - 1, k.ndim - 2])
    made = w.add("MatMul", w.cast(q, wide), w.cast(turned, wide))
    shape = (*np.broadcast_shapes(q.shape[:-2], k.shape[:-2]), q.shape[-2], k.shape[-2])
    scaled = w.add("Mul", made, w.constant(np.asarray(scale, wide)))
    return Value(scaled, shape, wide)


def _masked(w: Writer, operation: Any, scores: Value, mask: Value) -> Value:
    """The weights of keys; 0 for a query that may attend to no key."""
    zero, one, lowest, hidden = (
        w.constant(np.asarray(fill, scores.dtype))
        for fill in (0, 1, np.finfo(scores.dtype).min, -np.inf)
    )
    has_numbers = mask.dtype != np.bool_
    if has_numbers:
        scores = w.add("Add", scores, w.cast(mask, scores.dtype), like=scores)
        mask = Value(w.add("Greater", scores, hidden), scores.shape, np.bool_)
    if operation.causal:
        earlier = w.constant(np.tril(np.ones(scores.shape[-2:], np.bool_)))
        mask = Value(w.add("And", mask, earlier), scores.shape, np.bool_)
    # Not minus infinity: a softmax of nothing else is NaN, and so is its gradient.
    seen = w.add("Where", mask, scores, lowest, like=scores)
    weights = w.add("Softmax", seen, axis=-1, like=scores)
    weights = w.add("Where", mask, weights, zero, like=scores)
    if has_numbers:  # which may be as low as what is hidden
        total = w.reduce("ReduceSum", weights, [scores.ndim - 1], keepdims=True)
        total = w.add("Where", w.add("Equal", total, zero), one, total, like=total)
        weights = w.add("Div", weights, total, like=scores)
    return weights
