"""The same operation here and in PyTorch, one file for each family of operations.

A :class:`Case` belongs to a class of operations; ``python -m benchmarks.operations`` fails as long
as one has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import numpy as np

Inputs = Callable[[int], Sequence[Any]]
"""From the size (0, 1, 2: small to large) to the inputs: the shape of a parameter to be drawn, a
:class:`Parameter`, or an array that is none, such as class ids."""

Drawn = tuple[np.ndarray, bool]
"""An input, and whether it is a parameter."""


@dataclass(frozen=True)
class Parameter:
    """One that is given, as not all numbers will do."""

    array: np.ndarray


@dataclass(frozen=True)
class Case:
    """How one operation is called in both libraries.

    Attributes:
        ours: from Tensors to a Tensor.
        theirs: from PyTorch's tensors to one of them.
        inputs: what both are called with.
        differentiable: whether there is a backward pass to measure.
        low, high: between which the inputs are.
        is_complex: whether they are complex, with both parts in this range.
        is_random: whether the output is drawn, so that there is nothing to compare.
    """

    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    inputs: Inputs
    differentiable: bool = True
    low: float = -1.0
    high: float = 1.0
    is_complex: bool = False
    is_random: bool = False

    def arrays(self, size: int) -> list[Drawn]:
        rng = np.random.default_rng(size)

        def drawn(shape: tuple[int, ...]) -> np.ndarray:
            """No two alike: which of two equal ones is the largest is anybody's choice."""
            numbers = np.linspace(self.low, self.high, math.prod(shape), dtype=np.float32)
            return rng.permutation(numbers).reshape(shape)

        def array(part: Any) -> Drawn:
            if isinstance(part, Parameter):
                return part.array, True
            if not isinstance(part, tuple):
                return part, False
            return drawn(part) + 1j * drawn(part) if self.is_complex else drawn(part), True

        return [array(part) for part in self.inputs(size)]


ROWS = (128, 1024, 8192)  # of 256 numbers: 32 thousand to 2 million
IMAGES = ((16, 32, 28, 28), (64, 32, 28, 28), (64, 64, 56, 56))


def rows(count: int = 1, columns: int = 256) -> Inputs:
    """So many matrices of 256 columns."""
    return lambda size: [(ROWS[size], columns)] * count


def images(*more: tuple[int, ...]) -> Inputs:
    """A batch of images, and these shapes."""
    return lambda size: [IMAGES[size], *more]


def ids(count: int, bound: int) -> np.ndarray:
    """Integers below the bound."""
    return np.random.default_rng(0).integers(0, bound, count, np.int32)


def all_cases() -> dict[type, Case]:
    """Every operation's class with its case."""
    found: dict[type, Case] = {}
    for module in iter_modules(__path__):
        if module.name != "reasons":
            found |= import_module(f"{__name__}.{module.name}").cases()
    return found
