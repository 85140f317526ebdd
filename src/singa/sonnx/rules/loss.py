"""Losses of classes, whose axis is the second one."""

from __future__ import annotations

from typing import Any

from singa import operation as op
from singa.core.tensor import Tensor
from singa.sonnx.rules.rule import Call, rule


@rule("NegativeLogLikelihoodLoss", fixed=(2,))
def _negative_log_likelihood(
    call: Call, log_p: Tensor, ids: Tensor, weight: Tensor | None = None
) -> Tensor:
    rows = op.moveaxis(log_p, 1, -1)
    return op.nll_loss(rows, ids, weight, call("ignore_index"), reduction=call("reduction", "mean"))


@rule("SoftmaxCrossEntropyLoss", fixed=(2,))
def _softmax_cross_entropy(call: Call, x: Tensor, ids: Tensor, weight: Tensor | None = None) -> Any:
    if len(call.node.outputs) > 1:
        log_p = op.log_softmax(x, 1)
        return _negative_log_likelihood(call, log_p, ids, weight), log_p
    rows = op.moveaxis(x, 1, -1)
    return op.softmax_cross_entropy(
        rows, ids, weight, call("ignore_index"), reduction=call("reduction", "mean")
    )
