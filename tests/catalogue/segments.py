import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

SEGMENTS = np.array([2, 0, 2, 7, -1], np.int32)  # one is empty, two are out of bounds
WORDS = np.array([2, 0, 2, 1, 0], np.int32)
BAGS = np.array([0, 2, 2], np.int32)  # the second is empty


def segments(op, ours, function):
    def plain(x):
        parts = [x[2] * 0 + function(x[1:2], 0), x[2] * 0, function(x[jnp.array([0, 2])], 0)]
        return jnp.stack(parts)

    return Row(op, lambda x: ours(x, SEGMENTS, 3), plain, [(5, 2)])


ROWS = {
    "segment_sum": segments(ops.SegmentSum, ops.segment_sum, jnp.sum),
    "segment_mean": segments(ops.SegmentMean, ops.segment_mean, jnp.mean),
    "segment_max": segments(ops.SegmentMax, ops.segment_max, jnp.max),
    "segment_min": segments(ops.SegmentMin, ops.segment_min, jnp.min),
    "embedding_bag": Row(
        ops.SegmentMean, lambda w: ops.embedding_bag(WORDS, w, BAGS),
        lambda w: jnp.stack([w[WORDS[:2]].mean(0), w[0] * 0, w[WORDS[2:]].mean(0)]), [(3, 2)],
    ),
    "embedding_bag of rows": Row(
        ops.Embedding, lambda w: ops.embedding_bag(WORDS[None], w, mode="max"),
        lambda w: w[WORDS].max(0)[None], [(3, 2)],
    ),
    "embedding_bag, weighted": Row(
        ops.SegmentSum, lambda w, factors: ops.embedding_bag(WORDS, w, BAGS, "sum", factors),
        lambda w, factors: jnp.stack(
            [factors[:2] @ w[WORDS[:2]], w[0] * 0, factors[2:] @ w[WORDS[2:]]]
        ),
        [(3, 2), (5,)],
    ),
}  # fmt: skip
