"""Checkpoints of a training: the model, the training's progress, and its data and options."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from singa.core.tensor import Tensor, wrap
from singa.device import CTensor, float64, uint8
from singa.errors import ArgumentError, CheckpointError, DataError
from singa.formats import checkpoint
from singa.formats import sharded as parts
from singa.formats.background import Background
from singa.formats.reading import parse_json
from singa.formats.table import Table
from singa.model import Model
from singa.placement import Place
from singa.train.history import WHOLE, History
from singa.train.monitor import Monitor
from singa.train.training import Callback, Training

FORMAT = 1

_ABOUT = "about"
_STEPS, _EPOCHS, _METRICS, _COUNTS = "steps/", "epochs/", "metrics/", "counts/"
_BEST, _PRESENT = "best/", "present/"  # the model's states, if the file's model has the others
_SAME = {
    "seed": "the seed",
    "batch_size": "batches of",
    "metrics": "the metrics",
    "validation_samples": "validation samples",
}
_EXPECTED = (*_SAME, "samples", "checksum")


class Checkpoint(Callback):
    """Saves a training, so that :func:`singa.train.fit` can resume it bit for bit.

    It saves after each epoch, and when Ctrl-C or SIGTERM ends the training in the middle of one.
    The file is written completely or not at all, and nothing in it is ever executed. If early
    stopping restores the best epoch, the file has the model of that epoch at the end.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> history = train.fit(
    ...     mlp, data.load_digits(), 2, progress=False,
    ...     checkpoint=train.Checkpoint("mlp.zip", best="best.zip"),
    ... )
    >>> train.read_about("mlp.zip")["class"]
    'MLP'

    Args:
        fpath: the file.
        best: another file, which is written when an epoch is better than all before.
        monitor: the quantity that decides this: ``"val_accuracy"`` for example, or a
            :class:`singa.train.Monitor`. If not given, that of early stopping, if there is one;
            or else the validation's loss, or the loss if there is no validation.
        every: the number of epochs between two saves. The last epoch is saved in any case.
        background: whether files are written while the training goes on, as by
            :meth:`singa.model.Model.save_states`. The training ends when they are there. An error
            is raised by the next save, or at the end.
        sharded: write folders, to which each process writes the parts that its devices hold, by the
            package orbax-checkpoint. In the folder is another one with a number for each save. It
            goes when the next one is complete. A training with ``run`` has its checkpoints here
            only, and not in the run folder.

    Raises:
        ArgumentError: ``every`` is less than 1.
    """

    def __init__(
        self,
        fpath: str | os.PathLike[str],
        *,
        best: str | os.PathLike[str] | None = None,
        monitor: str | Monitor | None = None,
        every: int = 1,
        background: bool = False,
        sharded: bool = False,
    ) -> None:
        if every < 1:
            raise ArgumentError(f"Checkpoint: every is {every}, at least 1 is expected")
        self.path = Path(fpath)
        self.best = None if best is None else Path(best)
        self.monitor = monitor if isinstance(monitor, Monitor) else Monitor(monitor)
        self.is_monitor_given = monitor is not None
        self.every = every
        self.background, self.sharded = bool(background), bool(sharded)
        self._writers = Background(), Background()  # of the file, and of that of the best epoch
        self._saved = -1  # the step of the last save

    def on_train_begin(self, training: Training) -> None:
        self.monitor.check(training)
        self._saved = training.step

    def on_epoch_end(self, training: Training) -> None:
        if training.is_diverged:
            return  # the last good file stays
        if training.epoch % self.every == 0:
            self._save(training)
        if self.best is not None and self.monitor.best(training) == training.epoch:
            self._write(1, training, self.best)

    def on_train_end(self, training: Training) -> None:
        # Not after a failure or a second Ctrl-C: they may have come in the middle of a step.
        history = training.history
        is_over = history.status == "completed"
        is_other = is_over and bool(_other_than_now(training))
        if (is_over or training.is_interrupted) and (self._saved != training.step or is_other):
            self._save(training, is_over)
        for writer in self._writers:
            writer.wait()

    def _save(self, training: Training, is_over: bool = False) -> None:
        self._write(0, training, self.path, is_over)
        self._saved = training.step

    def _write(self, which: int, training: Training, path: Path, is_over: bool = False) -> None:
        writer = self._writers[which]
        writer.wait()
        write = prepared(training, path, is_over, self.sharded)
        if self.background:
            writer.run(write, str(path))
        else:
            write()


def save(training: Training, fpath: str | os.PathLike[str], is_over: bool = False) -> None:
    """Write a checkpoint; an existing file is replaced. This waits for the device.

    Any thread may do this while another one trains: the checkpoint has the state between two steps.
    Of several ranks the first one writes; the others do nothing.

    Args:
        training: the training.
        fpath: the file.
        is_over: whether the file's model is that of the best epoch, if early stopping restores it.
            The present one is in the file in any case, so that the training can be resumed.

    Raises:
        OSError: it cannot be written.
    """
    prepared(training, fpath, is_over)()


def prepared(
    training: Training,
    fpath: str | os.PathLike[str],
    is_over: bool = False,
    sharded: bool = False,
) -> Callable[[], None]:
    """The same for the present state; what is returned writes the file, in any thread.

    With ``sharded`` it is a folder, and each rank writes its parts.
    """
    ranks = training.ranks
    if ranks.has_parts and not ranks.is_first and not sharded:
        return _nothing  # but on a mesh of all ranks all of them gather the states
    with training.lock:
        training.read()
        text = json.dumps(training.about).encode()
        aux = {_ABOUT: Tensor(data=np.frombuffer(text, np.uint8), requires_grad=False)}
        for prefix, table in ((_STEPS, training.history.steps), (_EPOCHS, training.history.epochs)):
            for name, column in table.items():
                values = np.array(column, np.float64)
                aux[prefix + name] = Tensor(data=values, requires_grad=False)
        aux |= {_METRICS + name: state for name, state in training.meters.states().items()}
        for name, column in training.counts().items():
            values = np.array(column, np.float64)
            aux[_COUNTS + name] = Tensor(data=values, requires_grad=False)
        best = _other_than_now(training)
        present = training.model.get_states() if best and is_over else {}
        aux |= {_PRESENT + name: state for name, state in present.items()}
        if not is_over:
            aux |= {_BEST + name: tensor for name, tensor in best.items()}
        states = training.model.states_to_save(aux, sharded, best if is_over else None)
        if sharded:
            return parts.write(fpath, states, overwrite=True)
    return checkpoint.prepared(fpath, states, overwrite=True) if ranks.is_first else _nothing


def _nothing() -> None:
    """What a rank writes whose files another one writes."""


def _other_than_now(training: Training) -> dict[str, Tensor]:
    """The states of the best epoch, if they are kept and are not the present ones."""
    best, now = training.best_states, training.model.get_states()
    if all(now[name].data is value for name, value in best.items()):
        return {}
    return {name: wrap(value, now[name].device) for name, value in best.items()}


def check(fpath: str | os.PathLike[str], wanted: Mapping[str, Any]) -> None:
    """Check that a checkpoint belongs to the training with these properties.

    Raises:
        CheckpointError: it is damaged, of another data set, or not of a training; or the training
            had another seed, or batches of another size.
        OSError: it cannot be read.
    """
    found = read_about(fpath)
    if missing := [name for name in _EXPECTED if name not in found]:
        raise _not_a_training(fpath, f"{missing[0]!r} is not in it")
    for name, what in _SAME.items():
        if found[name] != wanted[name]:
            raise CheckpointError(
                f"{fpath}: it was trained with {what} {_short(found[name])}, not {wanted[name]}"
            )
    if (found["samples"], found["checksum"]) != (wanted["samples"], wanted["checksum"]):
        raise CheckpointError(f"{fpath}: the training was on another data set, or in other batches")


def load(training: Training, fpath: str | os.PathLike[str]) -> None:
    """Resume a training from a checkpoint that was checked, with its compiled model.

    Raises:
        CheckpointError: it is damaged, or of another model. Nothing has changed then.
        OSError: it cannot be read.
    """
    own = training.model.get_states()

    def place(name: str, kind: checkpoint.Kind) -> Place | None:
        """Where the model's states are, if it is one of them."""
        like = own.get(name.removeprefix(_BEST).removeprefix(_PRESENT))
        return None if like is None else like.data.sharding

    with parts.opened(fpath, place) as reader:
        aux = reader.read(checkpoint.AUX)
        aux = {name: aux[name] for name in reader.named(checkpoint.AUX)}  # in their order
    history = training.history
    history.steps = _table(fpath, aux, _STEPS)
    history.epochs = _table(fpath, aux, _EPOCHS)
    _check_places(fpath, history, len(training.loader))
    counts = {
        name.removeprefix(_METRICS): array
        for name, array in aux.items()
        if name.startswith(_METRICS)
    }
    best, present = (_states(fpath, training.model, aux, prefix) for prefix in (_BEST, _PRESENT))
    weights = _table(fpath, aux, _COUNTS)
    done = history.steps.rows - history.epochs.rows * len(training.loader)
    if weights and weights.rows != done:
        raise CheckpointError(f"{fpath}: how much its steps count is not there for each of them")
    training.resumed(counts, dict(weights.items()))
    training.model.load_states(fpath, aux=False)  # last, after all checks
    if present:
        best = {name: state.data for name, state in own.items()}
        for name, value in present.items():
            own[name].data = value
    training.best_states = best


