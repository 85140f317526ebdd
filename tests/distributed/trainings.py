"""What ranks do with ``fit`` and loaders, in two processes: the functions return what they saw."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np

from distributed import ranks
from singa import Tensor, autograd, data, distributed, layer, metric, opt, train
from singa.errors import ArgumentError
from singa.train import together

SAMPLES, VALIDATION, EPOCHS, BATCH = 22, 13, 3, 8
METRICS = {"accuracy": "accuracy", "f1": metric.F1(ranks.CLASSES, average="macro")}


class Fitted(ranks.Net):
    """Returns its predictions too; with batch norm, its states are those of a rank's part."""

    def __init__(self, has_norm: bool = False) -> None:
        super().__init__(opt.DistOpt(ranks.momentum()))
        self.norm = layer.BatchNorm2d(ranks.HIDDEN) if has_norm else None

    def forward(self, x: Tensor) -> Tensor:
        h = self.hidden(x)
        return self.output(autograd.tanh(h if self.norm is None else self.norm(h)))

    def train_one_batch(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        out = self.forward(x)
        loss = autograd.softmax_cross_entropy(out, y)
        self.optimizer(loss)
        return out, loss


def samples(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(count)
    x = rng.normal(size=(count, ranks.FEATURES)).astype(np.float32)
    return x, rng.integers(0, ranks.CLASSES, count).astype(np.int32)


def fitted(net: Fitted, epochs: int = EPOCHS, **options: Any) -> tuple[train.History, Any]:
    options = {"validation": samples(VALIDATION), "batch_size": BATCH, "progress": False} | options
    source = options.pop("data", samples(SAMPLES))
    history = train.fit(net, source, epochs, metrics=METRICS, **options)
    return history, {name: t.to_numpy() for name, t in net.get_states().items()}


def columns(history: train.History) -> dict[str, Any]:
    """What does not depend on the clock."""
    tables = {"steps": history.steps, "epochs": history.epochs}
    found = {
        f"{kind} {name}": list(table[name])
        for kind, table in tables.items()
        for name in table
        if name not in ("seconds", "samples_per_second")
    }
    return found | {"status": history.status, "stopped": history.stopped, "best": history.best}


class Interrupts(train.Callback):
    """Ctrl-C, on rank 1 only, in the middle of an epoch."""

    def on_step_end(self, training: train.Training) -> None:
        if distributed.rank() == 1 and training.step == 3:
            os.kill(os.getpid(), signal.SIGINT)


class Stops(train.Callback):
    """One rank has seen enough."""

    def on_epoch_end(self, training: train.Training) -> None:
        if distributed.rank() == 1 and training.epoch == 2:
            training.stop("rank 1 has seen enough")


class Files(train.Callback):
    """Draws a picture, as a user's callback on each rank does."""

    def on_epoch_end(self, training: train.Training) -> None:
        assert training.run is not None
        training.run.add_image("noise", np.zeros((2, 2), np.uint8), training.epoch)


def plain(folder: str | None = None) -> dict[str, Any]:
    """A training as one process does it as well; with files, if there is a folder."""
    options: dict[str, Any] = {}
    if folder is not None:
        options = {"run": Path(folder) / "run", "csv": Path(folder) / "log.csv"}
        options |= {"callbacks": [Files()]}
    stopping = train.EarlyStopping(2, "val_accuracy", restore_best=True)
    history, states = fitted(Fitted(), early_stopping=stopping, **options)
    return columns(history) | {"states": states}


def interrupted(folder: str) -> dict[str, Any]:
    """A training that is interrupted and resumed, and one that is not."""
    file, many = Path(folder) / "net.zip", 20
    together._PAUSE = 0.01
    straight, wanted = fitted(Fitted(has_norm=True), many)
    first, _ = fitted(Fitted(has_norm=True), many, checkpoint=file, callbacks=[Interrupts()])
    about = first.status, first.stopped, first.steps.rows
    second, states = fitted(Fitted(has_norm=True), many, checkpoint=file, resume=True)
    found, expected = columns(second), columns(straight)
    return {
        "interrupted": about,
        "other": [name for name in found if found[name] != expected[name]],
        "differing": [name for name in wanted if not np.array_equal(wanted[name], states[name])],
        "states": states,
    }


def not_a_number() -> tuple[str, str, int]:
    x, y = samples(SAMPLES)
    x[5] = np.nan
    history, _ = fitted(Fitted(), data=(x, y))
    return history.status, history.stopped, history.epochs.rows


def ended_by_one() -> tuple[str, int]:
    history, _ = fitted(Fitted(), callbacks=[Stops()])
    return history.stopped, history.epochs.rows


def own_loaders() -> dict[str, Any]:
    """Each rank has samples and batches of its own."""
    x, y = samples(SAMPLES)
    part = slice(0, 14) if distributed.rank() else slice(14, 22)  # of 14 and 8 samples
    parts = data.DataLoader(data.ArrayDataset(x[:16], y[:16]), 8, shard=True)
    own = data.DataLoader(data.ArrayDataset(x[part], y[part]), 4)
    net = Fitted()
    history, _ = fitted(net, 1, data=parts, validation=own)
    whole = train.evaluate(net, samples(SAMPLES), metrics=METRICS)
    shared = data.DataLoader(data.ArrayDataset(*samples(SAMPLES)), 4, shard=True)
    together = train.evaluate(net, shared, metrics=METRICS)
    found = {name: history[f"val_{name}"][0] for name in whole}
    return {"whole": whole, "together": together, "validation": found}


def refusals() -> list[str]:
    x, y = samples(SAMPLES)
    rank = distributed.rank()
    said = []
    for options in (
        {"data": (x[rank::2], y[rank::2])},
        {"batch_size": 7},
        {"seed": rank},
        {"data": data.DataLoader(data.ArrayDataset(x[:13], y[:13]), 4, shard=True)},
        {"validation": (x[:1], y[:1])},
    ):
        if isinstance(options.get("data"), data.DataLoader):
            options["batch_size"] = None
        try:
            fitted(Fitted(), **options)
            said.append("")
        except ArgumentError as error:
            said.append(str(error))
    return said


def all_of_it(folder: str) -> dict[str, Any]:
    return {
        "plain": plain(folder),
        "interrupted": interrupted(folder),
        "nan": not_a_number(),
        "ended": ended_by_one(),
        "own": own_loaders(),
        "refused": refusals(),
    }
