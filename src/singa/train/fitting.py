"""fit: trains a model on data."""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import singa
from singa import device as devices
from singa import tape
from singa.core.journal import Journal
from singa.core.tensor import random_key
from singa.device import Device
from singa.errors import ArgumentError, DTypeError
from singa.metric import Metric
from singa.model import Model
from singa.train import feeding, saving
from singa.train.evaluation import Evaluator, len_of
from singa.train.feeding import Feed, Source
from singa.train.history import History
from singa.train.measuring import Meters, Metrics, as_metrics
from singa.train.monitor import Monitor
from singa.train.outputs import Outputs, PathLike
from singa.train.progress import ProgressBar
from singa.train.run import RunFolder
from singa.train.saving import Checkpoint
from singa.train.stopping import EarlyStopping
from singa.train.together import Ranks
from singa.train.training import Callback, Training


def fit(
    model: Model,
    data: Source,
    epochs: int,
    *,
    validation: Source | float | None = None,
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
    stop_at_nan: bool = True,
    about: Mapping[str, Any] | None = None,
) -> History:
    """Train a model: run its ``train_one_batch`` with each batch of each epoch.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05, momentum=0.9))
    >>> history = train.fit(mlp, data.load_digits(), 3, metrics="accuracy", progress=False)
    >>> history["val_accuracy"][-1] > 0.8
    True

    The model has its optimizer already. It is compiled here, and is in evaluation mode at the end.
    The batches of an epoch depend only on ``seed`` and the epoch's number, so a resumed training
    gives, bit for bit, the results of one that was not interrupted. Ctrl-C or
    SIGTERM ends a training after the present step, and its checkpoint is saved; a second one ends
    it at once.

    If the optimizer is a :class:`singa.opt.DistOpt`, all ranks call this with the same arguments.
    They share each batch in equal parts, so that the numbers are those of a single process, up to
    rounding; the results and all decisions are of all parts together. The first rank writes the
    files and shows the progress.

    Args:
        model: ``train_one_batch`` takes the fields of a batch, updates the parameters, and returns
            ``(out, loss)``, the loss alone, or a dict: ``{"out": out, "loss": loss}`` and further
            scalars, which are recorded under their names. ``forward`` takes the first fields, as
            many as it has required arguments.
        data: arrays ``(x, y)`` of N rows each; one array, if there is only x; a dataset; or a
            :class:`singa.data.DataLoader`, which defines how batches are made. Otherwise the
            samples are shuffled, and an epoch's last batch is left out if it is short: so every
            step runs the same program. A :class:`singa.data.Dataset` has the data for training
            and for validation.
        epochs: how many epochs are complete at the end, including those before ``resume``.
        validation: data for an evaluation after each epoch, of all samples, in order. The loss is
            that of the model's ``evaluate_one_batch``, or of ``train_one_batch`` in evaluation
            mode, in which its optimizers update nothing. Or a share of ``data``, such as 0.1: these
            samples, chosen by the seed (:func:`singa.data.random_split`), are not trained on.
        batch_size: samples per step, of all ranks together; 64 if not given, or all if there are
            fewer.
        metrics: metrics of ``out`` and the batch's last field: names such as ``"accuracy"``,
            objects of :mod:`singa.metric`, or a dict that gives them other names.
        callbacks: callbacks that are called during the training.
        checkpoint: a new file to save to after each epoch, or a :class:`Checkpoint`.
        resume: True to continue from the checkpoint or the run folder; or another checkpoint file
            to continue from.
        early_stopping: end after this many epochs in which the validation loss (without
            validation, the training loss) was not better than before; or an
            :class:`EarlyStopping`.
        run: a new folder for all results of the training, or a :class:`RunFolder`.
        report: write a report at the end, as one HTML file. True writes ``report.html`` in the run
            folder.
        csv: a new file of comma-separated values, a row for each epoch.
        tensorboard: a folder for TensorBoard's files. It needs the extra ``tensorboard``.
        progress: whether to show the progress on the standard output; or a :class:`ProgressBar`.
        seed: the seed of the initial parameters (unless the model has parameters already), of
            random numbers in the model, and of the batches.
        use_graph: whether steps run as one compiled program.
        precision: ``"bfloat16"`` or ``"float16"`` for mixed precision.
        device: the device to train on; the CPU if not given.
        stop_at_nan: end after an epoch whose last loss is NaN or infinite, without saving. If
            False, warn once, and continue.
        about: further entries for checkpoints and the run folder, in JSON's types: ``data``, the
            data set's name, ``classes``, ...

    Returns:
        The numbers of all steps and epochs, and how the training ended.

    Raises:
        ArgumentError: arguments that do not go together; files and folders that exist already or
            cannot be made; unknown metrics. It is raised before anything is trained.
        DTypeError: an argument has the wrong type, or ``train_one_batch`` returned no loss.
        CheckpointError: the checkpoint is of another model, data set, seed or batch size.
        DependencyError: an optional package is needed that is not installed.
    """
    with ExitStack() as stack:
        if not isinstance(model, Model):
            raise DTypeError(f"fit: a Model is expected, got {type(model).__name__}")
        epochs = _epochs(epochs)
        measures = as_metrics("fit", metrics)
        place = device or devices.get_default_device()
        ranks = Ranks.of(model, place)
        outputs = Outputs(
            checkpoint, resume, early_stopping, run, report, csv, tensorboard, progress,
            writes=ranks.is_first,
        )  # fmt: skip
        folder, start, told = outputs.prepare(callbacks, type(model).__name__, stack)
        further = _as_json(about)
        feed = Feed.of("fit", data, validation, batch_size, seed, place, ranks)
        own = _same_on_all(ranks, epochs, feed, _identity(model, seed, feed, measures))
        if start is not None:
            saving.check(start, own)
        with _undone_if_it_fails(place):
            place.set_rand_seed(seed)
            model.compile(
                feeding.inputs_of(model, feed.batch),
                is_train=True,
                use_graph=use_graph,
                precision=precision,
            )
            evaluator = Evaluator("fit", model, measures)
            if feed.validation is not None or measures:
                evaluator.check(feed.batch)
            training = Training(
                model,
                epochs,
                feed.loader,
                feed.validation,
                Meters(measures, use_graph),
                evaluator,
                place,
                seed,
                len_of(feed.batch) * (ranks.size if ranks.has_parts else 1),
                further | own | {"precision": str(model.precision or "float32")},
                folder,
                stop_at_nan,
                ranks,
            )
            _let_monitors_decide(training, told)
            if start is not None:
                saving.load(training, start)
        return training.train([each for each in told if ranks.is_first or each.on_every_rank])