def _states(
    fpath: str | os.PathLike[str], model: Model, aux: Mapping[str, Any], prefix: str
) -> dict[str, CTensor]:
    """The states of the model with this prefix in a file, or none."""
    own = model.get_states()
    found = {n.removeprefix(prefix): a for n, a in aux.items() if n.startswith(prefix)}
    kinds = {name: (array.shape, array.dtype) for name, array in found.items()}
    if found and kinds != {name: (t.shape, t.dtype) for name, t in own.items()}:
        raise CheckpointError(f"{fpath}: {prefix!r} has other states than the model")
    return {
        name: Tensor(data=array, device=own[name].device, requires_grad=False).data
        for name, array in found.items()
    }


def read_about(fpath: str | os.PathLike[str]) -> dict[str, Any]:
    """The description in a checkpoint of :func:`singa.train.fit`; see docs/training.md.

    >>> from singa import data, models, opt, train
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> digits = data.load_digits()
    >>> about = {"data": "digits", "classes": digits.class_names}
    >>> history = train.fit(mlp, digits, 1, checkpoint="d.zip", about=about, progress=False)
    >>> train.read_about("d.zip")["data"]
    'digits'

    Raises:
        CheckpointError: it is damaged, or was not written by ``fit``.
        OSError: it cannot be read.
    """
    with parts.opened(fpath) as reader:
        kind = reader.named(checkpoint.AUX).get(_ABOUT)
        if kind is None or kind.dtype != uint8 or len(kind.shape) != 1:
            raise _not_a_training(fpath, f"no aux state {_ABOUT!r}")
        text = reader.read(checkpoint.AUX, names=[_ABOUT])[_ABOUT].tobytes()
    try:
        about = parse_json(text)
    except DataError as error:
        raise _not_a_training(fpath, f"{_ABOUT!r}: {error}") from None
    if not isinstance(about, dict):
        raise _not_a_training(fpath, f"{_ABOUT!r} is not a JSON object")
    if about.get("format", FORMAT) != FORMAT:
        raise CheckpointError(
            f"{fpath}: written by a later version, in format {_short(about['format'])}; this one "
            f"reads format {FORMAT}"
        )
    return about


