from __future__ import annotations

from benchmarks.cases import Case, rows


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    one, two = rows(), rows(2)
    return {
        ops.Add: Case(ops.add, torch.add, two),
        ops.Sub: Case(ops.sub, torch.sub, two),
        ops.Mul: Case(ops.mul, torch.mul, two),
        ops.Div: Case(ops.div, torch.div, two, low=0.5),
        ops.Pow: Case(ops.pow, torch.pow, two, low=0.5),
        ops.Negative: Case(ops.negative, torch.neg, one),
        ops.Abs: Case(ops.abs, torch.abs, one),
        ops.Exp: Case(ops.exp, torch.exp, one),
        ops.Log: Case(ops.log, torch.log, one, low=0.5),
        ops.Sqrt: Case(ops.sqrt, torch.sqrt, one, low=0.5),
        ops.Compare: Case(ops.less, torch.lt, two, differentiable=False),
    }
