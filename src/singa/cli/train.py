"""``singa train``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from singa import opt
from singa import train as training
from singa.cli.app import (
    INTERRUPTED,
    TERMINATED,
    DataDirOption,
    DataName,
    DataOption,
    DeviceOption,
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
from singa.cli.task import Task
from singa.data import Dataset
from singa.device import Device
from singa.opt import Optimizer
from singa.opt.schedule import Number
from singa.train import Callback, Checkpoint, EarlyStopping, History, ProgressBar, Training, picture
from singa.train.run import CHECKPOINT
from singa.train.training import DIVERGED

_BATCH_SIZE = 64
_SEED = 0


class OptimizerName(StrEnum):
    """The optimizers that the command line knows."""

    sgd = "sgd"
    adam = "adam"
    adamw = "adamw"


class Schedule(StrEnum):
    """How the learning rate changes."""

    constant = "constant"
    cosine = "cosine"
    linear = "linear"
    step = "step"
    one_cycle = "one-cycle"


@app.command(
    epilog=examples(
        "singa train cnn --epochs 20 --plot cnn.png",
        "singa train cnn --run runs/cnn --early-stopping 5 --report cnn.html",
        "singa train mlp --data fashion-mnist --lr 0.01 --schedule cosine",
        "singa train cnn --epochs 5 --checkpoint cnn.zip",
        "singa train cnn --epochs 10 --resume cnn.zip",
    )
)
def train(
    model: ModelArgument,
    data_name: DataOption = DataName.digits,
    data_dir: DataDirOption = None,
    epochs: Annotated[
        int, typer.Option(min=1, help="Train until this many are complete, including earlier ones.")
    ] = 10,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Images per step. [default: {_BATCH_SIZE}, or as resumed]"),
    ] = None,
    optimizer: Annotated[
        OptimizerName, typer.Option(help="The algorithm that updates the parameters.")
    ] = OptimizerName.sgd,
    lr: Annotated[
        float | None,
        typer.Option(min=0, help="The learning rate. [default: 0.02; 0.001 for adam and adamw]"),
    ] = None,
    momentum: Annotated[float, typer.Option(min=0, help="The momentum of SGD.")] = 0.9,
    weight_decay: Annotated[float, typer.Option(min=0, help="The weight decay.")] = 1e-4,
    schedule: Annotated[
        Schedule,
        typer.Option(
            help="How the learning rate changes until the last epoch: it is constant, falls to 0 "
            "along a cosine or a line, is divided by 10 after each third, or rises and falls."
        ),
    ] = Schedule.constant,
    warmup: Annotated[
        int, typer.Option(min=0, help="Steps in which the learning rate rises from 0 before that.")
    ] = 0,
    early_stopping: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Stop when the loss on the test images was not better for this many epochs, and "
            "restore the best epoch, also in --checkpoint.",
        ),
    ] = None,
    graph: Annotated[
        bool, typer.Option("--graph/--no-graph", help="Compile each step into one program.")
    ] = True,
    precision: Annotated[
        Precision, typer.Option(help="The data type of matrix products and convolutions.")
    ] = Precision.float32,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The seed of the initial parameters and the batches. "
            f"[default: {_SEED}, or as resumed]",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="A new file, saved after each epoch, on Ctrl-C and on SIGTERM."),
    ] = None,
    best: Annotated[
        Path | None, typer.Option(help="A new file for the epoch with the least test loss.")
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint or run folder to continue from, and to save to if --checkpoint is "
            "not given."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            help="A new folder for numbers, checkpoints, graph and times, for singa board."
        ),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="An HTML page about the training, written at the end.")
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="A file of comma-separated values, a row per epoch.")
    ] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="A folder for TensorBoard's files; needs tensorboardX.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="A PNG of the loss, the accuracy and some predictions.")
    ] = None,
    device_name: DeviceOption = "cpu",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, and progress to stderr.")
    ] = False,
) -> None:
    """Train a classifier, and evaluate it after each epoch.

    A training that is resumed with the same options gives, bit for bit, the results of a training
    that was not interrupted.
    """
    files = _Files.of(checkpoint, best, resume, run, report, csv, tensorboard, plot)
    files.check()
    where = place(device_name)
    dataset = load(data_name, data_dir)
    size, seed = _batches(files.resume, batch_size, seed, len(dataset.train_images))
    net = model_of(model, dataset)
    steps = epochs * (len(dataset.train_images) // size)
    rate = _rate(schedule, _default_rate(optimizer, lr), warmup, steps)
    net.set_optimizer(_optimizer(optimizer, rate, momentum, weight_decay))
    console = Console(stderr=as_json)
    file = files.checkpoint or files.resume
    history = training.fit(
        net,
        dataset,
        epochs,
        batch_size=size,
        metrics="accuracy",
        callbacks=[_Title(_title(model, data_name, dataset, where, graph), console)],
        checkpoint=None if file is None else Checkpoint(file, best=best),
        resume=files.resume or False,
        early_stopping=None
        if early_stopping is None
        else EarlyStopping(early_stopping, restore_best=True),
        run=files.run,
        report=report or False,
        csv=csv,
        tensorboard=tensorboard,
        progress=ProgressBar(console),
        seed=seed,
        use_graph=graph,
        precision=precision,
        device=where,
        about=Task.of(model, data_name, dataset).about(),
    )
    if history.status == "interrupted":
        goes_on = files.run or file
        typer.echo(f"saved, go on with --resume {goes_on}" if goes_on else "not saved", err=True)
        raise typer.Exit(TERMINATED if "SIGTERM" in history.stopped else INTERRUPTED)
    if history.status == DIVERGED:
        typer.echo(f"error: {history.stopped}; the last good checkpoint is kept", err=True)
        raise typer.Exit(1)
    if plot is not None:
        picture.draw(plot, net, dataset, history)
    _tell(history, files.written(), as_json)


@dataclass(frozen=True)
class _Files:
    """Files and folders to write, and to continue from; the attributes are options of ``train``."""

    checkpoint: Path | None
    best: Path | None
    resume: Path | None
    run: Path | None
    report: Path | None
    csv: Path | None
    tensorboard: Path | None
    plot: Path | None

    @classmethod
    def of(
        cls,
        checkpoint: Path | None,
        best: Path | None,
        resume: Path | None,
        run: Path | None,
        *others: Path | None,
    ) -> _Files:
        """These options; if ``resume`` is a run folder, the checkpoint in it is used."""
        if resume is not None and resume.is_dir():
            run, resume = run or resume, resume / CHECKPOINT
        return cls(checkpoint, best, resume, run, *others)

    def check(self) -> None:
        """Raise before the training, and not after it, if its results cannot be written."""
        checkpoint, best, resume, run = self.checkpoint, self.best, self.resume, self.run
        if best is not None and checkpoint is None and resume is None:
            raise misuse("--best", "it goes with --checkpoint; a --run has a best.zip of its own")
        if run is not None and resume is None and run.exists() and any(run.iterdir()):
            raise misuse(
                "--run", f"{run} exists; name another folder, or go on with --resume {run}"
            )
        for option, path in (("--checkpoint", checkpoint), ("--best", best), ("--csv", self.csv)):
            if path is not None and path.exists() and resume is None:
                raise misuse(
                    option, f"{path} exists; name another file, or go on from it with --resume"
                )
        if checkpoint is not None and checkpoint != resume and checkpoint.exists():
            raise misuse("--checkpoint", f"{checkpoint} exists; name another file")
        named = {
            "--checkpoint": checkpoint, "--best": best, "--report": self.report, "--csv": self.csv,
            "--plot": self.plot,
        }  # fmt: skip
        for option, path in named.items():
            if path is not None and not path.parent.is_dir():
                raise misuse(option, f"there is no folder {path.parent}")
        if self.plot is not None:
            picture.check_available()

    def written(self) -> dict[str, Path]:
        """The files and folders that exist when the training has ended."""
        saved = self.checkpoint or self.resume
        if saved is None and self.run is not None:
            saved = self.run / CHECKPOINT
        found = {
            "saved": saved,
            "best": self.best,
            "run": self.run,
            "report": self.report,
            "csv": self.csv,
            "drew": self.plot,
        }
        return {name: path for name, path in found.items() if path is not None}


def _batches(
    resume: Path | None, batch_size: int | None, seed: int | None, images: int
) -> tuple[int, int]:
    """The batch size and the seed; those of the checkpoint if a training is resumed."""
    if resume is not None:
        saved = training.read_about(resume)
        batch_size = _as_saved("--batch-size", batch_size, saved.get("batch_size"), resume)
        seed = _as_saved("--seed", seed, saved.get("seed"), resume)
    size = batch_size or _BATCH_SIZE
    if size > images:
        raise misuse("--batch-size", f"there are {images} training images")
    return size, seed or _SEED


def _title(model: str, data: str, dataset: Dataset, where: Device, graph: bool) -> str:
    """A line that says what is trained, with a place for the number of parameters."""
    return (
        f"{model.upper()} of {{:,}} parameters on {data}: "
        f"{len(dataset.train_images):,} training and {len(dataset.test_images):,} test images; "
        f"{where.name}, {'compiled' if graph else 'eager'}"
    )


def _tell(history: History, written: Mapping[str, Path], as_json: bool) -> None:
    """Print where the results are; with ``as_json``, also the result itself."""
    if as_json:
        print_json(_result(history) | {name: str(path) for name, path in written.items()})
        return
    for name, path in written.items():
        typer.echo(f"{name} {path}")


class _Title(Callback):
    """Prints what is trained, when the number of parameters is known."""

    def __init__(self, title: str, console: Console) -> None:
        self.title, self.console = title, console

    def on_train_begin(self, training: Training) -> None:
        parameters = sum(t.size() for t in training.model.get_params().values())
        self.console.print(self.title.format(parameters), highlight=False, soft_wrap=True)


def _result(history: History) -> dict[str, Any]:
    epochs = [history.epochs.row(i) for i in range(history.epochs.rows)]
    return {
        "status": history.status,
        "stopped": history.stopped,
        "best": history.best,
        "epochs": epochs,
    }


def _default_rate(optimizer: OptimizerName, lr: float | None) -> float:
    if lr is not None:
        return lr
    return 0.02 if optimizer is OptimizerName.sgd else 0.001


def _rate(schedule: Schedule, lr: float, warmup: int, steps: int) -> Number:
    """The learning rate for this many steps."""
    left = max(steps - warmup, 1)
    after: dict[Schedule, Callable[[], Number]] = {
        Schedule.constant: lambda: lr,
        Schedule.cosine: lambda: opt.CosineDecay(lr, left),
        Schedule.linear: lambda: opt.PolynomialDecay(lr, left),
        Schedule.step: lambda: opt.StepDecay(lr, max(left // 3, 1)),
        Schedule.one_cycle: lambda: opt.OneCycle(lr, left),
    }
    rate = after[schedule]()
    return opt.LinearWarmup(rate, warmup) if warmup else rate


def _optimizer(name: OptimizerName, lr: Number, momentum: float, weight_decay: float) -> Optimizer:
    if name is OptimizerName.sgd:
        return opt.SGD(lr, momentum=momentum, weight_decay=weight_decay)
    kind = opt.Adam if name is OptimizerName.adam else opt.AdamW
    return kind(lr, weight_decay=weight_decay)


def _as_saved(option: str, given: int | None, saved: Any, file: Path) -> int | None:
    """The value in the checkpoint; an error if the option gives another one."""
    if given not in (None, saved):
        raise misuse(option, f"{file} was trained with {saved}")
    return saved if isinstance(saved, int) else given
