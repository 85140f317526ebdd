"""Mixed precision, measured: ``python -m benchmarks.precision``.

The CNN learns Fashion-MNIST in each precision, from the same parameters on the same batches: the
accuracy on the test images, the time of a step and the final loss scale. The accuracies must be
within half a percent of float32's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table

from benchmarks import machine

RESULTS = Path("benchmarks/results/precision.json")
PRECISIONS = ("float32", "bfloat16", "float16")
WITHIN = 0.005  # of float32's accuracy

Run = dict[str, Any]


def train(precision: str, seed: int, epochs: int, place: str, done: Any) -> Run:
    """One training of the CNN."""
    from singa import data, device, opt
    from singa.models import CNN
    from singa.train import Callback, fit

    class Done(Callback):
        def on_step_end(self, training: Any) -> None:
            done()

    net = CNN()
    net.set_optimizer(opt.SGD(0.02, momentum=0.9, weight_decay=1e-4))
    history = fit(
        net,
        data.load("fashion-mnist"),
        epochs,
        metrics="accuracy",
        callbacks=[Done()],
        seed=seed,
        device=device.device_named(place),
        precision=precision,
        progress=False,
    )
    steps = history["step"][0]
    return {
        "precision": precision,
        "seed": seed,
        "accuracies": history["val_accuracy"],
        "seconds": min(history["seconds"]) / steps,  # the first epoch compiles
        "loss_scale": net.optimizer.loss_scale.item(),
        "steps": net.optimizer.step_counter.item(),
    }


def mean_accuracy(runs: list[Run], precision: str) -> float:
    return statistics.mean(run["accuracies"][-1] for run in runs if run["precision"] == precision)


def table(runs: list[Run]) -> Table:
    """A row for each precision."""
    shown = Table("", "accuracy", "of float32", "ms/step", "loss scale", "steps left out")
    base = mean_accuracy(runs, "float32")
    most = max(run["steps"] for run in runs)
    for precision in PRECISIONS:
        own = [run for run in runs if run["precision"] == precision]
        accuracy = mean_accuracy(runs, precision)
        scaled = precision == "float16"
        shown.add_row(
            precision,
            f"{accuracy:.2%}",
            f"{accuracy - base:+.2%} {'✓' if abs(accuracy - base) <= WITHIN else '✗'}",
            f"{1e3 * statistics.median(run['seconds'] for run in own):.1f}",
            ", ".join(f"{run['loss_scale']:.0f}" for run in own) if scaled else "",
            ", ".join(str(most - run["steps"]) for run in own) if scaled else "",
        )
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=2, help="(%(default)s)")
    parser.add_argument("--seeds", type=int, default=3, help="trainings each (%(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (%(default)s)")
    parser.add_argument("--json", type=Path, nargs="?", const=RESULTS, help=f"({RESULTS})")
    chosen = parser.parse_args()
    machine.confine(chosen.device, 2)
    from singa import data

    total = len(data.load("fashion-mnist").train_images) // 64 * chosen.epochs * chosen.seeds
    console = Console()
    runs = []
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Steps", total=total * len(PRECISIONS))
        for seed in range(chosen.seeds):
            for precision in PRECISIONS:
                progress.update(task, description=f"{precision}, seed {seed}")
                runs.append(
                    train(
                        precision,
                        seed,
                        chosen.epochs,
                        chosen.device,
                        lambda: progress.advance(task),
                    )
                )
    console.print(table(runs))
    if chosen.json:
        about = machine.describe(chosen.device, 2) | {"epochs": chosen.epochs}
        chosen.json.write_text(json.dumps({"about": about, "runs": runs}, indent=1) + "\n")
    base = mean_accuracy(runs, "float32")
    return int(any(abs(mean_accuracy(runs, p) - base) > WITHIN for p in PRECISIONS))


if __name__ == "__main__":
    sys.exit(main())
