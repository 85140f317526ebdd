import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

IDS = np.array([[2, 0], [2, -1]], np.int32)  # one twice, unsorted, from the end
SIGNS = np.array([[1, 0], [0, -1]], np.int32)

ROWS = {
    "slice": Row(
        ops.Slice, lambda x: ops.slice(x, [-1, 1], [-9, 9], [1, 0], [-2, 1]),
        lambda x: x[1:, ::-2], [(3, 4)],
    ),
    "gather": Row(
        ops.Gather, lambda x, ids: ops.gather(x, 1, ids), lambda x, ids: x[:, ids], [(2, 4)],
        constants=(IDS,),
    ),
    "gather_elements": Row(
        ops.GatherElements, lambda x, ids: ops.gather_elements(x, ids, 1),
        lambda x, ids: jnp.take_along_axis(x, ids, 1), [(2, 4)], constants=(IDS,),
    ),
    "scatter_elements": Row(
        ops.ScatterElements,
        lambda x, updates: ops.scatter_elements(x, [[2, 0], [3, -2]], updates, 1),
        lambda x, updates: x.at[[[0, 0], [1, 1]], [[2, 0], [3, 2]]].set(updates),
        [(2, 4), (2, 2)],
    ),
    "take": Row(ops.Gather, lambda x, i: ops.take(x, i), jnp.take, [(3, 2)], constants=(IDS,)),
    "take_along_axis": Row(
        ops.GatherElements, lambda x, ids: ops.take_along_axis(x, ids, -1),
        lambda x, ids: jnp.take_along_axis(x, ids[:1], -1), [(2, 4)], constants=(IDS[:1],),
    ),
    "onehot": Row(
        ops.OneHot, lambda values, ids: ops.onehot(1, ids, 3, values),
        lambda values, ids: values[0]
        + (values[1] - values[0]) * jax.nn.one_hot(ids % 3, 3, axis=1, dtype=values.dtype),
        [(2,)], constants=(IDS,),
    ),
    "nonzero": Row(
        ops.NonZero, lambda x, signs: x * ops.cast(ops.nonzero(signs), x.dtype),
        lambda x, signs: x * jnp.array([[0, 1], [0, 1]], x.dtype), [(2, 2)], constants=(SIGNS,),
    ),
}  # fmt: skip
