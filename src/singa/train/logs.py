"""Logs of a training: comma-separated values, and TensorBoard's files."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from singa.errors import DependencyError
from singa.train.training import Callback, Training


class CsvLog(Callback):
    """Writes ``history.epochs`` to a file of comma-separated values, after each epoch.

    >>> from pathlib import Path
    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> history = train.fit(mlp, data.load_digits(), 2, csv="log.csv", progress=False)
    >>> print(Path("log.csv").read_text().splitlines()[0])
    epoch,step,seconds,samples_per_second,lr,loss,val_loss

    Args:
        fpath: the file. It is written completely or not at all; an existing file is replaced.
    """

    on_every_rank = False

    def __init__(self, fpath: str | os.PathLike[str]) -> None:
        self.path = Path(fpath)

    def on_epoch_end(self, training: Training) -> None:
        training.history.epochs.write(self.path)


class TensorBoardLog(Callback):
    """Writes the numbers of all steps and epochs for TensorBoard, after each epoch.

    A quantity of both training and validation has one chart: ``loss`` and ``val_loss`` are
    ``epoch/loss`` in the runs ``train`` and ``validation``; steps are in ``step/loss``.

    >>> from pathlib import Path
    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> history = train.fit(mlp, data.load_digits(), 2, tensorboard="tb", progress=False)
    >>> sorted(path.name for path in Path("tb").iterdir())
    ['train', 'validation']

    Args:
        folder: the folder; give the same folder again when a training is resumed.

    Raises:
        DependencyError: the package tensorboardX is not installed; it is the extra
            ``tensorboard``.
    """

    on_every_rank = False

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if find_spec("tensorboardX") is None:
            raise DependencyError(
                "logs for TensorBoard need tensorboardX: pip install 'singa-xla[tensorboard]'"
            )
        self.folder = Path(folder)
        self._writers: dict[str, Any] = {}
        self._step = self._epoch = 0

    def on_train_begin(self, training: Training) -> None:
        # Steps that an interrupted training has written after its checkpoint are ignored.
        self._step, self._epoch = training.history.steps.rows, training.epoch

    def on_epoch_end(self, training: Training) -> None:
        self._write(training)

    def on_train_end(self, training: Training) -> None:
        self._write(training)
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _write(self, training: Training) -> None:
        steps, epochs = training.history.steps, training.history.epochs
        for index in range(self._step, steps.rows):
            for name, value in steps.row(index).items():
                if name not in ("step", "epoch"):
                    self._writer("train").add_scalar(f"step/{name}", value, index + 1)
        for index in range(self._epoch, epochs.rows):
            for name, value in epochs.row(index).items():
                if name not in ("step", "epoch", "seconds", "lr"):
                    where = "validation" if name.startswith("val_") else "train"
                    tag = f"epoch/{name.removeprefix('val_')}"
                    self._writer(where).add_scalar(tag, value, index + 1)
        self._step, self._epoch = steps.rows, epochs.rows
        for writer in self._writers.values():
            writer.flush()

    def _writer(self, name: str) -> Any:
        if name not in self._writers:
            from tensorboardX import SummaryWriter  # type: ignore[import-untyped]

            purge = self._step + 1 if self._step else None
            self._writers[name] = SummaryWriter(str(self.folder / name), purge_step=purge)
        return self._writers[name]
