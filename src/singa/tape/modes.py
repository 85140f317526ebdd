"""Whether operations record themselves, and whether layers behave as in training."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import _GeneratorContextManager
from operator import itemgetter
from typing import Any

from singa.core.tensor import Tensor
from singa.core.watching import local, within

_of_blocks = itemgetter("training", "recording", "follows", "anomaly", "precision")


class Mode:
    """Two switches; ``recording`` has the value of ``training`` unless it is set separately.

    ``training`` is global to the process. While a model's step runs, the model's own setting is
    used in its thread. ``switched`` are functions that are called when the global one changes.
    """

    __slots__ = ("default", "switched")

    def __init__(self) -> None:
        self.default = False
        self.switched: list[Callable[[bool], None]] = []

    @property
    def training(self) -> bool:
        """Whether layers behave as in training: dropout drops, batch norm uses the batch."""
        here = local.training
        return self.default if here is None else here

    @training.setter
    def training(self, value: bool) -> None:
        before, self.default = self.default, bool(value)
        if self.default != before:
            for tell in self.switched:
                tell(self.default)

    @property
    def recording(self) -> bool:
        """Whether operations record themselves, so that a backward pass is possible."""
        here = local.recording
        if here is None:
            here = local.training
        return (self.default if here is None else here) or local.follows

    def switches(self) -> tuple[Any, ...]:
        """All of this thread that can change what an operation does: a part of a step's key."""
        training, recording, follows, anomaly, precision = _of_blocks(vars(local))
        if training is None:
            training = self.default
        return (
            training,
            (training if recording is None else recording) or follows,
            anomaly,
            precision,
        )


mode = Mode()


def is_tracked(*xs: Tensor) -> bool:
    """Whether gradients may be wanted of what is computed with these at present."""
    return mode.recording and any(
        x.requires_grad and (x.creator is not None or x.stores_grad) for x in xs
    )


def training(value: bool) -> _GeneratorContextManager[None]:
    """A block in which ``mode.training`` is ``value`` in this thread."""
    return within("training", bool(value))


def no_grad() -> _GeneratorContextManager[None]:
    """A block, or with ``@no_grad()`` a function, in which nothing is recorded in this thread.

    Layers still behave as in training, if training mode is on.

    Example:
        >>> autograd.training = True
        >>> w = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> with autograd.no_grad():
        ...     y = w * 2
        >>> y.requires_grad
        False
    """
    return within("recording", False)


def enable_grad() -> _GeneratorContextManager[None]:
    """A block, or with ``@enable_grad()`` a function, in which operations are recorded.

    This is so even inside :func:`no_grad`, and with ``autograd.training = False``; layers still
    behave as in evaluation then.

    Example:
        >>> w = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> with autograd.enable_grad():
        ...     y = (w * w).sum()
        >>> autograd.grad(y, w)
        Tensor([2., 4.], shape=(2,), dtype=float32, device=cpu)
    """
    return within("recording", True)
