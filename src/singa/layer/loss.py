"""Losses as layers. Each takes the arguments of its operation; a call takes output and target.

All of them take ``reduction="mean"``, ``"sum"`` or ``"none"``, as an argument of the constructor.
"""

from __future__ import annotations

from singa import operation
from singa.core.tensor import Tensor
from singa.layer.base import Layer
from singa.layer.function import Function


class SoftMaxCrossEntropy(Function, operation=operation.SoftMaxCrossEntropy):
    """The mean of -sum(t log softmax(x)); see :func:`singa.autograd.softmax_cross_entropy`.

    Args:
        ignore_index: the class id of rows that are ignored.
        label_smoothing: the part of each target that is spread equally over all classes, 0 to 1.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for the loss of each row.

    Shapes:
        x: (N, classes); further axes before the last are part of the batch.
        t: class ids (N,), integers; or one-hot or soft labels (N, classes).
        weight: (classes,), the weight of each class; may be left out.
        y: (), or (N,) without a reduction.

    Example:
        >>> x = Tensor(data=[[0.0, 0.0], [0.0, 100.0]])
        >>> layer.SoftMaxCrossEntropy()(x, Tensor(data=[0, 1])).to_numpy()
        array(0.3466, dtype=float32)
        >>> layer.SoftMaxCrossEntropy(ignore_index=1)(x, Tensor(data=[0, 1])).to_numpy()
        array(0.6931, dtype=float32)
    """


class CrossEntropy(Function, operation=operation.CrossEntropy):
    """The mean of -sum(t log x), for probabilities; see :func:`singa.autograd.cross_entropy`.

    Its arguments are those of :class:`SoftMaxCrossEntropy`.

    Shapes:
        x: (N, classes); further axes before the last are part of the batch.
        t: class ids (N,), integers; or one-hot or soft labels (N, classes).
        y: ().

    Example:
        >>> p = Tensor(data=[[0.5, 0.5], [0.0, 1.0]])
        >>> layer.CrossEntropy()(p, Tensor(data=[0, 1])).to_numpy()
        array(0.3466, dtype=float32)
    """


class NegativeLogLikelihood(Function, operation=operation.NegativeLogLikelihood):
    """The mean of -sum(t x), for log-probabilities; see :func:`singa.autograd.nll_loss`.

    Its arguments are those of :class:`SoftMaxCrossEntropy`.

    Shapes:
        x: (N, classes); further axes before the last are part of the batch.
        t: class ids (N,), integers; or one-hot or soft labels (N, classes).
        y: ().

    Example:
        >>> log_p = Tensor(data=[[-1.0, -0.5], [-3.0, 0.0]])
        >>> layer.NegativeLogLikelihood()(log_p, Tensor(data=[0, 1])).item()
        0.5
    """


class BinaryCrossEntropy(Function, operation=operation.BinaryCrossEntropy):
    """The cross entropy of probabilities; see :func:`singa.autograd.binary_cross_entropy`.

    Shapes:
        x, t: (N, ...).
        y: ().

    Example:
        >>> p, t = Tensor(data=[[0.5], [1.0]]), Tensor(data=[[1.0], [1.0]])
        >>> layer.BinaryCrossEntropy()(p, t).to_numpy()
        array(0.3466, dtype=float32)
    """


class BinaryCrossEntropyWithLogits(Function, operation=operation.BinaryCrossEntropyWithLogits):
    """Of sigmoid(x); see :func:`singa.autograd.binary_cross_entropy_with_logits`.

    Shapes:
        x, t: (N, ...).
        weight, pos_weight: of shapes that broadcast to x's; may be left out.
        y: ().

    Example:
        >>> x, t = Tensor(data=[[0.0], [100.0]]), Tensor(data=[[1.0], [1.0]])
        >>> layer.BinaryCrossEntropyWithLogits()(x, t).to_numpy()
        array(0.3466, dtype=float32)
        >>> layer.BinaryCrossEntropyWithLogits()(x, t, pos_weight=Tensor(data=[4.0])).to_numpy()
        array(1.3863, dtype=float32)
    """

    reduction: str

    def forward(  # type: ignore[override]
        self,
        x: Tensor,
        t: Tensor,
        weight: Tensor | None = None,
        pos_weight: Tensor | None = None,
    ) -> Tensor:
        return operation.binary_cross_entropy_with_logits(x, t, weight, pos_weight, self.reduction)


