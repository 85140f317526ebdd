"""A step in a process of its own, which runs blocks of it on request.

So every library has a process as for its users: its own threads, its own settings of the memory
allocator, and caches that other libraries affect no more than any other program does.

    python -m benchmarks.worker MODULE:FUNCTION ARGUMENT...

is such a process; the function, called with the arguments, makes the step. It takes ``run COUNT``
and ``memory`` on its standard input, and answers each with a line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]  # of the checkout, which contains the package `benchmarks`


class Worker:
    """The parent's side of such a process. It starts with nothing compiled; it is a block."""

    def __init__(self, maker: str, *arguments: object, **environment: str) -> None:
        self._empty = tempfile.TemporaryDirectory()
        # Do not use anything that an earlier run has compiled.
        fresh = {
            "SINGA_CACHE": "0",
            "JAX_ENABLE_COMPILATION_CACHE": "false",
            "TORCHINDUCTOR_CACHE_DIR": self._empty.name,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", maker, *map(str, arguments)],
            env=os.environ | fresh | environment, cwd=ROOT,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, count: int) -> tuple[float, list[float]]:
        """The mean seconds of ``count`` steps, and their losses."""
        seconds, losses = self._ask(f"run {count}")
        return seconds, losses

    def begin(self, count: int) -> None:
        """Begin ``count`` steps; :meth:`answer` waits for them."""
        self._send(f"run {count}")

    def peak_memory(self) -> float:
        """The peak memory of the process, in bytes; of the GPU, if it computes there."""
        return float(self._ask("memory"))

    def _ask(self, what: str) -> Any:
        self._send(what)
        return self.answer()

    def _send(self, what: str) -> None:
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)

    def answer(self) -> Any:
        """The answer to what was asked last: of steps, their mean seconds and their losses."""
        assert self._process.stdout is not None
        # A library may print other lines; the answer has a mark.
        for line in self._process.stdout:
            if line.startswith(_ANSWER):
                return json.loads(line.removeprefix(_ANSWER))
        raise RuntimeError(f"{' '.join(map(str, self._process.args))} ended: see above")

    def __enter__(self) -> Worker:
        return self

    def close(self) -> None:
        """Let the process end; leaving the block waits for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def __exit__(self, *_: object) -> None:
        self.close()
        self._process.wait()
        self._empty.cleanup()


_ANSWER = "answer: "


def peak_memory() -> float:
    """The peak memory of this process, in bytes; of the GPU, if it computes there."""
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and torch.cuda.is_initialized():
        return float(torch.cuda.max_memory_allocated())
    if torch is None and jax is not None and jax.default_backend() == "gpu":
        return float(jax.devices()[0].memory_stats()["peak_bytes_in_use"])
    status = Path("/proc/self/status")
    if status.exists():
        # On Linux ru_maxrss includes the process that started this one; this value does not.
        lines = status.read_text().splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM:"))
        return float(peak.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    maker, *arguments = sys.argv[1:]
    module, function = maker.split(":")
    step = getattr(import_module(module), function)(*arguments)
    for line in sys.stdin:
        verb, *count = line.split()
        answer: Any
        if verb == "run":
            losses = []
            start = time.perf_counter()
            for _ in range(int(count[0])):
                losses.append(step())
            answer = (time.perf_counter() - start) / len(losses), losses
        else:
            answer = peak_memory()
        print(_ANSWER + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