def _not_a_training(fpath: str | os.PathLike[str], why: str) -> CheckpointError:
    return CheckpointError(
        f"{fpath}: it does not say of which training it is, and how far that was, as checkpoints "
        f"of singa.train.fit do ({why})"
    )


def _short(value: Any) -> str:
    """A part of a message, with a limited length: it may come from a file."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _table(fpath: str | os.PathLike[str], aux: dict[str, Any], prefix: str) -> Table:
    columns: dict[str, list[Any]] = {}
    for name, array in aux.items():
        if name.startswith(prefix):
            column = name.removeprefix(prefix)
            # Numbers of epochs and steps: an integer that a float64 can represent.
            is_place = column not in WHOLE or (
                array.size and (array == np.round(array)).all() and np.abs(array).max() < 2**53
            )
            if array.dtype != float64 or array.ndim != 1 or not is_place:
                raise CheckpointError(f"{fpath}: aux state {name!r} is not a column of a history")
            columns[column] = array.astype(np.int64).tolist() if column in WHOLE else array.tolist()
    if len({len(column) for column in columns.values()}) > 1:
        raise CheckpointError(f"{fpath}: the columns of its history differ in length")
    return Table(columns)


def _check_places(fpath: str | os.PathLike[str], history: History, steps_per_epoch: int) -> None:
    """Check that a history has all steps of its epochs and of less than one more, in order."""
    steps, epochs = history.steps.rows, history.epochs.rows
    for table, name in ((history.steps, "step"), (history.epochs, "epoch")):
        if table and list(table.get(name, ())) != [*range(1, table.rows + 1)]:
            raise CheckpointError(f"{fpath}: the column {name!r} of its history is damaged")
    if not 0 <= steps - epochs * steps_per_epoch <= steps_per_epoch:
        raise CheckpointError(
            f"{fpath}: {steps} steps and {epochs} epochs of {steps_per_epoch} steps do not go "
            "together"
        )
