"""fit: trains a model on data."""

from __future__ import annotations

import json
import operator
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import singa
from singa import device as devices
from singa import tape
from singa.core.journal import Journal
from singa.core.tensor import random_key
from singa.data import DataLoader, Dataset
from singa.device import Device
from singa.errors import ArgumentError, DTypeError
from singa.model import Model
from singa.train import feeding, saving
from singa.train.evaluation import Evaluator, len_of
from singa.train.feeding import Source
from singa.train.history import History
from singa.train.logs import CsvLog, TensorBoardLog
from singa.train.measuring import Meters, Metrics, as_metrics
from singa.train.monitor import Monitor
from singa.train.progress import ProgressBar
from singa.train.run import BEST, CHECKPOINT, RunFolder
from singa.train.saving import Checkpoint
from singa.train.stopping import EarlyStopping
from singa.train.training import Callback, Training

PathLike = str | os.PathLike[str]


def fit(
    model: Model,
    data: Source,
    epochs: int,
    *,
    validation: Source | None = None,
    batch_size: int | None = None,
    metrics: Metrics = (),
    callbacks: Iterable[Callback] = (),
    checkpoint: PathLike | Checkpoint | None = None,
    resume: bool | PathLike = False,
    early_stopping: int | EarlyStopping | None = None,
    run: PathLike | RunFolder | None = None,
    report: bool | PathLike = False,
    csv: PathLike | None = None,
    tensorboard: PathLike | None = None,
    progress: bool | ProgressBar = True,
    seed: int = 0,
    use_graph: bool = True,
    precision: str = "float32",
    device: Device | None = None,
    about: Mapping[str, Any] | None = None,
) -> History:
    """Train a model: its ``train_one_batch``, batch by batch, epoch by epoch.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05, momentum=0.9))
    >>> history = train.fit(mlp, data.load_digits(), 3, metrics="accuracy", progress=False)
    >>> history["val_accuracy"][-1] > 0.8
    True

    The model brings its optimizer. It is compiled here, and in evaluation mode at the end. The
    batches of an epoch depend on nothing but ``seed`` and the epoch's number, so that a training
    that is resumed goes on bit for bit as if it had not been interrupted. Ctrl-C ends a training
    after the present step, and its checkpoint is saved; a second one ends it at once.

    Args:
        model: ``train_one_batch`` takes the fields of a batch, updates the parameters, and returns
            ``(out, loss)``, the loss alone, or a dict: ``{"out": out, "loss": loss}`` and further
            scalars, which are recorded under their names. ``forward`` takes the first fields, as
            many as it has to be given.
        data: arrays ``(x, y)`` of N rows each; an array, if there is nothing but x; a dataset; or
            a :class:`singa.data.DataLoader`, which says by itself how batches are made. They are
            shuffled otherwise, and an epoch's last batch is left out if it is short: every step
            then runs the same program. A :class:`singa.data.Dataset` has both what to train on
            and what to validate on.
        epochs: how many are to be complete in the end, those before ``resume`` included.
        validation: the same for an evaluation after each epoch, of all samples, in order. The
            loss is that of the model's ``evaluate_one_batch``, or of ``train_one_batch`` in the
            mode of evaluation and with its optimizers held still.
        batch_size: samples per step; 64 if not given, or all if there are fewer.
        metrics: of ``out`` and the batch's last field: names such as ``"accuracy"``, metrics of
            :mod:`singa.metric`, or a dict that names them.
        callbacks: what is to be called while it goes on.
        checkpoint: a new file to save to after each epoch, or a :class:`Checkpoint`.
        resume: go on from that file, or from the run folder's; or from this other one.
        early_stopping: end after so many epochs in which the validation's loss (without
            validation, the loss) was no better than before; or an :class:`EarlyStopping`.
        run: a new folder for all that is known of the training, or a :class:`RunFolder`.
        report: write a report at the end, one HTML file: with True, ``report.html`` in the run
            folder.
        csv: a new file of comma-separated values, a row for each epoch.
        tensorboard: a folder for TensorBoard's files. Needs the extra ``tensorboard``.
        progress: whether to show how it goes, on the standard output; or a :class:`ProgressBar`.
        seed: of the initial parameters, unless the model has them already, of random numbers in
            the model, and of the batches.
        use_graph: whether steps run as one compiled program.
        precision: ``"bfloat16"`` or ``"float16"`` for mixed precision.
        device: where; the CPU if not given.
        about: what else checkpoints and the run folder are to say, in JSON's types: ``data``, the
            data set's name, ``classes``, ...

    Returns:
        The numbers of all steps and epochs, and how it ended.

    Raises:
        ArgumentError: arguments that do not go together, files and folders that are there already
            or cannot be made, metrics that are not known; all of it before anything is trained.
        DTypeError: an argument of the wrong type; ``train_one_batch`` returned no loss.
        CheckpointError: the checkpoint is of another model, data set, seed or batch size.
        DependencyError: an optional package is needed that is not installed.
    """
    with ExitStack() as stack:
        if not isinstance(model, Model):
            raise DTypeError(f"fit: a Model is expected, got {type(model).__name__}")
        epochs = _epochs(epochs)
        measures = as_metrics("fit", metrics)
        given = _checked(callbacks)
        folder = _run_folder(run, report, resume, type(model).__name__, stack)
        saver = _saver(checkpoint, resume)
        start = _start(resume, saver, folder)
        logs = _logs(csv, tensorboard, progress, resume is not False)
        endings = _endings(early_stopping, folder, saver)
        further = _as_json(about)

        place = device or devices.get_default_device()
        if validation is None and isinstance(data, Dataset):
            validation = data.test
        loader = feeding.training_loader("fit", data, batch_size, seed, place)
        validating = None
        if validation is not None:
            size = None if isinstance(validation, DataLoader) else loader.batch_size
            validating = feeding.evaluation_loader("fit", validation, size, place)
        batch, checksum = feeding.example("fit", loader, place)

        own = {
            "format": saving.FORMAT,
            "singa": singa.__version__,
            "class": type(model).__name__,
            "seed": seed,
            "batch_size": loader.batch_size,
            "samples": len(loader.dataset),
            "validation_samples": None if validating is None else len(validating.dataset),
            "metrics": list(measures),
            "inputs": [[list(field.shape), str(field.dtype)] for field in batch],
            "checksum": checksum,
        }
        if start is not None:
            saving.check(start, own)
        with _undone_if_it_fails(place):
            place.set_rand_seed(seed)
            model.compile(
                feeding.inputs_of(model, batch),
                is_train=True,
                use_graph=use_graph,
                precision=precision,
            )
            evaluator = Evaluator("fit", model, measures)
            if validating is not None or measures:
                evaluator.check(batch)
            training = Training(
                model,
                epochs,
                loader,
                validating,
                Meters(measures, use_graph),
                evaluator,
                place,
                seed,
                len_of(batch),
                further | own | {"precision": str(model.precision or "float32")},
                folder,
            )
            callbacks = [*([] if folder is None else [folder]), *logs, *given, *endings]
            for callback in reversed(callbacks):  # of the last ones: the user's come before
                monitor = getattr(callback, "monitor", None)
                if isinstance(monitor, Monitor):
                    training.monitors[monitor.name(training)] = monitor
            if start is not None:
                saving.load(training, start)
        return training.train(callbacks)


