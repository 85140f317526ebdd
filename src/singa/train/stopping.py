"""What to do when a training does not improve any more: end it, or go on in smaller steps."""

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
            resumed training has them too. Of several callbacks that do so the last one decides
            which epoch is best.
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
        if training.restoring is self and training.history.status != "failed":
            states = training.model.get_states()
            for name, value in training.best_states.items():
                states[name].data = value

    def _keep(self, training: Training) -> None:
        """Keep the present states, if this is the best epoch."""
        if training.restoring is self and self.monitor.best(training) == training.epoch:
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


class ReduceLROnPlateau(Callback):
    """Reduces the learning rate when a training does not improve any more.

    When it reduces depends on the history only, so that a resumed training does the same. It is for
    optimizers whose learning rate is a number, and no schedule.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(2.0))
    >>> plateau = train.ReduceLROnPlateau(factor=0.25, patience=1)
    >>> history = train.fit(mlp, data.load_digits(), 12, callbacks=[plateau], progress=False)
    >>> history["lr"][0], history["lr"][-1] < 1
    (2.0, True)

    Args:
        factor: by which the learning rates are multiplied, also those of groups.
        patience: the number of epochs in a row without improvement after which they are.
        quantity, mode, min_delta: define what is better; see :class:`singa.train.Monitor`.
        cooldown: the number of epochs after a reduction that are not counted.
        least: the least learning rate.

    Raises:
        ArgumentError: the factor is not between 0 and 1, or a number is too small.
    """

    def __init__(
        self,
        factor: float = 0.1,
        patience: int = 10,
        quantity: str | None = None,
        *,
        mode: str | None = None,
        min_delta: float = 0.0,
        cooldown: int = 0,
        least: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise ArgumentError(
                f"ReduceLROnPlateau: factor is {factor}, a number between 0 and 1 is expected"
            )
        for name, value, lowest in (("patience", patience, 1), ("cooldown", cooldown, 0)):
            if value < lowest:
                raise ArgumentError(
                    f"ReduceLROnPlateau: {name} is {value}, at least {lowest} is expected"
                )
        self.factor, self.patience, self.cooldown, self.least = factor, patience, cooldown, least
        self._watched = Monitor(quantity, mode, min_delta)  # it does not decide which epoch is best

    def on_train_begin(self, training: Training) -> None:
        self._watched.check(training)

    def on_epoch_end(self, training: Training) -> None:
        if not training.is_diverged and self._is_due(training):
            for optimizer in training.model.optimizers().values():
                optimizer.scale_lr(self.factor, self.least)

    def _is_due(self, training: Training) -> bool:
        """Whether the last epoch is one after which the learning rate is reduced."""
        better = set(self._watched.improvements(training))
        waited, rest, is_due = 0, 0, False
        for epoch in range(1, training.epoch + 1):
            waited = 0 if epoch in better or rest else waited + 1
            rest = max(rest - 1, 0)
            is_due = waited >= self.patience
            if is_due:
                waited, rest = 0, self.cooldown
        return is_due
