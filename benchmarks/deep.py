"""Deep programs, measured: ``python -m benchmarks.deep``.

The encoder of the workload ``transformer`` with more and more layers: the time of the first step,
with nothing compiled before, and that of the steps after it. The first one includes making the
model, for which this library compiles, too; importing the libraries is not included.
"""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import contenders, machine
from benchmarks.contenders import Step
from benchmarks.timing import medians, take_turns
from benchmarks.worker import Worker

RESULTS = Path("benchmarks/results/deep.json")
LAYERS = (6, 24, 96)
WHO = ("singa", "jax", "torch-compile")
MADE = "benchmarks.deep:deepened"
DEEPEST = {"torch-compile": 24}  # it takes many minutes for more


def deepened(layers: str, contender: str) -> Step:
    """For a worker: the step of a contender, which is made in its first call."""
    from benchmarks.workloads import transformer

    transformer.LAYERS = int(layers)
    transformer.PARAMS = transformer.params_of(int(layers))
    chosen = next(each for each in contenders.ALL if each.name == contender)
    import_module(f"benchmarks.contenders.{chosen.maker.partition(':')[0]}")
    made: list[Step] = []

    def step() -> float:
        if not made:
            made.append(contenders.made("transformer", contender, "cpu"))
        return made[0]()

    return step


def measure(layers: int, who: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """For each contender the seconds of its first step, and of a later one."""
    found: dict[str, dict[str, float]] = {}
    with ExitStack() as workers:
        runs = {}
        for name in who:
            if layers > DEEPEST.get(name, layers):
                continue
            worker = workers.enter_context(Worker(MADE, layers, name))
            found[name] = {"first": worker.run(1)[0]}
            runs[name] = lambda count, worker=worker: worker.run(count)[0]
        for name, seconds in medians(take_turns(runs, rounds)).items():
            found[name]["step"] = seconds
    return found


def table(results: dict[int, dict[str, dict[str, float]]], who: list[str]) -> Table:
    """A row for each number of layers, with each contender's times divided by ours."""
    shown = Table("layers", *[f"{name}: first step, step" for name in who])
    for layers, found in results.items():
        ours = found["singa"]
        cells = []
        for name in who:
            seconds = found.get(name)
            if seconds is None:
                cells.append("")
                continue
            cell = f"{seconds['first']:.1f} s, {1e3 * seconds['step']:.1f} ms"
            if name != "singa":
                ratios = [seconds[what] / ours[what] for what in ("first", "step")]
                cell += f" ({ratios[0]:.2f}, {ratios[1]:.2f})"
            cells.append(cell)
        shown.add_row(str(layers), *cells)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--layers", type=int, nargs="+", default=LAYERS, help="(%(default)s)")
    add("--contenders", nargs="+", choices=WHO, default=WHO, help="besides singa (%(default)s)")
    add("--rounds", type=int, default=5, help="measurements of a step (%(default)s)")
    add("--json", type=Path, nargs="?", const=RESULTS, help=f"({RESULTS})")
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    everybody = {each.name: each for each in contenders.ALL}
    if missing := everybody["singa"].what_is_missing("cpu"):
        parser.error(f"all is compared with this library: {missing} is not installed")
    others = [name for name in chosen.contenders if name != "singa"]
    who = ["singa", *[name for name in others if not everybody[name].what_is_missing("cpu")]]
    results = {layers: measure(layers, who, chosen.rounds) for layers in chosen.layers}
    Console().print(table(results, who))
    if chosen.json:
        about: dict[str, Any] = machine.describe("cpu", contenders.THREADS)
        chosen.json.write_text(json.dumps({"about": about, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
