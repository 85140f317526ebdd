"""What operations on matrices share. The matrices are along the last two axes, (..., M, N)."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from singa.device import CTensor
from singa.errors import ShapeError
from singa.operation import checks
from singa.tape import Operation, wide


class OfMatrices(Operation):
    """What these operations share: they check their inputs, and compute in at least 32 bits."""

    arithmetic = "wide"

    def forward(self, *xs: CTensor) -> Any:
        self.check(*xs)
        dtype = jnp.result_type(*xs)
        ys = self.compute(*[x.astype(wide(dtype)) for x in xs])
        if isinstance(ys, tuple):
            return tuple([y.astype(dtype) for y in ys])
        return ys.astype(dtype)

    def check(self, *xs: CTensor) -> None:
        """Raise unless the inputs are as they should be: here, one square matrix."""
        self.expect_matrices(*xs)
        if xs[0].shape[-1] != xs[0].shape[-2]:
            raise ShapeError(f"{self.name}: a must be square, (..., N, N), got shape {xs[0].shape}")

    def compute(self, *xs: Any) -> Any:
        raise NotImplementedError

    def expect_matrices(self, a: CTensor) -> None:
        checks.float_input(self, "a", a)
        if a.ndim < 2:
            raise ShapeError(f"{self.name}: a must be (..., M, N), got shape {a.shape}")
