from __future__ import annotations

from functools import partial

from benchmarks.cases import ROWS, Case, rows


def cases() -> dict[type, Case]:
    import torch
    from torch.nn import functional

    from singa import autograd as ops

    one = rows()

    def sloped(size: int) -> list[tuple[int, ...]]:
        return [(ROWS[size], 256), (256,)]

    def times_slope(x: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        return torch.where(x > 0, x, slope * x)

    return {
        ops.ReLU: Case(ops.relu, torch.relu, one),
        ops.ReLU6: Case(ops.relu6, functional.relu6, one),
        ops.LeakyRelu: Case(ops.leakyrelu, functional.leaky_relu, one),
        ops.PRelu: Case(ops.prelu, times_slope, sloped),
        ops.Elu: Case(ops.elu, functional.elu, one),
        ops.SeLU: Case(ops.selu, functional.selu, one),
        ops.Gelu: Case(ops.gelu, functional.gelu, one),
        ops.SiLU: Case(ops.silu, functional.silu, one),
        ops.Mish: Case(ops.mish, functional.mish, one),
        ops.GLU: Case(ops.glu, functional.glu, one),
        ops.Sigmoid: Case(ops.sigmoid, torch.sigmoid, one),
        ops.LogSigmoid: Case(ops.log_sigmoid, functional.logsigmoid, one),
        ops.HardSigmoid: Case(ops.hardsigmoid, lambda x: (0.2 * x + 0.5).clamp(0, 1), one),
        ops.HardSwish: Case(ops.hardswish, functional.hardswish, one),
        ops.Tanh: Case(ops.tanh, torch.tanh, one),
        ops.SoftPlus: Case(ops.softplus, functional.softplus, one),
        ops.SoftSign: Case(ops.softsign, functional.softsign, one),
        ops.SoftMax: Case(ops.softmax, partial(torch.softmax, dim=1), one),
        ops.LogSoftmax: Case(ops.log_softmax, partial(torch.log_softmax, dim=1), one),
        ops.Dropout: Case(ops.dropout, partial(functional.dropout, p=0.5), one, is_random=True),
    }
