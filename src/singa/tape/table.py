"""The cache of kernels: which are kept, and for how long.

A kernel is compiled once for each set of shapes, and the compiled code takes memory: more than a
MiB each time. A training whose batches always have new sizes would fill the memory with it. So
all compiled programs are counted. When there are more than a limit, the kernels that were little
used recently are dropped; they are compiled again when they are needed again. If that happens
often the limit grows, so that a model that needs many kernels keeps them all after a few steps.
"""

from __future__ import annotations

from itertools import islice
from threading import Lock
from typing import Any

from singa.engine import memory

LEAST = 160
"""The smallest limit, in programs."""

MOST = 4096
"""The largest limit, in programs; but twice the number in use is always allowed."""


class Tracing:
    """One set of shapes that a kernel was traced for.

    Attributes:
        identity: a number that is the same if the same kernel is traced again for the same shapes.
        used: the table's clock when it was last used.
        programs: how many programs were compiled for it: the forward, and its backward passes.
    """

    __slots__ = ("identity", "programs", "used")

    def __init__(self) -> None:
        self.identity = 0
        self.used = -1
        self.programs = 1

    def __repr__(self) -> str:
        """The same for all: jax writes it into the program, by which compiled code is found."""
        return "tracing"


class Table:
    """Kernels by key; see above.

    Attributes:
        kernels: the kernels that are kept.
        clock: how many programs were compiled so far, for these and for dropped kernels.
        held: how many programs the kept kernels have.
        limit: if more programs are held, unused kernels are dropped.
    """

    def __init__(self, least: int = LEAST, most: int = MOST) -> None:
        self.kernels: dict[Any, Any] = {}
        self.least, self.most = least, most
        self.limit = least
        self.clock = 0
        self.held = 0
        # The dropped tracings, the latest at the end; and, since kernels were last dropped, how
        # many tracings were made, and how many of those had been dropped before.
        self._gone: dict[int, None] = {}
        self._traced = self._returned = 0
        self._lock = Lock()

    def traced(self, tracings: list[Tracing], tracing: Tracing, identity: int) -> None:
        """Count a tracing, and add it to its kernel's."""
        tracing.identity = identity
        tracings.append(tracing)
        self._count()
        self._traced += 1
        if identity in self._gone:
            self._gone.pop(identity, None)
            self._returned += 1

    def compiled_backward(self, tracing: Tracing) -> None:
        """Count one more program of a tracing."""
        tracing.programs += 1
        self._count()

    def use(self, tracing: Tracing) -> None:
        """Note that a tracing is in use; needed only if its ``used`` is not the clock."""
        tracing.used = self.clock
        if self.held > self.limit and self._lock.acquire(blocking=False):
            try:
                self._sort_out()
            finally:
                self._lock.release()

    def _count(self) -> None:
        self.clock += 1
        self.held += 1

    def _sort_out(self) -> None:
        """Drop the kernels of whose programs less than half are in use.

        A kernel cannot be dropped for some of its shapes only: jax keeps them together. Nothing is
        dropped if most of the recent tracings had been dropped before: then the limit grows.
        """
        is_too_small = 2 * self._returned > self._traced and self.limit < self.most
        self._traced = self._returned = 0
        if is_too_small:
            self.limit = min(2 * self.limit, self.most)
            return
        recent = self.clock - self.limit // 4
        self.held = 0
        for key, kernel in list(self.kernels.items()):
            tracings = list(kernel.tracings)
            programs = sum(tracing.programs for tracing in tracings)
            in_use = sum(tracing.programs for tracing in tracings if tracing.used >= recent)
            if in_use and 2 * in_use >= programs:
                self.held += programs
            else:
                del self.kernels[key]
                self._gone.update((tracing.identity, None) for tracing in tracings)
        for identity in list(islice(self._gone, max(0, len(self._gone) - self.most))):
            del self._gone[identity]
        self.limit = max(self.least, 2 * self.held)
        memory.return_unused()
