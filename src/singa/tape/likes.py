"""Protocols that the lower modules of the tape use: an operation, a record, a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, Self

import jax

from singa.device import CTensor


class OperationLike(Protocol):
    """An operation: :class:`singa.autograd.Operation`."""

    __dict__: dict[str, Any]
    arithmetic: str | None
    numbers: tuple[str, ...]
    complex_numbers: str | None
    whole_from: int | None

    @property
    def name(self) -> str: ...

    @classmethod
    def derives_backward(cls) -> bool: ...

    def forward(self, *xs: Any) -> Any: ...

    def backward(self, *dys: Any) -> Any: ...

    def outputs_like(self, *xs: jax.ShapeDtypeStruct) -> Any: ...

    def copy(self, attributes: dict[str, Any] | None = None) -> Self: ...


class TraceLike(Protocol):
    """Facts about the forward of one call: a Trace, or an object with the same methods."""

    @property
    def is_small(self) -> bool:
        """Whether its backward may be a part of longer programs."""
        ...

    def after_forward(self, record: Any) -> OperationLike:
        """The operation with the attributes that forward has set."""
        ...

    def backward(
        self, record: Any, dys: dict[int, CTensor], needed: tuple[bool, ...]
    ) -> Sequence[CTensor | None]:
        """The gradients of the needed inputs, in order; None for an input without a gradient."""
        ...


class RecordLike(Protocol):
    """One call of an operation: a :class:`singa.tape.record.Record`."""

    operation: Any
    _trace: Any
    _saved: tuple[Any, ...]
    _inputs: tuple[CTensor, ...]
