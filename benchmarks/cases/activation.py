from __future__ import annotations

from functools import partial

from benchmarks.cases import Case, rows


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    one = rows()
    return {
        ops.ReLU: Case(ops.relu, torch.relu, one),
        ops.Sigmoid: Case(ops.sigmoid, torch.sigmoid, one),
        ops.Tanh: Case(ops.tanh, torch.tanh, one),
        ops.SoftMax: Case(ops.softmax, partial(torch.softmax, dim=1), one),
        ops.Dropout: Case(ops.dropout, partial(torch.nn.functional.dropout, p=0.5), one),
    }
