"""A run: the folder of a training, read as untrusted data."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from singa.board.svg import clean
from singa.board.table import Column, ReadTable, read_table
from singa.errors import DataError
from singa.formats.process import is_gone
from singa.formats.reading import MOST_JSON, parse_json, read_file
from singa.metric.naming import best_epoch, best_of, is_measure
from singa.report.profile import Row, numbered, remark

T = TypeVar("T")

_RUN, _EPOCHS, _STEPS = "run.json", "epochs.csv", "steps.csv"
_MOST = 1e300  # the largest number that is accepted as a measured value
_FORMAT = 1  # the newest known format
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_SAMPLES = 40  # pictures of one title, because a page contains all of them
_MOST_PICTURES = 20_000  # files that are checked
_MOST_BYTES = 10 * 2**20  # of all pictures in a page
_MOST_PIXELS = 2**24  # of one picture
_MOST_DRAWING = 4 * 2**20  # bytes of the graph
_MOST_OPERATIONS = 2000
_MOST_SETTINGS = 1000
_LONGEST = 200, 2000  # characters of a setting's name, and of its value or another text
_LONGEST_SUMMARY = 2**18
_LATEST = 32_503_680_000.0  # the latest accepted time of a file: the year 3000
_TOLD_ELSEWHERE = {
    "format",
    "name",
    "process",
    "status",
    "stopped",
    "summary",
    "epoch",
    "step",
    "best",
}  # not among the settings


@dataclass
class Best:
    """The best epoch by one column, and its value."""

    column: str
    epoch: int
    value: float


@dataclass
class Run:
    """A run folder: the state of the training, and its epochs.

    Attributes:
        folder: the folder.
        key: its path below the folder of all runs, ``sweep/lr-0.1``.
        info: the content of ``run.json``; empty if that is damaged.
        settings: its entries that the page does not show elsewhere, by names such as
            ``optimizer.lr``.
        epochs: a row for each epoch.
        problems: one sentence for each file or part that could not be read.
        written: when ``run.json`` or a table was last written.
    """

    folder: Path
    key: str
    info: dict[str, Any]
    settings: dict[str, str]
    epochs: ReadTable
    problems: list[str]
    written: datetime

    def text(self, name: str) -> str:
        """A text of ``run.json``; empty if it is missing or not a text."""
        value = self.info.get(name)
        longest = _LONGEST_SUMMARY if name == "summary" else _LONGEST[1]
        return value[:longest] if isinstance(value, str) else ""

    def number(self, name: str) -> float | None:
        """A number of ``run.json``; None if it is missing or not a number."""
        value = self.info.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if abs(value) < _MOST else None

    @property
    def name(self) -> str:
        return self.text("name") or self.folder.resolve().name

    @property
    def status(self) -> str:
        return self.text("status") or "unknown"

    @property
    def data_name(self) -> str:
        data = self.info.get("data")
        name = data.get("name") if isinstance(data, dict) else data
        return name[: _LONGEST[0]] if isinstance(name, str) else ""

    @property
    def is_running(self) -> bool:
        return self.status == "running"

    @property
    def seconds(self) -> float | None:
        """The total time of the epochs, without the time before, between and after them."""
        seconds = [s for s in self.epochs.column("seconds") if s is not None]
        return sum(seconds) if seconds else None

    @property
    def speed(self) -> float | None:
        """Samples per second: the median of the epochs, because the first one usually compiles."""
        speeds = [s for s in finite(self.epochs.column("samples_per_second")) if s is not None]
        return statistics.median(speeds) if speeds else None

    def time(self, name: str) -> datetime | None:
        """A time of ``run.json``; None if it is missing or not a time."""
        try:
            return datetime.fromisoformat(self.text(name)).astimezone(UTC)
        except (ValueError, OverflowError):
            return None

    def best(self, column: str) -> Best | None:
        """The epoch with a column's best value, as stored by the training.

        If the training has not stored it, the metric of that name decides whether the greatest or
        the least value is best. If two are equally good, the earlier one is returned.
        """
        rows = zip(self.epochs.column(column), self.epochs.column("epoch"), strict=True)
        values = {
            int(epoch): value
            for value, epoch in rows
            if value is not None
            and epoch is not None
            and math.isfinite(value)
            and math.isfinite(epoch)
        }
        recorded = self.info.get("best")
        epoch = recorded.get(column) if isinstance(recorded, dict) else None
        if type(epoch) is not int or epoch not in values:
            if not values:
                return None
            epoch = [*values][best_epoch([*values.values()], best_of(column)) - 1]
        return Best(column, epoch, values[epoch])

    @property
    def measures(self) -> list[str]:
        """The columns that measure how good the run is: ``val_loss``, ``val_accuracy``, ...

        Without validation they are the columns of the training.
        """
        names = [n for n in self.epochs if n.startswith("val_")]
        return names or [n for n in self.epochs if is_measure(n)]


@dataclass
class Operation:
    """The time of one operation in a step."""

    name: str
    layer: str
    direction: str
    calls: int
    milliseconds: float
    share: float
    remark: str


@dataclass
class Sample:
    """A picture that was made after an epoch, as PNG in base64."""

    epoch: int
    png: str


@dataclass
class Details:
    """The rest of a run folder, which only the page of that run shows."""

    steps: ReadTable = field(default_factory=ReadTable)
    graph: str = ""
    operations: list[Operation] = field(default_factory=list)
    memory: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def find_runs(folder: Path) -> dict[str, Path]:
    """The run folders in a folder, at any depth, by their paths in it.

    Raises:
        DataError: it is not a folder, or there is no run in it.
    """
    if not folder.is_dir():
        raise DataError(f"board: {folder} is not a folder")
    if (folder / _RUN).is_file():
        return {folder.resolve().name or "run": folder}
    found: dict[str, Path] = {}
    for place, folders, files in os.walk(folder):
        folders.sort()
        if _RUN in files and (Path(place) / _RUN).is_file():
            folders.clear()  # do not search for runs inside of runs
            found[Path(place).relative_to(folder).as_posix()] = Path(place)
    if not found:
        raise DataError(
            f"board: no run in {folder}: none of its folders has a {_RUN}, which a training with "
            "a run folder writes"
        )
    return found


def read_run(folder: Path, key: str = "") -> Run:
    """Read the state of a run. Damaged parts are left out, and noted in ``problems``.

    Raises:
        DataError: there is no ``run.json``.
    """
    path = folder / _RUN
    if not path.is_file():
        raise DataError(f"board: no run in {folder}: there is no {_RUN}")
    problems: list[str] = []
    nothing: tuple[dict[str, Any], dict[str, str]] = {}, {}
    info, settings = _read(problems, path, _info, nothing)
    if info.get("status") == "running" and is_gone(info.get("process")):
        info |= {"status": "interrupted", "stopped": "its process has ended"}
    version = info.get("format")
    if info and version != _FORMAT:
        problems.append(f"{_RUN}: it has format {version!r}, and only {_FORMAT} is known here")
    epochs = _read(problems, folder / _EPOCHS, read_table, ReadTable())
    problems += [epochs.problem] if epochs.problem else []
    times = [p.stat().st_mtime for n in (_RUN, _EPOCHS, _STEPS) if (p := folder / n).exists()]
    written = datetime.fromtimestamp(min(max(0.0, *times), _LATEST), UTC)
    return Run(folder, key or folder.resolve().name, info, settings, epochs, problems, written)


def read_details(folder: Path) -> Details:
    """Read the rest of a run. Damaged parts are left out, and noted in ``problems``."""
    details = Details()
    problems = details.problems
    details.steps = _read(problems, folder / _STEPS, read_table, details.steps)
    problems += [details.steps.problem] if details.steps.problem else []
    details.graph = _read(problems, folder / "graph.svg", _graph, "")
    details.operations = _read(problems, folder / "profile.json", _operations, [])
    details.memory = _read(problems, folder / "memory.json", _memory, {})
    details.samples = _read(problems, folder / "samples", lambda p: _samples(p, problems), {})
    return details


def _read(problems: list[str], path: Path, read: Callable[[Path], T], default: T) -> T:
    """Read a file that may be missing or damaged."""
    if not path.exists():
        return default
    try:
        return read(path)
    except (OSError, ValueError, ArithmeticError, RecursionError) as error:
        problems.append(f"{path.name}: {error}")
        return default


def _json_object(path: Path) -> dict[str, Any]:
    value = parse_json(read_file(path, MOST_JSON))
    if not isinstance(value, dict):
        raise DataError("it is not a JSON object")
    return value


def _info(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    info = _json_object(path)
    settings: dict[str, str] = {}
    _flatten({k: v for k, v in info.items() if k not in _TOLD_ELSEWHERE}, "", settings)
    return info, settings


def _graph(path: Path) -> str:
    return clean(read_file(path, _MOST_DRAWING).decode())


def _operations(path: Path) -> list[Operation]:
    """The rows of a :class:`singa.report.Profile`, with times per step, longest first."""
    profile = _json_object(path)
    try:
        steps = max(int(_number(profile["iterations"])), 1)
        rows = [_row(row) for row in profile["rows"]]
    except (KeyError, TypeError) as error:
        raise DataError(f"it is not a profile ({error!r})") from None
    names = numbered(row.key for row in rows)
    found = [
        Operation(
            name=_words(names[row.key]),
            layer=row.layer,
            direction=row.direction,
            calls=row.calls,
            milliseconds=row.seconds / steps * 1e3,
            share=row.share,
            remark=_words(remark(row, most=None)),
        )
        for row in rows
    ]
    return sorted(found, key=lambda row: -row.milliseconds)[:_MOST_OPERATIONS]


def _row(row: dict[str, Any]) -> Row:
    return Row(
        name=_words(row["name"]),
        direction=_words(row["direction"]),
        number=int(_number(row["number"])),
        layer=_words(row["layer"]),
        calls=int(_number(row["calls"])),
        seconds=_number(row["seconds"]),
        share=_number(row["share"]),
        includes=tuple(map(str, row["includes"])),
        part_of=tuple(map(str, row["part_of"])),
    )


def _number(value: Any) -> float:
    number = float(value)
    if not abs(number) < _MOST:
        raise DataError(f"a number is {number}")
    return number


def _words(value: Any) -> str:
    return str(value)[: _LONGEST[0]]


def _memory(path: Path) -> dict[str, int]:
    sizes = _json_object(path)
    # One entry is the name of the device, which is not a size.
    return {n: size for n, size in sizes.items() if isinstance(size, int) and 0 <= size < _MOST}


def _samples(folder: Path, problems: list[str]) -> dict[str, list[Sample]]:
    """The pictures by title, in the order of epochs; if there are many, some of them."""
    files: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted(islice(folder.glob("*.png"), _MOST_PICTURES)):
        match = re.fullmatch(r"([0-9]{4,12})-(.+)", path.stem)
        if match:
            files.setdefault(match[2], []).append((int(match[1]), path))
    samples: dict[str, list[Sample]] = {}
    left, lost = _MOST_BYTES, list[str]()
    for title, found in files.items():
        for epoch, path in spread(sorted(found), _MOST_SAMPLES):
            png = _read(lost, path, partial(_picture, most=left), b"")
            if not png:
                continue
            left -= len(png)
            sample = Sample(epoch, base64.b64encode(png).decode())
            samples.setdefault(title, []).append(sample)
    if lost:
        more = f"; {len(lost) - 1} others are left out as well" if lost[1:] else ""
        problems.append(f"samples/{lost[0]}{more}")
    return samples


def _picture(path: Path, most: int) -> bytes:
    png = read_file(path, most)
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    if not png.startswith(_PNG) or width * height > _MOST_PIXELS:
        raise DataError("it is not a PNG, or it has too many pixels")
    return png


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """At most ``most`` of the items, evenly spread, including the first and the last."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]


def _flatten(value: Any, name: str, flat: dict[str, str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _flatten(inner, f"{name}.{key}"[: _LONGEST[0]] if name else key[: _LONGEST[0]], flat)
    elif value is not None and len(flat) < _MOST_SETTINGS:
        text = value if isinstance(value, str) else json.dumps(value)
        flat[name] = text[: _LONGEST[1]]


def finite(column: Column, digits: int = 6) -> Column:
    """A column for JSON: rounded to ``digits`` digits, None for numbers that are not finite."""
    return [
        float(f"{value:.{digits}g}") if value is not None and math.isfinite(value) else None
        for value in column
    ]
