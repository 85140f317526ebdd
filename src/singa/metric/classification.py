"""Metrics of classifiers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from singa.core.tensor import TensorLike
from singa.errors import ArgumentError
from singa.metric import formula
from singa.metric.base import MAX, Array, Metric
from singa.operation import checks

Average = Literal["binary", "macro", "micro", "none"]


@dataclass(frozen=True, eq=False)
class Accuracy(Metric):
    """The fraction of predictions that are right.

    Args:
        ignore_index: targets of this class, such as padding, are ignored.

    Example:
        >>> scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.7, 0.3]])
        >>> metric.Accuracy().update(scores[:2], [1, 0]).update(scores[1:], [1, 0]).value
        0.75
    """

    best = MAX
    ignore_index: int | None = None

    def counts(self, xp: Any, prediction: Array, target: Array) -> tuple[Array, ...]:
        predicted, wanted = formula.classes(self, xp, prediction, target)
        return formula.right_of_all(xp, predicted == wanted, wanted, self.ignore_index)

    def result(self, xp: Any, *counts: Array) -> Array:
        return formula.mean(xp, *counts)


@dataclass(frozen=True, eq=False)
class TopKAccuracy(Metric):
    """The fraction of targets that are among the k classes with the greatest scores.

    If scores are equal, the lower class comes first, so that k = 1 is Accuracy.

    Args:
        k: the number of classes.
        ignore_index: as for :class:`Accuracy`.

    Example:
        >>> scores = np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])
        >>> metric.TopKAccuracy(2).update(scores, np.array([2, 2])).value
        0.5
    """

    best = MAX
    k: int = 5
    ignore_index: int | None = None

    def __post_init__(self) -> None:
        if checks.integer("TopKAccuracy: k", self.k) < 1:
            raise ArgumentError(f"TopKAccuracy: k is {self.k}, at least 1 is expected")

    def counts(self, xp: Any, prediction: Array, target: Array) -> tuple[Array, ...]:
        own, inside, wanted = formula.score_of_target(self, xp, prediction, target)
        earlier = xp.arange(prediction.shape[-1]) < wanted[..., None]
        better = (prediction > own) | ((prediction == own) & earlier)
        # Comparisons with nan are false: the predictions of a model that has diverged are wrong.
        right = inside & (better.sum(-1) < self.k) & ~xp.isnan(own[..., 0])
        return formula.right_of_all(xp, right, wanted, self.ignore_index)

    def result(self, xp: Any, *counts: Array) -> Array:
        return formula.mean(xp, *counts)


def accuracy(prediction: TensorLike, target: TensorLike) -> Any:
    """The fraction of predictions that are right; see :class:`Accuracy`.

    Args:
        prediction: scores (N, ..., C), the probability of class 1 (N,), or classes (N, ...).
        target: classes (N, ...), or one-hot.

    Returns:
        A float64 Tensor (), or a NumPy number if the predictions are not a Tensor.

    Example:
        >>> float(metric.accuracy([0, 1, 1, 0], [0, 1, 1, 1]))
        0.75
    """
    return Accuracy()(prediction, target)


def top_k_accuracy(prediction: TensorLike, target: TensorLike, k: int = 5) -> Any:
    """The fraction of targets among the k greatest scores; see :class:`TopKAccuracy`.

    Args:
        prediction: scores (N, ..., C).
        target: classes (N, ...).
        k: the number of classes.

    Returns:
        A float64 Tensor (), or a NumPy number if the predictions are not a Tensor.

    Example:
        >>> scores = np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]])
        >>> float(metric.top_k_accuracy(scores, np.array([2, 2]), k=2))
        0.5
    """
    return TopKAccuracy(k)(prediction, target)


# -- class by class -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ConfusionMatrix(Metric):
    """How often class i (row) was predicted to be class j (column): int64 (C, C).

    Targets and predictions outside of the classes are ignored.

    Args:
        num_classes: the number of classes, C.

    Example:
        >>> metric.ConfusionMatrix(3).update([0, 1, 1, 2], [0, 1, 2, 2]).value
        array([[1, 0, 0],
               [0, 1, 0],
               [0, 1, 1]])
    """

    num_classes: int

    def __post_init__(self) -> None:
        formula.check_classes(self, self.num_classes)

    def zeros(self) -> tuple[npt.NDArray[Any], ...]:
        return (np.zeros((self.num_classes, self.num_classes), np.int64),)

    def counts(self, xp: Any, prediction: Array, target: Array) -> tuple[Array, ...]:
        return (formula.confusion(self, xp, prediction, target, self.num_classes),)

    def result(self, xp: Any, *counts: Array) -> Array:
        return counts[0]


@dataclass(frozen=True, eq=False)
class _Rate(Metric):
    """Base of precision, recall and F1, which are ratios of counts of each class."""

    best = MAX
    num_classes: int = 2
    average: Average = "binary"

    def __post_init__(self) -> None:
        formula.check_classes(self, self.num_classes)
        if self.average not in ("binary", "macro", "micro", "none"):
            raise ArgumentError(
                f"{type(self).__name__}: average is {self.average!r}; binary, macro, micro or "
                "none is expected"
            )
        if self.average == "binary" and self.num_classes != 2:
            raise ArgumentError(
                f"{type(self).__name__}: average='binary' is for 2 classes, not for "
                f"{self.num_classes}; macro, micro or none is expected"
            )

    def zeros(self) -> tuple[npt.NDArray[Any], ...]:
        return (np.zeros((3, self.num_classes), np.int64),)

    def counts(self, xp: Any, prediction: Array, target: Array) -> tuple[Array, ...]:
        confusion = formula.confusion(self, xp, prediction, target, self.num_classes)
        return (xp.stack([xp.diagonal(confusion), confusion.sum(0), confusion.sum(1)]),)

    def result(self, xp: Any, *counts: Array) -> Array:
        right, predicted, actual = counts[0]
        part, whole = self.ratio(right, predicted, actual)
        if self.average == "micro":
            return formula.ratio(xp, part.sum(), whole.sum())
        ratios = formula.ratio(xp, part, whole)
        if self.average == "binary":
            return ratios[1]
        return ratios if self.average == "none" else formula.ratio(
            xp, ratios.sum(), (predicted + actual > 0).sum()
        )  # fmt: skip

    def ratio(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        """Numerator and denominator, from the counts of right, predicted and actual classes."""
        raise NotImplementedError(f"{type(self).__name__} has no ratio")


class Precision(_Rate):
    """The fraction of the predictions of a class that are right.

    The ratio of a class that does not occur is 0. Targets and predictions outside of the classes
    are ignored.

    Args:
        num_classes: the number of classes, C.
        average: "binary", the ratio for class 1 of two; "macro", the mean over all classes that
            were predicted or targets; "micro", the ratio of the sums over all classes; "none",
            all ratios: (C,).

    Example:
        >>> predicted, target = [1, 1, 0, 1], [1, 0, 0, 1]
        >>> round(metric.Precision().update(predicted, target).value, 3)
        0.667
        >>> metric.Precision(average="none").update(predicted, target).value
        array([1.    , 0.6667])
    """

    def ratio(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return right, predicted


class Recall(_Rate):
    """The fraction of the targets of a class that were predicted.

    Its arguments are those of :class:`Precision`.

    Example:
        >>> predicted, target = [1, 1, 0, 1], [1, 0, 0, 1]
        >>> metric.Recall().update(predicted, target).value
        1.0
        >>> metric.Recall(average="none").update(predicted, target).value
        array([0.5, 1. ])
    """

    def ratio(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return right, actual


class F1(_Rate):
    """The harmonic mean of precision and recall, class by class.

    Its arguments are those of :class:`Precision`.

    Example:
        >>> metric.F1().update([1, 1, 0, 1], [1, 0, 0, 1]).value
        0.8
        >>> metric.F1(average="micro").update([1, 1, 0, 1], [1, 0, 0, 1]).value
        0.75
    """

    def ratio(self, right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return 2 * right, predicted + actual
