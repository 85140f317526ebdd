import jax

from catalogue.row import Row
from singa import autograd as ops


def plain(x, method):
    return jax.image.resize(x, (*x.shape[:2], 5, 3), method, antialias=False)


ROWS = {
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
