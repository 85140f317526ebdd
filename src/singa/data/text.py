"""Datasets in text files: lines, and tables of comma-separated values."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.dataset import ArrayDataset
from singa.data.files import decoded, read_lines
from singa.errors import ArgumentError, DataError
from singa.formats.reading import open_file

_INT32 = np.iinfo(np.int32)
_BLOCK = 2**20  # bytes that are searched at a time


class TextLines:
    r"""The lines of a text file, which may be larger than the memory.

    ``dataset[i]`` is ``(line,)``, a string without the end of the line. The file is read once to
    find where lines begin, and again line by line.

    Args:
        path: the file.
        encoding: of its text; one in which a line feed is one byte, as in UTF-8.

    Raises:
        DataError: when a line is read: it is not text in this encoding.
        OSError: the file cannot be read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("poem.txt").write_text("one\ntwo\n")
        >>> lines = data.TextLines("poem.txt")
        >>> len(lines), lines[1]
        (2, ('two',))
    """

    def __init__(self, path: str | os.PathLike[str], encoding: str = "utf-8") -> None:
        self.path, self.encoding = Path(path), encoding
        self._begins = _lines(self.path)

    def __len__(self) -> int:
        return len(self._begins) - 1

    def __getitem__(self, index: int) -> tuple[str]:
        number = range(len(self))[index]
        begin, end = self._begins[number : number + 2].tolist()
        with open(self.path, "rb") as file:
            file.seek(begin)
            line = file.read(end - begin)
        return (decoded(line.rstrip(b"\r\n"), self.path, number + 1, self.encoding),)


def _lines(path: Path) -> npt.NDArray[np.int64]:
    """Where each line of a file begins, and where the last one ends."""
    begins, size = [np.zeros(1, np.int64)], 0
    with open_file(path) as file:
        while block := file.read(_BLOCK):
            begins.append(np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + size + 1)
            size += len(block)
    found = np.concatenate(begins)
    return found if found[-1] == size else np.append(found, size)


class CsvTable(ArrayDataset):
    r"""A table of numbers, in a file of comma-separated values (RFC 4180), all in memory.

    ``dataset[i]`` is the features of row i, (F,), and its label if there is a label column.
    Features are int32 if all are integers of that size, else float32.  Labels are int32 or
    float32 by the same rule; or, if they are not numbers, int32, an index into
    ``class_names``, which are in alphabetical order.

    Args:
        path: the file, UTF-8.
        label: the label's column: its name, or its number, from 0; negative from the end.
        header: whether the first line has the columns' names.
        delimiter: between values.
        dtype: the type of the features, instead of the default.

    Attributes:
        columns: the names of the features' columns; "0", "1" and so on without a header.
        class_names: the different labels, if they are not numbers.

    Raises:
        DataError: a row is longer or shorter than the first, a feature is not a number, or the
            file is empty.
        ArgumentError: there is no such label column.
        OSError: the file cannot be read.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("iris.csv").write_text("width,length,kind\n1.5,2,setosa\n3,4.5,virginica\n")
        >>> table = data.CsvTable("iris.csv", label="kind")
        >>> table.columns, table.class_names
        (('width', 'length'), ('setosa', 'virginica'))
        >>> table[1]
        (array([3. , 4.5], dtype=float32), np.int32(1))
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        label: str | int | None = None,
        header: bool = True,
        delimiter: str = ",",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        names, rows, lines = _read_table(path, header, delimiter)
        values = list(zip(*rows, strict=True)) if rows else [()] * len(names)
        chosen = None if label is None else _column(path, label, names)
        numbers = {i: _numbers(column) for i, column in enumerate(values) if i != chosen}
        for i, column in numbers.items():
            if column is None:
                row = next(row for row, value in enumerate(values[i]) if _numbers([value]) is None)
                raise DataError(
                    f"{path}, line {lines[row]}: column {names[i]!r} is {values[i][row]!r}, a "
                    "number is expected"
                )
        columns = [column for column in numbers.values() if column is not None]
        if not columns:
            raise DataError(f"{path}: no column is left for the features")
        features = np.stack(columns, axis=1)
        self.columns = tuple(names[i] for i in numbers)
        self.class_names: tuple[str, ...] = ()
        arrays = [_converted(path, features, dtype or _short(features))]
        if chosen is not None:
            labels = _numbers(values[chosen])
            if labels is None:
                self.class_names = tuple(sorted(set(values[chosen])))
                index = {name: i for i, name in enumerate(self.class_names)}
                labels = np.array([index[value] for value in values[chosen]])
            arrays.append(_converted(path, labels, _short(labels)))
        super().__init__(*arrays)


def _read_table(
    path: str | os.PathLike[str], header: bool, delimiter: str
) -> tuple[list[str], list[list[str]], list[int]]:
    """The columns' names, the rows, and the last line of each row. Empty lines are ignored."""
    reader = csv.reader(
        (f"{line}\n" for line in read_lines(path)), delimiter=delimiter, skipinitialspace=True,
        strict=True,
    )  # fmt: skip
    rows, lines = [], []
    try:
        for row in reader:
            if not row:
                continue
            rows.append(row)
            lines.append(reader.line_num)
            if len(row) != len(rows[0]):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} values, but {len(rows[0])} in "
                    f"line {lines[0]}"
                )
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: {error}") from None
    if not rows:
        raise DataError(f"{path}: nothing is in it")
    if header:
        return rows[0], rows[1:], lines[1:]
    return [str(i) for i in range(len(rows[0]))], rows, lines


def _column(path: str | os.PathLike[str], label: str | int, names: list[str]) -> int:
    try:
        return names.index(label) if isinstance(label, str) else range(len(names))[label]
    except (ValueError, IndexError):
        raise ArgumentError(
            f"CsvTable: {path} has no column {label!r}; its columns are {', '.join(names)}"
        ) from None


def _numbers(values: Any) -> npt.NDArray[Any] | None:
    """The values as int64 or float64; None if one is not a number."""
    for kind in (int, float):
        try:
            return np.array([kind(value) for value in values], np.dtype(kind))
        except (ValueError, OverflowError):
            continue
    return None


def _short(numbers: npt.NDArray[Any]) -> npt.DTypeLike:
    """int32 for integers that fit, else float32."""
    fits = not numbers.size or (numbers.min() >= _INT32.min and numbers.max() <= _INT32.max)
    return np.int32 if numbers.dtype.kind == "i" and fits else np.float32


def _converted(
    path: str | os.PathLike[str], numbers: npt.NDArray[Any], dtype: npt.DTypeLike
) -> npt.NDArray[Any]:
    with np.errstate(over="ignore", invalid="ignore"):
        found = numbers.astype(dtype)
    lost = np.isfinite(numbers) & ~np.isfinite(found)
    if lost.any():
        raise DataError(f"{path}: {numbers[lost][0]} does not fit into {found.dtype}")
    return found
