"""The worker processes of a loader, as the process that trains uses them."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import cycle
from multiprocessing import spawn
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from singa.data.batching import BatchMaker, Rows
from singa.data.worker import receive, send
from singa.errors import ArgumentError, WorkerError

_SCRIPT = Path(__file__).with_name("worker.py")
_IN_A_WORKER = "SINGA_DATA_WORKER"
_PIPE_SIZE = 1 << 20  # bytes, if the system allows it: fewer writes for a large batch

T = TypeVar("T")


def ahead(items: Iterable[T], count: int) -> Iterator[T]:
    """The same items, but taken from ``items`` up to ``count`` items ahead."""
    waiting: deque[T] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting


class Workers:
    """Processes that make batches, all by the same BatchMaker.

    They are new Python processes, not forks: they do not have jax's threads and devices.
    They end with this object, with this process, and when :meth:`stop` is called.

    Raises:
        ArgumentError: the dataset or one of the functions cannot be sent to a process; or this is
            a worker itself.
    """

    def __init__(self, count: int, maker: BatchMaker) -> None:
        if _IN_A_WORKER in os.environ:
            raise ArgumentError(
                "DataLoader: a worker starts no workers. Does the script that defines the dataset "
                "train when it is imported? Put that under `if __name__ == '__main__':`"
            )
        try:
            pickle.dumps(maker, protocol=5, buffer_callback=lambda buffer: None)
        except Exception as error:
            raise ArgumentError(
                "DataLoader: with workers, the dataset, transform and collate must be picklable; "
                f"lambdas and functions within functions are not: {error}"
            ) from error
        self._workers = [_Worker(number) for number in range(count)]
        self.stop = weakref.finalize(self, _stop, [worker.process for worker in self._workers])
        known = spawn.get_preparation_data("data worker")
        preparation = {
            key: value
            for key, value in known.items()
            if key in ("sys_path", "sys_argv") or key.startswith("init_main")
        }
        for worker in self._workers:
            worker.send(preparation)
            worker.send(maker)

    def make(self, requests: Iterable[tuple[int, Rows]], prefetch: int) -> Iterator[Any]:
        """The batches, in order, while each worker works on the next ``prefetch``.

        Raises:
            WorkerError: a worker died.
            Exception: any exception of the dataset, the transform or collate.
        """
        in_turn = zip(cycle(self._workers), requests, strict=False)
        asked = (worker.ask(request) for worker, request in in_turn)
        for batch in ahead(asked, prefetch * len(self._workers)):
            yield batch()


class _Worker:
    def __init__(self, number: int) -> None:
        self.number = number
        # In a process group of its own Ctrl-C does not reach it, not even while it starts. It
        # ends when its pipes are closed.
        self.process = subprocess.Popen(
            [sys.executable, "-P", _SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=_PIPE_SIZE,
            env=os.environ | {_IN_A_WORKER: "1"},
            process_group=0 if os.name == "posix" else None,
        )
        self._answers: SimpleQueue[Any] = SimpleQueue()
        # A thread reads its batches, so that the worker never waits for a reader.
        threading.Thread(
            target=_read, args=(self.process.stdout, self._answers), daemon=True
        ).start()

    def send(self, value: Any) -> None:
        stream: Any = self.process.stdin
        with suppress(BrokenPipeError):  # the error is raised when this request's batch is received
            send(stream, value)

    def ask(self, request: tuple[int, Rows]) -> Callable[[], Any]:
        """Send a request; returns a function that waits for its batch; call these in order."""
        self.send(request)
        return partial(self._receive, *request)

    def _receive(self, epoch: int, rows: Rows) -> Any:
        answer = self._answers.get()
        if answer is None:
            raise WorkerError(
                f"DataLoader: worker {self.number} (process {self.process.pid}) {self._fate()} "
                f"before it had made the batch of samples {_some(rows)} in epoch {epoch}"
            )
        error, batch = answer
        if error is not None:
            raise error
        return batch

    def _fate(self) -> str:
        status = self.process.wait()
        if status >= 0:
            return f"ended with exit status {status}"
        name = signal.Signals(-status).name
        hint = ", as happens when memory runs out," if name == "SIGKILL" else ""
        return f"was killed by {name}{hint}"


def _read(stream: Any, answers: SimpleQueue[Any]) -> None:
    with stream:
        while True:
            try:
                answers.put(receive(stream))
            except EOFError:
                answers.put(None)
                return
            except Exception as error:
                answers.put((error, None))
                return


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait()
        assert process.stdin is not None
        with suppress(BrokenPipeError):  # it had not read all requests
            process.stdin.close()


def _some(rows: Rows) -> str:
    numbers = ", ".join(str(row) for row in rows[:5])
    return f"{numbers}, ..." if len(rows) > 5 else numbers
