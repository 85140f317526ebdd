import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops


def plain(x, method):
    return jax.image.resize(x, (*x.shape[:2], 5, 3), method, antialias=False)


def smooth(x, method):
    return jax.image.resize(x, (*x.shape[:2], 4, 7), method, antialias=True)


def corners(x):
    """From (3, 5) to (5, 9): each second sample is a pixel, the others are between two."""
    for axis in (2, 3):
        x = jnp.moveaxis(x, axis, -1)
        between = (x[..., 1:] + x[..., :-1]) / 2
        pairs = jnp.stack([x[..., :-1], between], -1).reshape(*x.shape[:-1], -1)
        x = jnp.moveaxis(jnp.concatenate([pairs, x[..., -1:]], -1), -1, axis)
    return x


def cubic(x):
    """Twice as long: the samples are a quarter before and after each pixel."""
    shares = np.array([-0.10546875, 0.87890625, 0.26171875, -0.03515625])  # of distance 1 / 4
    for axis in (2, 3):
        x = jnp.moveaxis(x, axis, -1)
        wide, n = jnp.pad(x, ((0, 0),) * 3 + ((2, 2),), "edge"), x.shape[-1]
        after = sum(wide[..., 1 + i : 1 + i + n] * share for i, share in enumerate(shares))
        before = sum(wide[..., i : i + n] * share for i, share in enumerate(shares[::-1]))
        x = jnp.moveaxis(jnp.stack([before, after], -1).reshape(*x.shape[:-1], -1), -1, axis)
    return x


ROWS = {
    **{
        f"resize {mode} antialias": Row(
            ops.Interpolate, lambda x, mode=mode: ops.resize(x, (4, 7), mode, antialias=True),
            lambda x, mode=mode: smooth(x, mode), [(2, 1, 9, 5)],
        )
        for mode in ("linear", "cubic")
    },
    "resize linear corners": Row(
        ops.Interpolate, lambda x: ops.resize(x, (5, 9), "linear", align_corners=True), corners,
        [(2, 1, 3, 5)],
    ),
    "resize cubic": Row(
        ops.Interpolate, lambda x: ops.resize(x, mode="cubic", scale_factor=2), cubic,
        [(2, 1, 3, 4)],
    ),
    "resize area": Row(
        ops.Interpolate, lambda x: ops.resize(x, 2, "area"),
        lambda x: jnp.stack([x[..., :3].mean(-1), x[..., 2:].mean(-1)], -1), [(2, 1, 5)],
    ),
    "resize nearest-floor": Row(
        ops.Interpolate, lambda x: ops.resize(x, mode="nearest-floor", scale_factor=(1.7, 0.5)),
        lambda x: x[:, :, np.array([0, 0, 1, 1, 2])][..., np.array([0, 2])], [(2, 1, 3, 5)],
    ),
    "resize nearest": Row(
        ops.Resize, lambda x: ops.resize(x, (5, 3)), lambda x: plain(x, "nearest"), [(2, 1, 3, 5)]
    ),
    "resize linear": Row(
        ops.Resize, lambda x: ops.resize(x, (5, 3), "linear"), lambda x: plain(x, "bilinear"),
        [(2, 1, 3, 5)],
    ),
    "upsample": Row(
        ops.UpSample, lambda x: ops.upsample(x, "nearest", (1, 2, 3)),
        lambda x: x.repeat(2, 1).repeat(3, 2), [(2, 2, 3)],
    ),
}  # fmt: skip