class SigmoidFocalLoss(Function, operation=operation.SigmoidFocal):
    """Less for what is nearly right; see :func:`singa.autograd.sigmoid_focal_loss`.

    Shapes:
        x, t: (N, ...).
        y: ().

    Example:
        >>> x, t = Tensor(data=[[0.0], [4.0]]), Tensor(data=[[1.0], [1.0]])
        >>> layer.SigmoidFocalLoss(reduction="sum")(x, t).to_numpy()
        array(0.0433, dtype=float32)
    """


class KLDivergence(Function, operation=operation.KLDivergence):
    """The divergence of t from log-probabilities x; see :func:`singa.autograd.kl_div`.

    Shapes:
        x, t: (N, ...).
        y: ().

    Example:
        >>> log_p, t = Tensor(data=[[-1.0, -1.0]]), Tensor(data=[[1.0, 0.0]])
        >>> layer.KLDivergence()(log_p, t).item()
        1.0
    """


class MeanSquareError(Function, operation=operation.MeanSquareError):
    """The mean of (x - t) ** 2 over all elements.

    Shapes:
        x, t: any, both the same.
        y: ().

    Example:
        >>> x, t = Tensor(data=[1.0, 3.0]), Tensor(data=[1.0, 1.0])
        >>> layer.MeanSquareError()(x, t).item()
        2.0
    """


class MeanAbsoluteError(Function, operation=operation.MeanAbsoluteError):
    """The mean of abs(x - t) over all elements.

    Shapes:
        x, t: any, both the same.
        y: ().

    Example:
        >>> x, t = Tensor(data=[1.0, 3.0]), Tensor(data=[1.0, 1.0])
        >>> layer.MeanAbsoluteError()(x, t).item()
        1.0
    """


class HuberLoss(Function, operation=operation.Huber):
    """The mean of (x - t) ** 2 / 2, linear where abs(x - t) is above ``delta``.

    Shapes:
        x, t: any, both the same.
        y: ().

    Example:
        >>> x, t = Tensor(data=[1.0, 3.0]), Tensor(data=[1.0, 1.0])
        >>> layer.HuberLoss(delta=1.0)(x, t).item()  # (0 + 1 * (2 - 1/2)) / 2
        0.75
    """


class SmoothL1Loss(Layer):
    """The mean of abs(x - t), quadratic where abs(x - t) is below ``beta``.

    Shapes:
        x, t: any, both the same.
        y: ().

    Example:
        >>> x, t = Tensor(data=[1.0, 3.0]), Tensor(data=[1.0, 1.0])
        >>> layer.SmoothL1Loss(beta=2.0)(x, t).item()
        0.5
    """

    def __init__(self, beta: float = 1.0, reduction: str = "mean") -> None:
        operation.Huber(beta, reduction)  # raises immediately if they are wrong
        self.beta = beta
        self.reduction = reduction

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return operation.smooth_l1_loss(x, t, self.beta, self.reduction)


class HingeLoss(Function, operation=operation.Hinge):
    """The mean of max(0, 1 - t x) over all elements, for targets of 1 and -1.

    Shapes:
        x, t: any, both the same.
        y: ().

    Example:
        >>> x, t = Tensor(data=[0.5, 2.0]), Tensor(data=[-1.0, 1.0])
        >>> layer.HingeLoss()(x, t).item()
        0.75
    """


class SoftMarginLoss(Function, operation=operation.SoftMargin):
    """The mean of log(1 + exp(-t x)) over all elements, for targets of 1 and -1.

    Shapes:
        x, t: any, both the same.
        y: ().

    Example:
        >>> x, t = Tensor(data=[0.0, 100.0]), Tensor(data=[1.0, 1.0])
        >>> layer.SoftMarginLoss()(x, t).to_numpy()
        array(0.3466, dtype=float32)
    """


class HingeEmbeddingLoss(Function, operation=operation.HingeEmbedding):
    """A loss of distances; see :func:`singa.autograd.hinge_embedding_loss`.

    Shapes:
        x, t: any, both the same.
        y: ().

    Example:
        >>> x, t = Tensor(data=[0.5, 0.25]), Tensor(data=[1, -1])
        >>> layer.HingeEmbeddingLoss()(x, t).item()
        0.625
    """


class MarginRankingLoss(Function, operation=operation.MarginRanking):
    """The mean of max(0, margin - t (a - b)); see :func:`singa.autograd.margin_ranking_loss`.

    Shapes:
        a, b, t: any, all the same.
        y: ().

    Example:
        >>> a, b = Tensor(data=[1.0, 2.0]), Tensor(data=[0.0, 0.0])
        >>> layer.MarginRankingLoss()(a, b, Tensor(data=[1, -1])).item()
        1.0
    """


