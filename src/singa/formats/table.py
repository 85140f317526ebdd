"""Table: columns of numbers. A training stores and writes one, and a board reads it."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from typing import Any

from singa.errors import ArgumentError
from singa.formats.files import writing


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
        """Add a row. It must have the same columns as the first row.

        Raises:
            ArgumentError: its columns differ.
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
            OSError: the file cannot be written.
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
            raise KeyError(f"{name!r} is none of the columns: {', '.join(self._columns)}")
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"<Table of {self.rows} rows: {', '.join(self._columns)}>"


def _text(value: float) -> str:
    return f"{value:.8g}" if isinstance(value, float) else str(value)
