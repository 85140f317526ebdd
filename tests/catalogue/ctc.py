"""The oracle sums over all alignments of the labels to the frames."""

from itertools import groupby, product

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

LABELS = np.array([[1, 1], [2, 0]], np.int32)
FRAMES, COUNTS = np.array([4, 3], np.int32), np.array([2, 1], np.int32)


def collapsed(path):
    return [state for state, _ in groupby(path) if state != 0]


def plain(log_p, *_, reduced=lambda losses: sum(losses) / 2):
    losses = []
    for n in range(2):
        wanted = list(LABELS[n, : COUNTS[n]])
        paths = [p for p in product(range(3), repeat=int(FRAMES[n])) if collapsed(p) == wanted]
        each = jnp.stack([sum(log_p[i, n, state] for i, state in enumerate(p)) for p in paths])
        losses.append(-jax.nn.logsumexp(each))
    return reduced(losses)


ROWS = {
    "ctc_loss": Row(ops.CTC, ops.ctc_loss, plain, [(4, 2, 3)], constants=(LABELS, FRAMES, COUNTS)),
    # Of three sequences, the labels of the last one do not fit into its only frame.
    "ctc_loss none": Row(
        ops.CTC, lambda *xs: ops.ctc_loss(*xs, zero_infinity=True, reduction="none"),
        lambda *xs: plain(*xs, reduced=lambda losses: jnp.stack([*losses, losses[0] * 0])),
        [(4, 3, 3)],
        constants=(LABELS[[0, 1, 0]], np.array([4, 3, 1], np.int32), np.array([2, 1, 2], np.int32)),
    ),
}  # fmt: skip
