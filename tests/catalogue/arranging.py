import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops


def plain_space(x, mode):
    """Pixel by pixel, from the definition."""
    n, channels, height, width = x.shape
    rest = channels // 4
    y = jnp.zeros((n, rest, 2 * height, 2 * width), x.dtype)
    for c in range(rest):
        for i in (0, 1):
            for j in (0, 1):
                number = (2 * i + j) * rest + c if mode == "DCR" else c * 4 + 2 * i + j
                y = y.at[:, c, i::2, j::2].set(x[:, number])
    return y


def plain_depth(x, mode):
    rest = x.shape[1]
    places = [(c, i, j) for i in (0, 1) for j in (0, 1) for c in range(rest)]
    if mode == "CRD":
        places.sort()
    return jnp.stack([x[:, c, i::2, j::2] for c, i, j in places], 1)


ROWS = {
    "flip": Row(ops.Flip, lambda x: ops.flip(x, -1), lambda x: x[:, ::-1], [(2, 3)]),
    "roll": Row(
        ops.Roll, lambda x: ops.roll(x, (1, -2), (0, 1)), lambda x: jnp.roll(x, (1, -2), (0, 1)),
        [(2, 5)],
    ),
    "tril": Row(ops.Tril, lambda x: ops.tril(x, -1), lambda x: jnp.tril(x, -1), [(2, 3, 3)]),
    "triu": Row(ops.Triu, ops.triu, jnp.triu, [(2, 4)]),
    **{
        f"depth_to_space {mode}": Row(
            ops.DepthToSpace, lambda x, mode=mode: ops.depth_to_space(x, 2, mode),
            lambda x, mode=mode: plain_space(x, mode), [(2, 8, 2, 1)],
        )
        for mode in ("DCR", "CRD")
    },
    **{
        f"space_to_depth {mode}": Row(
            ops.SpaceToDepth, lambda x, mode=mode: ops.space_to_depth(x, 2, mode),
            lambda x, mode=mode: plain_depth(x, mode), [(2, 2, 4, 2)],
        )
        for mode in ("DCR", "CRD")
    },
    "diagonal": Row(
        ops.Diagonal, lambda x: ops.diagonal(x, -1, 2, 0), lambda x: jnp.diagonal(x, -1, 2, 0),
        [(2, 3, 4)],
    ),
    "diag": Row(ops.Diag, lambda x: ops.diag(x, -2), lambda x: jnp.diag(x, -2), [(3,)]),
    "trace": Row(
        ops.Diagonal, lambda x: ops.trace(x, 1, axis2=-1),
        lambda x: jnp.trace(x, 1, axis1=0, axis2=2), [(2, 3, 3)],
    ),
    "pixel_shuffle": Row(
        ops.DepthToSpace, lambda x: ops.pixel_shuffle(x, 2),
        lambda x: x.reshape(1, 2, 2, 2, 1, 3).transpose(0, 1, 4, 2, 5, 3).reshape(1, 2, 2, 6),
        [(1, 8, 1, 3)],
    ),
    "pixel_unshuffle": Row(
        ops.SpaceToDepth, lambda x: ops.pixel_unshuffle(x, 2),
        lambda x: x.reshape(1, 2, 1, 2, 3, 2).transpose(0, 1, 3, 5, 2, 4).reshape(1, 8, 1, 3),
        [(1, 2, 2, 6)],
    ),
}  # fmt: skip
