import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops


def padded(mode):
    """numpy.pad with the pads of the row below, which take away as well."""
    return lambda x: jnp.pad(x[:, 1:], ((1, 2), (0, 2)), mode)


ROWS = {
    "cat": Row(
        ops.Concat,
        lambda *xs: ops.cat(xs, 1), lambda *xs: jnp.concatenate(xs, 1), [(2, 3), (2, 1), (2, 2)],
    ),
    "stack": Row(
        ops.Stack, lambda *xs: ops.stack(xs, -1), lambda *xs: jnp.stack(xs, -1), [(2, 3), (2, 3)]
    ),
    "unstack": Row(
        ops.Unstack, lambda x: ops.cat(ops.unstack(x, 1)[::-1], 0),
        lambda x: jnp.concatenate([x[:, i] for i in (2, 1, 0)]), [(2, 3, 2)],
    ),
    "split": Row(
        ops.Split, lambda x: ops.cat(ops.split(x, 1, [1, 3])[::-1], 1),
        lambda x: jnp.roll(x, -1, 1), [(2, 4)],
    ),
    "tile": Row(
        ops.Tile, lambda x: ops.tile(x, (2, 3)), lambda x: jnp.tile(x, (2, 3)), [(2, 1, 2)]
    ),
    "repeat": Row(
        ops.Repeat, lambda x: ops.repeat(x, 3, 1), lambda x: jnp.repeat(x, 3, 1), [(2, 3)]
    ),
    "repeat by a list": Row(
        ops.Repeat, lambda x: ops.repeat(x, [2, 0, 1], 1),
        lambda x: x[:, np.array([0, 0, 2])], [(2, 3)],
    ),
    **{
        f"pad {mode}": Row(
            ops.Pad, lambda x, mode=mode: ops.pad(x, mode, [1, -1, 2, 2]), padded(mode), [(3, 4)]
        )
        for mode in ("constant", "reflect", "edge", "wrap")
    },
    "pad circularly": Row(
        ops.Pad, lambda x: ops.pad(x, "circular", (0, 2, 1, 1)),
        lambda x: jnp.pad(x, ((0, 1), (2, 1)), "wrap"), [(2, 3)],
    ),
    "meshgrid": Row(
        ops.Expand, lambda *xs: ops.mul(*ops.meshgrid(*xs, indexing="xy")),
        lambda a, b: jnp.multiply(*jnp.meshgrid(a, b)), [(2,), (3,)],
    ),
}  # fmt: skip
