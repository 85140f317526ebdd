from __future__ import annotations

from functools import partial

from benchmarks.cases import Case, rows


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    flat = partial(Case, differentiable=False)
    one, two = rows(), rows(2)
    return {
        ops.Less: flat(ops.less, torch.lt, two),
        ops.LessOrEqual: flat(ops.less_equal, torch.le, two),
        ops.Greater: flat(ops.greater, torch.gt, two),
        ops.GreaterOrEqual: flat(ops.greater_equal, torch.ge, two),
        ops.Equal: flat(ops.equal, torch.eq, two),
        ops.NotEqual: flat(ops.not_equal, torch.ne, two),
        ops.And: flat(ops._and, torch.logical_and, two),
        ops.Or: flat(ops._or, torch.logical_or, two),
        ops.Xor: flat(ops._xor, torch.logical_xor, two),
        ops.Not: flat(ops._not, torch.logical_not, one),
        ops.IsNaN: flat(ops.isnan, torch.isnan, one),
        ops.IsInf: flat(ops.isinf, torch.isinf, one),
        ops.IsFinite: flat(ops.isfinite, torch.isfinite, one),
    }
