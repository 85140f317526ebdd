"""What a training writes, and the checkpoint that it goes on from: checked before it begins."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from singa.errors import ArgumentError, DTypeError
from singa.train.logs import CsvLog, TensorBoardLog
from singa.train.progress import ProgressBar
from singa.train.run import BEST, CHECKPOINT, RunFolder
from singa.train.saving import Checkpoint
from singa.train.stopping import EarlyStopping
from singa.train.training import Callback

PathLike: TypeAlias = str | os.PathLike[str]


class Prepared(NamedTuple):
    """What became of the :class:`Outputs`.

    Attributes:
        folder: the run folder, if there is one.
        start: the checkpoint to go on from.
        callbacks: the user's, with the outputs' before and after them.
    """

    folder: RunFolder | None
    start: Path | None
    callbacks: list[Callback]


@dataclass(frozen=True)
class Outputs:
    """What was asked for. The attributes are arguments of :func:`singa.train.fit`."""

    checkpoint: PathLike | Checkpoint | None
    resume: bool | PathLike
    early_stopping: int | EarlyStopping | None
    run: PathLike | RunFolder | None
    report: bool | PathLike
    csv: PathLike | None
    tensorboard: PathLike | None
    progress: bool | ProgressBar

    def prepare(self, callbacks: Iterable[Callback], name: str, stack: ExitStack) -> Prepared:
        """Check what was asked for; nothing is written yet.

        Args:
            callbacks: the user's.
            name: what the model is called.
            stack: keeps a folder for as long as the training goes on.

        Raises:
            ArgumentError: files and folders that are there already, or that cannot be made.
            DTypeError: something that is no callback.
        """
        given = _checked(callbacks)
        folder = self._folder(name, stack)
        saver = self._saver()
        start = self._start(saver, folder)
        logs = self._logs()
        endings = self._endings(saver, folder)
        first = [] if folder is None else [folder]
        return Prepared(folder, start, [*first, *logs, *given, *endings])

    @property
    def _is_resumed(self) -> bool:
        return self.resume is not False

    def _folder(self, name: str, stack: ExitStack) -> RunFolder | None:
        run, page = self.run, self._page()
        if run is None and page is not None:  # a report is made of a run folder
            run = Path(stack.enter_context(tempfile.TemporaryDirectory())) / name
        if run is None:
            return None
        folder = run if isinstance(run, RunFolder) else RunFolder(run)
        folder.report = page or folder.report
        is_its_own = self.resume is True or (
            self.resume is not False and Path(self.resume).resolve().parent == folder.path.resolve()
        )
        is_new = not folder.path.exists() or (
            folder.path.is_dir() and not any(folder.path.iterdir())
        )
        if not is_new and not is_its_own:
            raise ArgumentError(
                f"fit: run: {folder.path} exists; name another folder, or go on with resume=True"
            )
        if folder.report is not None and folder.report.parent != folder.path:
            _check_new("report", folder.report, resume=True)
        return folder

    def _page(self) -> Path | None:
        """Where the report is to be."""
        if self.report is False:
            return None
        if self.report is not True:
            return Path(self.report)
        if self.run is None:
            raise ArgumentError("fit: report=True writes into the run folder: name one with run=")
        folder = self.run.path if isinstance(self.run, RunFolder) else Path(self.run)
        return folder / "report.html"

    def _saver(self) -> Checkpoint | None:
        checkpoint = self.checkpoint
        if checkpoint is None:
            # A file to go on from is one to save to.
            if isinstance(self.resume, bool):
                return None
            checkpoint = self.resume
        saver = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
        is_same = self.resume is True or (
            self.resume is not False and Path(self.resume) == saver.path
        )
        _check_new("checkpoint", saver.path, is_same)
        _check_new("checkpoint's best", saver.best, self._is_resumed)
        return saver

    def _start(self, saver: Checkpoint | None, folder: RunFolder | None) -> Path | None:
        """The checkpoint to go on from."""
        if self.resume is False:
            return None
        if self.resume is not True:
            return Path(self.resume)
        if saver is not None:
            return saver.path
        if folder is not None:
            return folder.path / CHECKPOINT
        raise ArgumentError("fit: resume=True goes on from the checkpoint= or the run=: name one")

    def _logs(self) -> list[Callback]:
        """What tells how the training goes on."""
        logs: list[Callback] = []
        if self.csv is not None:
            _check_new("csv", self.csv, self._is_resumed)
            logs.append(CsvLog(self.csv))
        if self.tensorboard is not None:
            logs.append(TensorBoardLog(self.tensorboard))
        if self.progress is not False:
            logs.append(ProgressBar() if self.progress is True else self.progress)
        return logs

    def _endings(self, saver: Checkpoint | None, folder: RunFolder | None) -> list[Callback]:
        """What comes after the user's callbacks."""
        stopping = self.early_stopping
        if stopping is not None and not isinstance(stopping, EarlyStopping):
            stopping = EarlyStopping(stopping)
        savers = [] if saver is None else [saver]
        if folder is not None:
            own = Checkpoint(folder.path / CHECKPOINT, best=folder.path / BEST)
            if saver is None or saver.path != own.path:
                savers.append(own)
            elif saver.best is None:
                saver.best = own.best  # resume= has named the folder's
        if stopping is None:
            return [*savers]
        for each in savers:  # one meaning of what is best
            if not each.is_monitor_given:
                each.monitor = stopping.monitor
        return [stopping, *savers]


def _checked(callbacks: Iterable[Callback]) -> list[Callback]:
    found = list(callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            raise DTypeError(f"fit: a callback is a train.Callback, not {callback!r}")
    return found


def _check_new(what: str, fpath: PathLike | None, resume: bool) -> None:
    """Refuse a file that is there already, or that cannot be made, before any training.

    Raises:
        ArgumentError: it exists and no training is resumed; or there is no such folder.
    """
    if fpath is None:
        return
    path = Path(fpath)
    if path.exists() and not resume:
        raise ArgumentError(
            f"fit: {what}: {path} exists; name another one, or go on from it with resume=True"
        )
    if not path.parent.is_dir():
        raise ArgumentError(f"fit: {what}: there is no folder {path.parent}")
