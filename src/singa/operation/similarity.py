"""Similarities of Tensors, and losses that use them. Vectors are along the last axis."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.loss import Loss
from singa.operation.numerics import direction, over, p_norm
from singa.tape import Operation

__all__ = [
    "Contrastive", "CosSim", "CosineEmbedding", "PairDistances", "RankingLoss", "Triplet", "cdist",
    "contrastive_loss", "cosine_embedding_loss", "cossim", "ranking_loss", "triplet_loss",
]  # fmt: skip


class RankingLoss(Loss):
    """y = mean(max(0, M - pos + neg)): each pos should be above its neg by the margin M."""

    numbers = ("M",)

    def __init__(self, M: float = 0.2, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.M = checks.number(f"{self.name}: M", M)

    def values(self, pos: CTensor, neg: CTensor) -> CTensor:
        checks.float_input(self, "pos", pos)
        _alike(self, pos, neg, 0)
        short = self.M - pos + neg
        self.wrong = short > 0
        return jnp.maximum(short, 0)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dneg = jnp.where(self.wrong, self.spread(dy), 0)
        return -dneg, dneg


class CosSim(Operation):
    """y = ``a b / (|a| |b|)``, the cosine between vectors.

    For a zero vector it is 0, without a gradient.
    """

    arithmetic = "wide"

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.float_input(self, "a", a)
        checks.float_input(self, "b", b)
        _alike(self, a, b, 1)
        (self.a, self.length_a), (self.b, self.length_b) = direction(a, -1), direction(b, -1)
        self.cosine = (self.a * self.b).sum(-1)
        return self.cosine

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy, cosine = dy[..., None], self.cosine[..., None]
        return (
            over(dy * (self.b - cosine * self.a), self.length_a),
            over(dy * (self.a - cosine * self.b), self.length_b),
        )


class CosineEmbedding(Loss, CosSim):
    """y = the mean of 1 - cosine where t is 1, and of max(0, cosine - margin) where t is -1."""

    numbers = ("margin",)

    def __init__(self, margin: float = 0.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = checks.number(f"{self.name}: margin", margin)

    def values(self, a: CTensor, b: CTensor, t: CTensor) -> CTensor:
        cosine = CosSim.forward(self, a, b)
        _one_each(self, t, cosine)
        self.t = t
        return jnp.where(t > 0, 1 - cosine, jnp.maximum(cosine - self.margin, 0))

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, None]:  # type: ignore[override]
        dy = self.spread(dy)
        away = jnp.where(self.cosine > self.margin, dy, 0)
        return *CosSim.backward(self, jnp.where(self.t > 0, -dy, away)), None


class Triplet(Loss):
    """y = mean(max(0, d(anchor, positive) - d(anchor, negative) + margin)) (Schroff et al., 2015).

    The distances d are p-norms; at distance 0 their gradient is 0. With ``swap`` the second one is
    d(positive, negative) where this is smaller.
    """

    numbers = ("margin", "eps")

    def __init__(
        self,
        margin: float = 1.0,
        reduction: str = "mean",
        *,
        p: float = 2.0,
        eps: float = 0.0,
        swap: bool = False,
    ) -> None:
        super().__init__(reduction)
        self.margin = checks.number(f"{self.name}: margin", margin)
        self.p = checks.number(f"{self.name}: p", p)
        self.eps = checks.number(f"{self.name}: eps", eps)
        self.swap = bool(swap)

    def values(self, anchor: CTensor, positive: CTensor, negative: CTensor) -> CTensor:
        checks.float_input(self, "the anchor", anchor)
        _alike(self, anchor, positive, 1)
        _alike(self, anchor, negative, 1)
        self.to_positive, near = p_norm(anchor - positive + self.eps, self.p, -1)
        self.to_negative, far = p_norm(anchor - negative + self.eps, self.p, -1)
        if self.swap:
            self.to_other, other = p_norm(positive - negative + self.eps, self.p, -1)
            self.share = jnp.where(other < far, 1, jnp.where(other == far, 0.5, 0))
            self.share = self.share.astype(far.dtype)
            far = jnp.minimum(far, other)
        loss = near - far + self.margin
        self.wrong = loss > 0
        return jnp.maximum(loss, 0)[..., 0]

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        dy = jnp.where(self.wrong, self.spread(dy)[..., None], 0)
        dpositive, dnegative = -dy * self.to_positive, dy * self.to_negative
        if not self.swap:
            return -dpositive - dnegative, dpositive, dnegative
        moved, dnegative = dy * self.share * self.to_other, dnegative * (1 - self.share)
        return -dpositive - dnegative, dpositive - moved, dnegative + moved


class Contrastive(Loss):
    """y = the mean of d ** 2 / 2 where t is 1, and of max(0, margin - d) ** 2 / 2 where t is 0.

    d is the Euclidean distance of a and b (Hadsell et al., 2006); at 0 its gradient is 0.
    """

    numbers = ("margin",)

    def __init__(self, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__(reduction)
        self.margin = checks.number(f"{self.name}: margin", margin)

    def values(self, a: CTensor, b: CTensor, t: CTensor) -> CTensor:
        checks.float_input(self, "a", a)
        _alike(self, a, b, 1)
        self.direction, distance = direction(a - b, -1)
        _one_each(self, t, distance[..., 0])
        # The distance by which each pair has to move, together or apart.
        self.pull = jnp.where(t[..., None] > 0, distance, -jnp.maximum(self.margin - distance, 0))
        return (self.pull * self.pull)[..., 0] / 2

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor, None]:
        da = self.spread(dy)[..., None] * self.pull * self.direction
        return da, -da, None


class PairDistances(Operation):
    """y = the p-norm of a[i] - b[j] for all pairs of vectors; at distance 0 the gradient is 0."""

    arithmetic = "wide"

    def __init__(self, p: float = 2.0) -> None:
        super().__init__()
        self.p = checks.number(f"{self.name}: p", p)
        if not self.p >= 0:
            raise ArgumentError(f"{self.name}: p must be 0 or more, got {p!r}")

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.float_input(self, "a", a)
        checks.float_input(self, "b", b)
        if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
            raise ShapeError(
                f"{self.name}: (..., P, features) and (..., R, features) are needed, got shapes "
                f"{a.shape} and {b.shape}"
            )
        checks.broadcastable(self, a[..., :1, :], b[..., :1, :])
        self.a, self.b = a, b
        if self.p != 2:
            return self.slopes_and_norms()[1][..., 0]
        squares = ((a[..., :, None, :] - b[..., None, :, :]) ** 2).sum(-1)
        is_near = squares < float(jnp.finfo(a.dtype).tiny) ** 0.8

        def only_where_equal() -> CTensor:
            return ((a[..., :, None, :] == b[..., None, :, :]).all(-1) | ~is_near).all()

        # If nothing overflows, and no tiny square is more than that of equal vectors.
        self.is_plain = jnp.isfinite(squares).all() & jax.lax.cond(
            is_near.any(), only_where_equal, lambda: jnp.ones((), bool)
        )
        self.y = jax.lax.cond(
            self.is_plain,
            lambda: jnp.where(is_near, 0, jnp.sqrt(jnp.where(is_near, 1, squares))),
            lambda: self.slopes_and_norms()[1][..., 0],
        )
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        def careful(dy: CTensor) -> tuple[CTensor, CTensor]:
            # Computed again, as there are so many of them.
            dy = dy[..., None] * self.slopes_and_norms()[0]
            return dy.sum(-2), -dy.sum(-3)

        def plain(dy: CTensor) -> tuple[CTensor, CTensor]:
            return _row_by_row(self.a, self.b, weights), _row_by_row(self.b, self.a, weights.mT)

        def plain_or_careful(dy: CTensor) -> tuple[CTensor, CTensor]:
            is_plain = self.is_plain & jnp.isfinite(weights).all()
            found: tuple[CTensor, CTensor] = jax.lax.cond(is_plain, plain, careful, dy)
            return found

        if self.p != 2:
            return careful(dy)
        weights = jnp.where(self.y == 0, 0, dy / jnp.where(self.y == 0, 1, self.y))
        da, db = jax.lax.platform_dependent(dy, cpu=plain_or_careful, default=careful)
        return da, db

    def slopes_and_norms(self) -> tuple[CTensor, CTensor]:
        """For all pairs the derivatives of their distance by a, and the distance."""
        return p_norm(self.a[..., :, None, :] - self.b[..., None, :, :], self.p, -1)


def _row_by_row(a: CTensor, b: CTensor, weights: CTensor) -> CTensor:
    """The sum over j of ``weights[i][j] * (a[i] - b[j])``, for one i after the other.

    XLA on CPUs computes it for all i at once in a loop that is not vectorized.
    """

    def row(parts: tuple[CTensor, CTensor]) -> CTensor:
        a, weights = parts
        return (weights[..., None] * (a[..., None, :] - b)).sum(-2)

    rows = jax.lax.map(row, (jnp.moveaxis(a, -2, 0), jnp.moveaxis(weights, -2, 0)))
    return jnp.moveaxis(rows, 0, -2)


def _alike(operation: Operation, a: CTensor, b: CTensor, ndim: int) -> None:
    if a.shape != b.shape or a.ndim < ndim:
        kind = "vectors along the last axis" if ndim else "Tensors"
        raise ShapeError(
            f"{operation.name}: {kind}, of one shape, are needed, got {a.shape}, {b.shape}"
        )


def _one_each(operation: Operation, t: CTensor, values: CTensor) -> None:
    if t.shape != values.shape:
        raise ShapeError(
            f"{operation.name}: t must have one element for each pair, be of shape {values.shape}; "
            f"got {t.shape}"
        )


def ranking_loss(pos: Tensor, neg: Tensor, M: float = 0.2, reduction: str = "mean") -> Tensor:
    """The mean of ``max(0, M - pos + neg)`` over all elements: a scalar; both are of one shape.

    With ``reduction="sum"`` the sum, with ``"none"`` one loss for each element.

    Example:
        >>> autograd.ranking_loss(Tensor(data=[1.0, 0.5]), Tensor(data=[0.0, 0.5]), M=0.5)
        Tensor(0.25, shape=(), dtype=float32, device=cpu)
    """
    return RankingLoss(M, reduction)(pos, neg)[0]


def cossim(a: Tensor, b: Tensor) -> Tensor:
    """The cosine between the vectors along the last axis: (N, features) twice gives (N,).

    Example:
        >>> a = Tensor(data=[[1.0, 0.0], [1.0, 1.0]])
        >>> autograd.cossim(a, Tensor(data=[[0.0, 2.0], [2.0, 2.0]]))
        Tensor([0., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return CosSim()(a, b)[0]


def cosine_embedding_loss(
    a: Tensor, b: Tensor, t: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """The mean of 1 - cosine for similar pairs, and of max(0, cosine - margin) for others.

    A scalar.

    Args:
        a: (..., features).
        b: the same.
        t: (...): 1 for a pair that should be similar, -1 for one that should not.
        margin: the cosine below which dissimilar pairs have no loss.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss for each pair.

    Example:
        >>> a = Tensor(data=[[1.0, 0.0], [0.0, 1.0]])
        >>> b = Tensor(data=[[0.0, 1.0], [0.0, 2.0]])
        >>> autograd.cosine_embedding_loss(a, b, Tensor(data=[1, -1]))
        Tensor(1., shape=(), dtype=float32, device=cpu)
    """
    return CosineEmbedding(margin, reduction)(a, b, t)[0]


def triplet_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    reduction: str = "mean",
    *,
    p: float = 2.0,
    eps: float = 0.0,
    swap: bool = False,
) -> Tensor:
    """The mean of ``max(0, d(anchor, positive) - d(anchor, negative) + margin)``: a scalar.

    Args:
        anchor, positive, negative: (..., features).
        margin: by how much the second distance should be larger.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss for each triplet, (...).
        p: the distances d are p-norms of differences.
        eps: added to the differences (1e-6 in PyTorch).
        swap: whether the second distance is that of positive and negative where it is smaller.

    Source: Schroff et al., FaceNet, 2015; ``swap``: Balntas et al., Learning Local Feature
        Descriptors with Triplets, 2016.

    Example:
        >>> anchor, far = Tensor(data=[[0.0, 0.0]]), Tensor(data=[[3.0, 4.0]])
        >>> autograd.triplet_loss(anchor, far, anchor)
        Tensor(6., shape=(), dtype=float32, device=cpu)
    """
    operation = Triplet(margin, reduction, p=p, eps=eps, swap=swap)
    return operation(anchor, positive, negative)[0]


def contrastive_loss(
    a: Tensor, b: Tensor, t: Tensor, margin: float = 1.0, reduction: str = "mean"
) -> Tensor:
    """Moves similar pairs together, and dissimilar ones apart up to a distance of ``margin``.

    The mean of ``d ** 2 / 2`` for similar pairs and of ``max(0, margin - d) ** 2 / 2`` for
    dissimilar ones: a scalar.

    Args:
        a: (..., features).
        b: the same.
        t: (...): 1 for a pair that should be similar, 0 for one that should not.
        margin: the distance beyond which dissimilar pairs have no loss.
        reduction: ``"mean"``, ``"sum"``, or ``"none"`` for one loss for each pair.

    Source: Hadsell et al., Dimensionality Reduction by Learning an Invariant Mapping, 2006.

    Example:
        >>> a, b = Tensor(data=[[0.0, 0.0]]), Tensor(data=[[3.0, 4.0]])
        >>> autograd.contrastive_loss(a, b, Tensor(data=[1]))
        Tensor(12.5, shape=(), dtype=float32, device=cpu)
    """
    return Contrastive(margin, reduction)(a, b, t)[0]


def cdist(a: Tensor, b: Tensor, p: float = 2.0) -> Tensor:
    """The distances of all pairs of vectors of ``a`` and of ``b``: the p-norms of differences.

    Args:
        a: (..., P, features).
        b: (..., R, features).
        p: any number from 0 on, infinity too; 2 is the Euclidean distance. At distance 0 the
            gradient is 0.

    Returns:
        (..., P, R).

    Example:
        >>> autograd.cdist(Tensor(data=[[0.0, 0.0], [3.0, 0.0]]), Tensor(data=[[3.0, 4.0]]))
        Tensor([[5.],
                [4.]], shape=(2, 1), dtype=float32, device=cpu)
    """
    return PairDistances(p)(a, b)[0]
