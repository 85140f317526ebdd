"""Data loading, measured: ``python -m benchmarks.loading``.

An epoch of Fashion-MNIST in shuffled batches, each image moved and perhaps mirrored by a function
in Python, here and by PyTorch's DataLoader: in the process itself, and by two worker processes,
which are kept between epochs. Both use the same function, and take turns. Without the data set
(Debian's ``dataset-fashion-mnist``) the images are random ones of the same size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import contenders, machine
from benchmarks.timing import medians, take_turns
from benchmarks.worker import Worker

RESULTS = Path("benchmarks/results/loading.json")
BATCH = 64
WORKERS = (0, 2)
GOAL = 1.2  # PyTorch's time divided by ours, with workers
MOST = 2  # pixels that an image is moved in each direction

Images = tuple[np.ndarray, np.ndarray]


def images(count: int) -> Images:
    """The images (N, 1, 28, 28) in uint8, and their classes."""
    from singa import data
    from singa.errors import DataError

    try:
        train = data.load("fashion-mnist").train
        return (np.asarray(train.arrays[0])[:count] * 255).astype(np.uint8), train.arrays[1][:count]
    except DataError:
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (count, 1, 28, 28), np.uint8), rng.integers(0, 10, count)


def changed(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image as float32, moved by up to two pixels, and mirrored or not."""
    down, right, mirrored = rng.integers((2 * MOST + 1, 2 * MOST + 1, 2))
    wide = np.zeros((1, 28 + 2 * MOST, 28 + 2 * MOST), np.float32)
    wide[:, MOST:-MOST, MOST:-MOST] = image
    wide = wide[:, down : down + 28, right : right + 28] / 255
    return np.ascontiguousarray(wide[..., ::-1]) if mirrored else wide


def with_label(image: Any, label: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    return changed(image, rng), label


def epoch(who: str, workers: str, count: str) -> Callable[[], float]:
    """A function that takes all batches of an epoch, and returns how many images there were."""
    x, t = images(int(count))
    make = _torch if who == "torch" else _singa
    loader = make(x, t, int(workers))

    def run() -> float:
        return float(sum(len(labels) for _, labels in loader))

    return run


def _singa(x: np.ndarray, t: np.ndarray, workers: int) -> Any:
    from singa import data

    dataset = data.ArrayDataset(x, t)
    return data.DataLoader(dataset, BATCH, shuffle=True, workers=workers, transform=with_label)


def _torch(x: np.ndarray, t: np.ndarray, workers: int) -> Any:
    import torch

    class Changed(torch.utils.data.Dataset):  # type: ignore[type-arg, misc]
        rng: np.random.Generator | None = None

        def __len__(self) -> int:
            return len(x)

        def __getitem__(self, i: int) -> Any:
            if self.rng is None:  # of this worker
                self.rng = np.random.default_rng(torch.initial_seed())
            return changed(x[i], self.rng), t[i]

    return torch.utils.data.DataLoader(
        Changed(), BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=60_000, help="of an epoch (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="epochs of each (%(default)s)")
    parser.add_argument("--json", type=Path, nargs="?", const=RESULTS, help=f"({RESULTS})")
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    console = Console()
    found: dict[str, dict[str, float]] = {}
    for workers in track(WORKERS, "Measuring", console=console, transient=True):
        found[str(workers)] = measure(workers, chosen.images, chosen.rounds)
    shown = Table("workers", "here", "PyTorch", "ratio", "goal", title="Images per second")
    for count, seconds in found.items():
        ours, torch = (chosen.images / seconds[who] for who in ("here", "PyTorch"))
        goal = f"≥ {GOAL}" if count != "0" else ""
        shown.add_row(count, f"{ours:,.0f}", f"{torch:,.0f}", f"{ours / torch:.2f}", goal)
    console.print(shown)
    if chosen.json:
        about = machine.describe("cpu", contenders.THREADS) | {"images": chosen.images}
        text = json.dumps({"about": about, "seconds of an epoch": found}, indent=2)
        chosen.json.write_text(text + "\n")


def measure(workers: int, count: int, rounds: int) -> dict[str, float]:
    """Seconds of an epoch, by who loads."""
    made = "benchmarks.loading:epoch"
    with (
        Worker(made, "here", workers, count) as here,
        Worker(made, "torch", workers, count) as torch,
    ):
        runs = {"here": here, "PyTorch": torch}
        for worker in runs.values():
            assert worker.run(1)[1] == [count]
        turns = {who: lambda n, w=worker: w.run(n)[0] for who, worker in runs.items()}
        return medians(take_turns(turns, rounds, warm_up=1, block=0))


if __name__ == "__main__":
    main()
