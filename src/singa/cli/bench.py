"""``singa bench``: the time of training steps on this machine."""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
import typer

import singa
from singa import opt
from singa.cli import peers
from singa.cli.app import (
    BatchOption,
    DeviceOption,
    JsonOption,
    ModelName,
    app,
    columns,
    examples,
    misuse,
    place,
    print_json,
)
from singa.core.tensor import Tensor
from singa.device import Device
from singa.engine import native
from singa.models import MODELS

_WARM_UP = 3  # steps, the first of which compiles
_ROUNDS = 7
_QUIET = 1.0  # the load from which a machine is not quiet

Step = Callable[[], Any]


@app.command(
    epilog=examples(
        "singa bench", "singa bench cnn --batch-size 128 --shape 3x32x32", "singa bench --json"
    )
)
def bench(
    model: Annotated[ModelName | None, typer.Argument(help="Which model. [default: all]")] = None,
    batch_size: BatchOption = 64,
    shape: Annotated[
        str, typer.Option(help="The shape of the images: channels, height, width.")
    ] = "1x28x28",
    seconds: Annotated[float, typer.Option(min=0.01, help="The approximate time for each.")] = 2.0,
    device_name: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Time training steps, compiled and eager, and those of PyTorch if it is installed.

    Forward, backward and SGD with momentum on random images. All run in turns; the result is the
    median of the rounds. For a comparison of more models and libraries, with a check of the losses,
    see "make bench" in the repository.
    """
    size = re.fullmatch(r"(\d+)x(\d+)x(\d+)", shape)
    image = tuple(map(int, size.groups())) if size else ()
    if not image or 0 in image:
        raise misuse("--shape", f"{shape}: channels, height and width are expected: 3x32x32")
    where = place(device_name)
    names = [model.value] if model is not None else list(MODELS)
    rng = np.random.default_rng(0)
    images = rng.standard_normal((batch_size, *image), np.float32)
    labels = rng.integers(0, peers.CLASSES, batch_size, np.int32)
    torch = peers.torch_version()
    times: dict[str, dict[str, float]] = {}
    load = _load()
    for name in names:
        steps = {
            "compiled": _our_step(name, images, labels, where, use_graph=True),
            "eager": _our_step(name, images, labels, where, use_graph=False),
        }
        if torch is not None:
            kind = "cpu" if where.name == "cpu" else "cuda"
            steps["PyTorch"] = peers.torch_step(name, images, labels, kind)
        times[name] = _measure(steps, seconds)
    if as_json:
        about = _about(where, batch_size, image, torch) | {"load": load}
        print_json(about | {"seconds per step": times})
        return
    typer.echo(
        f"{batch_size} images of {shape}, {where.jax_device.device_kind} ({os.cpu_count()} cores), "
        f"native kernels {native.status}\n"
    )
    contenders = list(next(iter(times.values())))
    head = ["milliseconds per step", *contenders, "compiled is faster than eager"]
    if torch is not None:
        head.append("than PyTorch")
    rows = [
        [
            name,
            *(f"{1e3 * found[contender]:.3f}" for contender in contenders),
            *(f"{found[c] / found['compiled']:.1f} x" for c in contenders if c != "compiled"),
        ]
        for name, found in times.items()
    ]
    typer.echo(columns([head, *rows]))
    peer = f"PyTorch {torch}" if torch else "PyTorch is not installed, and not measured"
    typer.echo(f"\nsinga {singa.__version__}, jax {version('jax')}; {peer}")
    if load > _QUIET:
        typer.echo(f"The times are disturbed: {load:.1f} programs were running when it began.")


def _our_step(name: str, images: Any, labels: Any, where: Device, use_graph: bool) -> Step:
    net = MODELS[name](num_classes=peers.CLASSES)
    net.set_optimizer(opt.SGD(0.02, momentum=0.9))
    x = Tensor(data=images, device=where, requires_grad=False)
    y = Tensor(data=labels, device=where, requires_grad=False)
    net.compile([x], is_train=True, use_graph=use_graph)

    def step() -> Any:
        # Several models run in turns here: each turns training mode on for itself.
        net.train()
        return net(x, y)[1]

    return step


def _measure(steps: dict[str, Step], seconds: float) -> dict[str, float]:
    """Seconds per step: medians of rounds, in which all run in turns."""
    counts: dict[str, int] = {}
    for name, step in steps.items():
        for _ in range(_WARM_UP):
            float(step())
        began = time.perf_counter()
        float(step())
        counts[name] = max(int(seconds / _ROUNDS / (time.perf_counter() - began)), 1)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(_ROUNDS):
        for name, step in steps.items():
            began = time.perf_counter()
            for _ in range(counts[name]):
                loss = step()
            float(loss)  # waits for the last step, and so for all
            times[name].append((time.perf_counter() - began) / counts[name])
    return {name: statistics.median(found) for name, found in times.items()}


def _load() -> float:
    """The average number of running programs in the last minute; 0 if that is not known."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _about(
    where: Device, batch_size: int, image: tuple[int, ...], torch: str | None
) -> dict[str, Any]:
    return {
        "singa": singa.__version__,
        "jax": version("jax"),
        "torch": torch,
        "platform": platform.platform(),
        "device": where.name,
        "device kind": where.jax_device.device_kind,
        "cores": os.cpu_count(),
        "native kernels": native.status,
        "batch size": batch_size,
        "image": list(image),
    }
