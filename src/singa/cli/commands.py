"""The commands and their options."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

import singa
from singa import data, device, opt, picture
from singa.cli import info as information
from singa.cli.progress import fit
from singa.data import Dataset
from singa.device import Device
from singa.errors import ArgumentError, DeviceError
from singa.models import CNN, MLP
from singa.training import Trainer

_INTERRUPTED = 130  # what shells report of a program that Ctrl-C ended
_BATCH_SIZE = 64
_SEED = 0


class ModelName(StrEnum):
    """The models that can be trained."""

    mlp = "mlp"
    cnn = "cnn"


class Precision(StrEnum):
    """What matrix products and convolutions compute in."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


class DataName(StrEnum):
    """The data sets of :data:`singa.data.NAMES`."""

    digits = "digits"
    mnist = "mnist"
    fashion_mnist = "fashion-mnist"
    cifar_10 = "cifar-10"
    cifar_100 = "cifar-100"


def _examples(*commands: str) -> str:
    # \b: the lines are not to be joined into a paragraph.
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"singa {singa.__version__}")
        raise typer.Exit


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(
    epilog=_examples(
        "singa train mlp",
        "singa train cnn --epochs 20 --checkpoint cnn.zip --plot cnn.png",
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


@app.command(
    epilog=_examples(
        "singa train cnn --epochs 20 --plot cnn.png",
        "singa train mlp --data fashion-mnist --lr 0.01",
        "singa train cnn --epochs 5 --checkpoint cnn.zip",
        "singa train cnn --epochs 10 --resume cnn.zip",
    )
)
def train(
    model: Annotated[ModelName, typer.Argument(help="What to train.")],
    data_name: Annotated[
        DataName, typer.Option("--data", help="What to train on; digits come with the package.")
    ] = DataName.digits,
    data_dir: Annotated[
        Path | None, typer.Option(help="The folder of the data set's files. [default: see info]")
    ] = None,
    epochs: Annotated[
        int, typer.Option(min=1, help="Train until so many are complete, earlier ones included.")
    ] = 10,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Images per step. [default: {_BATCH_SIZE}, or as resumed]"),
    ] = None,
    lr: Annotated[float, typer.Option(min=0, help="The learning rate of SGD.")] = 0.02,
    momentum: Annotated[float, typer.Option(min=0, help="The momentum of SGD.")] = 0.9,
    weight_decay: Annotated[float, typer.Option(min=0, help="The weight decay of SGD.")] = 1e-4,
    graph: Annotated[
        bool, typer.Option("--graph/--no-graph", help="Compile each step into one program.")
    ] = True,
    precision: Annotated[
        Precision, typer.Option(help="What matrix products and convolutions compute in.")
    ] = Precision.float32,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=f"Of the initial parameters and the batches. [default: {_SEED}, or as resumed]",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A new file to save to, after each epoch and on Ctrl-C.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="A checkpoint to go on from, and to save to without --checkpoint."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="A PNG of the loss, the accuracy and some predictions.")
    ] = None,
    device_name: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Train a classifier, and evaluate it after each epoch.

    A training that is resumed with the same options goes on bit for bit as if it had not been
    interrupted.
    """
    _check_outputs(checkpoint, resume, plot)
    place = _device(device_name)
    dataset = _load(data_name, data_dir)
    if batch_size is not None and batch_size > len(dataset.train_images):
        raise _misuse("--batch-size", f"there are {len(dataset.train_images)} training images")
    classes = len(dataset.class_names)
    net = MLP(num_classes=classes) if model is ModelName.mlp else CNN(num_classes=classes)
    net.set_optimizer(opt.SGD(lr, momentum=momentum, weight_decay=weight_decay))
    trainer = Trainer(
        net, dataset, batch_size or _BATCH_SIZE, seed or _SEED, graph, place, precision
    )
    if resume is not None:
        trainer.load(resume)
        _check_same("--batch-size", batch_size, trainer.batches.batch_size, resume)
        _check_same("--seed", seed, trainer.batches.seed, resume)

    parameters = sum(t.size() for t in net.get_params().values())
    typer.echo(
        f"{model.upper()} of {parameters:,} parameters on {data_name}: "
        f"{len(dataset.train_images):,} training and {len(dataset.test_images):,} test images; "
        f"{place.name}, {'compiled' if graph else 'eager'}"
    )
    file = checkpoint or resume
    if not fit(trainer, epochs, Console(), file):
        saved = f"saved, go on with --resume {file}" if file else "not saved"
        typer.echo(f"interrupted in epoch {trainer.epoch + 1}; {saved}", err=True)
        raise typer.Exit(_INTERRUPTED)
    if file is not None:
        typer.echo(f"saved {file}")
    if plot is not None:
        picture.draw(plot, trainer)
        typer.echo(f"drew {plot}")


@app.command(epilog=_examples("singa info", "singa info --json"))
def info(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Show versions, devices, settings, and where data sets are found."""
    found = information.collect()
    typer.echo(json.dumps(found, indent=2) if as_json else "\n".join(information.lines(found)))


def _check_outputs(checkpoint: Path | None, resume: Path | None, plot: Path | None) -> None:
    """Find out before the training, and not after it, that its results cannot be written."""
    if checkpoint is not None and checkpoint != resume and checkpoint.exists():
        raise _misuse(
            "--checkpoint",
            f"{checkpoint} exists; name another file, or go on from it with --resume",
        )
    for option, path in (("--checkpoint", checkpoint), ("--plot", plot)):
        if path is not None and not path.parent.is_dir():
            raise _misuse(option, f"there is no folder {path.parent}")
    if plot is not None:
        picture.check_available()


def _device(name: str) -> Device:
    try:
        return device.device_named(name)
    except DeviceError as error:
        raise _misuse("--device", str(error)) from None


def _load(name: DataName, data_dir: Path | None) -> Dataset:
    try:
        return data.load(name, data_dir)
    except ArgumentError as error:
        raise _misuse("--data-dir", str(error)) from None


def _check_same(option: str, given: int | None, saved: int | None, file: Path) -> None:
    if given not in (None, saved):
        raise _misuse(option, f"{file} was trained with {saved}")


def _misuse(option: str, message: str) -> typer.BadParameter:
    return typer.BadParameter(message, param_hint=f"'{option}'")
