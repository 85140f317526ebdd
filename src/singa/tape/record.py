"""Record: one call of an operation, with what the backward pass needs of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from singa.core.tensor import Tensor
from singa.core.watching import BACKWARD, calling, local
from singa.device import CTensor
from singa.tape.likes import OperationLike, TraceLike

Edge: TypeAlias = "tuple[Record | None, int, Tensor | None] | None"
"""Where an input came from: its creator, which of the creator's outputs it is, and the Tensor
itself if its gradient is to be yielded. None for an input that needs no gradient."""


class Record:
    """One call of an operation that was recorded: the ``creator`` of its results.

    Its attributes are what the operation's ``forward`` has stored on ``self`` for ``backward``,
    and the operation's configuration as it was when it was called.

    Attributes:
        operation: the operation that was called. If it is called again, this makes another record.
        src: where the inputs came from, an :data:`Edge` each.
        step: the step in which it was called; None outside of steps. The backward pass of a later
            step does not go into it.

    Example:
        >>> x = Tensor(data=[-1.0, 2.0], stores_grad=True)
        >>> with autograd.enable_grad():
        ...     y = autograd.relu(x)
        >>> y.creator.name, y.creator.src[0][2] is x
        ('ReLU', True)
        >>> y.creator.y  # what ReLU.forward has kept
        Array([0., 2.], dtype=float32)
    """

    __slots__ = (
        "__weakref__", "_inputs", "_saved", "_trace", "operation", "src", "step",
    )  # fmt: skip

    # Set after the call: the layout of what forward left, the arrays that backward takes, and the
    # arrays of the inputs if ``_trace.recomputes``.
    _trace: TraceLike
    _saved: tuple[Any, ...]
    _inputs: tuple[CTensor, ...]

    def __init__(self, operation: Any, src: tuple[Edge, ...], step: Any) -> None:
        self.operation = operation
        self.src = src
        self.step = step

    @property
    def _needed(self) -> tuple[bool, ...]:
        """For each input, whether it needs a gradient."""
        return tuple([edge is not None for edge in self.src])

    @property
    def name(self) -> str:
        """The operation's name in messages."""
        return self.operation.name

    @property
    def requires_grad(self) -> bool:
        """Whether a backward pass goes through it."""
        return any(self.src)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in Record.__slots__:  # not stored by forward
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._after_forward(), name)

    def backward(self, *dys: CTensor) -> Any:
        """The gradients of the inputs that need one: an array, or a tuple of them, in order.

        Args:
            dys: the gradients of the outputs, of their shapes. 1 if none is given: a loss's.
        """
        given: dict[int, Any] = dict(enumerate(dys or (np.float32(1),)))
        dxs = tuple(self.input_gradients(given, self._needed))
        return dxs[0] if len(dxs) == 1 else dxs

    def input_gradients(
        self, dys: dict[int, CTensor], needed: tuple[bool, ...]
    ) -> Sequence[CTensor | None]:
        """The gradients of the needed inputs, in order; None where there is none.

        Args:
            dys: the gradients of the outputs that somebody used, by number.
            needed: for each input, whether its gradient is wanted.
        """
        if local.capture is None:
            return self._trace.backward(self, dys, needed)
        with calling(BACKWARD, self):
            return self._trace.backward(self, dys, needed)

    def _after_forward(self) -> OperationLike:
        """A copy of the operation with what ``forward`` has stored on it."""
        return self._trace.after_forward(self)

    def __repr__(self) -> str:
        return f"<Record of {self.operation!r}>"
