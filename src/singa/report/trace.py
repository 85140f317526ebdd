"""What jax's profiler recorded: which instructions ran when, and how long for."""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True)
class Event:
    """One run of one instruction of a compiled program.

    Attributes:
        start, end: when, in nanoseconds on the profiler's clock.
        module: the program's name, ``jit_step``.
        program: which of that name it is, in XLA's numbers.
        instruction: the instruction's name in the program's text.
        run: which run of the program it belongs to; None where the device does not tell.
    """

    start: float
    end: float
    module: str
    program: Any
    instruction: str
    run: Any


@dataclass(frozen=True)
class Window:
    """One step: when it began and ended, and the instructions that ran meanwhile."""

    start: float
    end: float
    events: list[Event]


def read(folder: Path, mark: str) -> list[Window]:
    """The parts of a recording that carry ``mark``, in order.

    Instructions are known by what XLA notes of them on CPUs and GPUs alike: ``hlo_module`` and
    ``hlo_op``. A device that lists one twice, by kernel and by operation, does no harm: what
    counts is the time during which an operation ran (see :func:`time_by`).
    """
    marks: list[tuple[float, float]] = []
    events: list[Event] = []
    with warnings.catch_warnings():
        # On Python 3.13 a type of jaxlib warns as it is made; as an error this ends the process.
        warnings.simplefilter("ignore", DeprecationWarning)
        for event in _recorded(folder):
            if event.name == mark:
                marks.append((event.start_ns, event.end_ns))
                continue
            stats = dict(event.stats)
            if "hlo_op" in stats and "hlo_module" in stats:
                events.append(
                    Event(
                        event.start_ns,
                        event.end_ns,
                        str(stats["hlo_module"]),
                        stats.get("program_id"),
                        str(stats["hlo_op"]),
                        stats.get("run_id"),
                    )
                )
    events.sort(key=lambda event: event.start)
    starts = [event.start for event in events]
    return [
        Window(start, end, events[bisect_left(starts, start) : bisect_right(starts, end)])
        for start, end in sorted(marks)
    ]


def _recorded(folder: Path) -> Iterator[Any]:
    for file in sorted(folder.rglob("*.xplane.pb")):
        for plane in jax.profiler.ProfileData.from_file(str(file)).planes:
            for line in plane.lines:
                yield from line.events


def runs(events: Iterable[Event]) -> list[list[Event]]:
    """The runs of programs, in the order in which they began, each with its instructions."""
    found: dict[Any, list[Event]] = {}
    current: dict[Any, tuple[int, set[str]]] = {}
    for event in events:
        program, run = (event.module, event.program), event.run
        if run is None:  # a run begins with an instruction that the one before had already
            run, seen = current.get(program, (0, set()))
            if event.instruction in seen:
                run, seen = run + 1, set()
            current[program] = run, seen | {event.instruction}
        found.setdefault((program, run), []).append(event)
    # The order in which the runs of one program were started is that of their numbers.
    numbers: dict[Any, list[Any]] = {}
    for program, run in found:
        numbers.setdefault(program, []).append(run)
    ordered = {program: iter(sorted(runs)) for program, runs in numbers.items()}
    return [found[program, next(ordered[program])] for program, _ in found]


def time_by(
    events: Iterable[Event],
    key: Callable[[Event], K],
    is_container: Callable[[Event], bool] = lambda _: False,
) -> dict[K, float]:
    """Nanoseconds by key: of every moment, an equal share to each key that is running then.

    The total is the time during which anything was running, however much runs side by side.

    Args:
        events: what ran.
        key: what an event counts for.
        is_container: whether it consists of other events, such as a loop. Then only those moments
            count in which none of them is running.
    """
    changes: list[tuple[float, int, K, bool]] = []
    for event in events:
        if event.end > event.start:
            name, container = key(event), is_container(event)
            changes.append((event.start, 1, name, container))
            changes.append((event.end, -1, name, container))
    changes.sort(key=lambda change: change[:2])
    total: dict[K, float] = {}
    running: dict[bool, Counter[K]] = {False: Counter(), True: Counter()}
    before = 0.0
    for now, change, name, container in changes:
        active = +running[False] or +running[True]
        for one in active:
            total[one] = total.get(one, 0.0) + (now - before) / len(active)
        running[container][name] += change
        before = now
    return total
