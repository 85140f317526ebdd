"""Profile: the time of some steps, operation by operation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from singa.errors import ArgumentError, ReportError
from singa.graph.recording import BACKWARD, FORWARD, UPDATE, Key
from singa.report.text import aligned, listed


@dataclass(frozen=True)
class Row:
    """The time of one operation, or of all operations of one name.

    Attributes:
        name: the operation's class, or the kernel's name: ``Convolution2d``, ``SGD``.
        direction: ``forward``, ``backward``, ``update``; ``other`` if it is none of these.
        number: its number in the step among those of its name, from 1. A backward has the number
            of its forward. 0 in a row for all operations of one name.
        layer: the path of the layer to which it belongs, ``conv1``, if that is known.
        calls: how often it ran.
        seconds: the time of all its calls together. If operations run at the same time, that time
            is divided between them, so that all rows together take no longer than the steps.
        share: its share of the time of all rows, from 0 to 1.
        includes: other operations that XLA computes in the same loops, in this row's time.
        part_of: the operations in whose loops it is computed, if it has no loop and no time of its
            own.
        exchanges: what the devices of a mesh exchange for it: ``all-reduce 25.4 KiB over data``.
    """

    name: str
    direction: str
    number: int
    layer: str
    calls: int
    seconds: float
    share: float
    includes: tuple[str, ...] = ()
    part_of: tuple[str, ...] = ()
    exchanges: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        return self.direction, self.name, self.number


def titles(keys: Iterable[Key]) -> dict[Key, str]:
    """What to call operations: ``Convolution2d 2 backward``; a number only where it is needed."""
    return {
        key: f"{name} {key[0]}" if key[0] in (BACKWARD, UPDATE) else name
        for key, name in numbered(keys).items()
    }


def numbered(keys: Iterable[Key]) -> dict[Key, str]:
    """The same without directions: ``Convolution2d 2``."""
    keys = list(keys)
    several = {name for _, name, number in keys if number > 1}
    return {key: f"{key[1]} {key[2]}" if key[2] and key[1] in several else key[1] for key in keys}


class Profile:
    """The time of some steps, operation by operation; ``str()`` gives a table.

    Attributes:
        rows: a :class:`Row` for each operation of the step, in recorded order.
        iterations: how many steps were timed.
        skipped: how many were not timed: the first ones (the argument ``skip``), and those in which
            a program was compiled.
        seconds: the time of the timed steps, from the call to the last result.
        is_complete: whether it has results. In the block of ``model.profile()`` it has none yet.

    Example:
        >>> from singa.models import MLP
        >>> mlp = MLP()
        >>> mlp.compile([Tensor((32, 1, 8, 8))], is_train=False, use_graph=True)
        >>> with mlp.profile(skip=2) as profile:
        ...     for _ in range(7):
        ...         _ = mlp(Tensor((32, 1, 8, 8)))
        >>> profile.iterations, profile.skipped
        (5, 2)
        >>> profile.per_step("forward") > 0, profile.per_step("backward")
        (True, 0.0)
        >>> sorted(row.name for row in profile.by_name())
        ['Affine', 'Flatten', 'ReLU']
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.iterations = 0
        self.skipped = 0
        self.seconds = 0.0
        self.is_complete = False

    def per_step(self, direction: str | None = None) -> float:
        """The time per step, in seconds, of all operations, or of those of one direction.

        Raises:
            ReportError: the block of ``model.profile()`` has not ended yet.
        """
        self._expect_complete()
        rows = [row for row in self.rows if direction in (None, row.direction)]
        return sum(row.seconds for row in rows) / max(self.iterations, 1)

    def by_name(self) -> list[Row]:
        """One row for all operations of a name and direction, sorted by time, longest first."""
        self._expect_complete()
        groups: dict[tuple[str, str], list[Row]] = {}
        for row in self.rows:
            groups.setdefault((row.direction, row.name), []).append(row)
        return _sorted(_sum(rows) for rows in groups.values())

    def table(self, by: str = "operation", most: int | None = None) -> str:
        """The rows as text, sorted by time, longest first.

        Args:
            by: ``operation``, a line for each one, or ``name``, one for all of a name.
            most: the most lines to show.

        Raises:
            ArgumentError: ``by`` is neither.
            ReportError: the block of ``model.profile()`` has not ended yet.
        """
        if by not in ("operation", "name"):
            raise ArgumentError(f"Profile.table: by is 'operation' or 'name', not {by!r}")
        self._expect_complete()
        if not self.iterations:
            return f"No step was timed, {self.skipped} skipped"
        rows = self.by_name() if by == "name" else _sorted(self.rows)
        names = numbered(row.key for row in rows)
        milliseconds = 1e3 / self.iterations
        lines = [
            ["operation", "layer", "direction", "calls", "ms/step", "share", ""],
            *[
                [
                    names[row.key],
                    row.layer,
                    row.direction,
                    str(row.calls),
                    f"{row.seconds * milliseconds:.3f}",
                    f"{row.share:.1%}",
                    remark(row),
                ]
                for row in rows[:most]
            ],
        ]
        text = [self._heading(), "", *aligned(lines, right=range(3, 6))]
        if len(rows) > len(rows[:most]):
            text.append(f"... and {len(rows) - len(rows[:most])} more")
        return "\n".join(text)

    def to_json(self) -> str:
        """The profile as JSON: ``iterations``, ``skipped``, ``seconds``, and ``rows`` as in Row."""
        self._expect_complete()
        return json.dumps(
            {
                "iterations": self.iterations,
                "skipped": self.skipped,
                "seconds": self.seconds,
                "rows": [asdict(row) for row in self.rows],
            },
            indent=1,
        )

    def __str__(self) -> str:
        return self.table() if self.is_complete else repr(self)

    def __repr__(self) -> str:
        if not self.is_complete:
            return "<Profile, not complete yet>"
        return f"<Profile of {self.iterations} steps, {len(self.rows)} operations>"

    def _heading(self) -> str:
        each = self.seconds / self.iterations
        parts = ", ".join(
            f"{direction} {self.per_step(direction) * 1e3:.3f}"
            for direction in (FORWARD, BACKWARD, UPDATE)
        )
        idle = max(each - self.per_step(), 0.0)
        steps = "1 step" if self.iterations == 1 else f"{self.iterations} steps"
        return (
            f"{steps} timed, {self.skipped} skipped. {each * 1e3:.3f} ms each: {parts}, "
            f"between operations {idle * 1e3:.3f}"
        )

    def _expect_complete(self) -> None:
        if not self.is_complete:
            raise ReportError(
                "Profile: it is complete when the block of model.profile() has ended, not before"
            )


