from __future__ import annotations

from functools import partial

from benchmarks.cases import Case, rows


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    one = rows()
    flat = {"axes": 1, "keepdims": False}
    return {
        ops.ReduceSum: Case(partial(ops.reduce_sum, **flat), lambda x: x.sum(1), one),
        ops.ReduceMean: Case(
            lambda x: ops.reduce_mean(x, 0, keepdims=False), lambda x: x.mean(0), one
        ),
        ops.ReduceProd: Case(
            partial(ops.reduce_prod, **flat), lambda x: x.prod(1), one, low=0.98, high=1.02
        ),
        ops.ReduceMax: Case(partial(ops.reduce_max, **flat), lambda x: x.amax(1), one),
        ops.ReduceMin: Case(partial(ops.reduce_min, **flat), lambda x: x.amin(1), one),
        ops.ReduceAll: Case(
            partial(ops.reduce_all, **flat), lambda x: (x != 0).all(1), one, differentiable=False
        ),
        ops.ReduceAny: Case(
            partial(ops.reduce_any, **flat), lambda x: (x != 0).any(1), one, differentiable=False
        ),
        ops.Var: Case(partial(ops.var, axis=1), partial(torch.var, dim=1, correction=0), one),
        ops.Std: Case(partial(ops.std, axis=1), partial(torch.std, dim=1, correction=0), one),
        ops.Norm: Case(partial(ops.norm, axis=1), lambda x: torch.linalg.norm(x, dim=1), one),
        ops.LogSumExp: Case(partial(ops.logsumexp, axis=1), partial(torch.logsumexp, dim=1), one),
        ops.CumSum: Case(partial(ops.cumsum, axis=1), partial(torch.cumsum, dim=1), one),
        ops.CumProd: Case(
            partial(ops.cumprod, axis=1), partial(torch.cumprod, dim=1), one, low=0.98, high=1.02
        ),
        ops.LogCumSumExp: Case(
            partial(ops.logcumsumexp, axis=1), partial(torch.logcumsumexp, dim=1), one
        ),
        ops.CumMax: Case(lambda x: ops.cummax(x, 1)[0], lambda x: torch.cummax(x, dim=1)[0], one),
        ops.CumMin: Case(lambda x: ops.cummin(x, 1)[0], lambda x: torch.cummin(x, dim=1)[0], one),
        ops.Quantile: Case(
            partial(ops.quantile, q=0.3, axis=1), partial(torch.quantile, q=0.3, dim=1), one
        ),
        ops.Histogram: Case(
            lambda x: ops.histogram(x, 10)[0],
            lambda x: torch.histc(x, 10).int(),
            one,
            differentiable=False,
        ),
        ops.ArgMax: Case(ops.argmax, lambda x: x.argmax(-1), one, differentiable=False),
        ops.ArgMin: Case(ops.argmin, lambda x: x.argmin(-1), one, differentiable=False),
        ops.Sort: Case(ops.sort, lambda x: x.sort(-1)[0], one),
        ops.TopK: Case(lambda x: ops.topk(x, 10)[0], lambda x: x.topk(10)[0], one),
    }
