from __future__ import annotations

from benchmarks.cases import ROWS, Case, ids, rows

VIEW = (
    "PyTorch returns a view. Arrays of XLA have none between programs; within a compiled step "
    "it costs nothing here either."
)


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    def picked(size: int) -> list[object]:
        return [(ROWS[size], 256), ids(ROWS[size] // 2, ROWS[size])]

    return {
        ops.Reshape: Case(
            lambda x: ops.reshape(x, (-1, 64)), lambda x: x.reshape(-1, 64), rows(), reason=VIEW
        ),
        ops.Flatten: Case(
            lambda x: ops.flatten(x, 0), lambda x: x.reshape(1, -1), rows(), reason=VIEW
        ),
        ops.Transpose: Case(lambda x: ops.transpose(x, (1, 0)), lambda x: x.T.contiguous(), rows()),
        ops.Concat: Case(lambda *xs: ops.cat(xs, 1), lambda *xs: torch.cat(xs, 1), rows(2)),
        ops.Cast: Case(lambda x: ops.cast(x, "float64"), lambda x: x.double(), rows()),
        ops.GetItem: Case(lambda x, i: x[i], lambda x, i: x[i], picked),
        ops.ReduceSum: Case(
            lambda x: ops.reduce_sum(x, 1, keepdims=False), lambda x: x.sum(1), rows()
        ),
        ops.ReduceMean: Case(
            lambda x: ops.reduce_mean(x, 0, keepdims=False), lambda x: x.mean(0), rows()
        ),
    }
