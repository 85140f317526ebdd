"""Operations that draw random numbers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, next_key, wrap
from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.numerics import without_formula
from singa.tape import Operation, mode, wide

__all__ = [
    "ChannelDropout", "DrawLogGamma", "Dropout", "dropout", "dropout1d", "dropout2d", "dropout3d",
]  # fmt: skip


class Dropout(Operation):
    """y = x / (1 - ratio), or 0 if dropped (Srivastava et al., 2014; the inverted form)."""

    numbers = ("ratio",)

    def __init__(self, ratio: float = 0.5) -> None:
        super().__init__()
        if not 0 <= checks.number(f"{self.name}: ratio", ratio) <= 1:
            raise ArgumentError(f"{self.name}: ratio is a probability, got {ratio!r}")
        self.ratio = float(ratio)

    def forward(self, x: CTensor, key: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        # jax draws with the precision of the probability; a Python number would have 64 bits.
        self.kept = jax.random.bernoulli(key, jnp.float32(1 - self.ratio), self.drawn(x))
        return self.scaled(x)

    def drawn(self, x: CTensor) -> tuple[int, ...]:
        """The shape of what is drawn."""
        return x.shape

    def backward(self, dy: CTensor) -> tuple[CTensor, None]:
        return self.scaled(dy), None

    def scaled(self, x: CTensor) -> CTensor:
        return jnp.where(self.kept, x / share_kept(self.ratio), 0)


class ChannelDropout(Dropout):
    """y = x / (1 - ratio), or 0 for the whole of a channel (N, C, ...) (Tompson et al., 2015)."""

    def drawn(self, x: CTensor) -> tuple[int, ...]:
        if x.ndim < 2:
            raise ShapeError(f"{self.name}: the input must be (N, C, ...), got shape {x.shape}")
        return *x.shape[:2], *[1] * (x.ndim - 2)


@jax.custom_vjp
def _gamma_slope(a: CTensor, x: CTensor) -> CTensor:
    """The derivative by a of the number x of a gamma distribution."""
    return jax.lax.random_gamma_grad(a, x)


_gamma_slope.defvjp(
    lambda a, x: (_gamma_slope(a, x), None),
    lambda _, dy: (without_formula(dy), without_formula(dy)),
)


class DrawLogGamma(Operation):
    """y = the logarithm of a number of the gamma distribution of this shape, and of rate 1.

    Its gradient is implicit (Figurnov et al., 2018): that of the quantile which the number is; its
    own derivative is NaN, as there is no formula. The number itself would be 0 for small shapes.
    The inputs are the shapes, and a key (2,).

    Example:
        >>> key = tensor.random_key(device.get_default_device())
        >>> autograd.DrawLogGamma()(Tensor(data=[2.0, 3.0]), key)[0].shape
        (2,)
    """

    arithmetic = "wide"

    def forward(self, a: CTensor, key: CTensor) -> CTensor:
        checks.float_input(self, "the shape of the distribution", a)
        self.a = a
        self.y = jax.random.loggamma(key, a, dtype=wide(a.dtype)).astype(a.dtype)
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, None]:
        a, y = self.a, self.y
        # Far below 1 the share below e ** y is e ** (a y) / gamma(a + 1), up to rounding.
        is_small = y < jnp.log(jnp.finfo(y.dtype).eps).astype(y.dtype)
        of_small = (jax.lax.digamma(a + 1) - y) / a
        x = jnp.exp(jnp.where(is_small, 0, y))
        return dy * jnp.where(is_small, of_small, _gamma_slope(a, x) / x), None


def share_kept(ratio: float) -> Any:
    """The divisor that preserves the mean; any number if nothing is kept."""
    return jnp.where(ratio < 1, 1 - ratio, 1)


def dropout(x: Tensor, ratio: float = 0.5) -> Tensor:
    """Set each element to 0 with probability ``ratio``, and scale the others to keep the mean.

    It uses the random stream of ``x``'s device. Outside of training, and for a ratio of 0, it
    returns ``x``.

    Raises:
        ArgumentError: the ratio is not a probability.

    Example:
        >>> autograd.training = True
        >>> sorted(set(autograd.dropout(tensor.ones(100), 0.5).tolist()))
        [0.0, 2.0]
    """
    return _dropped(Dropout(ratio), x)


def _dropped(operation: Dropout, x: Tensor) -> Tensor:
    if not operation.ratio or not mode.training:
        return x
    return operation(x, wrap(next_key(x.device), x.device))[0]


def _images(name: str, x: Tensor, axes: str) -> Tensor:
    """``x``; raises unless it has these spatial axes."""
    if x.ndim() != 2 + len(axes.split(", ")):
        raise ShapeError(f"{name}: the input must be (N, C, {axes}), got shape {x.shape}")
    return x


def dropout1d(x: Tensor, ratio: float = 0.5) -> Tensor:
    """Set channels of (N, C, W) to 0, and scale the others; see :func:`dropout2d`.

    Example:
        >>> autograd.training = True
        >>> y = autograd.dropout1d(tensor.ones((2, 3, 4)), 0.5)
        >>> set(y.mean(2).to_numpy().ravel().tolist()) <= {0.0, 2.0}
        True
    """
    return _dropped(ChannelDropout(ratio), _images("dropout1d", x, "W"))


def dropout2d(x: Tensor, ratio: float = 0.5) -> Tensor:
    """Set channels of (N, C, H, W) to 0, each with probability ``ratio``, and scale the others.

    It uses the random stream of ``x``'s device. Outside of training, and for a ratio of 0, it
    returns ``x``.

    Raises:
        ArgumentError: the ratio is not a probability.
        ShapeError: ``x`` has another number of axes.

    Example:
        >>> autograd.training = True
        >>> y = autograd.dropout2d(tensor.ones((2, 3, 4, 4)), 0.5)
        >>> set(y.mean((2, 3)).to_numpy().ravel().tolist()) <= {0.0, 2.0}
        True
    """
    return _dropped(ChannelDropout(ratio), _images("dropout2d", x, "H, W"))


def dropout3d(x: Tensor, ratio: float = 0.5) -> Tensor:
    """Set channels of (N, C, D, H, W) to 0, and scale the others; see :func:`dropout2d`.

    Example:
        >>> autograd.training = True
        >>> y = autograd.dropout3d(tensor.ones((2, 3, 2, 4, 4)), 0.5)
        >>> set(y.mean((2, 3, 4)).to_numpy().ravel().tolist()) <= {0.0, 2.0}
        True
    """
    return _dropped(ChannelDropout(ratio), _images("dropout3d", x, "D, H, W"))
