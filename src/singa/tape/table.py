"""The kernels that are kept, and for how long.

A kernel is compiled once for each set of shapes, and what was compiled takes memory: more than a
MiB each time. A training whose batches are of ever new sizes would fill the memory with it. So
all that is compiled is counted. When there is more than a limit, those kernels go of which little
was used lately; they are compiled again if they are wanted again. Where that happens often the
limit grows, so that a model that needs many kernels has them all after a few steps.
"""

from __future__ import annotations

from itertools import islice
from threading import Lock
from typing import Any

from singa.engine import memory

LEAST = 160
"""So much is kept in any case."""

MOST = 4096
"""So much is kept at most of what is not in use all the time."""


class Tracing:
    """One set of shapes that a kernel was traced for.

    Attributes:
        identity: a number that is the same if the same kernel is traced again for the same shapes.
        used: the table's clock when it was last used.
        programs: how many were compiled for it: itself, and its backward passes.
    """

    __slots__ = ("identity", "programs", "used")

    def __init__(self) -> None:
        self.identity = 0
        self.used = -1
        self.programs = 1


class Table:
    """Kernels by key; see above.

    Attributes:
        kernels: what is kept.
        clock: how many programs were compiled so far, for all that ever was in it.
        held: how many there are of what is kept.
        limit: the number of those at which the table is sorted out.
    """

    def __init__(self, least: int = LEAST, most: int = MOST) -> None:
        self.kernels: dict[Any, Any] = {}
        self.least, self.most = least, most
        self.limit = least
        self.clock = 0
        self.held = 0
        # What went, the latest at the end; and since the table was last sorted out, how many
        # tracings there were, and how many of those had gone before.
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
        """Note that a tracing is in use; needed only where its ``used`` is not the clock."""
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
        """Drop the kernels less than half of whose programs are in use.

        One cannot be dropped for some of its shapes only: jax keeps them together. Nothing goes if
        most of what was compiled lately had gone before.
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
