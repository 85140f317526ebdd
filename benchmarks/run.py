"""Times training steps side by side with their peers, in one run: ``make bench``.

Every contender gets the same parameters and the same batch, and has to produce the same losses
over five steps before it is timed. Then they take turns; the table shows medians and ratios, the
JSON file all numbers. PyTorch takes part where it is installed (it is not a dependency).

    python benchmarks/run.py [--rounds N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

import jax
import numpy as np
import workloads
from rich.console import Console
from rich.table import Table

import singa

WARM_UP = 5
OURS = "singa compiled"


def check(name: str, steps: dict[str, Callable[[], float]]) -> None:
    """All contenders do the same work: their losses agree over five steps."""
    losses = {who: [step() for _ in range(5)] for who, step in steps.items()}
    reference = losses[OURS]
    for who, values in losses.items():
        np.testing.assert_allclose(values, reference, rtol=2e-3, err_msg=f"{name}: {who}")


def measure(steps: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median time of each contender's step in seconds; they take turns."""
    times: dict[str, list[float]] = {who: [] for who in steps}
    for _ in range(WARM_UP):
        for step in steps.values():
            step()
    for _ in range(rounds):
        for who, step in steps.items():
            # A step on its own would be timed without the part that it leaves to the background;
            # of three, the loss of each waits for the update of the one before.
            start = time.perf_counter()
            for _ in range(3):
                step()
            times[who].append((time.perf_counter() - start) / 3)
    return {who: statistics.median(values) for who, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20, help="measurements of each contender")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results.json"))
    options = parser.parse_args()
    table = Table(title="One training step: forward, backward, SGD with momentum and weight decay")
    for column in ("step", "contender"):
        table.add_column(column, no_wrap=True)
    for column in ("time", f"ratio to {OURS}"):
        table.add_column(column, justify="right")
    results: dict[str, dict[str, float]] = {}
    for workload in (workloads.MLP, workloads.CNN):
        steps = workload.contenders()
        check(workload.title, steps)
        medians = results[workload.title] = measure(steps, options.rounds)
        for who, seconds in medians.items():
            ratio = "" if who == OURS else f"{seconds / medians[OURS]:.2f}"
            table.add_row(workload.title, who, f"{seconds * 1e3:.3f} ms", ratio)
        table.add_section()
    console = Console()
    console.print(table)
    if workloads.torch is None:
        console.print("PyTorch is not installed, so that it did not take part.")
    about = {
        "cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(),
        "singa": singa.__version__, "jax": jax.__version__,
        "torch": getattr(workloads.torch, "__version__", None), "rounds": options.rounds,
    }  # fmt: skip
    options.json.write_text(json.dumps({"about": about, "seconds": results}, indent=2) + "\n")
    console.print(f"All numbers: {options.json}")


if __name__ == "__main__":
    main()
