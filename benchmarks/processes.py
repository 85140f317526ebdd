"""What needs a process of its own: importing, compiling from nothing, and the memory it takes.

    python benchmarks/processes.py VERB WORKLOAD CONTENDER DEVICE ROUNDS

is such a process; it prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import contenders
import workloads
from contenders import Contender
from report import Section
from timing import take_turns

CHECKED = 5  # steps whose losses everybody has to agree on
REPEATED = 5  # imports
COMPILED = ("singa", "torch-compile", "jax")
WEIGHED = ("singa", "torch", "jax")
STEPS = 20  # before the memory is looked at


# -- in the process that asks ---------------------------------------------------------------------


def sections(device: str, taking_part: list[Contender]) -> Iterator[tuple[Section, str]]:
    """The three questions; each is yielded after each answer, with what was just found out."""
    section = Section("import", f"import, median of {REPEATED}", "ms", ours="import singa")
    nothing = statistics.median(_run_python("pass") for _ in range(REPEATED))
    for package in ("singa", "torch", "jax"):
        if any(contender.package == package for contender in taking_part):
            code = f"import {package}"
            _run_python(code)  # so that its bytecode and files are at hand
            section.values[code] = [_run_python(code) - nothing for _ in range(REPEATED)]
            yield section, code
    section = Section("compile", "first step of the CNN, nothing cached", "s")
    for contender in taking_part:
        if contender.name in COMPILED:
            repeated = 1 if contender.is_slow else 3
            found = [ask("compile", "cnn", contender, device) for _ in range(repeated)]
            section.values[contender.title] = found
            yield section, contender.title
    section = Section("memory", f"peak memory, {STEPS} steps of the CNN", "MiB")
    for contender in taking_part:
        if contender.name in WEIGHED:
            section.values[contender.title] = [ask("memory", "cnn", contender, device)]
            yield section, contender.title


def ask(
    verb: str, workload: str, contender: Contender, device: str, rounds: int = 0, **setting: str
) -> Any:
    """What another process finds out, which gets these environment variables."""
    with tempfile.TemporaryDirectory() as empty:
        # Nothing that an earlier run has compiled helps this one.
        fresh = {"SINGA_CACHE": "0", "TORCHINDUCTOR_CACHE_DIR": empty}
        fresh["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        done = subprocess.run(
            [sys.executable, __file__, verb, workload, contender.name, device, str(rounds)],
            env=os.environ | fresh | setting, stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
    return json.loads(done.stdout.splitlines()[-1])


def _run_python(code: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


# -- in the process that is asked -----------------------------------------------------------------


def compile(workload: workloads.Workload, contender: Contender, device: str, rounds: int) -> float:
    """The seconds from calling the step for the first time to its result."""
    step = contender.step(workload, device)
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def memory(workload: workloads.Workload, contender: Contender, device: str, rounds: int) -> float:
    """The most memory that this process has had, in bytes."""
    step = contender.step(workload, device)
    for _ in range(STEPS):
        step()
    status = Path("/proc/self/status")
    if status.exists():
        # Linux counts the process that started this one into its ru_maxrss, but not in here.
        lines = status.read_text().splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM:"))
        return float(peak.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak) * (1 if sys.platform == "darwin" else 1024)


def train(
    workload: workloads.Workload, contender: Contender, device: str, rounds: int
) -> tuple[list[float], list[float]]:
    """The first losses, and the seconds of a step in each block of them."""
    step = contender.step(workload, device)
    losses = [step() for _ in range(CHECKED)]
    return losses, take_turns({"": step}, rounds)[""]


def main() -> None:
    verb, workload, name, device, rounds = sys.argv[1:]
    contender = next(each for each in contenders.ALL if each.name == name)
    function = {"compile": compile, "memory": memory, "train": train}[verb]
    print(json.dumps(function(workloads.Workload(workload), contender, device, int(rounds))))


if __name__ == "__main__":
    main()
