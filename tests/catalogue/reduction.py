from catalogue.row import Row
from singa import autograd as ops

ROWS = {
    "reduce_sum": Row(
        ops.ReduceSum, lambda x: ops.reduce_sum(x, (0, -1)),
        lambda x: x.sum((0, 2), keepdims=True), [(2, 3, 4)],
    ),
    "reduce_mean": Row(
        ops.ReduceMean, lambda x: ops.reduce_mean(x, 1, keepdims=False),
        lambda x: x.mean(1), [(2, 3, 4)],
    ),
}  # fmt: skip
