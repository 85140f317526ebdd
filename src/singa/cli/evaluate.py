"""``singa evaluate``."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from singa import metric
from singa import train as training
from singa.cli.app import (
    BatchOption,
    CheckpointArgument,
    DataDirOption,
    DataName,
    DeviceOption,
    JsonOption,
    app,
    columns,
    examples,
    load,
    misuse,
    place,
    print_json,
)
from singa.cli.task import Task

_MOST_CLASSES = 20  # that a table can show
_MOST_PAIRS = 20


@app.command(
    epilog=examples(
        "singa evaluate cnn.zip",
        "singa evaluate runs/fashion --data-dir ~/data",
        "singa evaluate cnn.zip --json",
    )
)
def evaluate(
    checkpoint: CheckpointArgument,
    data_name: Annotated[
        DataName | None,
        typer.Option("--data", help="A data set other than the one it was trained on."),
    ] = None,
    data_dir: DataDirOption = None,
    batch_size: BatchOption = 64,
    device_name: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Show how good a trained model is on test images: loss, accuracy, and confused classes."""
    where = place(device_name)
    checkpoint = Task.file(checkpoint)
    task = Task.read(checkpoint)
    name = data_name or task.data
    dataset = load(name, data_dir)
    if dataset.test_images.shape[1:] != task.shape or len(dataset.class_names) != len(task.classes):
        raise misuse(
            "--data",
            f"{checkpoint} is of images {task.shape} of {len(task.classes)} classes, "
            f"{name} has {dataset.test_images.shape[1:]} of {len(dataset.class_names)}",
        )
    net = task.load(checkpoint, where)
    found = training.evaluate(net, dataset, metrics="accuracy", batch_size=batch_size)
    scores = training.predict(net, dataset.test_images, batch_size=batch_size)
    confusion = metric.ConfusionMatrix(len(task.classes))(scores, dataset.test_labels)
    if as_json:
        print_json(
            {
                "checkpoint": str(checkpoint),
                "model": task.model,
                "data": str(name),
                "samples": len(dataset.test_images),
                **found,
                "classes": dataset.class_names,
                "confusion": confusion.tolist(),
            }
        )
        return
    typer.echo(
        f"{task.model.upper()} of {checkpoint} on {len(dataset.test_images):,} test images of "
        f"{name}\nloss      {found['loss']:.4f}\naccuracy  {found['accuracy']:.2%}\n"
    )
    typer.echo(_table(confusion, dataset.class_names))


def _table(confusion: np.ndarray, names: tuple[str, ...]) -> str:
    """How often images of a class (row) were classified as another (column)."""
    counts = confusion.sum(1)
    if len(names) > _MOST_CLASSES:
        wrong = confusion * (1 - np.eye(len(names), dtype=confusion.dtype))
        order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS]
        pairs = [divmod(int(place), len(names)) for place in order]
        rows = [[names[i], names[j], f"{wrong[i, j]:,}"] for i, j in pairs if wrong[i, j]]
        return columns([["class", "taken for", "times"], *rows], left=2)
    head = ["class", *names, "right"]
    rows = [
        [
            name,
            *(f"{count:,}" if count else "." for count in row),
            f"{row[i] / counts[i]:.1%}" if counts[i] else "",
        ]
        for i, (name, row) in enumerate(zip(names, confusion, strict=True))
    ]
    return columns([head, *rows])
