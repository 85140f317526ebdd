"""Losses. Each is a scalar, of shape ()."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from singa.device import CTensor
from singa.errors import DTypeError, ShapeError
from singa.operation import checks
from singa.tape import Operation
from singa.tensor import Tensor

__all__ = [
    "BinaryCrossEntropy", "MeanSquareError", "SoftMaxCrossEntropy", "binary_cross_entropy",
    "mse_loss", "softmax_cross_entropy",
]  # fmt: skip


class SoftMaxCrossEntropy(Operation):
    """y = -mean over the batch of sum(t log softmax(x)).

    The targets are class ids (integers of x's shape without its last axis), one-hot rows or soft
    labels (of x's shape, of any type). An id that is no class makes the loss NaN.
    """

    def forward(self, x: CTensor, t: CTensor) -> CTensor:
        checks.float_input(self, "x", x)
        if x.ndim < 2 or not x.size:
            raise ShapeError(f"{self.name}: x must be (N, classes), and not empty; got {x.shape}")
        by_id = t.shape in (x.shape[:-1], (*x.shape[:-1], 1)) and t.shape != x.shape
        if not by_id and t.shape != x.shape:
            raise ShapeError(
                f"{self.name}: for x of shape {x.shape} the targets are class ids of shape "
                f"{x.shape[:-1]}, or one-hot or soft labels of shape {x.shape}; got {t.shape}"
            )
        if by_id and not jnp.issubdtype(t.dtype, jnp.integer):
            raise DTypeError(f"{self.name}: class ids must be integers, got {t.dtype}")
        self.by_id, self.t = by_id, t
        self.rows = x.size // x.shape[-1]
        self.log_p = jax.nn.log_softmax(x, -1)
        labels = self.labels()
        # A class that is not wanted may be impossible: 0 times -inf is 0 here.
        return -jnp.where(labels == 0, 0, labels * self.log_p).sum() / self.rows

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dy = dy / self.rows
        labels = self.labels()
        # Soft labels need not sum to 1.
        total = labels.sum(-1, keepdims=True)
        return dy * (total * jnp.exp(self.log_p) - labels), -dy * self.log_p

    def labels(self) -> CTensor:
        """The targets as probabilities of each class."""
        if not self.by_id:
            return self.t.astype(self.log_p.dtype)
        classes = self.log_p.shape[-1]
        ids = self.t.reshape(self.log_p.shape[:-1])
        valid = (ids >= 0) & (ids < classes)
        one_hot = jax.nn.one_hot(ids, classes, dtype=self.log_p.dtype)
        return jnp.where(valid[..., None], one_hot, jnp.asarray(jnp.nan, one_hot.dtype))


class MeanSquareError(Operation):
    """y = mean((x - t) ** 2) over all elements."""

    def forward(self, x: CTensor, t: CTensor) -> CTensor:
        checks.float_input(self, "x", x)
        _same_shape(self, x, t)
        self.error = x - t
        return (self.error * self.error).mean()

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        dx = dy * (2 / max(self.error.size, 1)) * self.error
        return dx, -dx


class BinaryCrossEntropy(Operation):
    """y = -mean over the batch of sum(t log x + (1 - t) log(1 - x)), for probabilities x.

    The logarithms are cut off at -100, so that the loss stays finite for x = 0 and x = 1.
    """

    def forward(self, x: CTensor, t: CTensor) -> CTensor:
        checks.float_input(self, "x", x)
        _same_shape(self, x, t)
        if not x.ndim:
            raise ShapeError(f"{self.name}: x must be (N, ...), got shape {x.shape}")
        self.x, self.t = x, t
        log_x = jnp.maximum(jnp.log(x), -100)
        log_rest = jnp.maximum(jnp.log1p(-x), -100)
        return -(t * log_x + (1 - t) * log_rest).sum() / x.shape[0]

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        x, t = self.x, self.t
        dy = dy / x.shape[0]
        # Finite at 0 and 1 too, and still pointing the right way.
        least = max(1e-12, float(jnp.finfo(x.dtype).tiny))
        dx = dy * (x - t) / jnp.maximum(x * (1 - x), least)
        log_ratio = jnp.maximum(jnp.log1p(-x), -100) - jnp.maximum(jnp.log(x), -100)
        return dx, dy * log_ratio


def _same_shape(operation: Operation, x: CTensor, t: CTensor) -> None:
    if x.shape != t.shape:
        raise ShapeError(
            f"{operation.name}: x is of shape {x.shape}, the targets of {t.shape}; "
            "they must be equal"
        )


def softmax_cross_entropy(x: Tensor, t: Tensor) -> Tensor:
    """The mean over the batch of -sum(t log softmax(x)).

    Args:
        x: (N, classes) logits; further leading axes are part of the batch.
        t: class ids (N,) of an integer type, or one-hot or soft labels (N, classes).
    """
    return SoftMaxCrossEntropy()(x, t)[0]


def mse_loss(x: Tensor, t: Tensor) -> Tensor:
    """The mean of (x - t) ** 2 over all elements; ``t`` is of ``x``'s shape."""
    return MeanSquareError()(x, t)[0]


def binary_cross_entropy(x: Tensor, t: Tensor) -> Tensor:
    """The mean over the batch of -sum(t log x + (1 - t) log(1 - x)).

    Args:
        x: (N, ...) probabilities.
        t: targets of ``x``'s shape, in [0, 1].
    """
    return BinaryCrossEntropy()(x, t)[0]
