"""Times every operation and PyTorch's: ``python -m benchmarks.operations``.

Forward and backward, as users call them eagerly, at three sizes, in turns with PyTorch, on two
threads; outputs and gradients are compared first. The table shows PyTorch's time divided by ours,
medians. It fails if an operation of the library has no case here, or is slower with large Tensors
and has no reason in cases/reasons.py. All operations take about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import contenders, machine
from benchmarks.cases import Case, Drawn, all_cases
from benchmarks.cases.reasons import REASONS
from benchmarks.timing import medians, run_of, take_turns

RESULTS = Path("benchmarks/results/operations.json")
SIZES = ("small", "medium", "large")
IN_A_ROW = 8  # calls before waiting for their results, as a program makes them
LONG = 0.004  # seconds: so many fewer calls in a row of what takes longer, down to one
BLOCK = 0.02  # seconds of calls in a turn
DIRECTIONS = ("forward", "backward")
ENOUGH = 1 / 1.5  # a large operation that is slower than this needs a reason (cases/reasons.py)

Times = dict[str, dict[str, dict[str, float]]]
"""Seconds by direction, size, and library."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", metavar="OPERATION", help="such as Add")
    parser.add_argument("--missing", action="store_true", help="only those without a result yet")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument(
        "--json", type=Path, nargs="?", const=RESULTS, help=f"bring up to date ({RESULTS})"
    )
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    import torch

    torch.set_num_threads(contenders.THREADS)
    cases = {kind.__name__: case for kind, case in complete(all_cases()).items()}
    names = [name for name in cases if not chosen.only or name in chosen.only]
    if chosen.missing:
        known = _results(chosen.json or RESULTS)
        names = [name for name in names if name not in known]
    console = Console(width=None)
    found: dict[str, Times] = {}
    for name in track(names, "Operations", console=console, transient=True):
        found[name] = measure(name, cases[name], chosen.rounds)
        if chosen.json:  # write each one immediately, because all of them take long
            _keep(chosen.json, name, found[name], chosen.rounds)
    console.print(table(found))
    slow = [name for name in names if is_slow(found[name])]
    for name in slow:
        console.print(f"{name}: {REASONS.get(name, '[red]slower, and no reason given[/]')}")
    if unexplained := [name for name in slow if name not in REASONS]:
        raise SystemExit(f"no reason for {', '.join(unexplained)}")


def _keep(file: Path, name: str, times: Times, rounds: int) -> None:
    """Update the results of one operation."""
    results = _results(file) | {name: times}
    about = machine.describe("cpu", contenders.THREADS) | {"rounds": rounds}
    results = dict(sorted(results.items()))
    file.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


def _results(file: Path) -> dict[str, Times]:
    found: dict[str, Times] = json.loads(file.read_text())["results"] if file.exists() else {}
    return found


def complete(cases: dict[type, Case]) -> dict[type, Case]:
    """The cases; raises if an operation of the library is missing."""
    from singa.operation import OPERATIONS

    missing = [kind.__name__ for kind in OPERATIONS if kind not in cases]
    if missing:
        raise SystemExit(f"benchmarks/cases/ has no case of {', '.join(missing)}")
    return cases


def measure(name: str, case: Case, rounds: int) -> Times:
    found: Times = {direction: {} for direction in DIRECTIONS}
    for size, size_name in enumerate(SIZES):
        arrays = case.arrays(size)
        ours, theirs = _ours(case, arrays), _theirs(case, arrays)
        for direction in DIRECTIONS[: 1 + case.differentiable]:
            runs = {"singa": ours[direction], "torch": theirs[direction]}
            if not case.is_random:
                where = f"{name}, {direction}, {size_name}"
                for a, b in zip(runs["singa"](), runs["torch"](), strict=True):
                    a, b = np.asarray(a, np.complex128), np.asarray(b, np.complex128)
                    # If large numbers cancel, the error of the result is that of these numbers.
                    scale = np.abs(b).max()
                    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * scale, err_msg=where)
            found[direction][size_name] = in_turns(runs, rounds)
    return found


