"""Profiler: measures the time of a model's steps, and makes a Profile from jax's recording."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax

from singa.core.tensor import Tensor
from singa.core.watching import BACKWARD, FORWARD, UPDATE, within
from singa.device import CTensor, timed_devices
from singa.errors import ArgumentError, ReportError
from singa.graph.program import Program
from singa.graph.recording import OTHER, Key, Node, Recording, numbers_of
from singa.graph.step import Steps
from singa.report.collectives import found_in
from singa.report.hlo import Instructions, Work
from singa.report.profile import Profile, Row, summary, titles
from singa.report.trace import Event, Window, read, runs, time_by

_MARK = "singa step"
_LIMIT = 100  # steps that are timed for Device.PrintTimeProfiling

# Kernels whose direction is always known.
_KNOWN = {"GradientSum": BACKWARD, "GradientConversion": BACKWARD, "RunningAverage": FORWARD}


class Profiler:
    """Measures the time of steps.

    jax's profiler records while the steps run. Each step is waited for, so that none of its work
    is counted for the next one. The steps' results do not change.

    Args:
        skip: the number of first steps that are not timed.
        limit: the number of steps that are timed; the recording then ends, and further steps run
            as usual.
        in_background: whether another profiler may replace it.

    Attributes:
        profile: the result; empty until :meth:`finish`.

    Example:
        >>> profiler, x = report.Profiler(skip=1, limit=2), Tensor((2,))
        >>> for _ in range(3):
        ...     _ = profiler.run(lambda: 2 * x, args=x, state=list, compiled=None)
        >>> profiler.finish()
        <Profile of 2 steps, 1 operations>
    """

    _recording: Profiler | None = None  # there can be one in a process

    def __init__(self, skip: int, limit: int, in_background: bool = False) -> None:
        for name, value, least in (("skip", skip, 0), ("limit", limit, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ArgumentError(
                    f"profile: {name} is a number of steps, at least {least}; got {value!r}"
                )
        self.skip = skip
        self.limit = limit
        self.in_background = in_background
        self.profile = Profile()
        self._skipped = 0
        self._steps: list[_Step] = []
        self._folder: Path | None = None
        self._is_over = False
        self._lock = threading.Lock()

    @classmethod
    def is_recording(cls) -> bool:
        """Whether one records at present, in the whole process.

        Example:
            >>> report.Profiler.is_recording()
            False
        """
        return cls._recording is not None

    def run(
        self,
        step: Callable[[], Any],
        args: Any,
        state: Callable[[], list[Any]],
        compiled: Steps | None,
    ) -> Any:
        """Run one step, and measure its time, unless it is skipped or enough steps were timed.

        Args:
            step: runs the step, and returns any nesting of Tensors.
            args: the step's arguments: any nesting of Tensors.
            state: gives the arrays that the step may assign.
            compiled: compiles the model's steps; None if this one is eager.

        Raises:
            ReportError: jax's profiler is already in use.
        """
        if self._skipped < self.skip:
            self._skipped += 1
            return step()
        if self._is_over or not self._lock.acquire(blocking=False):
            return step()
        try:
            if self._folder is None and not self._start():
                return step()
            before = compiled.captures if compiled else 0
            jax.block_until_ready([_arrays(args), state()])
            timed = _Step()
            self._steps.append(timed)
            with jax.profiler.TraceAnnotation(_MARK), within("singly", True):
                began = time.perf_counter()
                result = step()
                jax.block_until_ready([_arrays(result), state()])
                timed.seconds = time.perf_counter() - began
            timed.program = compiled.last if compiled else None
            timed.counts = compiled is None or compiled.captures == before
            if sum(one.counts for one in self._steps) == self.limit:
                self._stop()
            return result
        finally:
            self._lock.release()

    def finish(self) -> Profile:
        """End the recording, and make the profile."""
        if not self.profile.is_complete:
            self._stop()
            if self._folder is not None:
                windows = read(self._folder, _MARK)
                self._clean_up()
                steps = zip(self._steps, windows, strict=True)
                _fill(self.profile, [(step, window) for step, window in steps if step.counts])
            self.profile.skipped = self._skipped + len(self._steps) - self.profile.iterations
            self.profile.is_complete = True
        return self.profile

    def summary(self, verbosity: int) -> str:
        """The profile as text of SINGA's ``PrintTimeProfiling``; ends the recording."""
        return summary(self.finish(), verbosity)

    def _start(self) -> bool:
        """Start jax's profiler; False if another one has precedence."""
        other = Profiler._recording
        if other is not None:
            if self.in_background and not other.in_background:
                return False
            if not other.in_background:
                raise ReportError("profile: another model's profile is being taken; one at a time")
            other.finish()
        options = jax.profiler.ProfileOptions()
        options.host_tracer_level = 2  # XLA's instructions too
        options.python_tracer_level = 0
        options.enable_hlo_proto = False
        folder = Path(tempfile.mkdtemp(prefix="singa-profile-"))
        self._clean_up = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            jax.profiler.start_trace(folder, profiler_options=options)
        except RuntimeError as error:
            self._clean_up()
            raise ReportError(f"profile: jax's profiler is in use already: {error}") from error
        self._folder = folder
        Profiler._recording = self
        return True

    def _stop(self) -> None:
        self._is_over = True
        if Profiler._recording is self:
            Profiler._recording = None
            jax.profiler.stop_trace()


