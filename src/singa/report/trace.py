"""Reads the recording of jax's profiler: which instructions ran when, and how long."""

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
        start, end: times in nanoseconds on the profiler's clock.
        module: the program's name, ``jit_step``.
        program: XLA's number of the program, among those of that name.
        instruction: the instruction's name in the program's text.
        run: the run of the program to which it belongs; None if the device does not report it.
    """

    start: float
    end: float
    module: str
    program: Any
    instruction: str
    run: Any


@dataclass(frozen=True)
class Window:
    """One step: when it began and ended, and the instructions that ran in between."""

    start: float
    end: float
    events: list[Event]


def read(folder: Path, mark: str) -> list[Window]:
    """The parts of a recording with the name ``mark``, in order.

    Instructions are recognized by ``hlo_module`` and ``hlo_op``, which XLA records on CPUs and on
    GPUs. A device may list an instruction twice, by kernel and by operation. That does not matter,
    because :func:`time_by` takes the time during which an operation ran.
    """
    marks: list[tuple[float, float]] = []
    events: list[Event] = []
    with warnings.catch_warnings():
        # On Python 3.13 a type of jaxlib warns when it is made; as an error this ends the process.
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
        if run is None:  # a new run begins when an instruction comes again
            run, seen = current.get(program, (0, set()))
            if event.instruction in seen:
                run, seen = run + 1, set()
            current[program] = run, seen | {event.instruction}
        found.setdefault((program, run), []).append(event)
    # The numbers of a program's runs have the order in which the runs were started.
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
    """Nanoseconds by key: at every moment, the running keys get equal shares of the time.

    The total is the time during which anything was running, no matter how many ran together.

    Args:
        events: the events.
        key: gives the key for which an event is counted.
        is_container: whether an event consists of other events, such as a loop. Then it is counted
            only while none of them is running.
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
