import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import POSITIVE, PROBABILITY, Row
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


def plain_bce_logits(x, t, weight, pos_weight):
    p = jax.nn.sigmoid(x)
    return -(weight * (pos_weight * t * jnp.log(p) + (1 - t) * jnp.log(1 - p))).sum()


def plain_focal(x, t):
    p = jax.nn.sigmoid(x)
    wrong, alpha = t * (1 - p) + (1 - t) * p, t * 0.3 + (1 - t) * 0.7
    losses = -(t * jnp.log(p) + (1 - t) * jnp.log(1 - p))
    return (alpha * wrong**1.5 * losses).sum() / len(x)


def plain_poisson(x, t):
    stirling = t * jnp.log(t) - t + jnp.log(2 * jnp.pi * t) / 2
    return (jnp.exp(x) - t * x + jnp.where(t > 1, stirling, 0)).mean()


def plain_multi_margin(x, t, weight):
    short = jnp.maximum(0.5 - x[jnp.arange(3), t][:, None] + x, 0) ** 2
    return weight[t] * (short * (1 - jnp.eye(4)[t])).sum(1) / 4


WEIGHT, SIGNS = np.array([2.0, 0.5, 1.5, 3.0], np.float32), np.array([1, -1, -1], np.int32)

ROWS = {
    "softmax_cross_entropy none": Row(
        ops.SoftMaxCrossEntropy,
        lambda x, t: ops.softmax_cross_entropy(x, t, reduction="none"),
        lambda x, t: -(t * jax.nn.log_softmax(x)).sum(-1), [(3, 4), (3, 4)], PROBABILITY,
    ),
    "binary_cross_entropy weighted": Row(
        ops.BinaryCrossEntropy,
        lambda x, t, weight: ops.binary_cross_entropy(x, t, weight, "none"),
        lambda x, t, weight: -weight * (t * jnp.log(x) + (1 - t) * jnp.log(1 - x)),
        [(3, 4), (3, 4), (4,)], PROBABILITY,
    ),
    "binary_cross_entropy_with_logits weighted": Row(
        ops.BinaryCrossEntropyWithLogits,
        lambda *xs: ops.binary_cross_entropy_with_logits(*xs, reduction="sum"),
        plain_bce_logits, [(3, 4), (3, 4), (3, 1), (4,)],
    ),
    "sigmoid_focal_loss": Row(
        ops.SigmoidFocal, lambda x, t: ops.sigmoid_focal_loss(x, t, 0.3, 1.5), plain_focal,
        [(3, 4), (3, 4)], PROBABILITY,
    ),
    "kl_div log_target": Row(
        ops.KLDivergence, lambda x, t: ops.kl_div(x, t, True, "none"),
        lambda x, t: jnp.exp(t) * (t - x), [(3, 4), (3, 4)],
    ),
    "gaussian_nll_loss": Row(
        ops.GaussianNegativeLogLikelihood,
        lambda *xs: ops.gaussian_nll_loss(*xs, full=True, reduction="none"),
        lambda x, t, v: (jnp.log(2 * jnp.pi * v) + (x - t) ** 2 / v) / 2,
        [(3, 4), (3, 4), (3, 1)], POSITIVE,
    ),
    "poisson_nll_loss": Row(
        ops.PoissonNegativeLogLikelihood, lambda x, t: ops.poisson_nll_loss(x, t, full=True),
        plain_poisson, [(3, 4), (3, 4)], POSITIVE,
    ),
    "poisson_nll_loss of counts": Row(
        ops.PoissonNegativeLogLikelihood,
        lambda x, t: ops.poisson_nll_loss(x, t, False, epsilon=0.1),
        lambda x, t: (x - t * jnp.log(x + 0.1)).mean(), [(3, 4), (3, 4)], POSITIVE,
    ),
    "soft_margin_loss": Row(
        ops.SoftMargin, ops.soft_margin_loss, lambda x, t: jnp.log(1 + jnp.exp(-t * x)).mean(),
        [(3, 4), (3, 4)],
    ),
    "hinge_embedding_loss": Row(
        ops.HingeEmbedding, lambda x, t: ops.hinge_embedding_loss(x, t, 0.7),
        lambda x, t: jnp.where(t == 1, x, jnp.maximum(0.7 - x, 0)).mean(), [(3,)],
        constants=(SIGNS,),
    ),
    "margin_ranking_loss": Row(
        ops.MarginRanking, lambda *xs: ops.margin_ranking_loss(*xs, 0.5, "none"),
        lambda a, b, t: jnp.maximum(0.5 - t * (a - b), 0), [(3,), (3,)], constants=(SIGNS,),
    ),
    "multi_margin_loss": Row(
        ops.MultiMargin, lambda x, t, w: ops.multi_margin_loss(x, t, 2, 0.5, w, "none"),
        plain_multi_margin, [(3, 4)], constants=(IDS, WEIGHT),
    ),
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