def _identity(
    model: Model, seed: int, feed: Feed, measures: Mapping[str, Metric]
) -> dict[str, Any]:
    """The facts that identify a training: its checkpoints have the same."""
    return {
        "format": saving.FORMAT,
        "singa": singa.__version__,
        "class": type(model).__name__,
        "seed": seed,
        "batch_size": feed.loader.batch_size,
        "samples": len(feed.loader.dataset),
        "validation_samples": None if feed.validation is None else len(feed.validation.dataset),
        "metrics": list(measures),
        "inputs": [[list(field.shape), str(field.dtype)] for field in feed.batch],
        "checksum": feed.checksum,
    }


def _same_on_all(ranks: Ranks, epochs: int, feed: Feed, identity: dict[str, Any]) -> dict[str, Any]:
    """The identity of a training, if all ranks have been given the same one."""
    own = []
    if ranks.has_parts and not feed.loader.shard:
        own += ["samples", "checksum"]
    if ranks.has_parts and feed.validation is not None and not feed.validation.shard:
        own += ["validation_samples"]
    facts = {"epochs": epochs, "steps": len(feed.loader), "validation": feed.validation is not None}
    found = ranks.expect_same(facts | identity, own)
    return {name: fact for name, fact in found.items() if name not in facts}


def _let_monitors_decide(training: Training, callbacks: Iterable[Callback]) -> None:
    """Let the first monitor of each quantity, the user's, decide which epoch is best."""
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, Monitor):
            training.monitors.setdefault(monitor.name(training), monitor)


@contextmanager
def _undone_if_it_fails(place: Device) -> Iterator[None]:
    """A block before the training: if it fails, the model and the random stream are restored."""
    is_training = tape.mode.training
    random_key(place)  # make the random stream's Tensor now, so that the journal can restore it
    try:
        with Journal():
            yield
    except BaseException:
        tape.mode.training = is_training
        raise


def _as_json(about: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(about or {})))
    except (TypeError, ValueError) as error:
        raise DTypeError(f"fit: about has to be of JSON's types: {error}") from None
    return found


def _epochs(epochs: int) -> int:
    try:
        number = operator.index(epochs)
    except TypeError:
        raise DTypeError(f"fit: epochs is a number of them, got {epochs!r}") from None
    if number < 1:
        raise ArgumentError(f"fit: epochs is {number}, at least 1 is expected")
    return number
