"""How the time of a training step grows, beside PyTorch's: ``python -m benchmarks.growth``.

Four series: the batch and the width of a small MLP; operations chained one after another; and
parameters that an optimizer updates. Each point is the median of a whole step (forward, backward,
SGD with momentum) of this library, compiled and eager, and of PyTorch eager, in turn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import contenders, machine
from benchmarks.chart import INK, OURS, PEER
from benchmarks.timing import medians, run_of, take_turns

RESULTS, CHART = Path("benchmarks/results/growth.json"), Path("docs/images/growth.png")
COMPILED, EAGER, TORCH = "singa compiled", "singa eager", "PyTorch eager"
EVERYBODY = (COMPILED, EAGER, TORCH)
LONGEST = 1000  # operations or parameters of a compiled step: XLA takes minutes for more

Steps = dict[str, Callable[[], Any]]


def mlp(batch: int, width: int) -> Steps:
    """64 inputs, two layers, 10 classes."""
    import torch

    from singa import autograd, layer, model, opt
    from singa.tensor import Tensor

    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 64), np.float32)
    t = rng.integers(0, 10, batch, np.int32)

    class Net(model.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.out = layer.Linear(width), layer.Linear(10)
            self.optimizer = opt.SGD(0.01, momentum=0.9)

        def forward(self, x: Tensor) -> Tensor:
            return self.out(autograd.relu(self.hidden(x)))

        def train_one_batch(self, x: Tensor, t: Tensor) -> Tensor:
            loss = autograd.softmax_cross_entropy(self.forward(x), t)
            self.optimizer(loss)
            return loss

    steps: Steps = {}
    for who, use_graph in ((COMPILED, True), (EAGER, False)):
        net = Net()
        net.compile([Tensor(data=x)], use_graph=use_graph)
        steps[who] = lambda net=net, x=Tensor(data=x), t=Tensor(data=t): float(net(x, t))
    torch_net = torch.nn.Sequential(
        torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, 10)
    )
    sgd = torch.optim.SGD(torch_net.parameters(), 0.01, momentum=0.9)
    torch_x, torch_t = torch.from_numpy(x), torch.from_numpy(t).long()

    def torch_step() -> float:
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(torch_net(torch_x), torch_t)
        loss.backward()
        sgd.step()
        return loss.item()

    return {**steps, TORCH: torch_step}


def chain(length: int) -> Steps:
    """A chain of tanh on 1,024 numbers."""
    start = np.linspace(-1, 1, 1024, dtype=np.float32).reshape(32, 32)
    return _of_parameters([start], length)


def parameters(count: int) -> Steps:
    """So many parameters of 256 numbers, whose sum of squares is the loss."""
    rng = np.random.default_rng(0)
    return _of_parameters(list(rng.standard_normal((count, 16, 16), np.float32)), 0)


def _of_parameters(values: list[np.ndarray], tanhs: int) -> Steps:
    """The mean of squares of the sum of the parameters, each after so many tanh."""
    import torch

    from singa import autograd, model, opt
    from singa.tensor import Tensor

    def value(params: list[Any], tanh: Callable[[Any], Any]) -> Any:
        total = params[0]
        for param in params[1:]:
            total = total + param
        for _ in range(tanhs):
            total = tanh(total)
        return total * total

    class Net(model.Model):
        def __init__(self) -> None:
            super().__init__()
            self.params = [Tensor(data=v, stores_grad=True) for v in values]
            self.optimizer = opt.SGD(0.001, momentum=0.9)

        def forward(self, x: Tensor) -> Tensor:
            return autograd.reduce_mean(value(self.params, autograd.tanh), keepdims=False)

        def train_one_batch(self, x: Tensor) -> Tensor:
            loss = self.forward(x)
            self.optimizer(loss)
            return loss

    nothing = Tensor((1,))
    steps: Steps = {}
    for who, use_graph in ((COMPILED, True), (EAGER, False)):
        if use_graph and max(tanhs, len(values)) > LONGEST:
            continue
        net = Net()
        net.compile([nothing], use_graph=use_graph)
        steps[who] = lambda net=net: float(net(nothing))
    torch_params = [torch.from_numpy(v).clone().requires_grad_() for v in values]
    sgd = torch.optim.SGD(torch_params, 0.001, momentum=0.9)

    def torch_step() -> float:
        sgd.zero_grad()
        loss = value(torch_params, torch.tanh).mean()
        loss.backward()
        sgd.step()
        return loss.item()

    return {**steps, TORCH: torch_step}


SERIES: dict[str, tuple[list[int], Callable[[int], Steps]]] = {
    "batch of an MLP 64-100-10": ([16, 32, 64, 128, 256, 512], lambda n: mlp(n, 100)),
    "width of an MLP 64-n-10, batch 32": ([32, 128, 512, 2048], lambda n: mlp(32, n)),
    "operations, chained": ([10, 100, 1000, 10_000], chain),
    "parameters": ([10, 100, 1000, 5000], parameters),
}


def measure(rounds: int, console: Console) -> Iterator[tuple[str, int, dict[str, float]]]:
    points = [(name, n, make) for name, (sizes, make) in SERIES.items() for n in sizes]
    with Progress(console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=len(points))
        for name, n, make in points:
            bar.update(task, description=f"{name}: {n:,}", refresh=True)
            runs = {who: run_of(step) for who, step in make(n).items()}
            yield name, n, medians(take_turns(runs, rounds, warm_up=3))
            bar.advance(task)


def table(found: dict[str, dict[int, dict[str, float]]]) -> Table:
    shown = Table(title="Milliseconds a step, and how many times as long PyTorch takes")
    for title in ("what", "size", *EVERYBODY, "compiled", "eager"):
        shown.add_column(title, justify="left" if title == "what" else "right")
    for name, points in found.items():
        for n, times in points.items():
            cells = [f"{times[who] * 1e3:.3f}" if who in times else "-" for who in EVERYBODY]
            ratios = [
                f"{times[TORCH] / times[who]:.2f}" if who in times else "-"
                for who in (COMPILED, EAGER)
            ]
            shown.add_row(name, f"{n:,}", *cells, *ratios)
        shown.add_section()
    return shown


def draw(found: dict[str, dict[int, dict[str, float]]], file: Path, note: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    looks = {COMPILED: (OURS, "-"), EAGER: (OURS, "--"), TORCH: (PEER, "-")}
    colors = {
        "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
        "axes.edgecolor": INK, "font.size": 9,
    }  # fmt: skip
    with pyplot.rc_context(colors):
        figure, axes = pyplot.subplots(2, 2, figsize=(9, 6.2), layout="constrained")
        for axis, (name, points) in zip(axes.flat, found.items(), strict=True):
            for who, (color, style) in looks.items():
                line = [(n, times[who] * 1e3) for n, times in points.items() if who in times]
                axis.plot(*zip(*line, strict=True), style, color=color, marker="o", ms=4, label=who)
            axis.set(xscale="log", yscale="log", title=name)
            axis.set_xticks(list(points), [f"{n:,}" for n in points])
            axis.minorticks_off()
            axis.grid(color=INK, alpha=0.25, linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
        for axis in axes[:, 0]:
            axis.set_ylabel("milliseconds a step")
        axes.flat[0].legend(frameon=False, labelcolor=INK)
        figure.supxlabel(note, size=8, color=INK)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, dpi=160, transparent=True)
        pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9, help="(%(default)s)")
    parser.add_argument("--json", type=Path, nargs="?", const=RESULTS, help=f"({RESULTS})")
    parser.add_argument("--chart", type=Path, nargs="?", const=CHART, help=f"({CHART})")
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    console = Console()
    found: dict[str, dict[int, dict[str, float]]] = {}
    for name, n, times in measure(chosen.rounds, console):
        found.setdefault(name, {})[n] = times
    console.print(table(found))
    about = machine.describe("cpu", contenders.THREADS) | {"rounds": chosen.rounds}
    if chosen.json:
        chosen.json.write_text(json.dumps({"about": about, "results": found}, indent=1) + "\n")
    if chosen.chart:
        draw(found, chosen.chart, machine.in_a_line(about))


if __name__ == "__main__":
    main()
