"""``singa predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from singa import train as training
from singa.cli.app import (
    CheckpointArgument,
    DeviceOption,
    JsonOption,
    app,
    columns,
    examples,
    place,
    print_json,
)
from singa.cli.task import Task
from singa.errors import CheckpointError


@app.command(
    epilog=examples(
        "singa predict cnn.zip digit.png",
        "singa predict runs/cnn scans/*.jpg --top 3",
        "singa predict cnn.zip digit.png --json",
    )
)
def predict(
    checkpoint: CheckpointArgument,
    images: Annotated[list[Path], typer.Argument(help="Image files, of any size.")],
    top: Annotated[
        int, typer.Option(min=1, help="The number of classes to show, the most probable first.")
    ] = 1,
    invert: Annotated[
        bool | None,
        typer.Option(
            "--invert/--no-invert",
            help="Exchange black and white. [default: if a grey image's border is then more "
            "similar to those that the model was trained on]",
        ),
    ] = None,
    device_name: DeviceOption = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Classify images with a trained model, and show the probabilities.

    Images are made grey, if the model was trained on grey images, and resized to the size of those.
    Transparent ones lie on white, or on black if they are made grey and what is drawn is light.
    """
    where = place(device_name)
    checkpoint = Task.file(checkpoint)
    task = Task.read(checkpoint)
    pixels = np.stack([task.picture(path, invert) for path in images])
    scores = training.predict(task.load(checkpoint, where), pixels).astype(np.float64)
    if not np.isfinite(scores).all():
        raise CheckpointError(
            f"{checkpoint}: the model's outputs are not finite, so that they are no probabilities; "
            "its training has diverged, or its weights are damaged"
        )
    exponentials = np.exp(scores - scores.max(1, keepdims=True))
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    found = [
        [(task.classes[i], float(row[i])) for i in order]
        for row, order in zip(probabilities, best, strict=True)
    ]
    if as_json:
        print_json(
            [
                {
                    "image": str(path),
                    "classes": [{"name": name, "probability": p} for name, p in classes],
                }
                for path, classes in zip(images, found, strict=True)
            ]
        )
        return
    rows = [
        [str(path) if not i else "", name, f"{probability:.2%}"]
        for path, classes in zip(images, found, strict=True)
        for i, (name, probability) in enumerate(classes)
    ]
    typer.echo(columns(rows, left=2))
