"""Callback: what is to happen at certain moments of a training."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from singa.train.training import Training


class Callback:
    """Base of what :func:`singa.train.fit` calls while it trains; each method may be left out.

    All methods are given the :class:`singa.train.Training` that goes on, whose attributes say how
    far it is; ``training.stop(reason)`` ends it after the present step. When a callback raises, the
    training ends: the model is as it was when the callback was called, and ``fit`` raises the same.

    What a callback needs to know of earlier epochs it finds in ``training.history``, which a
    training that is resumed brings back; its own attributes begin anew.

    >>> class Halve(Callback):
    ...     def on_epoch_end(self, training):
    ...         optimizer = training.model.optimizer
    ...         optimizer.lr = optimizer.lr_value.item() / 2
    """

    def on_train_begin(self, training: Training) -> None:
        """Before the first step, when a checkpoint to go on from has been read."""

    def on_epoch_begin(self, training: Training) -> None:
        """Before the first step of each epoch, or the first one after a training is resumed."""

    def on_step_end(self, training: Training) -> None:
        """After each step. Its results may still be under way: reading one waits for it."""

    def on_epoch_end(self, training: Training) -> None:
        """After each epoch, its validation included: its row is in the history."""

    def on_train_end(self, training: Training) -> None:
        """At the end, however it came about: ``training.history.status`` says."""
