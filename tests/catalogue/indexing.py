import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

IDS = np.array([2, 0, 3], np.int32)


ROWS = {
    "getitem": Row(ops.GetItem, lambda x: x[1, ::-2], lambda x: x[1, ::-2], [(2, 5)]),
    "getitem by array": Row(ops.GetItem, lambda x: x[IDS, None], lambda x: x[IDS, None], [(4, 2)]),
    "setitem": Row(
        ops.SetItem, lambda x, v: ops.setitem(x, (1, slice(None, None, -2)), v),
        lambda x, v: x.at[1, ::-2].set(v), [(2, 5), (3,)],
    ),
    "setitem by array": Row(
        ops.SetItem, lambda x, v: ops.setitem(x, IDS, v), lambda x, v: x.at[IDS].set(v),
        [(4, 2), (2,)],
    ),
    "index_put": Row(
        ops.AddItem, lambda x, v: ops.index_put(x, ([2, 0, -2],), v, accumulate=True),
        lambda x, v: x.at[jnp.array([2, 0, 2])].add(v), [(4, 2), (2,)],
    ),
}  # fmt: skip
