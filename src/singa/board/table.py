"""CSV files of numbers: what a training writes, a row at a time."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from pathlib import Path

Column = list[float | None]


@dataclass
class Table:
    """The columns of a CSV file, all of one length; None where a cell is empty.

    Attributes:
        columns: by their headings, in the file's order.
        problem: what is wrong with rows that had to be left out; empty if none had.
    """

    columns: dict[str, Column] = field(default_factory=dict)
    problem: str = ""

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def __getitem__(self, name: str) -> Column:
        """A column; if there is none of that name, one of Nones."""
        return self.columns.get(name, [None] * len(self))


def read_table(path: Path) -> Table:
    """Read a CSV file of numbers whose first row has the headings.

    It may be in the middle of being written: a last line without its end is not read. Rows that
    are not of numbers, or not as long as the headings', are left out, and reported.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not text.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    try:
        head, *rows = csv.reader(lines)
    except (ValueError, csv.Error):  # nothing in it, or nothing that looks like CSV
        return Table(problem=f"{path.name}: it has no line of headings" if lines else "")
    table = Table({name: [] for name in head})
    bad: list[int] = []
    for number, row in enumerate(rows, start=2):
        values = _numbers(row)
        if values is None or len(values) != len(table.columns):
            bad.append(number)
            continue
        for column, value in zip(table.columns.values(), values, strict=True):
            column.append(value)
    if bad:
        table.problem = (
            f"{path.name}: line {bad[0]} is not {len(head)} numbers"
            + (f", nor are {len(bad) - 1} others" if len(bad) > 1 else "")
            + "; the rest is shown"
        )
    return table


def _numbers(cells: list[str]) -> Column | None:
    try:
        return [float(cell) if cell else None for cell in cells]
    except ValueError:
        return None
