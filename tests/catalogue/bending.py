from functools import partial

import jax

from catalogue.row import Row
from singa import autograd as ops

ROWS = {
    "hardtanh": Row(
        ops.HardTanh, partial(ops.hardtanh, max_val=0.5), lambda x: x.clip(-1, 0.5), [(2, 3)]
    ),
    "celu": Row(
        ops.Celu, partial(ops.celu, alpha=1.5), partial(jax.nn.celu, alpha=1.5), [(2, 3)]
    ),
    "softmin": Row(ops.SoftMax, ops.softmin, lambda x: jax.nn.softmax(-x, 1), [(2, 3)]),
}  # fmt: skip
