"""The files that a training writes, and the checkpoint to continue from, checked beforehand."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

from singa.errors import ArgumentError, DTypeError
from singa.formats.sharded import is_sharded, newest
from singa.train.logs import CsvLog, TensorBoardLog
from singa.train.progress import ProgressBar
from singa.train.run import BEST, CHECKPOINT, RunFolder
from singa.train.saving import Checkpoint
from singa.train.stopping import EarlyStopping
from singa.train.training import Callback

PathLike: TypeAlias = str | os.PathLike[str]


class Prepared(NamedTuple):
    """The result of :meth:`Outputs.prepare`.

    Attributes:
        folder: the run folder, if there is one.
        start: the checkpoint to continue from.
        callbacks: the user's callbacks, with those of the outputs before and after them.
    """

    folder: RunFolder | None
    start: Path | None
    callbacks: list[Callback]


@dataclass(frozen=True)
class Outputs:
    """The outputs that the user wants. The attributes are arguments of :func:`singa.train.fit`.

    Of several ranks the first one writes the files, and so it alone checks that it can.
    """

    checkpoint: PathLike | Checkpoint | None
    resume: bool | PathLike
    early_stopping: int | EarlyStopping | None
    run: PathLike | RunFolder | None
    report: bool | PathLike
    csv: PathLike | None
    tensorboard: PathLike | None
    progress: bool | ProgressBar
    writes: bool = True

    def prepare(self, callbacks: Iterable[Callback], name: str, stack: ExitStack) -> Prepared:
        """Check the outputs; nothing is written yet.

        Args:
            callbacks: the user's callbacks.
            name: the name of the model.
            stack: keeps a temporary folder until the training has ended.

        Raises:
            ArgumentError: a file or folder exists already, or cannot be made.
            DTypeError: an object is not a callback.
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
        if run is None and page is not None:  # a report is made from a run folder
            run = Path(stack.enter_context(tempfile.TemporaryDirectory())) / name
        if run is None:
            return None
        folder = run if isinstance(run, RunFolder) else RunFolder(run)
        folder.report, folder.is_written = page or folder.report, self.writes
        is_its_own = self.resume is True or (
            self.resume is not False and Path(self.resume).resolve().parent == folder.path.resolve()
        )
        is_new = not folder.path.exists() or (
            folder.path.is_dir() and not any(folder.path.iterdir())
        )
        if self.writes and not is_new and not is_its_own:
            raise ArgumentError(
                f"fit: run: {folder.path} exists; name another folder, or go on with resume=True"
            )
        if folder.report is not None and folder.report.parent != folder.path:
            self._check_new("report", folder.report, resume=True)
        return folder

    def _page(self) -> Path | None:
        """The path of the report; None if no report is wanted."""
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
            # Save to the file that the training continues from.
            if isinstance(self.resume, bool):
                return None
            checkpoint = Checkpoint(self.resume, sharded=is_sharded(self.resume))
        saver = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
        is_same = self.resume is True or (
            self.resume is not False and Path(self.resume) == saver.path
        )
        self._check_new("checkpoint", saver.path, is_same)
        self._check_new("checkpoint's best", saver.best, self._is_resumed)
        return saver

    def _start(self, saver: Checkpoint | None, folder: RunFolder | None) -> Path | None:
        """The checkpoint to continue from."""
        if self.resume is False:
            return None
        path = None if saver is None else saver.path
        if self.resume is not True:
            path = Path(self.resume)
        if path is not None:
            # The folder is there before its first checkpoint is complete.
            return None if is_sharded(path) and newest(path) is None else path
        if folder is not None:
            return folder.path / CHECKPOINT
        raise ArgumentError("fit: resume=True goes on from the checkpoint= or the run=: name one")

    def _logs(self) -> list[Callback]:
        """The callbacks that show or log the progress of the training."""
        logs: list[Callback] = []
        if self.csv is not None:
            self._check_new("csv", self.csv, self._is_resumed)
            logs.append(CsvLog(self.csv))
        if self.tensorboard is not None:
            logs.append(TensorBoardLog(self.tensorboard))
        if self.progress is not False:
            logs.append(ProgressBar() if self.progress is True else self.progress)
        return logs

    def _endings(self, saver: Checkpoint | None, folder: RunFolder | None) -> list[Callback]:
        """The callbacks that are called after the user's."""
        stopping = self.early_stopping
        if stopping is not None and not isinstance(stopping, EarlyStopping):
            stopping = EarlyStopping(stopping)
        savers = [] if saver is None else [saver]
        if folder is not None and not (saver and saver.sharded):
            own = Checkpoint(folder.path / CHECKPOINT, best=folder.path / BEST)
            if saver is None or saver.path != own.path:
                savers.append(own)
            elif saver.best is None:
                saver.best = own.best  # resume= is the checkpoint in the run folder
        if stopping is None:
            return [*savers]
        for each in savers:  # all of them use the same definition of the best epoch
            if not each.is_monitor_given:
                each.monitor = stopping.monitor
        return [stopping, *savers]

    def _check_new(self, what: str, fpath: PathLike | None, resume: bool) -> None:
        """Refuse an existing file, or one that cannot be made, before the training begins.

        Raises:
            ArgumentError: the file exists and no training is resumed; or its folder does not exist.
        """
        if fpath is None or not self.writes:
            return
        path = Path(fpath)
        if path.exists() and not resume:
            raise ArgumentError(
                f"fit: {what}: {path} exists; name another one, or go on from it with resume=True"
            )
        if not path.parent.is_dir():
            raise ArgumentError(f"fit: {what}: there is no folder {path.parent}")


def _checked(callbacks: Iterable[Callback]) -> list[Callback]:
    found = list(callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            raise DTypeError(f"fit: a callback is a train.Callback, not {callback!r}")
    return found
