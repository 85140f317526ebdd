"""A step in several processes at once, each on a core of its own, with one thread.

The processes are ranks that exchange their gradients, or independent of each other. All have the
same batch, so that the ranks' losses are those of a single process.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks import machine
from benchmarks.worker import Worker
from benchmarks.workloads import Workload

ALONE = "alone"


class Ranks:
    """Processes that run the same numbers of steps at the same time; it is a block.

    Args:
        how: ``singa`` or ``torch``.
        workload: its name.
        count: the number of processes.
        connected: whether they exchange gradients.
    """

    def __init__(self, how: str, workload: str, count: int, connected: bool) -> None:
        address = _free_address() if connected else ALONE
        self._stack = ExitStack()
        self._workers = [
            self._stack.enter_context(
                Worker(
                    "benchmarks.ranks:step", how, workload, address, rank, count, core,
                    OMP_NUM_THREADS="1", JAX_PLATFORMS="cpu",
                )
            )
            for rank, core in zip(range(count), sorted(machine.cores(count)), strict=True)
        ]  # fmt: skip
        for worker in reversed(self._workers):
            self._stack.callback(worker.close)  # of all, before one of them is waited for

    def run(self, count: int) -> tuple[float, list[float]]:
        """The mean seconds of ``count`` steps in the slowest process; the first one's losses."""
        for worker in self._workers:
            worker.begin(count)
        answers = [worker.answer() for worker in self._workers]
        return max(seconds for seconds, _ in answers), answers[0][1]

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def _free_address() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


def step(
    how: str, workload: str, address: str, rank: str, count: str, core: str
) -> Callable[[], float]:
    """The step of one process, for a worker."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(core)})
    make = {"singa": _singa, "torch": _torch}[how]
    return make(Workload(workload), address, int(rank), int(count))


def _singa(workload: Workload, address: str, rank: int, count: int) -> Callable[[], float]:
    from singa import distributed, opt

    if address == ALONE:
        from benchmarks.contenders import ours

        return ours.compiled(workload, "cpu")
    distributed.initialize(address, rank, count, local_rank=rank)
    from benchmarks.contenders import ours

    return ours.compiled(workload, "cpu", wrap=opt.DistOpt)


def _torch(workload: Workload, address: str, rank: int, count: int) -> Callable[[], float]:
    import torch

    from benchmarks.contenders import pytorch

    model, x, t = pytorch.prepared(workload, "cpu")
    torch.set_num_threads(1)
    wrapped: Any = model
    if address != ALONE:
        torch.distributed.init_process_group(
            "gloo", init_method=f"tcp://{address}", rank=rank, world_size=count
        )
        wrapped = torch.nn.parallel.DistributedDataParallel(model)
    return pytorch.step_of(workload, wrapped, x, t)
