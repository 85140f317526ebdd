import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import PROBABILITY, Row
from singa import autograd as ops

IDS = np.array([2, 0, 3], np.int32)
ONE_HOT = np.eye(4, dtype=np.int32)[IDS]


def plain_cross_entropy(x, t):
    return -(t * jax.nn.log_softmax(x)).sum() / len(x)


def plain_smooth(x, t, weight):
    """Ids weighted and smoothed by a tenth, those of 0 left out."""
    target = jnp.where(t[:, None] == 0, 0, weight * (0.9 * jnp.eye(4)[t] + 0.1 / 4))
    return -(target * jax.nn.log_softmax(x)).sum() / jnp.where(t == 0, 0, weight[t]).sum()


def plain_bce(x, t):
    return -(t * jnp.log(x) + (1 - t) * jnp.log(1 - x)).sum() / len(x)


def plain_huber(x, t):
    e = jnp.abs(x - t)
    return jnp.where(e < 0.7, e * e / 2, 0.7 * (e - 0.35)).mean()


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
    "softmax_cross_entropy with all options": Row(
        ops.SoftMaxCrossEntropy,
        lambda x, t, weight: ops.softmax_cross_entropy(x, t, weight, 0, 0.1),
        plain_smooth, [(3, 4)], constants=(IDS, np.array([2.0, 0.5, 1.5, 3.0], np.float32)),
    ),
    "mse_loss": Row(
        ops.MeanSquareError, ops.mse_loss, lambda x, t: ((x - t) ** 2).mean(), [(3, 4), (3, 4)]
    ),
    "binary_cross_entropy": Row(
        ops.BinaryCrossEntropy, ops.binary_cross_entropy, plain_bce, [(3, 4), (3, 4)], PROBABILITY
    ),
    "cross_entropy": Row(
        ops.CrossEntropy, ops.cross_entropy, lambda x, t: -(t * jnp.log(x)).sum() / 3,
        [(3, 4), (3, 4)], PROBABILITY,
    ),
    "nll_loss": Row(
        ops.NegativeLogLikelihood, ops.nll_loss, lambda x, t: -x[jnp.arange(3), t].sum() / 3,
        [(3, 4)], constants=(IDS,),
    ),
    "binary_cross_entropy_with_logits": Row(
        ops.BinaryCrossEntropyWithLogits, ops.binary_cross_entropy_with_logits,
        lambda x, t: plain_bce(jax.nn.sigmoid(x), t), [(3, 4), (3, 4)],
    ),
    "kl_div": Row(
        ops.KLDivergence, ops.kl_div, lambda x, t: (t * (jnp.log(t) - x)).sum() / 3,
        [(3, 4), (3, 4)], PROBABILITY,
    ),
    "l1_loss": Row(
        ops.MeanAbsoluteError, ops.l1_loss, lambda x, t: jnp.abs(x - t).mean(), [(3, 4), (3, 4)]
    ),
    "huber_loss": Row(
        ops.Huber, lambda x, t: ops.huber_loss(x, t, 0.7), plain_huber, [(3, 4), (3, 4)]
    ),
    "smooth_l1_loss": Row(
        ops.Huber, lambda x, t: ops.smooth_l1_loss(x, t, 0.7),
        lambda x, t: plain_huber(x, t) / 0.7, [(3, 4), (3, 4)],
    ),
    "hinge_loss": Row(
        ops.Hinge, ops.hinge_loss, lambda x, t: jnp.maximum(1 - x * t, 0).mean(), [(3, 4), (3, 4)]
    ),
}  # fmt: skip
