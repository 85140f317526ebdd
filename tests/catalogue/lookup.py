import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

IDS = np.array([[2, 0], [2, 1]], np.int32)
WORDS = np.array([2, 0, 2, 1, 0], np.int32)
BAGS = np.array([0, 2, 2], np.int32)  # the second is empty


ROWS = {
    "embedding": Row(
        ops.Embedding, lambda w, ids: ops.embedding(ids, w), lambda w, ids: w[ids], [(4, 3)],
        constants=(IDS,),
    ),
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
    "embedding_bag without padding": Row(
        ops.SegmentMax,
        lambda w: ops.embedding_bag(WORDS, w, [0, 1, 1, 5], "max", padding_idx=-1,
                                    include_last_offset=True),
        lambda w: jnp.stack([w[0] * 0, w[0] * 0, w[WORDS[1:]][np.array([0, 2, 3])].max(0)]),
        [(3, 2)],
    ),
}  # fmt: skip