@contextmanager
def _undone_if_it_fails(place: Device) -> Iterator[None]:
    """A block before the training: if it fails, the model and the random stream are as before."""
    is_training = tape.mode.training
    random_key(place)  # so that there is one
    try:
        with Journal():
            yield
    except BaseException:
        tape.mode.training = is_training
        raise


def _checked(callbacks: Iterable[Callback]) -> list[Callback]:
    found = list(callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            raise DTypeError(f"fit: a callback is a train.Callback, not {callback!r}")
    return found


def _as_json(about: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(about or {})))
    except (TypeError, ValueError) as error:
        raise DTypeError(f"fit: about has to be of JSON's types: {error}") from None
    return found


def _logs(
    csv: PathLike | None,
    tensorboard: PathLike | None,
    progress: bool | ProgressBar,
    is_resumed: bool,
) -> list[Callback]:
    """What tells how the training goes on."""
    logs: list[Callback] = []
    if csv is not None:
        _check_new("csv", csv, is_resumed)
        logs.append(CsvLog(csv))
    if tensorboard is not None:
        logs.append(TensorBoardLog(tensorboard))
    if progress is not False:
        logs.append(ProgressBar() if progress is True else progress)
    return logs


def _endings(
    early_stopping: int | EarlyStopping | None, folder: RunFolder | None, saver: Checkpoint | None
) -> list[Callback]:
    """What comes after the user's callbacks."""
    endings: list[Callback] = []
    if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
        early_stopping = EarlyStopping(early_stopping)
    if early_stopping is not None:
        endings.append(early_stopping)
    if saver is not None:
        endings.append(saver)
    if folder is not None:
        own = Checkpoint(folder.path / CHECKPOINT, best=folder.path / BEST)
        if saver is None or saver.path != own.path:
            endings.append(own)
        elif saver.best is None:
            saver.best = own.best  # resume= has named the folder's
    for ending in endings:  # one meaning of what is best
        if isinstance(ending, Checkpoint) and early_stopping and not ending.is_monitor_given:
            ending.monitor = early_stopping.monitor
    return endings


