from functools import partial

import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

SPECIAL = np.array([[np.nan, np.inf, -np.inf], [0, 0, 0]], np.float16)
MASK = np.array([True, False, True])

ROWS = {
    "clip": Row(ops.Clip, partial(ops.clip, min=-1, max=0.5), lambda x: x.clip(-1, 0.5), [(2, 3)]),
    "clip, by Tensors": Row(
        ops.Where, ops.clip, lambda x, a, b: jnp.minimum(jnp.maximum(x, a), b),
        [(3, 4), (4,), (3, 1)],
    ),
    "nan_to_num": Row(
        ops.NanToNum, lambda x, more: ops.nan_to_num(x + ops.cast(more, x.dtype), 2.0, 1.0, -1.0),
        lambda x, more: x.at[0].set(jnp.array([2.0, 1.0, -1.0])), [(2, 3)], constants=(SPECIAL,),
    ),
    "where": Row(
        ops.Where, ops.where, lambda a, b, c: jnp.where(c, a, b), [(2, 3), (3,)], constants=(MASK,)
    ),
}  # fmt: skip
