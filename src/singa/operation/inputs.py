"""Inputs of operations that may be left out."""

from __future__ import annotations

from singa.core.tensor import Tensor


def given(*xs: Tensor | None) -> tuple[Tensor, ...]:
    """Those that are not None."""
    return tuple([x for x in xs if x is not None])