def _epochs(epochs: int) -> int:
    try:
        number = operator.index(epochs)
    except TypeError:
        raise DTypeError(f"fit: epochs is a number of them, got {epochs!r}") from None
    if number < 1:
        raise ArgumentError(f"fit: epochs is {number}, at least 1 is expected")
    return number


def _run_folder(
    run: PathLike | RunFolder | None,
    report: bool | PathLike,
    resume: bool | PathLike,
    name: str,
    stack: ExitStack,
) -> RunFolder | None:
    if report is False:
        page = None
    elif report is True:
        if run is None:
            raise ArgumentError("fit: report=True writes into the run folder: name one with run=")
        page = (run.path if isinstance(run, RunFolder) else Path(run)) / "report.html"
    else:
        page = Path(report)
        if run is None:  # a report is made of a run folder
            run = Path(stack.enter_context(tempfile.TemporaryDirectory())) / name
    if run is None:
        return None
    folder = run if isinstance(run, RunFolder) else RunFolder(run)
    folder.report = page or folder.report
    is_its_own = resume is True or (
        resume is not False and Path(resume).resolve().parent == folder.path.resolve()
    )
    is_new = not folder.path.exists() or (folder.path.is_dir() and not any(folder.path.iterdir()))
    if not is_new and not is_its_own:
        raise ArgumentError(
            f"fit: run: {folder.path} exists; name another folder, or go on with resume=True"
        )
    if folder.report is not None and folder.report.parent != folder.path:
        _check_new("report", folder.report, resume=True)
    return folder


def _saver(checkpoint: PathLike | Checkpoint | None, resume: bool | PathLike) -> Checkpoint | None:
    if checkpoint is None:
        # A file to go on from is one to save to.
        if isinstance(resume, bool):
            return None
        checkpoint = resume
    saver = checkpoint if isinstance(checkpoint, Checkpoint) else Checkpoint(checkpoint)
    is_same = resume is True or (resume is not False and Path(resume) == saver.path)
    _check_new("checkpoint", saver.path, is_same)
    _check_new("checkpoint's best", saver.best, resume is not False)
    return saver


def _start(
    resume: bool | PathLike, saver: Checkpoint | None, folder: RunFolder | None
) -> Path | None:
    """The checkpoint to go on from."""
    if resume is False:
        return None
    if resume is not True:
        return Path(resume)
    if saver is not None:
        return saver.path
    if folder is not None:
        return folder.path / CHECKPOINT
    raise ArgumentError("fit: resume=True goes on from the checkpoint= or the run=: name one")


def _check_new(what: str, fpath: PathLike | None, resume: bool) -> None:
    """Refuse a file that is there already, or that cannot be made, before any training.

    Raises:
        ArgumentError: it exists and no training is resumed; or there is no such folder.
    """
    if fpath is None:
        return
    path = Path(fpath)
    if path.exists() and not resume:
        raise ArgumentError(
            f"fit: {what}: {path} exists; name another one, or go on from it with resume=True"
        )
    if not path.parent.is_dir():
        raise ArgumentError(f"fit: {what}: there is no folder {path.parent}")
