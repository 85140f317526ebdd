"""Training before the user's eyes: a progress bar on a terminal, a line per epoch elsewhere."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from singa.training import Trainer

_REFRESH = 0.1  # seconds between two looks at the device's results


def fit(trainer: Trainer, epochs: int, console: Console, checkpoint: Path | None = None) -> bool:
    """Train until ``epochs`` epochs are complete, and report each.

    Ctrl-C ends the training after the present step; a second one ends it at once.

    Args:
        trainer: what to train; the epochs that it has behind it count.
        epochs: how many there are to be.
        console: where to report.
        checkpoint: where to save after each epoch and on Ctrl-C, if anywhere.

    Returns:
        False if it was ended by Ctrl-C.
    """
    # One bar for all steps: an epoch on a small data set is over before anybody has seen a bar.
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[numbers]}"),
    )
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with _interrupts() as interrupted, bar:
        task = bar.add_task(
            _title(trainer.epoch + 1, epochs),
            total=epochs * len(trainer.batches),
            completed=_steps_done(trainer),
            numbers="compiling",
        )
        while trainer.epoch < epochs and not interrupted.is_set():
            bar.update(task, description=_title(trainer.epoch + 1, epochs))
            speed = _train_epoch(trainer, bar, task, interrupted)
            if not interrupted.is_set():
                trainer.evaluate()
                console.print(_epoch_line(trainer, epochs, speed), highlight=False, soft_wrap=True)
            if checkpoint is not None:
                trainer.save(checkpoint)
    return not interrupted.is_set()


def _train_epoch(
    trainer: Trainer, bar: Progress, task: TaskID, interrupted: threading.Event
) -> float:
    """Train to the end of the epoch, or until interrupted, and return images per second."""
    first_step = trainer.step
    batch_size = trainer.batches.batch_size
    began = refreshed = time.perf_counter()

    def speed() -> float:
        return (trainer.step - first_step) * batch_size / (time.perf_counter() - began)

    for _ in trainer.train():
        if time.perf_counter() - refreshed > _REFRESH:
            trainer.read()
            refreshed = time.perf_counter()
            numbers = f"{_averages(trainer, trainer.epoch)}  {_speed(speed())}"
            bar.update(task, completed=_steps_done(trainer), numbers=numbers)
        if interrupted.is_set():
            break
    trainer.read()
    numbers = f"{_averages(trainer, trainer.epoch)}  {_speed(speed())}"
    bar.update(task, completed=_steps_done(trainer), numbers=numbers)
    return speed()


def _steps_done(trainer: Trainer) -> int:
    return trainer.epoch * len(trainer.batches) + trainer.step


def _epoch_line(trainer: Trainer, epochs: int, speed: float) -> str:
    test = f"test {trainer.test_accuracies[-1]:7.2%}"
    title, averages = _title(trainer.epoch, epochs), _averages(trainer, trainer.epoch - 1)
    return f"{title}  {averages}  {test}  {_speed(speed)}"


def _title(number: int, epochs: int) -> str:
    return f"epoch {number:{len(str(epochs))}}/{epochs}"


def _averages(trainer: Trainer, epoch: int) -> str:
    """The averages over the steps of an epoch, counted from 0, as far as they have been read."""
    steps = slice(epoch * len(trainer.batches), (epoch + 1) * len(trainer.batches))
    loss, accuracy = np.mean(trainer.losses[steps]), np.mean(trainer.accuracies[steps])
    return f"loss {loss:7.4f}  accuracy {accuracy:7.2%}"


def _speed(speed: float) -> str:
    return f"{speed:8,.0f} samples/s"


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, instead of raising in the midst of a step."""
    interrupted = threading.Event()

    def interrupt(signum: int, frame: FrameType | None) -> None:
        interrupted.set()
        signal.signal(signal.SIGINT, previous)

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