def summary(profile: Profile | None, verbosity: int) -> str:
    """The text of SINGA's ``PrintTimeProfiling``: averages over the timed steps, in seconds.

    Args:
        profile: None if nothing was timed.
        verbosity: 1 for forward and backward, 2 for all operations too, 3 for those that
            communicate.
    """
    lines = ["Time Profiling:"]
    if profile is None or not profile.iterations:
        skipped = profile.skipped if profile else 0
        return f"{lines[0]} no step was timed, {skipped} skipped"
    if verbosity < 3:
        lines += [
            f"Forward Propagation Time : {profile.per_step(FORWARD):.9f} sec",
            f"Backward Propagation Time : {profile.per_step(BACKWARD):.9f} sec",
            f"Update Time : {profile.per_step(UPDATE):.9f} sec",
        ]
    rows = [(i, row) for i, row in enumerate(profile.rows) if verbosity == 2 or "Dist" in row.name]
    if verbosity > 1:
        names = titles(row.key for row in profile.rows)
        lines += [
            f"OP_ID{i}. {names[row.key]} : {row.seconds / profile.iterations:.9f} sec"
            for i, row in rows
        ]
    if verbosity == 3 and not rows:
        lines.append("no communication operations in these steps")
    return "\n".join(lines)


def _sum(rows: Sequence[Row]) -> Row:
    """One row for all operations of a name and direction."""
    first = rows[0]
    return Row(
        first.name,
        first.direction,
        number=0,
        layer=first.layer if len(rows) == 1 else "",
        calls=sum(row.calls for row in rows),
        seconds=sum(row.seconds for row in rows),
        share=sum(row.share for row in rows),
        includes=_without_numbers(title for row in rows for title in row.includes),
        part_of=_without_numbers(title for row in rows for title in row.part_of),
    )


def _without_numbers(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(re.sub(r" \d+\b", "", name) for name in names))


def _sorted(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.seconds)


def remark(row: Row, most: int | None = 3) -> str:
    """What is exchanged; what else its time is of, or where its own is.

    It has so many names, and how many more there are.
    """
    told = list(row.exchanges)
    if row.part_of and not row.seconds:
        told.append("in " + listed(row.part_of, most))
    elif row.includes:
        told.append("with " + listed(row.includes, most))
    return "; ".join(told)
