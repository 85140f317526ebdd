"""RunFolder: all results of a training in a folder, while it runs and afterwards."""

from __future__ import annotations

import json
import os
import platform
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

import singa
from singa import board
from singa.errors import ArgumentError, DependencyError, ReportError, ShapeError
from singa.formats.files import writing
from singa.formats.process import this_process
from singa.formats.reading import MOST_JSON, parse_json, read_file
from singa.opt import Constant, DecayScheduler, DistOpt, Optimizer
from singa.report import Profile, Profiler
from singa.train.training import Callback, Training, optimizer_of

FORMAT = 1

CHECKPOINT, BEST = "checkpoint.zip", "best.zip"

_NOT_IN_NAMES = frozenset('/\\:*?"<>|')
_SKIPPED, _PROFILED = 2, 8  # steps that compile and warm up; steps that are timed
_PAUSE = 1.0  # the least number of seconds between two writes
_SHARE = 0.05  # the largest fraction of the time that is used for writing


class RunFolder(Callback):
    """Writes the results of a training into a folder, for reports; see docs/training.md.

    Every file is written completely or not at all, and can be read while the training runs.

    >>> from pathlib import Path
    >>> from singa import data, models, opt, train
    >>> class Gallery(train.Callback):
    ...     def on_epoch_end(self, training):
    ...         weights = training.model.linear1.W.to_numpy()
    ...         training.run.add_image("weights", weights - weights.min(), training.epoch)
    >>> mlp = models.MLP()
    >>> mlp.set_optimizer(opt.SGD(0.05))
    >>> digits = data.load_digits()
    >>> history = train.fit(mlp, digits, 2, run="run", callbacks=[Gallery()], progress=False)
    >>> sorted(path.name for path in Path("run").iterdir())  # doctest: +NORMALIZE_WHITESPACE
    ['best.zip', 'checkpoint.zip', 'epochs.csv', 'graph.svg', 'memory.json', 'profile.json',
     'run.json', 'samples', 'steps.csv']

    Args:
        folder: the folder. It is made if it does not exist.
        report: a file for a report at the end, as by :func:`singa.board.write_report`.
        profile: whether some of the first steps are timed, operation by operation. Their results
            do not change. This uses jax's profiler: set it to False if you use that profiler
            yourself at the same time.

    Attributes:
        path: the folder.
        is_written: False on all ranks but the first, where nothing is written.
    """

    on_every_rank = False

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        report: str | os.PathLike[str] | None = None,
        profile: bool = True,
    ) -> None:
        self.path = Path(folder)
        self.report = None if report is None else Path(report)
        self.profile = profile
        self.is_written = True
        self._about: dict[str, Any] = {}
        self._profiling: ExitStack | None = None
        self._profile: Profile | None = None
        self._steps = 0  # since the beginning, or since the training was resumed
        self._next = 0.0  # when to write again

    def add_image(self, title: str, picture: Any, epoch: int) -> Path:
        """Add a picture to the folder ``samples``; one of the same title and epoch is replaced.

        Args:
            title: its title; a part of the file's name.
            picture: a matplotlib Figure; or an array, (H, W) of grey or (H, W, 3) of colours:
                uint8, or floats, where 0 is black and white is 1, or the greatest value if that
                is more than 1. Arrays need Pillow, the extra ``images``.
            epoch: its epoch.

        Returns:
            The file.

        Raises:
            ArgumentError: the title cannot be part of a file's name.
            ShapeError: the array is not a picture.
            DependencyError: Pillow is not installed.
        """
        if not title.isprintable() or set(title) & _NOT_IN_NAMES or not 0 < len(title) <= 100:
            raise ArgumentError(f"add_image: {title!r} cannot be a part of a file's name")
        folder = self.path / "samples"
        path = folder / f"{epoch:04}-{title}.png"
        if not self.is_written:
            return path
        folder.mkdir(exist_ok=True)
        with writing(path) as file:
            if hasattr(picture, "savefig"):
                picture.savefig(file, format="png")
            else:
                _image(picture).save(file, format="png")
        return path

    # -- while training runs --------------------------------------------------------------------

    def on_train_begin(self, training: Training) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        self._about = _describe(training, self.path)
        self._about |= {"started": self._started(training), "process": this_process()}
        self._steps = 0
        self._write(training)
        is_free = not (Profiler.is_recording() or training.model.is_profiled)
        if self.profile and is_free and jax.profiler.ProfileData is not None:
            self._profiling = ExitStack()
            profile = training.model.profile(skip=_SKIPPED, limit=_PROFILED)
            self._profile = self._profiling.enter_context(profile)

    def on_step_end(self, training: Training) -> None:
        self._steps += 1
        if self._steps == _SKIPPED + _PROFILED:
            self._write_reports(training)
        if time.monotonic() > self._next:
            training.read(wait=False)
            self._write(training)

    def on_epoch_end(self, training: Training) -> None:
        if time.monotonic() > self._next:
            self._write(training)

    def on_train_end(self, training: Training) -> None:
        if self._steps < _SKIPPED + _PROFILED:
            self._write_reports(training)
        self._write(training)
        if self.report is not None:
            board.write_report(self.path, self.report)

    # -- files ------------------------------------------------------------------------------------

    def _write(self, training: Training) -> None:
        began = time.monotonic()
        history = training.history
        is_over = history.status != "running"
        # The epochs first, because run.json refers to them.
        history.epochs.write(self.path / "epochs.csv")
        history.steps.write(self.path / "steps.csv")
        self._write_json(
            "run.json",
            self._about
            | {
                "status": history.status,
                "stopped": history.stopped,
                "finished": _now() if is_over else None,
                "epoch": training.epoch,
                "step": history.steps.rows,
                "best": history.best,
            },
        )
        now = time.monotonic()
        self._next = now + max(_PAUSE, (now - began) / _SHARE)

    def _write_reports(self, training: Training) -> None:
        """Write the reports about the step, after some steps have run."""
        model, profile = training.model, None
        if self._profiling is not None:
            self._profiling.close()
            self._profiling, profile = None, self._profile
        if not self._steps:
            return
        if profile is not None and not profile.iterations:
            profile = None  # too few steps
        if profile is not None:
            self._write_text("profile.json", profile.to_json())
        if model.graph_mode:
            with suppress(ReportError):  # XLA does not report memory on all devices
                self._write_json("memory.json", asdict(model.memory_report()))
            model.draw_graph(self.path / "graph.svg", profile=profile)

    def _write_json(self, name: str, content: Any) -> None:
        self._write_text(name, json.dumps(content, indent=1))

    def _write_text(self, name: str, text: str) -> None:
        with writing(self.path / name) as file:
            file.write(text.encode() + b"\n")

    def _started(self, training: Training) -> str:
        """When the training began; if it is resumed, when it began for the first time."""
        if training.step:
            try:
                return str(parse_json(read_file(self.path / "run.json", MOST_JSON))["started"])
            except (OSError, ValueError, LookupError, TypeError):
                pass  # resumed into a new folder
        return _now()


