"""CSV files of numbers, read as untrusted data. A training writes them row by row."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from singa.errors import DataError
from singa.formats.reading import open_file
from singa.formats.table import Table

Column = list[float | None]

_MOST = 2 * 2**20  # bytes that are read of a file; the numbers take up to 16 times as many
_WINDOWS = 512  # the number of parts that are read of a longer file
_MOST_COLUMNS = 200


class ReadTable(Table):
    """The columns of a CSV file, by their headings; an empty cell is None.

    Attributes:
        problem: a message about the rows that were left out; empty if none was.
    """

    def __init__(self, columns: Mapping[str, Column] | None = None, problem: str = "") -> None:
        super().__init__(columns)
        self.problem = problem

    def column(self, name: str) -> Column:
        """The column of this name; if there is none, a column of Nones."""
        return self.get(name, [None] * self.rows)


def read_table(path: Path) -> ReadTable:
    """Read a CSV file of numbers whose first row has the headings.

    The file may be read while it is written: an incomplete last line is ignored. Rows that are not
    numbers, or do not have as many cells as the headings' row, are left out and reported. If a file
    is long, only a part of it is read, and that is reported too.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not text, or has too many columns.
    """
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        reader = csv.reader(line.decode() for line in _lines(file, size))
        try:
            head = next(reader)
        except (StopIteration, csv.Error):  # it is empty, or not CSV
            file.seek(0)
            is_begun = b"\n" in file.read(_MOST)
            return ReadTable(problem=f"{path.name}: it has no line of headings" if is_begun else "")
        if len(head) > _MOST_COLUMNS:
            raise DataError(f"it has {len(head)} columns, at most {_MOST_COLUMNS} are shown")
        table = ReadTable({name: [] for name in head})
        table.problem = _read_rows(table, reader)
    if table.problem:
        table.problem = f"{path.name}: {table.problem}"
    elif size > _MOST:
        table.problem = f"{path.name}: it is of {size:,} bytes, of which a part is shown"
    return table


def _lines(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Complete lines; for a long file, the first lines, and some lines of every part of it."""
    windows = _WINDOWS if size > _MOST else 1
    for i in range(windows):
        begin = i * size // windows
        file.seek(begin)
        if begin:
            file.readline(_MOST)  # skip the end of a line that began before
        while file.tell() < begin + _MOST // windows:
            line = file.readline(_MOST)
            if not line.endswith(b"\n"):
                break
            yield line


def _read_rows(table: ReadTable, reader: Iterator[list[str]]) -> str:
    """Append the rows to the table, and return a message about the invalid ones."""
    columns = list(table.values())
    number, first, others = 1, 0, 0
    try:
        for row in reader:
            number += 1
            values = _numbers(row) if len(row) == len(columns) else None
            if values is None:
                first, others = first or number, others + bool(first)
                continue
            for column, value in zip(columns, values, strict=True):
                column.append(value)
    except csv.Error as error:
        return f"after line {number} it is not CSV: {error}; the rest is shown"
    if not first:
        return ""
    more = f", nor are {others} others" if others else ""
    return f"line {first} is not {len(columns)} numbers{more}; the rest is shown"


def _numbers(cells: list[str]) -> Column | None:
    try:
        return [float(cell) if cell else None for cell in cells]
    except ValueError:
        return None
