"""Winograd's convolutions beside exact ones: ``python -m benchmarks.winograd``.

For the stages of ResNet-18 and of a VGG: the processor time of a convolution and of its gradients,
in turns, and their errors against float64. With ``--train``, a small residual network is trained
in both ways, and once more exactly from parameters that are one rounding error away.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental.layout import Format, Layout
from jax.sharding import SingleDeviceSharding
from rich.console import Console
from rich.table import Table

from benchmarks import contenders, machine
from singa import Tensor, autograd, device, layer, model, opt
from singa.engine.native import convolution
from singa.engine.native.convolution import Window, Winograd

RESULTS = Path("benchmarks/results/winograd.json")
WINDOW = Window((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
# Channels, outputs, height and width.
RESNET = ((64, 64, 32), (128, 128, 16), (256, 256, 8), (512, 512, 4))
OTHERS = ((32, 32, 32), (64, 128, 16), (128, 256, 8), (64, 64, 56), (512, 512, 7))
KINDS = ("forward", "input gradient", "weight gradient")
WAYS = {"exact": Winograd.NEVER, "Winograd": Winograd.WHERE_POSSIBLE}

Arrays = list[np.ndarray]


def arrays(batch: int, channels: int, outputs: int, size: int) -> Arrays:
    """Images, filters and gradients of the result, from a normal distribution."""
    rng = np.random.default_rng(0)
    shapes = (batch, channels, size, size), (outputs, channels, 3, 3), (batch, outputs, size, size)
    return [rng.standard_normal(shape, np.float32) for shape in shapes]


def compiled(kind: str, given: Arrays, way: Winograd) -> Callable[[], Any]:
    """A call of a kernel, for arrays that lie in memory as the kernels have them."""
    x, w, dy = given
    calls = {
        "forward": lambda x, w, dy: convolution.convolution(x, w, None, WINDOW),
        "input gradient": lambda x, w, dy: convolution.input_gradient(dy, w, x.shape, WINDOW),
        "weight gradient": lambda x, w, dy: convolution.weight_gradient(
            x, dy, w.shape, False, WINDOW
        )[0],
    }
    here = SingleDeviceSharding(jax.devices("cpu")[0])
    images = Format(Layout((0, 2, 3, 1)), here)
    filters = Format(Layout((0, 1, 2, 3)), here)
    formats = images, filters, images
    placed = [jax.device_put(a, f) for a, f in zip((x, w, dy), formats, strict=True)]
    wanted, convolution.wanted = convolution.wanted, lambda: int(way)
    try:
        run = (
            jax.jit(
                calls[kind],
                in_shardings=formats,
                out_shardings=filters if kind == "weight gradient" else images,
            )
            .lower(*placed)
            .compile()
        )
    finally:
        convolution.wanted = wanted
    return lambda: run(*placed).block_until_ready()


def milliseconds(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Processor time: the median of the faster half, because neighbours only slow down."""
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            before = time.process_time()
            run()
            spent[name].append(1e3 * (time.process_time() - before))
    return {name: float(np.median(sorted(s)[: (len(s) + 1) // 2])) for name, s in spent.items()}


def in_float64(kind: str, given: Arrays) -> np.ndarray:
    """The same by NumPy."""
    x, w, dy = (np.float64(a) for a in given)

    def seen(images: np.ndarray) -> np.ndarray:
        images = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
        return np.lib.stride_tricks.sliding_window_view(images, (3, 3), (2, 3))

    if kind == "forward":
        return np.einsum("nchwij,ocij->nohw", seen(x), w, optimize=True)
    if kind == "input gradient":
        return np.einsum("nohwij,ocij->nchw", seen(dy), w[:, :, ::-1, ::-1], optimize=True)
    return np.einsum("nchwij,nohw->ocij", seen(x), dy, optimize=True)


def errors(kind: str, given: Arrays) -> dict[str, list[float]]:
    """The root mean square and the largest error, divided by the results' root mean square."""
    expected = in_float64(kind, given)
    scale = np.sqrt((expected**2).mean())
    found = {}
    for name, way in WAYS.items():
        error = np.asarray(compiled(kind, given, way)()) - expected
        found[name] = [float(e / scale) for e in (np.sqrt((error**2).mean()), np.abs(error).max())]
    return found


class Residual(model.Model):
    """Two residual blocks of 64 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = [layer.Conv2d(64, 3, padding=1, bias=False) for _ in range(5)]
        self.norms = [layer.BatchNorm2d() for _ in range(5)]
        self.linear = layer.Linear(10)
        self.optimizer = opt.SGD(0.05, momentum=0.9, weight_decay=1e-4)

    def forward(self, x: Tensor) -> Tensor:
        x = autograd.relu(self.norms[0](self.convs[0](x)))
        for i in (1, 3):
            y = autograd.relu(self.norms[i](self.convs[i](x)))
            x = autograd.relu(self.norms[i + 1](self.convs[i + 1](y)) + x)
        return self.linear(autograd.reduce_mean(x, (2, 3), keepdims=False))

    def train_one_batch(self, x: Tensor, y: Tensor) -> Tensor:
        loss = autograd.softmax_cross_entropy(self.forward(x), y)
        self.optimizer(loss)
        return loss


def losses(steps: int, exact: bool, moved: float = 0.0) -> list[float]:
    """The losses of a training on noisy pictures of ten classes."""
    rng = np.random.default_rng(0)
    pictures = rng.standard_normal((10, 3, 16, 16), np.float32)
    device.get_default_device().set_rand_seed(0)
    net, found = Residual(), []
    with device.exact_convolutions() if exact else nullcontext():
        for step in range(steps):
            labels = rng.integers(0, 10, 16).astype(np.int32)
            noise = rng.standard_normal((16, 3, 16, 16), np.float32)
            x, y = Tensor(data=pictures[labels] + 3 * noise), Tensor(data=labels)
            if step == 0:
                net.compile([x], use_graph=True)
                for parameter in net.get_params().values():
                    parameter.data = parameter.data * np.float32(1 + moved)
            found.append(float(net(x, y)))
    return found


def trained(steps: int) -> dict[str, list[float]]:
    """The losses of both ways, and of the exact one from parameters that are moved a little."""
    return {
        "Winograd": losses(steps, exact=False),
        "exact": losses(steps, exact=True),
        "exact, moved by 2^-23": losses(steps, exact=True, moved=2**-23),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=12, help="(%(default)s)")
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 32])
    parser.add_argument("--train", type=int, default=0, metavar="STEPS")
    parser.add_argument("--json", type=Path, nargs="?", const=RESULTS, help=f"({RESULTS})")
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    shown = Table("", "batch", "", "exact, ms", "Winograd, ms", "", "errors", "")
    found: dict[str, Any] = {"kernels": []}
    for sizes in (*RESNET, *OTHERS):
        for kind in KINDS:
            error = errors(kind, arrays(2, *sizes))
            for batch in chosen.batches:
                given = arrays(batch, *sizes)
                runs = {name: compiled(kind, given, way) for name, way in WAYS.items()}
                spent = milliseconds(runs, chosen.rounds)
                found["kernels"].append(
                    {"sizes": sizes, "kind": kind, "batch": batch, "ms": spent, "errors": error}
                )
                cells = [f"{spent[name]:.2f}" for name in WAYS]
                ratio = f"{spent['exact'] / spent['Winograd']:.2f}"
                marks = [" ".join(f"{e:.1e}" for e in error[name]) for name in WAYS]
                shown.add_row(f"{sizes} {kind}", str(batch), "", *cells, ratio, *marks)
    console = Console()
    console.print(shown)
    if chosen.train:
        found["losses"] = trained(chosen.train)
        for name, values in found["losses"].items():
            last = np.mean(values[-50:])
            console.print(f"{name}: {values[0]:.6f} ... {values[-1]:.6f}; the last 50: {last:.4f}")
    if chosen.json:
        about = machine.describe("cpu", contenders.THREADS) | {"rounds": chosen.rounds}
        chosen.json.write_text(json.dumps({"about": about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
