"""Attention, by products of matrices and a softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer


@form(op.ScaledDotProductAttention, of=("causal", "dropout", "scale", "masked", "need_weights"))
def _attention(w: Writer, operation: Any, q: Value, k: Value, v: Value, *more: Value) -> str:
    if more or operation.need_weights or len({x.dtype for x in (q, k, v)}) != 1:
        raise Unfit("with a mask, there may be nothing to attend to")
    given = operation.scale
    scale = 1 / math.sqrt(max(q.shape[-1], 1)) if given is None else float(given)
    turned = w.transpose(k, [*range(k.ndim - 2), k.ndim - 1, k.ndim - 2])
    scores = w.add("MatMul", q, turned, like=q)
    scores = w.add("Mul", scores, w.constant(np.asarray(scale, q.dtype)), like=q)
    if operation.causal:
        hidden = np.triu(np.full((q.shape[-2], k.shape[-2]), -np.inf, np.float32), 1)
        scores = w.add("Add", scores, w.constant(hidden.astype(q.dtype)), like=q)
    return w.add("MatMul", w.add("Softmax", scores, axis=-1, like=q), v)
