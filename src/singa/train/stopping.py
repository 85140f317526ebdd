"""EarlyStopping: ends a training when it does not improve any more."""

from __future__ import annotations

from singa.errors import ArgumentError
from singa.train.monitor import Monitor
from singa.train.training import Callback, Training


class EarlyStopping(Callback):
    """Ends a training that does not improve any more.

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
        patience: the number of epochs in a row without improvement after which it ends.
        quantity, mode, min_delta: define the best epoch; see :class:`singa.train.Monitor`.
        restore_best: whether the model gets the parameters and states of the best epoch at the
            end, for any reason of the end. They are kept in memory, and in checkpoints, so that a
            resumed training has them too.
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

    def on_train_begin(self, training: Training) -> None:
        self.monitor.check(training)
        is_between_epochs = training.step == training.epoch * len(training.loader)
        if training.step and is_between_epochs and not training.best_states:
            self._keep(training)  # resumed: a checkpoint does not have the same states twice
        self._stop_if_due(training)

    def on_epoch_end(self, training: Training) -> None:
        self._keep(training)
        self._stop_if_due(training)

    def on_train_end(self, training: Training) -> None:
        if self.restore_best and training.history.status != "failed":
            states = training.model.get_states()
            for name, value in training.best_states.items():
                states[name].data = value

    def _keep(self, training: Training) -> None:
        """Keep the present states, if this is the best epoch."""
        if self.restore_best and self.monitor.best(training) == training.epoch:
            # The arrays themselves: a step never overwrites an array that is referenced elsewhere.
            states = training.model.get_states().items()
            training.best_states = {name: state.data for name, state in states}

    def _stop_if_due(self, training: Training) -> None:
        if not training.epoch:
            return
        waited = training.epoch - self.monitor.best(training)
        if waited >= self.patience:
            name = self.monitor.name(training)
            epochs = f"{self.patience} epoch{'s' * (self.patience != 1)}"
            training.stop(f"{name} has been no better for {epochs}")
