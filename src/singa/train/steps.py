"""The results of a training's steps: computed on devices, read later, and averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from singa.train.evaluation import weighted_means
from singa.train.history import History
from singa.train.measuring import numbers
from singa.train.together import Ranks

Values = dict[str, Any]


class StepResults:
    """What the steps of a training have returned, on its way into the history.

    Args:
        history: gets a row for each step.
        steps: how many an epoch has.
        size: of most batches, in samples.
        ranks: those that train together.
    """

    def __init__(self, history: History, steps: int, size: int, ranks: Ranks) -> None:
        self._history = history
        self._steps = steps
        self._size = size
        self._ranks = ranks
        self._unread: list[tuple[Values, Values]] = []
        # How much each result counts, of those steps of the present epoch that were read.
        self._counts: list[dict[str, float]] = []
        self._merged = 0  # the number of rows of the history that are of all ranks

    @property
    def rows(self) -> int:
        """How many steps there were, read or not."""
        return self._history.steps.rows + len(self._unread)

    @property
    def _first(self) -> int:
        """The row of the present epoch's first step."""
        return self._history.epochs.rows * self._steps

    def begin_epoch(self, start: int) -> None:
        """The next step is the one with this number in its epoch."""
        self._counts = self._counts[:start]

    def add(self, row: Values, counts: Values) -> None:
        """Add the results of a step, which may still be in computation.

        Args:
            row: by name.
            counts: by the same names, how much each counts in the mean of the epoch.
        """
        self._unread.append((row, counts))

    def read(self, wait: bool = True) -> None:
        """Move results into the history.

        Args:
            wait: whether to wait for those that are not computed yet.
        """
        count = len(self._unread)
        if not wait:
            ready = (all(x.is_ready() for x in values.values()) for values, _ in self._unread)
            count = next((i for i, is_ready in enumerate(ready) if not is_ready), count)
        taken, self._unread = self._unread[:count], self._unread[count:]
        rows = numbers([values for values, _ in taken])
        counts = numbers([each for _, each in taken])
        for counted, row in zip(counts, rows, strict=True):
            step = self._history.steps.rows
            place = {"step": step + 1, "epoch": step // self._steps + 1}
            self._history.steps.append(place | row)
            self._counts.append(counted)

    def means(self) -> dict[str, float]:
        """The means over the steps of the present epoch that were read."""
        names = [name for name in self._names() if not name.startswith("lr")]
        if not self._counts:
            return {}
        columns = [self._history.steps[name][self._first :] for name in names]
        rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
        return weighted_means(rows, self._counts)

    def counts(self) -> dict[str, list[float]]:
        """How much each result counts in the present epoch so far, where it is not by samples."""
        found = self._counts[: self._history.steps.rows - self._first]
        columns = {name: [count[name] for count in found] for name in (found or [{}])[0]}
        return {
            name: column
            for name, column in columns.items()
            if any(count != self._size for count in column)
        }

    def resume(self, counts: Mapping[str, Sequence[float]]) -> None:
        """Continue after the history was read from a checkpoint, with what :meth:`counts` gave."""
        self._counts = [
            {
                name: float(counts[name][i]) if name in counts else self._size
                for name in self._names()
            }
            for i in range(self.rows - self._first)
        ]
        self._merged = self._history.steps.rows

    def merge(self) -> None:
        """Where ranks have parts of the data: replace each rank's means by those of all."""
        steps, first = self._history.steps, self._merged
        new = steps.rows - first
        if not new:
            return
        counts = self._counts[-new:]
        names = list(counts[0])
        means, totals = self._ranks.means(
            [steps[name][first:] for name in names],
            [[count[name] for count in counts] for name in names],
        )
        for name, column, total in zip(names, means.tolist(), totals.tolist(), strict=True):
            if not name.startswith("lr"):
                steps[name][first:] = column
            for count, each in zip(counts, total, strict=True):
                count[name] = each
        self._merged = steps.rows

    def last_loss(self) -> float | None:
        """That of an epoch's last step in which something counted; None if there is none.

        A batch in which nothing counts, because all its targets are ignored, has no mean.
        """
        losses = self._history.steps["loss"][-len(self._counts) :]
        pairs = zip(losses, self._counts, strict=True)
        return next((loss for loss, count in reversed([*pairs]) if count["loss"]), None)

    def _names(self) -> list[str]:
        """The columns of results."""
        return [name for name in self._history.steps if name not in ("step", "epoch")]
