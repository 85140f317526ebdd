"""Training: the loop of :func:`singa.train.fit`, and its progress."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from singa.core.tensor import Tensor
from singa.data import DataLoader
from singa.device import CTensor, Device
from singa.distributed import broadcast
from singa.errors import warn
from singa.metric.naming import is_measure
from singa.model import Model
from singa.opt import DistOpt, Optimizer
from singa.train import feeding
from singa.train.evaluation import (
    Evaluator,
    arrays,
    counts_of,
    len_of,
    results,
)
from singa.train.feeding import Batch
from singa.train.history import History
from singa.train.interrupts import interrupts
from singa.train.measuring import Meters
from singa.train.monitor import Monitor
from singa.train.steps import StepResults, Values
from singa.train.together import ALONE, Questions, Ranks


class Callback:
    """Base of callbacks of :func:`singa.train.fit`; each method is optional.

    All methods get the running :class:`singa.train.Training`, whose attributes show its progress;
    ``training.stop(reason)`` ends it after the present step. If a callback raises an error, the
    training ends: the model has the state of the time of the call, and ``fit`` raises the error.

    A callback should take values of earlier epochs from ``training.history``, because a resumed
    training restores it; the callback's own attributes are not restored.

    Where several ranks train together, each calls its callbacks. The history of epochs is the same
    on all of them.

    Attributes:
        on_every_rank: set it to False in a class whose callbacks write files or print: then the
            first rank alone calls them. They must not compute together with the other ranks.

    >>> class Halve(Callback):
    ...     def on_epoch_end(self, training):
    ...         optimizer = training.model.optimizer
    ...         optimizer.lr = optimizer.lr_value.item() / 2
    """

    on_every_rank: bool = True

    def on_train_begin(self, training: Training) -> None:
        """Before the first step, after the checkpoint of a resumed training was read."""

    def on_epoch_begin(self, training: Training) -> None:
        """Before the first step of each epoch, or the first step after a training was resumed."""

    def on_step_end(self, training: Training) -> None:
        """After each step. Its results may still be in computation: reading one waits for it."""

    def on_epoch_end(self, training: Training) -> None:
        """After each epoch and its validation: its row is in the history."""

    def on_train_end(self, training: Training) -> None:
        """At the end, for any reason; see ``training.history.status``."""


class Run(Protocol):
    """What a callback may do with the run folder of its training: see ``RunFolder``."""

    path: Path

    def add_image(self, title: str, picture: Any, epoch: int) -> Path: ...


class Training:
    """A running training; callbacks get it. :func:`singa.train.fit` makes it.

    Nothing in the loop waits for the device: the results of steps are read when their epoch ends,
    or by :meth:`read`.

    >>> from singa import data, models, opt, train
    >>> class Count(train.Callback):
    ...     def on_epoch_end(self, training):
    ...         print(training.epoch, training.step, training.steps)
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> digits = data.load_digits()
    >>> history = train.fit(mlp, digits.train, 2, callbacks=[Count()], progress=False)
    1 22 44
    2 44 44

    Attributes:
        model: the model that is trained.
        epochs: the total number of epochs.
        loader: the training data.
        validation: the validation data, if any.
        history: the numbers so far.
        device: the device of the training.
        seed: of the initial parameters and the batches.
        about: the description of this training in checkpoints and run folders.
        run: the run folder, if there is one.
        stop_at_nan: whether the training ends when the loss is NaN or infinite.
        is_diverged: whether it has ended because of that. Nothing is saved then.
        is_interrupted: whether Ctrl-C or SIGTERM has ended it after a step.
        ranks: the ranks that train together.
        best_states: the model's states after the best epoch, if early stopping restores them.
        restoring: the callback that keeps and restores these: the last one with ``restore_best``.
        monitors: by the quantity's name, monitors that define the best epoch instead of the
            metrics.
        batch: the Tensors of the last step's batch.
        returned: what ``train_one_batch`` returned in the last step.
    """

    def __init__(
        self,
        model: Model,
        epochs: int,
        loader: DataLoader,
        validation: DataLoader | None,
        meters: Meters,
        evaluator: Evaluator,
        device: Device,
        seed: int,
        size: int,
        about: dict[str, Any],
        run: Run | None,
        stop_at_nan: bool = True,
        ranks: Ranks = ALONE,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.loader = loader
        self.validation = validation
        self.meters = meters
        self.evaluator = evaluator
        self.device = device
        self.seed = seed
        self.about = about
        self.run = run
        self.stop_at_nan = stop_at_nan
        self.is_diverged = self.is_interrupted = self._has_warned = False
        self.best_states: dict[str, CTensor] = {}
        self.restoring: Callback | None = None
        self.monitors: dict[str, Monitor] = {}
        self.history = History()
        self.batch: Batch = ()
        self.returned: Any = None
        self._began = 0.0
        self._samples = 0
        self.ranks = ranks
        self._results = StepResults(self.history, len(loader), size, ranks)
        self._questions = Questions(ranks)
        self._is_stopping = self._was_interrupted = False  # as this rank wants it
        self._reason = ""

    # -- its progress -------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """The number of complete epochs, including validation."""
        return self.history.epochs.rows

    @property
    def step(self) -> int:
        """The number of complete steps."""
        return self._results.rows

    @property
    def steps(self) -> int:
        """The total number of steps."""
        return self.epochs * len(self.loader)

    @property
    def samples_per_second(self) -> float:
        """The speed in the present epoch, or in the one that has just ended."""
        return self._samples / max(time.perf_counter() - self._began, 1e-9)

    def stop(self, reason: str) -> None:
        """End the training after the present step, or the present epoch if its steps are done.

        Of several ranks one is enough: all end after the same step, a fraction of a second later.
        """
        self._reason = self._reason or reason
        self._is_stopping = True
        if self.ranks.size == 1:
            self.history.stopped = self._reason

    def interrupt(self, reason: str) -> None:
        """:meth:`stop`, without the end of the epoch."""
        self.is_interrupted = self.ranks.size == 1
        self._was_interrupted = True
        self.stop(reason)

    def _agree(self) -> bool:
        """Whether the training ends now: decided by all ranks together."""
        is_end, self.is_interrupted, reason = self.ranks.agree(
            self._is_stopping, self._was_interrupted, self._reason
        )
        self.history.stopped = reason
        return is_end

    def read(self, wait: bool = True) -> None:
        """Add the results of steps to the history.

        Args:
            wait: whether to wait for results that are not computed yet.
        """
        with self.lock:
            self._results.read(wait)

    def means(self) -> dict[str, float]:
        """The present epoch so far: means of the steps' results that were read.

        A step counts by what its result is the mean of, or else by its samples, as in
        :func:`singa.train.evaluate`.
        """
        return self._results.means()

    def counts(self) -> dict[str, list[float]]:
        """How much each result counts in the present epoch so far, where it is not by samples."""
        return self._results.counts()

    def resumed(
        self, counts: dict[str, npt.NDArray[Any]], weights: Mapping[str, Sequence[float]]
    ) -> None:
        """Continue after the history and the metrics' counts were read from a checkpoint.

        Args:
            counts: of the metrics.
            weights: what :meth:`counts` has returned; none in files of older versions.
        """
        self.meters.set_states(counts, self.device)
        self._results.resume(weights)
        if not self.ranks.is_first and self.ranks.has_parts:
            self.meters.reset()  # the file has the counts of all ranks, which the first one goes on
        self._find_best()

    @property
    def lock(self) -> AbstractContextManager[Any]:
        """A block between two steps, in which the model and the history do not change.

        It is for other threads than the one that trains.
        """
        return self.model.between_steps()

    def best(self, quantity: str) -> int:
        """The number of the best epoch so far by a column of ``history.epochs``, or 0.

        A monitor of that quantity decides, such as a checkpoint's or early stopping's; for other
        quantities :func:`singa.metric.best_of` decides.
        """
        monitor = self.monitors.get(quantity) or Monitor(quantity)
        return monitor.best_of(self.history[quantity], self)

    def _find_best(self) -> None:
        found = {name: self.best(name) for name in self.history.epochs if is_measure(name)}
        self.history.best = {name: epoch for name, epoch in found.items() if epoch}

    # -- the loop -----------------------------------------------------------------------------

    def train(self, callbacks: Sequence[Callback]) -> History:
        """Train. Ctrl-C or SIGTERM ends it after the present step, a second one at once."""
        restoring = [each for each in callbacks if getattr(each, "restore_best", False)]
        self.restoring = restoring[-1] if restoring else None
        if self.restoring is None:
            self.best_states = {}  # of a training that was resumed without early stopping
        try:
            with interrupts(self.interrupt), ExitStack() as ends, self._status():
                for callback in callbacks:
                    callback.on_train_begin(self)
                    ends.callback(callback.on_train_end, self)
                steps = _overridden(callbacks, "on_step_end")
                while self.epoch < self.epochs and not self._agree():
                    self._train_epoch(callbacks, steps)
                with self.lock:
                    self.read()
                    self._merge()
        finally:
            self.model.eval()
        return self.history

    def _train_epoch(self, callbacks: Sequence[Callback], steps: Sequence[Any]) -> None:
        start = self.step - self.epoch * len(self.loader)
        with self.lock:
            if not start:
                self.meters.reset()
            self._results.begin_epoch(start)
        self._began, self._samples = time.perf_counter(), 0
        for callback in callbacks:
            callback.on_epoch_begin(self)
        self.model.train()
        batches = feeding.batches("fit", self.loader, self.epoch, start, self.device)
        done = start
        try:
            for batch in batches:
                self._train_step(batch)
                done += 1
                for on_step_end in steps:
                    on_step_end(self)
                if self._questions.is_end(self._is_stopping):
                    self._agree()
                    break
        finally:
            batches.close()
        if done == len(self.loader) and not self.is_interrupted:
            with self.lock:
                self._end_epoch()
            self._look_for_nan()
            for callback in callbacks:
                callback.on_epoch_end(self)

    def _look_for_nan(self) -> None:
        """End a training whose loss is no number any more, or say so once."""
        loss = self._results.last_loss()
        if self.is_diverged or loss is None or math.isfinite(loss):
            return
        text = f"the loss is {loss} after step {self.step}"
        self.is_diverged = self.stop_at_nan
        if self.stop_at_nan:
            self.stop(text)
        elif not self._has_warned:
            self._has_warned = True
            warn(f"fit: {text}", RuntimeWarning)

    def _train_step(self, batch: Batch) -> None:
        with self.lock:
            rates = self.rates()
            self.returned, counts = self.model.call_and_measure(counts_of, *batch)
            self.batch = batch
            out, values = results(self.returned)
            measured = self.meters.update(out, batch[-1])
            self._samples += len_of(batch) * (self.ranks.size if self.ranks.has_parts else 1)
            loss = values.pop("loss")
            row = {"loss": loss.data, **rates, **_arrays(measured), **_arrays(values)}
            self._results.add(row, dict.fromkeys(row, len_of(batch)) | arrays(counts))

    def rates(self) -> Values:
        """The learning rates of the next step: arrays, without waiting for them."""
        found = self.model.optimizers().items()
        return {
            "lr" if not i else f"lr_{name}": optimizer.lr_value.data
            for i, (name, optimizer) in enumerate(found)
        }

    def _merge(self) -> None:
        """Give all ranks the numbers of all, where each has those of its part of the data."""
        if not self.ranks.has_parts:
            return
        self.meters.merge(self.ranks)
        share_states(self.model)
        self._results.merge()

    def _end_epoch(self) -> None:
        self.read()
        self._merge()
        seconds, speed = self.ranks.of_first(
            [time.perf_counter() - self._began, self.samples_per_second]
        )
        last = self.history.steps.row(-1)
        means = self.means()
        row = {
            "epoch": self.epoch + 1,
            "step": self.step,
            "seconds": seconds,
            "samples_per_second": speed,
            **{name: value for name, value in last.items() if name.startswith("lr")},
            "loss": means.pop("loss"),
        }
        row |= means | self.meters.values(self.ranks)
        if self.validation is not None:
            found = self.evaluator.run(self.validation, self.device, self.ranks)
            row |= {f"val_{name}": value for name, value in found.items()}
        self.history.epochs.append(row)
        self._find_best()

    @contextmanager
    def _status(self) -> Iterator[None]:
        """A block; its end is written into the history's status."""
        history = self.history
        try:
            yield
        except KeyboardInterrupt:
            history.status, history.stopped = "interrupted", "KeyboardInterrupt"
            raise
        except BaseException as error:
            history.status, history.stopped = "failed", f"{type(error).__name__}: {error}"
            raise
        if self.is_diverged:
            history.status = DIVERGED
        else:
            history.status = "interrupted" if self.is_interrupted else "completed"


def share_states(model: Model) -> None:
    """Give all ranks the first one's states that are no parameters, such as running means.

    Each rank computes them from its own part of the data. What the others have in between has no
    effect: so a training that was resumed from the first rank's file is the same.
    """
    params = set(model.get_params().values())
    broadcast(state for state in model.get_states().values() if state not in params)


DIVERGED = "diverged"


def optimizer_of(model: Model) -> Optimizer | DistOpt | None:
    """The first of the model's optimizers, if there are any."""
    return next(iter(model.optimizers().values()), None)


def _arrays(tensors: dict[str, Tensor]) -> Values:
    return {name: tensor.data for name, tensor in tensors.items()}


def _overridden(callbacks: Sequence[Callback], method: str) -> list[Any]:
    return [
        getattr(callback, method)
        for callback in callbacks
        if getattr(type(callback), method) is not getattr(Callback, method)
    ]
