import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

IDS = np.array([[2, 0, 2], [2, -1, 0]], np.int32)  # some twice, unsorted, from the end
PLACES = np.array([[0, 0, 0], [1, 1, 1]]), IDS % 4
MASK = np.array([[True, False, True], [False, True, True]])


def combined(reduce, include_self=True):
    """A row, whose plain formula goes over the updates of each element."""

    def plain(x, updates):
        rows = []
        for i in range(2):
            row = []
            for j in range(4):
                mine = [updates[i, k] for k in range(3) if PLACES[1][i, k] == j]
                mine += [x[i, j]] if include_self or not mine else []
                row.append(getattr(jnp, reduce)(jnp.stack(mine)))
            rows.append(jnp.stack(row))
        return jnp.stack(rows)

    return Row(
        ops.ScatterReduce,
        lambda x, updates: ops.scatter_reduce(x, 1, IDS, updates, reduce, include_self),
        plain, [(2, 4), (2, 3)],
    )  # fmt: skip


ROWS = {
    "scatter_add": Row(
        ops.ScatterAdd, lambda x, updates: ops.scatter_add(x, 1, IDS, updates),
        lambda x, updates: x.at[PLACES].add(updates), [(2, 4), (2, 3)],
    ),
    "scatter_reduce sum": combined("sum", False),
    "scatter_reduce prod": combined("prod"),
    "scatter_reduce mean": combined("mean"),
    "scatter_reduce amax": combined("amax"),
    "scatter_reduce amin": combined("amin", False),
    "index_add": Row(
        ops.IndexAdd, lambda x, updates: ops.index_add(x, -1, [2, 0, -2], updates, 0.5),
        lambda x, updates: x.at[:, jnp.array([2, 0, 2])].add(updates / 2), [(2, 4), (2, 3)],
    ),
    "masked_scatter": Row(
        ops.MaskedScatter, lambda x, source: ops.masked_scatter(x, MASK, source),
        lambda x, source: x.at[np.nonzero(MASK)].set(source.ravel()[:4]), [(2, 3), (3, 2)],
    ),
}  # fmt: skip