def device_profiler(args: Any) -> Profiler | None:
    """The profiler of a step with these arguments, if ``Device.SetVerbosity`` has turned one on.

    Example:
        >>> print(report.device_profiler([Tensor((2,))]))  # it is off
        None
    """
    leaves = jax.tree.leaves(args)
    device = next((leaf.device for leaf in leaves if isinstance(leaf, Tensor)), None)
    if device not in timed_devices:
        return None
    profiler: Profiler | None = device.profiler
    if profiler is None or profiler.profile.is_complete:
        # After a report, further steps are for the next one. None is skipped then.
        skip = device.skip_iteration if profiler is None else 0
        profiler = device.profiler = Profiler(skip, _LIMIT, in_background=True)
    return profiler


def _arrays(tensors: Any) -> list[CTensor]:
    return [t._data for t in jax.tree.leaves(tensors) if isinstance(t, Tensor)]


@dataclass
class _Step:
    """A step while jax's profiler records."""

    seconds: float = 0.0
    program: Program | None = None
    counts: bool = False


@dataclass
class _Total:
    """The sums of which a Row is made."""

    layer: str = ""
    calls: int = 0
    nanoseconds: float = 0.0
    includes: set[Key] = field(default_factory=set)
    part_of: set[Key] = field(default_factory=set)
    exchanges: dict[str, None] = field(default_factory=dict)


class _Compiled:
    """A compiled step: which operation each event of a profile belongs to."""

    def __init__(self, program: Program) -> None:
        self.nodes = Recording(program.capture).nodes
        self._instructions = Instructions(program.compiled.as_text())
        self._work: dict[str, Work] = {}
        self._exchanged = found_in(program.mesh, self.nodes, self._instructions)

    def work(self, event: Event) -> Work:
        name = event.instruction
        if name not in self._work:
            known = event.module == self._instructions.module and name in self._instructions
            self._work[name] = self._instructions.work(name) if known else Work()
        return self._work[name]

    def key(self, event: Event) -> Key:
        """The key of an event's operation; if it has none, one with the program's name."""
        operation = self.work(event).operation
        if operation is None:
            return OTHER, _kernel_name(event), 1
        return self.nodes[operation].key

    def relate(self, totals: dict[Key, _Total]) -> None:
        """Note what is exchanged, and which operations are computed in the loops of others."""
        for node in self.nodes:
            totals[node.key].exchanges |= dict.fromkeys(self._exchanged.of(node.key))
        alone = {work.operation for work in self._work.values()}
        for work in self._work.values():
            if work.operation is None:
                continue
            own = self.nodes[work.operation].key
            for other in work.includes:
                totals[own].includes.add(self.nodes[other].key)
                if other not in alone:
                    totals[self.nodes[other].key].part_of.add(own)