def in_turns(runs: dict[str, Callable[[], list[Any]]], rounds: int) -> dict[str, float]:
    """The seconds of one call of each, which has run before."""
    once = max(run_of(in_a_row(run, 1))(1) for run in runs.values())
    count = max(1, min(IN_A_ROW, int(LONG / once)))
    turns = {who: run_of(in_a_row(run, count)) for who, run in runs.items()}
    times = take_turns(turns, rounds, warm_up=5 if once < BLOCK else 1, block=BLOCK)
    return {who: time / count for who, time in medians(times).items()}


def in_a_row(run: Callable[[], list[Any]], count: int) -> Callable[[], None]:
    """Several calls before waiting for their results, as in a program."""

    def calls() -> None:
        for result in [run() for _ in range(count)]:
            for part in result:
                if hasattr(part, "block_until_ready"):
                    part.block_until_ready()

    return calls


def _ours(case: Case, arrays: Sequence[Drawn]) -> dict[str, Callable[[], Any]]:
    from singa import autograd
    from singa.tensor import Tensor

    xs = [Tensor(data=a, stores_grad=is_param) for a, is_param in arrays]
    autograd.training = True
    y = case.ours(*xs)
    dy = Tensor(data=_gradient(y.shape, autograd.is_complex(y))).as_type(y.dtype)
    params = [x for x in xs if x.stores_grad]

    def forward() -> list[Any]:
        return [case.ours(*xs).data]

    def backward() -> list[Any]:
        found = autograd.gradients(y, dy)
        return [found[p].data for p in params]

    return {"forward": forward, "backward": backward}


def _theirs(case: Case, arrays: Sequence[Drawn]) -> dict[str, Callable[[], Any]]:
    import torch

    xs = [torch.from_numpy(a).requires_grad_(is_param) for a, is_param in arrays]
    params = [x for x in xs if x.requires_grad]
    y = case.theirs(*xs)
    dy = torch.from_numpy(_gradient(y.shape, y.is_complex())).to(y.dtype)

    def forward() -> list[Any]:
        return [case.theirs(*xs).detach()]

    def backward() -> list[Any]:
        return list(torch.autograd.grad(y, params, dy, retain_graph=True))

    return {"forward": forward, "backward": backward}


def _gradient(shape: Sequence[int], is_complex: bool) -> np.ndarray:
    """The gradient of an output of this shape."""
    rng = np.random.default_rng(9)
    real = np.asarray(rng.uniform(0.5, 1.5, tuple(shape)), np.float32)
    imag = np.asarray(rng.uniform(0.5, 1.5, tuple(shape)), np.float32)
    return real + 1j * imag if is_complex else real


def is_slow(times: Times) -> bool:
    """Whether large Tensors take more than 1.5 times as long as in PyTorch."""
    large = [sizes[SIZES[-1]] for sizes in times.values() if sizes]
    return any(each["torch"] / each["singa"] < ENOUGH for each in large)


def table(found: dict[str, Times]) -> Table:
    shown = Table(title="PyTorch's time divided by ours (and ours, in microseconds)")
    shown.add_column("operation")
    for direction in DIRECTIONS:
        for size in SIZES:
            shown.add_column(f"{direction}\n{size}", justify="right")
    for name, times in found.items():
        shown.add_row(name, *(_cell(times[d].get(s)) for d in DIRECTIONS for s in SIZES))
    return shown


def _cell(times: dict[str, float] | None) -> str:
    if times is None:
        return ""
    ratio = times["torch"] / times["singa"]
    mark = "red" if ratio < ENOUGH else "yellow" if ratio < 1 else "green"
    return f"[{mark}]{ratio:.2f}[/] ({times['singa'] * 1e6:.0f})"


if __name__ == "__main__":
    main()
