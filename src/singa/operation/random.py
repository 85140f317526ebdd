"""Operations that draw random numbers."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, next_key, wrap
from singa.device import CTensor
from singa.errors import ArgumentError
from singa.operation import checks
from singa.tape import Operation, mode

__all__ = ["Dropout", "dropout"]


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
        self.kept = jax.random.bernoulli(key, jnp.float32(1 - self.ratio), x.shape)
        return self.scaled(x)

    def backward(self, dy: CTensor) -> tuple[CTensor, None]:
        return self.scaled(dy), None

    def scaled(self, x: CTensor) -> CTensor:
        return jnp.where(self.kept, x / share_kept(self.ratio), 0)


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
    operation = Dropout(ratio)
    if not ratio or not mode.training:
        return x
    return operation(x, wrap(next_key(x.device), x.device))[0]
