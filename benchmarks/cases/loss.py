from __future__ import annotations

from benchmarks.cases import ROWS, Case, ids, rows


def cases() -> dict[type, Case]:
    from torch.nn import functional

    from singa import autograd as ops

    def labelled(size: int) -> list[object]:
        return [(ROWS[size], 256), ids(ROWS[size], 256)]

    def rows_of_cross_entropy(x: object, t: object) -> object:
        return functional.binary_cross_entropy(x, t, reduction="sum") / len(x)

    return {
        ops.SoftMaxCrossEntropy: Case(
            ops.softmax_cross_entropy,
            lambda x, t: functional.cross_entropy(x, t.long()),
            labelled,
        ),
        ops.MeanSquareError: Case(ops.mse_loss, functional.mse_loss, rows(2)),
        ops.BinaryCrossEntropy: Case(
            ops.binary_cross_entropy, rows_of_cross_entropy, rows(2), low=0.1
        ),
    }
