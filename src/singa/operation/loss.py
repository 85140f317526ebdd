"""What all losses share: their values are averaged, summed, or returned one by one."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from singa.device import CTensor
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.tape import Operation

LEAST_LOG = -100  # where logarithms of probabilities are cut off, so that losses stay finite
REDUCTIONS = ("mean", "sum", "none")


class Loss(Operation):
    """A loss computes ``values``; ``reduction`` says what becomes of them.

    The mean is over all values, or over the rows of a batch if ``of_rows``: then it is the sum of
    all values divided by the size of the first axis.
    """

    arithmetic = "wide"
    of_rows = False

    def __init__(self, reduction: str = "mean") -> None:
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ArgumentError(
                f"{self.name}: reduction must be one of {', '.join(map(repr, REDUCTIONS))}, "
                f"got {reduction!r}"
            )
        self.reduction = reduction

    def forward(self, *xs: CTensor) -> CTensor:
        return self.reduced(self.values(*xs))

    def values(self, *xs: Any) -> CTensor:
        """The values before they are reduced."""
        raise NotImplementedError

    def reduced(self, values: CTensor, count: Any = None) -> CTensor:
        """The values, their sum, or the sum divided by ``count``."""
        if self.reduction == "none":
            return values
        if count is None:
            count = (values.shape[0] if values.ndim else 1) if self.of_rows else values.size
        self.count = count
        return values.sum() / count if self.reduction == "mean" else values.sum()

    def mean_over(self) -> CTensor | int | None:
        if self.reduction != "mean":
            return None
        count: CTensor | int = self.count
        return count

    def spread(self, dy: CTensor) -> CTensor:
        """The gradient of each value, in a shape that broadcasts."""
        return dy / max(self.count, 1) if self.reduction == "mean" else dy


def check(operation: Operation, x: CTensor, t: CTensor) -> None:
    """The output is of a float type, and the targets are of its shape."""
    checks.float_input(operation, "x", x)
    if x.shape != t.shape:
        raise ShapeError(
            f"{operation.name}: x is of shape {x.shape}, the targets of {t.shape}; "
            "they must be equal"
        )


def check_weight(operation: Operation, what: str, weight: CTensor, x: CTensor) -> None:
    """Weights are of a shape that broadcasts to the output's."""
    checks.broadcasts_to(operation, f"{what}, to x of", weight, x.shape)


def least(x: CTensor) -> float:
    """The least divisor of probabilities."""
    return max(1e-12, float(jnp.finfo(x.dtype).tiny))
