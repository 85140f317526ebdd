"""Monitor: which epoch was best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from singa import metric
from singa.errors import ArgumentError
from singa.metric.base import MAX, MIN
from singa.metric.naming import best_epoch, improvements
from singa.train.history import History
from singa.train.measuring import Meters


class Monitored(Protocol):
    """The part of :class:`singa.train.Training` that a Monitor uses."""

    validation: Any
    history: History
    meters: Meters


class Monitor:
    """Finds the best epoch by a quantity of the history.

    >>> from singa.train import Monitor
    >>> Monitor("val_accuracy", mode="max", min_delta=0.01)
    Monitor('val_accuracy', mode='max', min_delta=0.01)

    Args:
        quantity: a column of ``history.epochs``. If not given, ``val_loss``; or ``loss``, if
            there is no validation.
        mode: whether the quantity is best at its ``"min"`` or its ``"max"``. If not given, its
            metric decides (:func:`singa.metric.best_of`): the greatest is best for accuracy,
            precision, recall and F1, the least for all others that do not define it.
        min_delta: by how much an epoch must be better than the best one before.

    Raises:
        ArgumentError: another mode, or a negative ``min_delta``.
    """

    def __init__(
        self, quantity: str | None = None, mode: str | None = None, min_delta: float = 0.0
    ) -> None:
        if mode not in (None, MIN, MAX):
            raise ArgumentError(f"Monitor: mode is {mode!r}; 'min' or 'max' is expected")
        if not min_delta >= 0:
            raise ArgumentError(f"Monitor: min_delta is {min_delta!r}, at least 0 is expected")
        self.quantity = quantity
        self.mode = mode
        self.min_delta = min_delta

    def check(self, training: Monitored) -> None:
        """Raise ArgumentError if the training's history will not have such a quantity.

        Scalars that a model returns besides its loss are known only after the first step.
        """
        name = self.name(training)
        if name.startswith("val_") and training.validation is None:
            raise ArgumentError(f"fit: {name!r} is to be watched, but there is no validation")
        columns = training.history.epochs
        if columns and name not in columns:
            raise ArgumentError(
                f"fit: {name!r} is to be watched, which is not one of {', '.join(columns)}"
            )

    def name(self, training: Monitored) -> str:
        """The quantity's name in this training."""
        return self.quantity or ("loss" if training.validation is None else "val_loss")

    def best(self, training: Monitored) -> int:
        """The number of the best epoch so far; 0 if no value was finite.

        Raises:
            ArgumentError: the history has no such quantity.
        """
        self.check(training)
        return self.best_of(training.history[self.name(training)], training)

    def best_of(self, values: Sequence[float], training: Monitored) -> int:
        """The number of the best epoch, from the quantity's values."""
        return best_epoch(values, self._mode(training), self.min_delta)

    def improvements(self, training: Monitored) -> list[int]:
        """The numbers of the epochs that were better than all before.

        Raises:
            ArgumentError: the history has no such quantity.
        """
        self.check(training)
        values = training.history[self.name(training)]
        return improvements(values, self._mode(training), self.min_delta)

    def _mode(self, training: Monitored) -> str:
        return self.mode or metric.best_of(self.name(training), training.meters.metrics)

    def __repr__(self) -> str:
        return f"Monitor({self.quantity!r}, mode={self.mode!r}, min_delta={self.min_delta!r})"
