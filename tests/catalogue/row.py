from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ANY, POSITIVE, PROBABILITY = (-2.0, 2.0), (0.3, 2.0), (0.1, 0.9)


@dataclass
class Row:
    """One operation: on Tensors, as a plain formula, and what to feed it."""

    op: type
    ours: Callable[..., Any]
    plain: Callable[..., Any]
    shapes: list[tuple[int, ...]]
    range: tuple[float, float] = ANY
    constants: tuple[Any, ...] = ()  # further inputs, without gradients
    tolerance: float = 1e-6  # of the central differences
    draws: bool = False  # other numbers for each type, with slopes that are not those of a key
    wide: bool = False  # computed with 64 bits, also in float32
    twice: bool = True  # jax can derive the plain formula's second derivatives
