"""Progress: a line for each epoch, and a bar if the output is a terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from singa.opt import Constant
from singa.train.measuring import is_share
from singa.train.training import Callback, Training, optimizer_of

_REFRESH = 0.1  # seconds between two readings of the device's results
_WIDTH = 8  # the least width of a number


class ProgressBar(Callback):
    """Shows the progress of a training; :func:`singa.train.fit` uses one by default.

    >>> import sys
    >>> from rich.console import Console
    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> console = Console(file=sys.stdout, width=80)
    >>> history = train.fit(
    ...     mlp, data.load_digits().train, 2, progress=train.ProgressBar(console)
    ... )  # doctest: +ELLIPSIS
    epoch      loss  samples/s
      1/2    ...
      2/2    ...

    Args:
        console: where to print. On a terminal there is a bar as well.
    """

    on_every_rank = False

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self._refreshed = 0.0
        self._has_head = False

    def on_train_begin(self, training: Training) -> None:
        # One bar for all steps, because an epoch of a small data set is too short for a bar.
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
        )
        self._bar = Progress(
            *columns, console=self.console, transient=True, disable=not self.console.is_terminal
        )
        self._task: TaskID = self._bar.add_task(
            "", total=training.steps, completed=training.step, numbers="compiling"
        )
        self._has_head = False
        self._resumed = training.epoch
        self._bar.start()

    def on_epoch_begin(self, training: Training) -> None:
        self._bar.update(self._task, description=f"epoch {_count(training, training.epoch + 1)}")

    def on_step_end(self, training: Training) -> None:
        if self._bar.disable or time.perf_counter() - self._refreshed < _REFRESH:
            return
        self._refreshed = time.perf_counter()
        training.read(wait=False)
        means = training.means()
        numbers = [f"{name} {_text(training, name, value)}" for name, value in means.items()]
        numbers.append(f"{training.samples_per_second:,.0f} samples/s")
        self._bar.update(self._task, completed=training.step, numbers="  ".join(numbers))

    def on_epoch_end(self, training: Training) -> None:
        self._bar.update(self._task, completed=training.step)
        cells = {"epoch": _count(training, training.epoch)}
        row = training.history.epochs.row(-1)
        for name, value in row.items():
            if name not in _ELSEWHERE and (not name.startswith("lr") or _is_scheduled(training)):
                cells[name] = _text(training, name, value)
        cells["samples/s"] = f"{row['samples_per_second']:,.0f}"
        widths = {name: max(len(name), _WIDTH) for name in cells}
        widths["epoch"] = max(5, 2 * len(str(training.epochs)) + 1)
        if not self._has_head:
            self._has_head = True
            self._print({name: name for name in cells}, widths)
        self._print(cells, widths)

    def on_train_end(self, training: Training) -> None:
        self._bar.stop()
        history = training.history
        if training.epoch == self._resumed >= training.epochs:
            self._say(
                f"nothing was left to train: {training.epoch} of {training.epochs} epochs are "
                "complete; epochs counts those before as well"
            )
        if history.stopped and history.status != "failed":
            epoch = training.epoch + _in_epoch(training)
            self._say(f"ended in epoch {epoch}: {history.stopped}")

    def _print(self, cells: Mapping[str, str], widths: Mapping[str, int]) -> None:
        self._say("  ".join(cell.rjust(widths[name]) for name, cell in cells.items()))

    def _say(self, text: str) -> None:
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)


_ELSEWHERE = frozenset(("epoch", "step", "seconds", "samples_per_second"))


def _count(training: Training, number: int) -> str:
    return f"{number:{len(str(training.epochs))}}/{training.epochs}"


def _in_epoch(training: Training) -> bool:
    return training.step > training.epoch * len(training.loader)


def _is_scheduled(training: Training) -> bool:
    optimizer = optimizer_of(training.model)
    return optimizer is not None and not isinstance(optimizer.lr, Constant)


def _text(training: Training, name: str, value: float) -> str:
    metric = training.meters.metrics.get(name.removeprefix("val_"))
    if metric is not None and is_share(metric):
        return f"{value:.2%}"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 else f"{value:.3g}"
