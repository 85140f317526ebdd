"""Checkpoints of a training: the model, how far the training is, and what it is of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from singa import checkpoint
from singa._tensor import Tensor
from singa.device import float64, uint8
from singa.errors import ArgumentError, CheckpointError
from singa.train.callback import Callback
from singa.train.history import WHOLE, Table
from singa.train.monitor import Monitor
from singa.train.training import INTERRUPTED, Training

FORMAT = 1

_ABOUT = "about"
_STEPS, _EPOCHS, _METRICS = "steps/", "epochs/", "metrics/"
_SAME = {
    "seed": "the seed",
    "batch_size": "batches of",
    "metrics": "the metrics",
    "validation_samples": "validation samples",
}
_EXPECTED = (*_SAME, "samples", "checksum")


class Checkpoint(Callback):
    """Saves a training, such that :func:`singa.train.fit` can go on from it bit for bit.

    After each epoch, and when Ctrl-C ends the training in the midst of one. The file is written
    whole or not at all, and nothing in it is ever executed.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> history = train.fit(
    ...     mlp, data.load_digits(), 2, progress=False,
    ...     checkpoint=train.Checkpoint("mlp.zip", best="best.zip"),
    ... )
    >>> train.read_about("mlp.zip")["class"]
    'MLP'

    Args:
        fpath: the file.
        best: another one, which is written when an epoch is better than all before.
        monitor: the quantity that tells which is: ``"val_accuracy"`` for example, or a
            :class:`singa.train.Monitor`. That of the validation's loss, or of the loss where there
            is no validation, if not given.
        every: save after so many epochs. The last one is saved in any case.

    Raises:
        ArgumentError: ``every`` is less than 1.
    """

    def __init__(
        self,
        fpath: str | os.PathLike[str],
        *,
        best: str | os.PathLike[str] | None = None,
        monitor: str | Monitor | None = None,
        every: int = 1,
    ) -> None:
        if every < 1:
            raise ArgumentError(f"Checkpoint: every is {every}, at least 1 is expected")
        self.path = Path(fpath)
        self.best = None if best is None else Path(best)
        self.monitor = monitor if isinstance(monitor, Monitor) else Monitor(monitor)
        self.every = every
        self._saved = -1  # the step that was saved last

    def on_train_begin(self, training: Training) -> None:
        self.monitor.check(training)
        self._saved = training.step

    def on_epoch_end(self, training: Training) -> None:
        if training.epoch % self.every == 0:
            self._save(training)
        if self.best is not None and self.monitor.best(training) == training.epoch:
            save(training, self.best)

    def on_train_end(self, training: Training) -> None:
        # Not after a failure, nor a second Ctrl-C: they may have come in the midst of a step.
        history = training.history
        is_whole = history.status == "completed" or history.stopped == INTERRUPTED
        if is_whole and self._saved != training.step:
            self._save(training)

    def _save(self, training: Training) -> None:
        save(training, self.path)
        self._saved = training.step


def save(training: Training, fpath: str | os.PathLike[str]) -> None:
    """Write a checkpoint; a file that is there is replaced. This waits for the device.

    Raises:
        OSError: it cannot be written.
    """
    training.read()
    text = json.dumps(training.about).encode()
    aux = {_ABOUT: Tensor(data=np.frombuffer(text, np.uint8), requires_grad=False)}
    for prefix, table in ((_STEPS, training.history.steps), (_EPOCHS, training.history.epochs)):
        for name, column in table.items():
            aux[prefix + name] = Tensor(data=np.array(column, np.float64), requires_grad=False)
    aux |= {_METRICS + name: state for name, state in training.meters.states().items()}
    training.model.save_states(fpath, aux, overwrite=True)


def load(training: Training, fpath: str | os.PathLike[str]) -> None:
    """Let a training go on from a checkpoint, in its compiled model.

    Raises:
        CheckpointError: it is damaged, of another model or data set, or of no training; or it was
            trained with another seed, or batches of another size.
        OSError: it cannot be read.
    """
    found, wanted = read_about(fpath), training.about
    if missing := [name for name in _EXPECTED if name not in found]:
        raise _not_a_training(fpath, f"{missing[0]!r} is not in it")
    for name, what in _SAME.items():
        if found[name] != wanted[name]:
            raise CheckpointError(
                f"{fpath}: it was trained with {what} {found[name]}, not {wanted[name]}"
            )
    if (found["samples"], found["checksum"]) != (wanted["samples"], wanted["checksum"]):
        raise CheckpointError(f"{fpath}: the training was on another data set, or in other batches")
    aux = {name: t.to_numpy() for name, t in training.model.load_states(fpath).items()}
    history = training.history
    history.steps = _table(fpath, aux, _STEPS)
    history.epochs = _table(fpath, aux, _EPOCHS)
    counts = {
        name.removeprefix(_METRICS): array
        for name, array in aux.items()
        if name.startswith(_METRICS)
    }
    training.resumed(counts)


def read_about(fpath: str | os.PathLike[str]) -> dict[str, Any]:
    """What a checkpoint of :func:`singa.train.fit` says of itself; see docs/training.md.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> digits = data.load_digits()
    >>> about = {"data": "digits", "classes": digits.class_names}
    >>> history = train.fit(mlp, digits, 1, checkpoint="d.zip", about=about, progress=False)
    >>> train.read_about("d.zip")["data"]
    'digits'

    Raises:
        CheckpointError: it is damaged, or was not written by ``fit``.
        OSError: it cannot be read.
    """
    with checkpoint.Reader(fpath) as reader:
        kind = reader.named(checkpoint.AUX).get(_ABOUT)
        if kind is None or kind.dtype != uint8 or len(kind.shape) != 1:
            raise _not_a_training(fpath, f"no aux state {_ABOUT!r}")
        text = reader.read(checkpoint.AUX)[_ABOUT].tobytes()
    try:
        about = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _not_a_training(fpath, f"{_ABOUT!r} is no JSON: {error}") from None
    if not isinstance(about, dict):
        raise _not_a_training(fpath, f"{_ABOUT!r} is no JSON object")
    if about.get("format", FORMAT) != FORMAT:
        raise CheckpointError(
            f"{fpath}: written by a later version, in format {about['format']!r}; this one reads "
            f"format {FORMAT}"
        )
    return about


def _not_a_training(fpath: str | os.PathLike[str], why: str) -> CheckpointError:
    return CheckpointError(
        f"{fpath}: it does not say of which training it is, and how far that was, as checkpoints "
        f"of singa.train.fit do ({why})"
    )


def _table(fpath: str | os.PathLike[str], aux: dict[str, Any], prefix: str) -> Table:
    columns = {}
    for name, array in aux.items():
        if name.startswith(prefix):
            if array.dtype != float64 or array.ndim != 1:
                raise CheckpointError(f"{fpath}: aux state {name!r} is no column of a history")
            column = name.removeprefix(prefix)
            columns[column] = array.astype(np.int64).tolist() if column in WHOLE else array.tolist()
    if len({len(column) for column in columns.values()}) > 1:
        raise CheckpointError(f"{fpath}: the columns of its history are not equally long")
    return Table(columns)