def _fill(profile: Profile, steps: list[tuple[_Step, Window]]) -> None:
    totals: dict[Key, _Total] = {}
    programs: dict[Program, _Compiled] = {}
    for step, window in steps:
        program = step.program
        if program is None or program.compiled is None:
            _add_eager(totals, window, Recording(program.capture).nodes if program else [])
        else:
            if program not in programs:
                programs[program] = _Compiled(program)
            _add_compiled(totals, window, programs[program])
    for compiled in programs.values():
        compiled.relate(totals)
    names = titles(totals)
    whole = sum(total.nanoseconds for total in totals.values())
    for (direction, name, number), total in totals.items():
        profile.rows.append(
            Row(
                name,
                direction,
                number,
                total.layer,
                total.calls,
                total.nanoseconds / 1e9,
                total.nanoseconds / whole if whole else 0.0,
                tuple(names[key] for key in totals if key in total.includes),
                tuple(names[key] for key in totals if key in total.part_of),
                tuple(total.exchanges),
            )
        )
    profile.iterations = len(steps)
    profile.seconds = sum(step.seconds for step, _ in steps)


def _add_compiled(totals: dict[Key, _Total], window: Window, compiled: _Compiled) -> None:
    for node in compiled.nodes:
        total = totals.setdefault(node.key, _Total(node.layer))
        total.calls += 1
    times = time_by(window.events, compiled.key, lambda e: compiled.work(e).is_container)
    for key, nanoseconds in times.items():
        if key not in totals or key[0] == OTHER:
            totals.setdefault(key, _Total()).calls += 1
        totals[key].nanoseconds += nanoseconds


def _add_eager(totals: dict[Key, _Total], window: Window, nodes: list[Node]) -> None:
    layers = {node.key: node.layer for node in nodes}
    ran = runs(window.events)
    names = _by_name([_kernel_name(run[0]) for run in ran])
    keys: dict[Event, Key] = {}
    numbers = numbers_of(names, _forwards(names))
    for run, (name, direction), number in zip(ran, names, numbers, strict=True):
        key = direction, name, number
        totals.setdefault(key, _Total(layers.get(key, ""))).calls += 1
        keys.update((event, key) for event in run)
    for key, nanoseconds in time_by(window.events, keys.__getitem__).items():
        totals[key].nanoseconds += nanoseconds


def _kernel_name(event: Event) -> str:
    return event.module.removeprefix("jit_")


def _by_name(kernels: Sequence[str]) -> list[tuple[str, str]]:
    """The operation and the direction of each kernel; the kernels are in the order of their runs.

    jax's profiler has only their names, and the eager step is over. So this guesses.
    """
    first = next((i for i, name in enumerate(kernels) if name.endswith("_backward")), len(kernels))
    # After the first backward, an operation is forward if its own backward comes later.
    to_come: Counter[str] = Counter()
    titles = []
    for i in reversed(range(len(kernels))):
        name = kernels[i]
        if name in _KNOWN:
            titles.append((name, _KNOWN[name]))
        elif name.endswith("_backward"):
            name = name.removesuffix("_backward")
            to_come[name] += 1
            titles.append((name, BACKWARD))
        elif name.endswith("_update"):
            titles.append((name.removesuffix("_update"), UPDATE))
        else:
            is_forward = i < first or to_come[name] > 0
            to_come[name] -= to_come[name] > 0
            titles.append((name.lstrip("_"), FORWARD if is_forward else UPDATE))
    return titles[::-1]


def _forwards(operations: Iterable[tuple[str, str]]) -> list[int | None]:
    """The places of backwards' forwards, of which only names and directions are known.

    It is the last forward of that name that has no backward yet.
    """
    waiting: dict[str, list[int]] = {}
    forwards: list[int | None] = []
    for place, (name, direction) in enumerate(operations):
        own = waiting.setdefault(name, [])
        forwards.append(own.pop() if direction == BACKWARD and own else None)
        if direction == FORWARD:
            own.append(place)
    return forwards
