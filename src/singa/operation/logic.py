"""Comparisons: bool results, without gradients."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp

from singa.device import CTensor
from singa.operation import checks
from singa.tape import Operation
from singa.tensor import Tensor, TensorLike, as_tensor

__all__ = ["Compare", "equal", "greater", "greater_equal", "less", "less_equal", "not_equal"]


class Compare(Operation):
    """y = a ? b, element by element; ``relation`` is the name of NumPy's function."""

    def __init__(self, relation: str) -> None:
        super().__init__()
        self.relation = relation

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        checks.broadcastable(self, a, b)
        compare: Callable[[CTensor, CTensor], CTensor] = getattr(jnp, self.relation)
        return compare(a, b)

    def backward(self, dy: CTensor) -> tuple[None, None]:
        return None, None


def less(a: Tensor, b: TensorLike) -> Tensor:
    """A < b, as bool."""
    return Compare("less")(a, as_tensor(b, a))[0]


def less_equal(a: Tensor, b: TensorLike) -> Tensor:
    """A <= b, as bool."""
    return Compare("less_equal")(a, as_tensor(b, a))[0]


def greater(a: Tensor, b: TensorLike) -> Tensor:
    """A > b, as bool."""
    return Compare("greater")(a, as_tensor(b, a))[0]


def greater_equal(a: Tensor, b: TensorLike) -> Tensor:
    """A >= b, as bool."""
    return Compare("greater_equal")(a, as_tensor(b, a))[0]


def equal(a: Tensor, b: TensorLike) -> Tensor:
    """A == b, as bool."""
    return Compare("equal")(a, as_tensor(b, a))[0]


def not_equal(a: Tensor, b: TensorLike) -> Tensor:
    """A != b, as bool."""
    return Compare("not_equal")(a, as_tensor(b, a))[0]
