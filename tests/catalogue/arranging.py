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
}  # fmt: skip