class MultiMarginLoss(Function, operation=operation.MultiMargin):
    """The right class above all others by a margin; see :func:`singa.autograd.multi_margin_loss`.

    Shapes:
        x: (N, classes).
        t: class ids (N,), integers.
        weight: (classes,); may be left out.
        y: ().

    Example:
        >>> layer.MultiMarginLoss()(Tensor(data=[[1.0, 0.5]]), Tensor(data=[0])).item()
        0.25
    """


class GaussianNegativeLogLikelihood(Function, operation=operation.GaussianNegativeLogLikelihood):
    """Of numbers with variances; see :func:`singa.autograd.gaussian_nll_loss`.

    Shapes:
        x, t: any, both the same.
        var: a shape that broadcasts to x's.
        y: ().

    Example:
        >>> x, t, var = (Tensor(data=[v]) for v in (1.0, 3.0, 4.0))
        >>> layer.GaussianNegativeLogLikelihood()(x, t, var).to_numpy()
        array(1.1931, dtype=float32)
    """


class PoissonNegativeLogLikelihood(Function, operation=operation.PoissonNegativeLogLikelihood):
    """Of counts; see :func:`singa.autograd.poisson_nll_loss`.

    Shapes:
        x, t: any, both the same.
        y: ().

    Example:
        >>> x, t = Tensor(data=[0.0, 0.0]), Tensor(data=[1.0, 3.0])
        >>> layer.PoissonNegativeLogLikelihood()(x, t).item()
        1.0
    """


class RankingLoss(Function, operation=operation.RankingLoss):
    """The mean of max(0, ``M`` - pos + neg); see :func:`singa.autograd.ranking_loss`.

    Shapes:
        pos, neg: any, both the same.
        y: ().

    Example:
        >>> pos, neg = Tensor(data=[1.0, 0.5]), Tensor(data=[0.0, 0.5])
        >>> layer.RankingLoss(M=0.5)(pos, neg).item()
        0.25
    """


class CosineEmbeddingLoss(Function, operation=operation.CosineEmbedding):
    """A loss of pairs, by the cosine; see :func:`singa.autograd.cosine_embedding_loss`.

    Shapes:
        a, b: (..., features).
        t: (...): 1 for a pair that should be similar, -1 for one that should not.
        y: ().

    Example:
        >>> a, b = Tensor(data=[[1.0, 0.0], [1.0, 0.0]]), Tensor(data=[[1.0, 0.0], [2.0, 0.0]])
        >>> layer.CosineEmbeddingLoss()(a, b, Tensor(data=[1.0, -1.0])).item()
        0.5
    """


class TripletLoss(Function, operation=operation.Triplet):
    """A loss of anchor, positive and negative; see :func:`singa.autograd.triplet_loss`.

    Its arguments are ``margin``, ``reduction``, and by name ``p``, ``eps`` and ``swap``.

    Shapes:
        anchor, positive, negative: (..., features).
        y: ().

    Example:
        >>> anchor, positive, negative = (Tensor(data=[[x, 0.0]]) for x in (0.0, 1.0, 1.5))
        >>> layer.TripletLoss()(anchor, positive, negative).item()
        0.5
    """


class ContrastiveLoss(Function, operation=operation.Contrastive):
    """A loss of pairs, by the distance; see :func:`singa.autograd.contrastive_loss`.

    Shapes:
        a, b: (..., features).
        t: (...): 1 for a pair that should be similar, 0 for one that should not.
        y: ().

    Example:
        >>> a, b = Tensor(data=[[0.0, 0.0], [0.0, 0.0]]), Tensor(data=[[3.0, 4.0], [3.0, 4.0]])
        >>> layer.ContrastiveLoss()(a, b, Tensor(data=[1.0, 0.0])).item()  # (25 / 2 + 0) / 2
        6.25
    """


class CTCLoss(Function, operation=operation.CTC):
    """A loss of frames and labels that are not aligned; see :func:`singa.autograd.ctc_loss`.

    Shapes:
        log_p: (frames, N, classes), log-probabilities.
        t: (N, L), labels.
        input_lengths, target_lengths: (N,), integers.
        y: ().

    Example:
        >>> log_p = autograd.log_softmax(Tensor((3, 1, 4)), axis=2)  # 3 frames, 4 classes
        >>> labels, frames, length = Tensor(data=[[1, 2]]), Tensor(data=[3]), Tensor(data=[2])
        >>> layer.CTCLoss()(log_p, labels, frames, length).to_numpy()  # -ln(5 / 4 ** 3)
        array(2.5494, dtype=float32)
    """
