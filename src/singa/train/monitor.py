"""Monitor: which epoch was best. EarlyStopping: when there is no better one any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from singa import metric
from singa.device import CTensor
from singa.errors import ArgumentError
from singa.metric.base import MAX, MIN
from singa.train.callback import Callback
from singa.train.history import best_epoch

if TYPE_CHECKING:
    from singa.train.training import Training


class Monitor:
    """Tells by a quantity of the history which epoch was best.

    >>> from singa.train import Monitor
    >>> Monitor("val_accuracy", mode="max", min_delta=0.01)
    Monitor('val_accuracy', mode='max', min_delta=0.01)

    Args:
        quantity: a column of ``history.epochs``. If not given, ``val_loss``; or ``loss``, where
            there is no validation.
        mode: whether the quantity is best at its ``"min"`` or its ``"max"``. If not given, as its
            metric says (:func:`singa.metric.best_of`): the greatest is for accuracy, precision,
            recall and F1, the least for all else that does not say otherwise.
        min_delta: by how much an epoch has to be better than the best one before.

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

    def check(self, training: Training) -> None:
        """Raise ArgumentError if the training's history will not have such a quantity.

        What else than its loss a model returns is only known after the first step.
        """
        name = self.name(training)
        if name.startswith("val_") and training.validation is None:
            raise ArgumentError(f"fit: {name!r} is to be watched, but there is no validation")
        columns = training.history.epochs
        if columns and name not in columns:
            raise ArgumentError(
                f"fit: {name!r} is to be watched, which is none of {', '.join(columns)}"
            )

    def name(self, training: Training) -> str:
        """The quantity's name in this training."""
        return self.quantity or ("loss" if training.validation is None else "val_loss")

    def best(self, training: Training) -> int:
        """The number of the best epoch so far; 0 if none was a finite number.

        Raises:
            ArgumentError: the history has no such quantity.
        """
        self.check(training)
        return self.best_of(training.history[self.name(training)], training)

    def best_of(self, values: Sequence[float], training: Training) -> int:
        """The same, of the quantity's values."""
        mode = self.mode or metric.best_of(self.name(training), training.meters.metrics)
        return best_epoch(values, mode, self.min_delta)

    def __repr__(self) -> str:
        return f"Monitor({self.quantity!r}, mode={self.mode!r}, min_delta={self.min_delta!r})"


class EarlyStopping(Callback):
    """Ends a training that gets no better.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(1.0))
    >>> stopping = train.EarlyStopping(patience=2, quantity="val_accuracy", restore_best=True)
    >>> history = train.fit(
    ...     mlp, data.load_digits(), 50, metrics="accuracy", early_stopping=stopping,
    ...     progress=False,
    ... )
    >>> history.stopped
    'val_accuracy has been no better for 2 epochs'

    Args:
        patience: end it after so many epochs in a row that were no better than the best one.
        quantity, mode, min_delta: which one is best; see :class:`singa.train.Monitor`.
        restore_best: let the model have the parameters and states of the best epoch at the end,
            however it comes about. They are kept in memory; of a training that is resumed, only
            the epochs since then count for this.
    """

    def __init__(
        self,
        patience: int = 5,
        quantity: str | None = None,
        *,
        mode: str | None = None,
        min_delta: float = 0.0,
        restore_best: bool = False,
    ) -> None:
        if patience < 1:
            raise ArgumentError(f"EarlyStopping: patience is {patience}, at least 1 is expected")
        self.patience = patience
        self.monitor = Monitor(quantity, mode, min_delta)
        self.restore_best = restore_best
        self._kept: dict[str, CTensor] = {}

    def on_train_begin(self, training: Training) -> None:
        self.monitor.check(training)
        self._kept.clear()
        self._stop_if_due(training)

    def on_epoch_end(self, training: Training) -> None:
        if self.restore_best and self.monitor.best(training) == training.epoch:
            # The arrays themselves: a step does not write over what somebody else holds.
            self._kept = {name: t.data for name, t in training.model.get_states().items()}
        self._stop_if_due(training)

    def on_train_end(self, training: Training) -> None:
        if training.history.status != "failed":
            states = training.model.get_states()
            for name, value in self._kept.items():
                states[name].data = value
        self._kept.clear()

    def _stop_if_due(self, training: Training) -> None:
        if not training.epoch:
            return
        waited = training.epoch - self.monitor.best(training)
        if waited >= self.patience:
            name = self.monitor.name(training)
            epochs = f"{self.patience} epoch{'s' * (self.patience != 1)}"
            training.stop(f"{name} has been no better for {epochs}")
