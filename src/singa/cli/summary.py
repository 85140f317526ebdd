"""``singa summary`` and ``singa profile``: the layers of a model, and the time of operations."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from singa import opt
from singa.cli.app import (
    BatchOption,
    DataDirOption,
    DataName,
    DataOption,
    DeviceOption,
    JsonOption,
    ModelArgument,
    Precision,
    app,
    examples,
    load,
    misuse,
    model_of,
    place,
    print_json,
)
from singa.core.tensor import Tensor
from singa.report import Profile

_WARM_UP = 3  # steps


class By(StrEnum):
    """What each line of a profile is for."""

    operation = "operation"
    name = "name"


@app.command(
    epilog=examples(
        "singa summary cnn", "singa summary mlp --data fashion-mnist", "singa summary cnn --json"
    )
)
def summary(
    model: ModelArgument,
    data_name: DataOption = DataName.digits,
    data_dir: DataDirOption = None,
    batch_size: BatchOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Show a model layer by layer: outputs, parameters, memory, multiply-adds."""
    dataset = load(data_name, data_dir)
    net = model_of(model, dataset)
    found = net.summary([Tensor((batch_size, *dataset.train_images.shape[1:]))])
    if as_json:
        print_json(found.as_dict())
    else:
        typer.echo(str(found))


@app.command(
    epilog=examples(
        "singa profile cnn",
        "singa profile cnn --data cifar-10 --batch-size 128 --by name",
        "singa profile cnn --graph step.svg",
    )
)
def profile(
    model: ModelArgument,
    data_name: DataOption = DataName.digits,
    data_dir: DataDirOption = None,
    batch_size: BatchOption = 64,
    steps: Annotated[int, typer.Option(min=1, help="The number of steps that are timed.")] = 20,
    by: Annotated[By, typer.Option(help="A line per operation, or per name.")] = By.operation,
    most: Annotated[int, typer.Option(min=1, help="The number of lines to show.")] = 20,
    compiled: Annotated[bool, typer.Option("--compiled/--eager", help="How the steps run.")] = True,
    precision: Annotated[
        Precision, typer.Option(help="The type in which matrix products and convolutions compute.")
    ] = Precision.float32,
    graph: Annotated[
        Path | None,
        typer.Option(help="An SVG of the step's operations, coloured by their time."),
    ] = None,
    device_name: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Show the time of each operation of a training step."""
    if graph is not None and graph.suffix != ".svg":
        raise misuse("--graph", f"the name of an SVG ends in .svg, not as in {graph}")
    if graph is not None and not graph.parent.is_dir():
        raise misuse("--graph", f"there is no folder {graph.parent}")
    if graph is not None and not compiled:
        raise misuse("--graph", "an eager step has no graph: --compiled")
    where = place(device_name)
    dataset = load(data_name, data_dir)
    if batch_size > len(dataset.train_images):
        raise misuse("--batch-size", f"there are {len(dataset.train_images)} training images")
    net = model_of(model, dataset)
    net.set_optimizer(opt.SGD(0.02, momentum=0.9))
    x = Tensor(data=dataset.train_images[:batch_size], device=where, requires_grad=False)
    y = Tensor(data=dataset.train_labels[:batch_size], device=where, requires_grad=False)
    net.compile([x], is_train=True, use_graph=compiled, precision=precision)
    with net.profile(skip=_WARM_UP, limit=steps) as found:
        for _ in range(_WARM_UP + steps):
            net(x, y)
    if graph is not None:
        net.draw_graph(graph, profile=found)
    if as_json:
        print_json(_json(found))
        return
    typer.echo(found.table(by=by, most=most))
    if graph is not None:
        typer.echo(f"\ndrew {graph}")


def _json(found: Profile) -> Any:
    return json.loads(found.to_json())
