from __future__ import annotations

import numpy as np

from benchmarks.cases import Case, rows


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    one, two, three = rows(), rows(2), rows(3)

    def chosen(size: int) -> list[object]:
        shape = two(size)[0]
        return [shape, shape, np.random.default_rng(0).uniform(size=shape) < 0.5]

    found = {
        ops.Add: Case(ops.add, torch.add, two),
        ops.Sub: Case(ops.sub, torch.sub, two),
        ops.Mul: Case(ops.mul, torch.mul, two),
        ops.Div: Case(ops.div, torch.div, two, low=0.5),
        ops.FloorDivide: Case(
            ops.floor_divide, torch.floor_divide, two, differentiable=False, low=0.5
        ),
        ops.Remainder: Case(ops.remainder, torch.remainder, two, low=0.5),
        ops.Fmod: Case(ops.fmod, torch.fmod, two, low=0.5),
        ops.Lerp: Case(ops.lerp, torch.lerp, three),
        ops.AddCMul: Case(ops.addcmul, torch.addcmul, three),
        ops.AddCDiv: Case(ops.addcdiv, torch.addcdiv, three, low=0.5),
        ops.NanToNum: Case(ops.nan_to_num, torch.nan_to_num, one),
        ops.Atan2: Case(ops.atan2, torch.atan2, two),
        ops.Hypot: Case(ops.hypot, torch.hypot, two),
        ops.LogAddExp: Case(ops.logaddexp, torch.logaddexp, two),
        ops.Exp2: Case(ops.exp2, torch.exp2, one),
        ops.Log2: Case(ops.log2, torch.log2, one, low=0.5),
        ops.Log10: Case(ops.log10, torch.log10, one, low=0.5),
        ops.Rsqrt: Case(ops.rsqrt, torch.rsqrt, one, low=0.5),
        ops.Trunc: Case(ops.trunc, torch.trunc, one),
        ops.Pow: Case(ops.pow, torch.pow, two, low=0.5),
        ops.Negative: Case(ops.negative, torch.neg, one),
        ops.Abs: Case(ops.abs, torch.abs, one),
        ops.Exp: Case(ops.exp, torch.exp, one),
        ops.Expm1: Case(ops.expm1, torch.expm1, one),
        ops.Log: Case(ops.log, torch.log, one, low=0.5),
        ops.Log1p: Case(ops.log1p, torch.log1p, one, low=-0.5),
        ops.Sqrt: Case(ops.sqrt, torch.sqrt, one, low=0.5),
        ops.Square: Case(ops.square, torch.square, one),
        ops.Reciprocal: Case(ops.reciprocal, torch.reciprocal, one, low=0.5),
        ops.Erf: Case(ops.erf, torch.erf, one),
        ops.Sign: Case(ops.sign, torch.sign, one),
        ops.Identity: Case(ops.identity, lambda x: x * 1, one),
        ops.Clip: Case(lambda x: ops.clip(x, -0.5, 0.5), lambda x: x.clamp(-0.5, 0.5), one),
        ops.Where: Case(ops.where, lambda x, y, c: torch.where(c, x, y), chosen),
        ops.Ceil: Case(ops.ceil, torch.ceil, one),
        ops.Floor: Case(ops.floor, torch.floor, one),
        # PyTorch has no rounding of halves away from zero.
        ops.Round: Case(ops.round, lambda x: torch.sign(x) * torch.floor(x.abs() + 0.5), one),
        ops.Rounde: Case(ops.rounde, torch.round, one),
        ops.Sum: Case(ops.sum, lambda a, b, c: a + b + c, three),
        ops.Mean: Case(ops.mean, lambda a, b, c: (a + b + c) / 3, three),
        ops.Max: Case(ops.max, torch.maximum, two),
        ops.Min: Case(ops.min, torch.minimum, two),
    }
    for name in ("cos", "cosh", "sin", "sinh", "asinh", "tan", "atan"):
        kind = getattr(ops, name.capitalize())
        found[kind] = Case(getattr(ops, name), getattr(torch, name), one)
    # Near 0 PyTorch's gradient of sinc has few digits.
    for name, low, high in (("acos", -0.9, 0.9), ("asin", -0.9, 0.9), ("atanh", -0.9, 0.9),
                            ("acosh", 1.5, 3.0), ("sinc", 0.1, 3.0)):  # fmt: skip
        kind = getattr(ops, name.capitalize())
        found[kind] = Case(getattr(ops, name), getattr(torch, name), one, low=low, high=high)
    return found