def _describe(training: Training, path: Path) -> dict[str, Any]:
    model, about = training.model, training.about
    return {
        "format": FORMAT,
        "name": path.resolve().name,
        "model": type(model).__name__,
        "epochs": training.epochs,
        "steps_per_epoch": len(training.loader),
        "batch_size": training.loader.batch_size,
        "optimizer": describe_optimizer(optimizer_of(model)),
        "precision": about["precision"],
        "device": training.device.name,
        "compiled": model.graph_mode,
        "seed": training.seed,
        "parameters": sum(t.size() for t in model.get_params().values()),
        "summary": str(model.summary()),
        "versions": {
            "python": platform.python_version(),
            "singa": singa.__version__,
            "jax": version("jax"),
            "numpy": version("numpy"),
        },
        "data": {
            "name": about.get("data", type(training.loader.dataset).__name__),
            "samples": about["samples"],
            "validation_samples": about["validation_samples"],
        },
    }


def describe_optimizer(optimizer: Optimizer | DistOpt | None) -> dict[str, Any] | None:
    """An optimizer's class as ``name``, and its hyper-parameters: numbers, or schedules as text."""
    if optimizer is None:
        return None
    found: dict[str, Any] = {"name": type(optimizer).__name__}
    values = optimizer.schedules() | optimizer.plain_fields()
    return found | {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, DecayScheduler):
        return value.init_value if isinstance(value, Constant) else repr(value)
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _image(picture: npt.ArrayLike) -> Any:
    """A Pillow image of an array."""
    pixels = np.asarray(picture)
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise ShapeError(
            f"add_image: (H, W), (H, W, 3) or (H, W, 4) is expected, got {pixels.shape}"
        )
    try:
        from PIL import Image
    except ImportError:
        raise DependencyError("pictures need Pillow: pip install 'singa-xla[images]'") from None
    if pixels.dtype != np.uint8:
        scaled = pixels.astype(np.float64) / max(float(pixels.max(initial=0)), 1.0)
        pixels = np.round(np.clip(np.nan_to_num(scaled), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels)
