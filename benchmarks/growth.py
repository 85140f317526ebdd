"""How the time of a training step grows, compared with PyTorch: ``python -m benchmarks.growth``.

Four series: the batch and the width of a small MLP; operations chained one after another; and
parameters that an optimizer updates. Each point is the median of a whole step (forward, backward,
SGD with momentum) of this library, compiled and eager, and of PyTorch eager, in turn.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks import contenders, machine
from benchmarks.chart import INK, OURS, PEER
from benchmarks.timing import Run, medians, take_turns
from benchmarks.worker import Worker

RESULTS, CHART = Path("benchmarks/results/growth.json"), Path("docs/images/growth.png")
COMPILED, EAGER, TORCH = "singa compiled", "singa eager", "PyTorch eager"
EVERYBODY = (COMPILED, EAGER, TORCH)
CHAIN, LAYERS = "operations, chained", "parameters, a layer each"
LONGEST = {CHAIN: 1000, LAYERS: 1000}  # of a compiled step: XLA takes minutes for more

Step = Callable[[], float]


def step(series: str, size: str, who: str) -> Step:
    """One of the steps, for a worker."""
    return SERIES[series][1](int(size), who)


def mlp(batch: int, width: int, who: str) -> Step:
    """64 inputs, two layers, 10 classes."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, 64), np.float32)
    t = rng.integers(0, 10, batch, np.int32)
    weights = [0.1 * rng.standard_normal(shape, np.float32) for shape in ((64, width), (width, 10))]
    biases = [np.zeros(len(w.T), np.float32) for w in weights]
    if who == TORCH:
        import torch

        def net(x: Any, w0: Any, w1: Any, b0: Any, b1: Any) -> Any:
            return torch.addmm(b1, torch.relu(torch.addmm(b0, x, w0)), w1)

        def loss(params: list[Any]) -> Any:
            return torch.nn.functional.cross_entropy(net(torch_x, *params), torch_t)

        torch_x, torch_t = torch.from_numpy(x), torch.from_numpy(t).long()
        return _theirs([*weights, *biases], loss)
    from singa import Tensor, autograd

    def our_loss(params: list[Any], x: Any, t: Any) -> Any:
        w0, w1, b0, b1 = params
        hidden = autograd.relu(autograd.affine(x, w0, b0))
        return autograd.softmax_cross_entropy(autograd.affine(hidden, w1, b1), t)

    return _ours([*weights, *biases], our_loss, [Tensor(data=x), Tensor(data=t)], who)


def chain(length: int, who: str) -> Step:
    """One parameter of 1,024 numbers, and ``length`` tanh operations one after another."""
    start = np.linspace(-1, 1, 1024, dtype=np.float32).reshape(32, 32)

    def loss(tanh: Callable[[Any], Any], params: list[Any]) -> Any:
        y = params[0]
        for _ in range(length):
            y = tanh(y)
        return y * y

    return _mean_of(loss, [start], who)


def parameters(count: int, who: str) -> Step:
    """``count`` linear layers of 16 by 16 one after another."""
    rng = np.random.default_rng(0)
    rotations = [np.linalg.qr(rng.standard_normal((16, 16)))[0] for _ in range(count)]

    def loss(_: Callable[[Any], Any], params: list[Any]) -> Any:
        y = params[0]
        for param in params[1:]:
            y = y @ param
        return y * y

    return _mean_of(loss, [r.astype(np.float32) for r in rotations], who)


def _mean_of(loss: Callable[..., Any], values: list[np.ndarray], who: str) -> Step:
    """The mean of ``loss(tanh, parameters)``, which is the same code for both libraries."""
    if who == TORCH:
        import torch

        return _theirs(values, lambda params: loss(torch.tanh, params).mean())
    from singa import Tensor, autograd

    def our_loss(params: list[Any], _: Any) -> Any:
        return autograd.reduce_mean(loss(autograd.tanh, params), keepdims=False)

    return _ours(values, our_loss, [Tensor((1,))], who)


def _ours(values: list[np.ndarray], loss: Callable[..., Any], args: list[Any], who: str) -> Step:
    from singa import Tensor, model, opt

    class Net(model.Model):
        def __init__(self) -> None:
            super().__init__()
            self.params = [Tensor(data=value, stores_grad=True) for value in values]
            self.optimizer = opt.SGD(0.001, momentum=0.9)

        def forward(self, *xs: Tensor) -> Tensor:
            return loss(self.params, *xs)

        def train_one_batch(self, *xs: Tensor) -> Tensor:
            found = self.forward(*xs)
            self.optimizer(found)
            return found

    net = Net()
    net.compile(args, use_graph=who == COMPILED)
    return lambda: float(net(*args))


def _theirs(values: list[np.ndarray], loss: Callable[[list[Any]], Any]) -> Step:
    import torch

    params = [torch.from_numpy(value).clone().requires_grad_() for value in values]
    sgd = torch.optim.SGD(params, 0.001, momentum=0.9)

    def run() -> float:
        sgd.zero_grad()
        found = loss(params)
        found.backward()
        sgd.step()
        return found.item()

    return run


SERIES: dict[str, tuple[list[int], Callable[[int, str], Step]]] = {
    "batch of an MLP 64-100-10": ([16, 32, 64, 128, 256, 512], lambda n, who: mlp(n, 100, who)),
    "width of an MLP 64-n-10, batch 32": ([32, 128, 512, 2048], lambda n, who: mlp(32, n, who)),
    CHAIN: ([10, 100, 1000, 10_000], chain),
    LAYERS: ([10, 100, 1000, 5000], parameters),
}


def measure(rounds: int, console: Console) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Yields the medians at each point, one after the other."""
    points = [(name, n) for name, (sizes, _) in SERIES.items() for n in sizes]
    with Progress(console=console, transient=True, auto_refresh=False) as bar:
        task = bar.add_task("", total=len(points))
        for name, n in points:
            bar.update(task, description=f"{name}: {n:,}", refresh=True)
            with ExitStack() as workers:
                runs: dict[str, Run] = {}
                for who in EVERYBODY:
                    if who == COMPILED and n > LONGEST.get(name, n):
                        continue
                    worker = workers.enter_context(Worker("benchmarks.growth:step", name, n, who))
                    runs[who] = lambda count, worker=worker: worker.run(count)[0]
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
