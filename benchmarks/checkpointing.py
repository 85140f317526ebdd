"""Memory for compute, measured: ``python -m benchmarks.checkpointing``.

A step of a network of 48 layers, with and without ``autograd.checkpoint`` around every six of them:
the peak memory of a process that runs it, and the time of a step; both run in turns. The same is
measured for PyTorch's ``torch.utils.checkpoint``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import contenders, machine
from benchmarks.timing import medians, take_turns
from benchmarks.worker import Worker

RESULTS = Path("benchmarks/results/checkpointing.json")
LAYERS, SEGMENT, WIDTH, BATCH = 48, 6, 256, 4096
WHO = ("singa eager", "singa compiled", "PyTorch eager")
GOALS = {"memory": 1 / 2, "time": 1.4}  # the largest ratios with and without checkpoints

Step = Callable[[], float]


def step(who: str, how: str) -> Step:
    """A step of the network, for a worker."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, WIDTH), np.float32)
    t = rng.integers(0, WIDTH, BATCH, np.int32)
    weights = [
        (rng.standard_normal((WIDTH, WIDTH)) / WIDTH**0.5).astype(np.float32) for _ in range(LAYERS)
    ]
    make = _torch if who == "PyTorch eager" else _singa
    return make(x, t, weights, how == "checkpointed", who)


def _singa(x: Any, t: Any, weights: list[Any], checkpointed: bool, who: str) -> Step:
    from singa import autograd, layer, model, opt
    from singa.tensor import Tensor

    class Net(model.Model):
        def __init__(self) -> None:
            super().__init__()
            self.linears = [layer.Linear(WIDTH) for _ in weights]
            self.loss = layer.SoftMaxCrossEntropy()

        def segment(self, x: Tensor, first: int) -> Tensor:
            for linear in self.linears[first : first + SEGMENT]:
                x = x + autograd.tanh(autograd.relu(linear(x)))
            return x

        def forward(self, x: Tensor) -> Tensor:
            for first in range(0, LAYERS, SEGMENT):
                if checkpointed:
                    x = autograd.checkpoint(self.segment, x, first)
                else:
                    x = self.segment(x, first)
            return x

        def train_one_batch(self, x: Tensor, t: Tensor) -> Tensor:
            loss = self.loss(self.forward(x), t)
            self.optimizer(loss)
            return loss

    net, tx, tt = Net(), Tensor(data=x), Tensor(data=t)
    net.optimizer = opt.SGD(0.001, momentum=0.9)
    net.compile([tx], is_train=True, use_graph=who == "singa compiled")
    for linear, weight in zip(net.linears, weights, strict=True):
        linear.W.copy_from_numpy(weight)
    return lambda: net(tx, tt).item()


def _torch(x: Any, t: Any, weights: list[Any], checkpointed: bool, who: str) -> Step:
    import torch
    from torch.utils.checkpoint import checkpoint

    linears = [torch.nn.Linear(WIDTH, WIDTH) for _ in weights]
    for linear, weight in zip(linears, weights, strict=True):
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight.T))
            linear.bias.zero_()
    parameters = [p for linear in linears for p in linear.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.001, momentum=0.9)
    torch_x, torch_t = torch.from_numpy(x), torch.from_numpy(t).long()

    def segment(x: Any, first: int) -> Any:
        for linear in linears[first : first + SEGMENT]:
            x = x + torch.tanh(torch.relu(linear(x)))
        return x

    def run() -> float:
        y = torch_x
        for first in range(0, LAYERS, SEGMENT):
            if checkpointed:
                y = checkpoint(segment, y, first, use_reentrant=False)
            else:
                y = segment(y, first)
        loss = torch.nn.functional.cross_entropy(y, torch_t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return run


def measure(who: str, rounds: int, done: Callable[[], object]) -> dict[str, dict[str, float]]:
    """Seconds and bytes, with and without. Both must have the same losses."""
    with ExitStack() as stack:
        workers = {
            how: stack.enter_context(Worker("benchmarks.checkpointing:step", who, how))
            for how in ("plain", "checkpointed")
        }
        losses = [worker.run(5)[1] for worker in workers.values()]
        np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4, err_msg=who)
        turns = {how: lambda count, w=worker: w.run(count)[0] for how, worker in workers.items()}
        times = medians(take_turns(turns, rounds, done=done))
        return {
            how: {"seconds": times[how], "bytes": worker.peak_memory()}
            for how, worker in workers.items()
        }


def table(found: dict[str, dict[str, dict[str, float]]]) -> Table:
    """A row for each library: its value with checkpoints, and the ratio to the value without."""
    shown = Table("", "MiB without", "with", "", "ms without", "with", "", title=f"{LAYERS} layers")
    for who, runs in found.items():
        cells = [who]
        for unit, scale, goal in (("bytes", 2**-20, "memory"), ("seconds", 1e3, "time")):
            without, with_it = (runs[how][unit] for how in ("plain", "checkpointed"))
            ratio = with_it / without
            mark = ("✓" if ratio <= GOALS[goal] else "✗") if who.startswith("singa") else ""
            cells += [f"{without * scale:.0f}", f"{with_it * scale:.0f}", f"{ratio:.2f} {mark}"]
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
        task = progress.add_task("Steps", total=len(WHO) * 2 * (chosen.rounds + 1))
        for who in WHO:
            found[who] = measure(who, chosen.rounds, lambda: progress.advance(task))
    console.print(table(found))
    if chosen.json:
        about = machine.describe("cpu", contenders.THREADS) | {"rounds": chosen.rounds}
        chosen.json.write_text(json.dumps({"about": about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
