"""Losses as layers. Each takes the arguments of its operation; a call takes output and target."""

from __future__ import annotations

from singa import operation
from singa._tensor import Tensor
from singa.layer.base import Layer
from singa.layer.function import Function


class SoftMaxCrossEntropy(Function, operation=operation.SoftMaxCrossEntropy):
    """The mean of -sum(t log softmax(x)); see :func:`singa.autograd.softmax_cross_entropy`."""


class CrossEntropy(Function, operation=operation.CrossEntropy):
    """The mean of -sum(t log x), for probabilities; see :func:`singa.autograd.cross_entropy`."""


class NegativeLogLikelihood(Function, operation=operation.NegativeLogLikelihood):
    """The mean of -sum(t x), for log-probabilities; see :func:`singa.autograd.nll_loss`."""


class BinaryCrossEntropy(Function, operation=operation.BinaryCrossEntropy):
    """The cross entropy of probabilities; see :func:`singa.autograd.binary_cross_entropy`."""


class BinaryCrossEntropyWithLogits(Function, operation=operation.BinaryCrossEntropyWithLogits):
    """That of sigmoid(x); see :func:`singa.autograd.binary_cross_entropy_with_logits`."""


class KLDivergence(Function, operation=operation.KLDivergence):
    """The divergence of t from log-probabilities x; see :func:`singa.autograd.kl_div`."""


class MeanSquareError(Function, operation=operation.MeanSquareError):
    """The mean of (x - t) ** 2 over all elements."""


class MeanAbsoluteError(Function, operation=operation.MeanAbsoluteError):
    """The mean of abs(x - t) over all elements."""


class HuberLoss(Function, operation=operation.Huber):
    """The mean of (x - t) ** 2 / 2, which goes on as a straight line beyond ``delta``."""


class SmoothL1Loss(Layer):
    """The mean of abs(x - t), which is rounded off within ``beta``."""

    def __init__(self, beta: float = 1.0) -> None:
        operation.Huber(beta)  # says at once if that is not above 0
        self.beta = beta

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return operation.smooth_l1_loss(x, t, self.beta)


class HingeLoss(Function, operation=operation.Hinge):
    """The mean of max(0, 1 - t x) over all elements, for targets of 1 and -1."""


class RankingLoss(Function, operation=operation.RankingLoss):
    """The mean of max(0, ``M`` - pos + neg); see :func:`singa.autograd.ranking_loss`."""


class CosineEmbeddingLoss(Function, operation=operation.CosineEmbedding):
    """Of pairs, by the cosine; see :func:`singa.autograd.cosine_embedding_loss`."""


class TripletLoss(Function, operation=operation.Triplet):
    """Of anchor, positive and negative; see :func:`singa.autograd.triplet_loss`."""


class ContrastiveLoss(Function, operation=operation.Contrastive):
    """Of pairs, by the distance; see :func:`singa.autograd.contrastive_loss`."""


class CTCLoss(Function, operation=operation.CTC):
    """Of frames and labels that are not aligned; see :func:`singa.autograd.ctc_loss`."""
