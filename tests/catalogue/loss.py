import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import PROBABILITY, Row
from singa import autograd as ops

IDS = np.array([2, 0, 3], np.int32)
ONE_HOT = np.eye(4, dtype=np.int32)[IDS]


def plain_cross_entropy(x, t):
    return -(t * jax.nn.log_softmax(x)).sum() / len(x)


def plain_bce(x, t):
    return -(t * jnp.log(x) + (1 - t) * jnp.log(1 - x)).sum() / len(x)


ROWS = {
    "softmax_cross_entropy by id": Row(
        ops.SoftMaxCrossEntropy, ops.softmax_cross_entropy,
        lambda x, t: plain_cross_entropy(x, jnp.asarray(ONE_HOT)), [(3, 4)], constants=(IDS,),
    ),
    "softmax_cross_entropy one-hot": Row(
        ops.SoftMaxCrossEntropy, ops.softmax_cross_entropy, plain_cross_entropy, [(3, 4)],
        constants=(ONE_HOT,),
    ),
    "softmax_cross_entropy soft": Row(
        ops.SoftMaxCrossEntropy, ops.softmax_cross_entropy, plain_cross_entropy,
        [(3, 4), (3, 4)], PROBABILITY,
    ),
    "mse_loss": Row(
        ops.MeanSquareError, ops.mse_loss, lambda x, t: ((x - t) ** 2).mean(), [(3, 4), (3, 4)]
    ),
    "binary_cross_entropy": Row(
        ops.BinaryCrossEntropy, ops.binary_cross_entropy, plain_bce, [(3, 4), (3, 4)], PROBABILITY
    ),
}  # fmt: skip
