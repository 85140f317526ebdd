"""The processes of ranks that one of ours has started, as the system sees them."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Protocol

from singa.distributed.hub import BEAT, GRACE, Hub

_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl


class Process(Protocol):
    """A process: ``subprocess.Popen``, or one of ``multiprocessing``."""

    pid: int

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...

    def wait(self) -> object: ...


class Group:
    """The processes of all ranks, in their order. It tells the hub how they end.

    Args:
        hub: hears of them.

    Example:
        >>> ours = group.Group(hub.Hub(1))
        >>> ours.has_ended()  # there is none
        True
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._processes: list[Process] = []
        self._ended: dict[int, int] = {}
        self._stopped: dict[int, int] = {}  # beats for which a rank has been stopped
        self._beat = time.monotonic()

    def add(self, process: Process) -> None:
        """The process of the next rank."""
        self._processes.append(process)

    def has_ended(self) -> bool:
        """Look at all processes; whether all have ended."""
        found = {
            rank: status
            for rank, process in enumerate(self._processes)
            if rank not in self._ended and (status := process.poll()) is not None
        }
        # An end by SIGABRT may be a consequence of another one that is seen at the same time.
        for rank, status in sorted(found.items(), key=lambda each: each[1] == -signal.SIGABRT):
            self._ended[rank] = status
            self._hub.ended(rank, status)
        if time.monotonic() - self._beat >= BEAT:
            self._beat = time.monotonic()
            self._look_for_stopped()
        return len(self._ended) == len(self._processes)

    def status(self, rank: int) -> int:
        """The status of a rank's process that has ended; 0 if it has not."""
        return self._ended.get(rank, 0)

    def signal(self, number: int) -> None:
        """Send a signal to all processes that have not ended."""
        for rank, process in enumerate(self._processes):
            if rank not in self._ended and process.poll() is None:
                os.kill(process.pid, number)

    def end(self, turn: Callable[[float], object] | None = None) -> None:
        """End all. If one has failed, the others that are connected may say so first.

        Args:
            turn: waits for as many seconds, and does what there is to do; the hub's if not given.
        """
        turn = turn or self._hub.turn
        until = time.monotonic() + (2 * GRACE if self._hub.failure is not None else 0)
        while time.monotonic() < until and not self.has_ended():
            if not any(self._may_end(rank) for rank in range(len(self._processes))):
                break
            turn(BEAT / 20)
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        self.has_ended()

    def _may_end(self, rank: int) -> bool:
        """Whether a rank may still end by itself: it runs, and hears of the failure."""
        return rank not in self._ended and not self._stopped.get(rank) and self._hub.hears(rank)

    def _look_for_stopped(self) -> None:
        for rank, process in enumerate(self._processes):
            if rank in self._ended:
                continue
            self._stopped[rank] = self._stopped.get(rank, 0) + 1 if _is_stopped(process) else 0
            if self._stopped[rank] * BEAT >= self._hub.patience:
                seconds = f"{self._hub.patience:g} seconds"
                self._hub.fail(rank, f"has been stopped for {seconds} (SIGSTOP)")
                if rank:  # the end of rank 0 would end the others before they can say why
                    process.kill()


def _is_stopped(process: Process) -> bool:
    if not hasattr(os, "waitid"):
        return False
    flags = os.WSTOPPED | os.WNOHANG | os.WNOWAIT
    try:
        return os.waitid(os.P_PID, process.pid, flags) is not None
    except ChildProcessError:  # it has ended, and another thread has seen it
        return False


def end_with_parent() -> None:
    """Let the system kill this process when the one that has started it ends (on Linux).

    Example:
        >>> group.end_with_parent()  # doctest: +SKIP (it would hold for the process of the tests)
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
