"""How the memory grows if shapes and numbers always change: ``python -m benchmarks.shapes``.

Each series is an eager training loop in a process of its own: batches that always have new sizes,
through a small CNN (forward, backward, SGD with momentum); and one batch, clipped to new bounds
each time. The code compiled for each new size is dropped after a while (:mod:`singa.tape.table`),
so that the memory is limited; and numbers are arguments of the compiled code. Eager PyTorch
compiles nothing.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import contenders, machine

Step = Callable[[int], None]


def mebibytes() -> float:
    """The memory of this process that is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def batch(size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(size)
    return rng.standard_normal((size, 1, 8, 8), np.float32), rng.integers(0, 10, size, np.int32)


def our_sizes() -> Step:
    from singa import Tensor, autograd, layer, model, opt

    class Net(model.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = layer.Conv2d(4, 3, padding=1), layer.Linear(10)
            self.optimizer = opt.SGD(0.01, momentum=0.9)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(autograd.flatten(autograd.relu(self.conv(x))))

        def train_one_batch(self, x: Tensor, t: Tensor) -> Tensor:
            loss = autograd.softmax_cross_entropy(self.forward(x), t)
            self.optimizer(loss)
            return loss

    net = Net()
    net.compile([Tensor((2, 1, 8, 8))], use_graph=False)

    def step(i: int) -> None:
        x, t = batch(i + 2)
        net(Tensor(data=x), Tensor(data=t)).item()

    return step


def their_sizes() -> Step:
    import torch

    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(),
        torch.nn.Linear(256, 10),
    )  # fmt: skip
    sgd = torch.optim.SGD(net.parameters(), 0.01, momentum=0.9)

    def step(i: int) -> None:
        x, t = batch(i + 2)
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(
            net(torch.from_numpy(x)), torch.from_numpy(t).long()
        ).backward()
        sgd.step()

    return step


def our_bounds() -> Step:
    from singa import Tensor, autograd

    w = Tensor(data=np.linspace(-1, 1, 1000, dtype=np.float32), stores_grad=True)

    def step(i: int) -> None:
        with autograd.enable_grad():
            y = autograd.clip(w, -1 / (i + 1), 1 / (i + 1)).sum()
        autograd.grad(y, w).data.block_until_ready()

    return step


def their_bounds() -> Step:
    import torch

    w = torch.linspace(-1, 1, 1000, requires_grad=True)

    def step(i: int) -> None:
        w.grad = None
        w.clamp(-1 / (i + 1), 1 / (i + 1)).sum().backward()

    return step


SERIES: dict[str, Callable[[], Step]] = {
    "batch sizes, ours": our_sizes,
    "batch sizes, PyTorch": their_sizes,
    "bounds of clip, ours": our_bounds,
    "bounds of clip, PyTorch": their_bounds,
}


def measure(series: str, count: int) -> None:
    """Print how much more memory is used after a tenth, two tenths, ... of the steps."""
    step = SERIES[series]()
    for i in range(3):
        step(count + i)
    gc.collect()
    start = mebibytes()
    for part in range(10):
        for i in range(part * count // 10, (part + 1) * count // 10):
            step(i)
        print(round(mebibytes() - start), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=2000, help="steps (%(default)s)")
    parser.add_argument("--series", choices=SERIES, help="one, in this process")
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    if chosen.series:
        measure(chosen.series, chosen.count)
        return
    shown = Table(title=f"MiB more after each tenth of {chosen.count:,} steps")
    shown.add_column("what")
    for part in range(1, 11):
        shown.add_column(f"{part / 10:.0%}", justify="right")
    for series in SERIES:
        command = [sys.executable, "-m", "benchmarks.shapes", "--count", str(chosen.count)]
        done = subprocess.run([*command, "--series", series], stdout=subprocess.PIPE, text=True)
        shown.add_row(
            series, *done.stdout.split(), *([done.stderr[-60:]] if done.returncode else [])
        )
    Console().print(shown)


if __name__ == "__main__":
    main()
