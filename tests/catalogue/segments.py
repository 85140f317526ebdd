import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

SEGMENTS = np.array([2, 0, 2, 7, -1], np.int32)  # one is empty, two are out of bounds


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
}  # fmt: skip
