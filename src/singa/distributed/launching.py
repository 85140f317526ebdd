"""Ranks on this machine that a program starts itself, to run a function."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from singa.distributed import watch
from singa.distributed.group import Group
from singa.distributed.hub import BEAT, Hub
from singa.distributed.world import free_address, initialize
from singa.errors import ArgumentError, DistributedError

T = TypeVar("T")


def launch(function: Callable[..., T], world_size: int, *args: Any) -> list[T]:
    """Run ``function(*args)`` in ``world_size`` new, connected processes on this machine.

    Each is a rank; on a machine with GPUs, each has one of them. They are new Python processes. So
    the function has to be defined in a module, and its arguments and result must be picklable. If
    one process fails, all are ended; they end as well if this process is killed.

    Returns:
        The results of the function, by rank.

    Raises:
        ArgumentError: it is not a number of processes.
        DistributedError: one of them failed: which, and its traceback, or the status or the signal
            with which it ended.

    Example:
        >>> distributed.launch(distributed.rank, 2)
        [0, 1]
    """
    if isinstance(world_size, bool) or not isinstance(world_size, int) or world_size < 1:
        raise ArgumentError(f"launch: a number of processes is expected, got {world_size!r}")
    context = multiprocessing.get_context("spawn")
    task = pickle.dumps((function, args))  # unpickle it only after connecting: it may have Tensors
    address = free_address()
    hub = Hub(world_size, sees_processes=True)
    group = Group(hub)
    ends: dict[Connection, int] = {}
    results: dict[int, T] = {}
    try:
        for rank in range(world_size):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_run,
                args=(theirs, hub.address, address, rank, world_size, task),
                daemon=True,
            )
            process.start()
            theirs.close()
            group.add(Spawned(process))
            ends[ours] = rank
        have_ended = False
        while hub.failure is None and not have_ended:
            have_ended = group.has_ended()  # before the last turn: results may still be in pipes
            for end in hub.turn(BEAT / 5, list(ends)):
                with suppress(EOFError):  # its process has ended, and the group sees how
                    results[ends.pop(end)] = end.recv()
        for rank in range(world_size):
            if rank not in results and hub.failure is None:
                hub.fail(rank, "ended without a result")
    finally:
        group.end()
        hub.close()
    if hub.failure is not None:
        raise DistributedError(f"launch: {hub.failure}")
    return [results[rank] for rank in range(world_size)]


class Spawned:
    """A process of ``multiprocessing``, as a :class:`~singa.distributed.group.Group` wants it."""

    def __init__(self, process: SpawnProcess) -> None:
        self._process = process
        self.pid = process.pid or 0

    def poll(self) -> int | None:
        """Its status; None as long as it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def wait(self) -> None:
        """Wait for its end."""
        self._process.join()


def _run(end: Connection, hub: str, address: str, rank: int, world_size: int, task: bytes) -> None:
    os.environ[watch.HUB] = hub
    initialize(address, rank, world_size, local_rank=rank)
    try:
        function, args = pickle.loads(task)
        end.send(function(*args))
    except BaseException as error:
        ours = watch.present()
        if ours is None:
            raise
        ours.report(error)
        raise SystemExit(1) from None
