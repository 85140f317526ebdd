"""The common parts of all commands: the program, its options, and errors of usage."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

import singa
from singa import data, device
from singa.data import Dataset
from singa.device import Device
from singa.errors import ArgumentError, DeviceError
from singa.models import MODELS
from singa.report.text import aligned

INTERRUPTED, TERMINATED = 130, 143  # what shells report for a program ended by Ctrl-C or SIGTERM


class ModelName(StrEnum):
    """The models of :data:`singa.models.MODELS`."""

    mlp = "mlp"
    cnn = "cnn"


class DataName(StrEnum):
    """The data sets of :data:`singa.data.NAMES`."""

    digits = "digits"
    mnist = "mnist"
    fashion_mnist = "fashion-mnist"
    cifar_10 = "cifar-10"
    cifar_100 = "cifar-100"


class Precision(StrEnum):
    """The type in which matrix products and convolutions compute."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


ModelArgument: TypeAlias = Annotated[ModelName, typer.Argument(help="Which model.")]
CheckpointArgument: TypeAlias = Annotated[
    Path, typer.Argument(help="A checkpoint of singa train, or a run folder, whose best is used.")
]
DataOption: TypeAlias = Annotated[
    DataName, typer.Option("--data", help="The data set; digits come with the package.")
]
DataDirOption: TypeAlias = Annotated[
    Path | None, typer.Option(help="The folder of the data set's files. [default: see info]")
]
DeviceOption: TypeAlias = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]
BatchOption: TypeAlias = Annotated[int, typer.Option(min=1, help="Images at a time.")]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="As JSON.")]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def examples(*commands: str) -> str:
    """The text below a command's help."""
    # \b keeps the lines from being joined into a paragraph.
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


def misuse(option: str, message: str) -> typer.BadParameter:
    """A user's error, with the usage of the option."""
    return typer.BadParameter(message, param_hint=f"'{option}'")


def place(name: str) -> Device:
    """The device with this name."""
    try:
        return device.device_named(name)
    except DeviceError as error:
        raise misuse("--device", str(error)) from None


def load(name: str, data_dir: Path | None) -> Dataset:
    """The data set with this name."""
    try:
        return data.load(name, data_dir)
    except ArgumentError as error:
        raise misuse("--data-dir", str(error)) from None


def model_of(name: str, dataset: Dataset) -> Any:
    """A new model with this name, for the classes of a data set."""
    return MODELS[name](num_classes=len(dataset.class_names))


def print_json(content: Any) -> None:
    """Print a result for other programs, as JSON. Numbers that are not finite become null."""
    typer.echo(json.dumps(_finite(content), indent=2, allow_nan=False))


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float) and content - content != 0:
        return None
    return content


def columns(rows: list[list[str]], left: int = 1) -> str:
    """Rows as text, the first ``left`` columns to the left, all others to the right."""
    return "\n".join(aligned(rows, right=range(left, len(rows[0]))))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"singa {singa.__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples(
        "singa train mlp",
        "singa train cnn --epochs 20 --run runs/cnn --report cnn.html",
        "singa evaluate runs/cnn/best.zip",
        "singa predict runs/cnn/best.zip digit.png",
        "singa launch --ranks 2 train.py",
        "singa info",
    )
)
def _singa(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Imperative autograd, run by XLA."""
