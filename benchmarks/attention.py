"""Attention beside PyTorch's, measured: ``python -m benchmarks.attention``.

Causal self-attention of shape (2, 8, S, 64), forward and backward: the time of a step, in turns,
and the memory that it needs above what its process had with the inputs; compiling it is included.
The same of PyTorch's ``scaled_dot_product_attention``. The first losses must agree.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import contenders, machine
from benchmarks.timing import medians, take_turns
from benchmarks.worker import Worker

RESULTS = Path("benchmarks/results/attention.json")
BATCH, HEADS, SIZE = 2, 8, 64
LENGTHS = (1024, 4096)
TORCH = "PyTorch eager"
WHO = ("singa compiled", "singa eager", TORCH)
GOALS = {"seconds": 1.3, "bytes": 1.0}  # PyTorch's, divided by ours

Step = Callable[[], float]


def step(who: str, length: str) -> Step:
    """A step for a worker: the mean square of the results, and its gradients."""
    rng = np.random.default_rng(0)
    shape = (3, BATCH, HEADS, int(length), SIZE)
    qkv = rng.standard_normal(shape, np.float32)
    return _torch(qkv) if who == TORCH else _singa(qkv, who == "singa compiled")


def _singa(qkv: np.ndarray, compiled: bool) -> Step:
    from singa import Tensor, autograd, model

    class Net(model.Model):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = [Tensor(data=x, stores_grad=True) for x in qkv]

        def forward(self) -> Tensor:
            y = autograd.scaled_dot_product_attention(*self.qkv, causal=True)
            return autograd.reduce_mean(y * y, keepdims=False)

        def train_one_batch(self) -> tuple[Tensor, ...]:
            loss = self.forward()
            found = autograd.gradients(loss)
            return loss, *[found[x] for x in self.qkv]

    net = Net()
    net.compile([], is_train=True, use_graph=compiled)

    def run() -> float:
        loss, *gradients = net()
        gradients[-1].data.block_until_ready()
        return float(loss)

    return run


def _torch(qkv: np.ndarray) -> Step:
    import torch

    q, k, v = (torch.from_numpy(x).clone().requires_grad_() for x in qkv)

    def run() -> float:
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        loss = (y * y).mean()
        torch.autograd.grad(loss, (q, k, v))
        return float(loss.detach())

    return run


def measure(length: int, rounds: int, done: Callable[[], object]) -> dict[str, dict[str, float]]:
    """Seconds and bytes of each."""
    with ExitStack() as stack:
        workers = {
            who: stack.enter_context(Worker("benchmarks.attention:step", who, length))
            for who in WHO
        }
        before = {who: worker.peak_memory() for who, worker in workers.items()}
        losses = {who: worker.run(2)[1][0] for who, worker in workers.items()}
        for who, loss in losses.items():
            np.testing.assert_allclose(loss, losses[TORCH], rtol=1e-5, err_msg=who)
        turns = {who: lambda count, w=worker: w.run(count)[0] for who, worker in workers.items()}
        times = medians(take_turns(turns, rounds, warm_up=1, done=done))
        return {
            who: {"seconds": times[who], "bytes": worker.peak_memory() - before[who]}
            for who, worker in workers.items()
        }


def table(found: dict[int, dict[str, dict[str, float]]]) -> Table:
    """A row for each library and length; ratios are PyTorch's value divided by the row's."""
    shown = Table("S", "", "ms", "", "MiB", "", title=f"({BATCH}, {HEADS}, S, {SIZE}), causal")
    for length, runs in found.items():
        for who, run in runs.items():
            cells = [str(length), who]
            for unit, scale in (("seconds", 1e3), ("bytes", 2**-20)):
                ratio = runs[TORCH][unit] / run[unit]
                mark = "✓" if ratio >= GOALS[unit] else "✗"
                cells.append(f"{run[unit] * scale:.0f}")
                cells.append("" if who == TORCH else f"{ratio:.2f} {mark}")
            shown.add_row(*cells)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    parser.add_argument("--json", type=Path, nargs="?", const=RESULTS, help=f"({RESULTS})")
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    console = Console()
    found = {}
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("Steps", total=len(LENGTHS) * len(WHO) * (chosen.rounds + 1))
        for length in LENGTHS:
            found[length] = measure(length, chosen.rounds, lambda: progress.advance(task))
    console.print(table(found))
    if chosen.json:
        about = machine.describe("cpu", contenders.THREADS) | {"rounds": chosen.rounds}
        chosen.json.write_text(json.dumps({"about": about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
