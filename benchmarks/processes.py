"""Measurements that need a fresh process: importing, compiling, peak memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.contenders import MADE, Contender
from benchmarks.report import Section
from benchmarks.worker import Worker

REPEATED = 5  # imports
COMPILED = ("singa", "torch-compile", "jax")
WEIGHED = ("singa", "torch", "jax")
STEPS = 20  # before the memory is measured


def sections(device: str, taking_part: list[Contender]) -> Iterator[tuple[Section, str]]:
    """The three measurements; each is yielded after each new result, with that result."""
    section = Section("import", f"import, median of {REPEATED}", "ms", ours="import singa")
    nothing = statistics.median(_run_python("pass") for _ in range(REPEATED))
    for package in ("singa", "torch", "jax"):
        if any(contender.package == package for contender in taking_part):
            code = f"import {package}"
            _run_python(code)  # so that its bytecode and files are cached
            section.values[code] = [_run_python(code) - nothing for _ in range(REPEATED)]
            yield section, code
    section = Section("compile", "first step of the CNN, nothing cached", "s")
    for contender in taking_part:
        if contender.name in COMPILED:
            found = section.values[contender.title] = []
            for _ in range(1 if contender.is_slow else 3):
                with Worker(MADE, "cnn", contender.name, device) as worker:
                    found.append(worker.run(1)[0])
            yield section, contender.title
    section = Section("memory", f"peak memory, {STEPS} steps of the CNN", "MiB")
    for contender in taking_part:
        if contender.name in WEIGHED:
            found = section.values[contender.title] = []
            for _ in range(3):
                with Worker(MADE, "cnn", contender.name, device) as worker:
                    worker.run(STEPS)
                    found.append(worker.peak_memory())
            yield section, contender.title


def _run_python(code: str) -> float:
    # Installed packages have bytecode files; a checkout that may not write any would be compiled
    # again each time.
    kept = {name: v for name, v in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, env=kept)
    return time.perf_counter() - start
