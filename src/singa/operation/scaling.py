"""Vectors and channels divided by their size."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.recorded import Axes
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.numerics import p_norm
from singa.operation.reduction import Norm
from singa.tape import Operation

__all__ = [
    "LocalResponseNormalization", "Normalize", "local_response_norm", "normalize",
]  # fmt: skip


class Normalize(Norm):
    """y = x / max(norm, eps) for the vectors along some axes."""

    numbers = ("eps",)

    def __init__(self, p: float = 2.0, axes: Axes = 1, eps: float = 1e-12) -> None:
        super().__init__(p, axes, keepdims=True)
        self.eps = checks.number(f"{self.name}: eps", eps)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x, axes = x, self.reduces(x)
        self.norm = p_norm(x, self.p, axes)[1]
        return x / self.divisor()

    def backward(self, dy: CTensor) -> CTensor:
        slope = p_norm(self.x, self.p, self.reduced)[0]
        unit = self.x / self.divisor()
        along = jnp.where(self.norm > self.eps, slope, 0)
        return (dy - along * (dy * unit).sum(self.reduced, keepdims=True)) / self.divisor()

    def divisor(self) -> CTensor:
        """The norm, but at least eps, or the smallest number of the type if that is larger."""
        least = jnp.maximum(self.eps, float(jnp.finfo(self.norm.dtype).tiny))
        return jnp.maximum(self.norm, least.astype(self.norm.dtype))


class LocalResponseNormalization(Operation):
    """y = x / (k + alpha mean(x ** 2)) ** beta, the mean over ``size`` neighbouring channels.

    What is beyond the first and the last channel counts as 0 (Krizhevsky et al., 2012).
    """

    arithmetic = "wide"
    numbers = ("alpha", "beta", "k")

    whole_from = 1

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        if checks.integer(f"{self.name}: size", size) < 1:
            raise ArgumentError(f"{self.name}: size must be 1 or more, got {size!r}")
        self.size = int(size)
        self.alpha = checks.number(f"{self.name}: alpha", alpha)
        self.beta = checks.number(f"{self.name}: beta", beta)
        self.k = checks.number(f"{self.name}: k", k)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "the input", x)
        if x.ndim < 2:
            raise ShapeError(f"{self.name}: the input must be (N, C, ...), got shape {x.shape}")
        before, after = self.size // 2, (self.size - 1) // 2
        self.x = x
        self.base = self.k + self.alpha * self.mean(x * x, before, after)
        return x * self.base**-self.beta

    def backward(self, dy: CTensor) -> CTensor:
        before, after = self.size // 2, (self.size - 1) // 2
        # Each channel is in the windows of the same neighbours, seen from the other side.
        others = self.mean(dy * self.x * self.base ** (-self.beta - 1), after, before)
        return dy * self.base**-self.beta - 2 * self.alpha * self.beta * self.x * others

    def mean(self, x: CTensor, before: int, after: int) -> CTensor:
        """For each channel the mean over the window around it."""
        window, padding = [1] * x.ndim, [(0, 0)] * x.ndim
        window[1], padding[1] = self.size, (before, after)
        zero = np.zeros((), x.dtype)
        total = jax.lax.reduce_window(x, zero, jax.lax.add, window, [1] * x.ndim, padding)
        return total / self.size


def normalize(x: Tensor, p: float = 2.0, axis: Axes = 1, eps: float = 1e-12) -> Tensor:
    """The vectors along ``axis`` divided by their p-norm, or by ``eps`` if that is larger.

    A zero vector stays one. The result is of the shape of ``x``.

    Example:
        >>> autograd.normalize(Tensor(data=[[3.0, 4.0], [0.0, 0.0]]))
        Tensor([[0.6, 0.8],
                [0. , 0. ]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return Normalize(p, axis, eps)(x)[0]


def local_response_norm(
    x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """``x / (k + alpha * mean(x ** 2)) ** beta``, the mean over neighbouring channels.

    Args:
        x: (N, C, ...).
        size: the number of channels around each one; those beyond the ends count as 0.
        alpha, beta, k: as in the formula.

    Returns:
        The shape of ``x``.

    Source: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks,
    2012.

    Example:
        >>> autograd.local_response_norm(tensor.ones((1, 2)), 2, alpha=2.0, beta=1.0)
        Tensor([[0.5   , 0.3333]], shape=(1, 2), dtype=float32, device=cpu)
    """
    return LocalResponseNormalization(size, alpha, beta, k)(x)[0]
