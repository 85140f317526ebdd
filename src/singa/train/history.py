"""History: the numbers of a training, step by step and epoch by epoch."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from singa.errors import ArgumentError
from singa.formats.files import writing
from singa.metric.base import MAX

WHOLE = frozenset(("epoch", "step"))
"""The columns that hold integers."""


_NO_MEASURE = re.compile("epoch|step|seconds|samples_per_second|lr(_.*)?")


def is_measure(column: str) -> bool:
    """Whether a column measures how good an epoch was."""
    return not _NO_MEASURE.fullmatch(column)


class Table(Mapping[str, list[Any]]):
    """Columns of numbers by name, all of the same length.

    >>> table = Table()
    >>> table.append({"epoch": 1, "loss": 0.5})
    >>> table.append({"epoch": 2, "loss": 0.25})
    >>> table["loss"]
    [0.5, 0.25]
    >>> table.row(-1)
    {'epoch': 2, 'loss': 0.25}
    """

    def __init__(self, columns: Mapping[str, list[Any]] | None = None) -> None:
        self._columns = dict(columns or {})

    def append(self, row: Mapping[str, float]) -> None:
        """Add a row, which has the columns of the first one.

        Raises:
            ArgumentError: it has others.
        """
        if not self._columns:
            self._columns = {name: [] for name in row}
        if row.keys() != self._columns.keys():
            raise ArgumentError(
                f"a row of {', '.join(row)} in a table of {', '.join(self._columns)}"
            )
        for name, value in row.items():
            self._columns[name].append(value)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def row(self, index: int) -> dict[str, Any]:
        """One row by its index; -1 is the last one."""
        return {name: column[index] for name, column in self._columns.items()}

    def write(self, fpath: str | os.PathLike[str]) -> None:
        """Write a file of comma-separated values, completely or not at all.

        Raises:
            OSError: it cannot be written.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self._columns)
        columns = [map(_text, column) for column in self._columns.values()]
        writer.writerows(zip(*columns, strict=True))
        with writing(fpath) as file:
            file.write(text.getvalue().encode())

    def __getitem__(self, name: str) -> list[Any]:
        if name not in self._columns:
            raise KeyError(f"{name!r} is not one of the columns: {', '.join(self._columns)}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"<Table of {self.rows} rows: {', '.join(self._columns)}>"


def _text(value: float) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)


class History:
    """The result of :func:`singa.train.fit`.

    ``history["val_loss"]`` is the list of a quantity, with one number for each epoch.

    >>> history = History()
    >>> history.epochs.append({"epoch": 1, "loss": 0.5})
    >>> history["loss"]
    [0.5]
    >>> history
    <History of 1 epoch, running: epoch 1, loss 0.5>

    Attributes:
        epochs: a row for each epoch: ``epoch``, ``step``, ``seconds``, ``samples_per_second``,
            ``lr``, ``loss``, the metrics, and the same of the validation with the prefix ``val_``.
        steps: a row for each step: ``step``, ``epoch``, ``loss``, ``lr``, and the metrics of its
            batch.
        best: for each quantity that measures how good an epoch was, the number of the best epoch.
        status: ``running``, ``completed``, ``interrupted`` by Ctrl-C, or ``failed``.
        stopped: why it ended before all epochs were complete; empty if it did not.
    """

    def __init__(self) -> None:
        self.epochs = Table()
        self.steps = Table()
        self.best: dict[str, int] = {}
        self.status = "running"
        self.stopped = ""

    def __getitem__(self, name: str) -> list[Any]:
        return self.epochs[name]

    def __repr__(self) -> str:
        count = self.epochs.rows
        text = f"<History of {count} epoch{'s' * (count != 1)}, {self.status}"
        if count:
            numbers = (f"{name} {value:.4g}" for name, value in self.epochs.row(-1).items())
            text += f": {', '.join(numbers)}"
        return f"{text}>"


def best_epoch(values: Sequence[float], mode: str, min_delta: float = 0.0) -> int:
    """The number of the best epoch; if several are equally good, the first one.

    Args:
        values: one for each epoch.
        mode: ``"min"`` or ``"max"``.
        min_delta: by how much an epoch must be better than the best one before.

    Returns:
        A number from 1; 0 if none of the values is finite.
    """
    best, best_cost = 0, math.inf
    for epoch, value in enumerate(values, 1):
        cost = -value if mode == MAX else value
        if math.isfinite(cost) and cost < best_cost - (min_delta if best else 0):
            best, best_cost = epoch, cost
    return best
