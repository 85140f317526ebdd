"""Ranks on this machine that a program starts itself, to run a function."""

from __future__ import annotations

import multiprocessing
import pickle
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from singa.distributed.world import free_address, initialize
from singa.errors import ArgumentError, DistributedError

T = TypeVar("T")


def launch(function: Callable[..., T], world_size: int, *args: Any) -> list[T]:
    """Run ``function(*args)`` in ``world_size`` new, connected processes on this machine.

    Each is a rank; on a machine with GPUs, each has one of them. They are new Python processes. So
    the function has to be defined in a module, and its arguments and result must be picklable. If
    one process fails, all are ended.

    Returns:
        The results of the function, by rank.

    Raises:
        ArgumentError: it is not a number of processes.
        DistributedError: one of them failed; with its traceback.

    Example:
        >>> distributed.launch(distributed.rank, 2)
        [0, 1]
    """
    if isinstance(world_size, bool) or not isinstance(world_size, int) or world_size < 1:
        raise ArgumentError(f"launch: a number of processes is expected, got {world_size!r}")
    context = multiprocessing.get_context("spawn")
    task = pickle.dumps((function, args))  # unpickle it only after connecting: it may have Tensors
    address = free_address()
    processes, ends = [], []
    for rank in range(world_size):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_run, args=(theirs, address, rank, world_size, task), daemon=True
        )
        process.start()
        theirs.close()
        processes.append(process)
        ends.append(ours)
    results: dict[int, T] = {}
    try:
        while len(results) < world_size:
            waiting = [end for rank, end in enumerate(ends) if rank not in results]
            for end in wait(waiting):
                rank = ends.index(end)  # type: ignore[arg-type]
                results[rank] = _received(rank, ends[rank])
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
            process.join()
    return [results[rank] for rank in range(world_size)]


def _received(rank: int, end: Connection) -> Any:
    try:
        is_good, result = end.recv()
    except EOFError:
        raise DistributedError(f"launch: rank {rank} ended without a result") from None
    if not is_good:
        raise DistributedError(f"launch: rank {rank} failed:\n\n{result}")
    return result


def _run(end: Connection, address: str, rank: int, world_size: int, task: bytes) -> None:
    try:
        initialize(address, rank, world_size, local_rank=rank)
        function, args = pickle.loads(task)
        end.send((True, function(*args)))
    except BaseException:
        end.send((False, traceback.format_exc()))
        raise SystemExit(1) from None
