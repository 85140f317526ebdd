import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

VECTORS = [(3, 4), (3, 4)]
LIKE, SAME = np.array([1, -1, -1], np.int32), np.array([1, 0, 0], np.int32)


def length(x):
    return jnp.sqrt((x * x).sum(-1))


def cosine(a, b):
    return (a * b).sum(-1) / (length(a) * length(b))


def plain_cosine_embedding(a, b, t):
    return jnp.where(t > 0, 1 - cosine(a, b), jnp.maximum(cosine(a, b) + 0.5, 0)).mean()


def plain_contrastive(a, b, t):
    d = length(a - b)
    return (t * d**2 + (1 - t) * jnp.maximum(3 - d, 0) ** 2).astype(a.dtype).mean() / 2


def distances(p):
    return lambda a, b: (abs(a[..., :, None, :] - b[..., None, :, :]) ** p).sum(-1) ** (1 / p)


def cubic(x):
    return (jnp.abs(x + 0.01) ** 3).sum(-1) ** (1 / 3)


ROWS = {
    "ranking_loss": Row(
        ops.RankingLoss, ops.ranking_loss, lambda p, n: jnp.maximum(0.2 - p + n, 0).mean(), VECTORS
    ),
    "cossim": Row(ops.CosSim, ops.cossim, cosine, VECTORS),
    "cosine_embedding_loss": Row(
        ops.CosineEmbedding, lambda *xs: ops.cosine_embedding_loss(*xs, margin=-0.5),
        plain_cosine_embedding, VECTORS, constants=(LIKE,),
    ),
    "triplet_loss": Row(
        ops.Triplet, ops.triplet_loss,
        lambda a, p, n: jnp.maximum(length(a - p) - length(a - n) + 1, 0).mean(), [(3, 4)] * 3,
    ),
    "triplet_loss, swapped": Row(
        ops.Triplet,
        lambda *xs: ops.triplet_loss(*xs, reduction="none", p=3, eps=0.01, swap=True),
        lambda a, p, n: jnp.maximum(
            cubic(a - p) - jnp.minimum(cubic(a - n), cubic(p - n)) + 1, 0
        ),
        [(5, 4)] * 3,
    ),
    "contrastive_loss": Row(
        ops.Contrastive, lambda *xs: ops.contrastive_loss(*xs, margin=3.0), plain_contrastive,
        VECTORS, constants=(SAME,),
    ),
    "cdist": Row(ops.PairDistances, ops.cdist, distances(2), [(2, 1, 3, 4), (2, 4)]),
    "cdist of another power": Row(
        ops.PairDistances, lambda a, b: ops.cdist(a, b, 3), distances(3), [(3, 2), (2, 2)]
    ),
}  # fmt: skip
