"""A picture of a training: the loss, the accuracy, and predictions for test images."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data import Dataset
from singa.errors import DependencyError
from singa.formats.files import writing
from singa.model import Model
from singa.train import History, predict

_TRAIN, _TEST, _WRONG, _TEXT = "#4c78a8", "#e8871e", "#d62f3a", "#333333"
_ROWS, _COLUMNS = 5, 8
_DPI = 110


def check_available() -> None:
    """Raise DependencyError if matplotlib, which draws, is not installed."""
    if find_spec("matplotlib") is None:
        raise DependencyError("drawing needs matplotlib: pip install 'singa-xla[demo]'")


def draw(fpath: str | os.PathLike[str], model: Model, dataset: Dataset, history: History) -> None:
    """Write a PNG; an existing file is replaced.

    Args:
        fpath: the file's path.
        model: a classifier, trained by :func:`singa.train.fit` with the metric ``accuracy``.
        dataset: the data of training and validation.
        history: of the training.

    Raises:
        DependencyError: matplotlib is not installed.
        OSError: it cannot be written.
    """
    check_available()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    style: Any = {
        "font.size": 9,
        "text.color": _TEXT,
        "axes.labelcolor": _TEXT,
        "axes.edgecolor": "#bbbbbb",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "xtick.color": _TEXT,
        "ytick.color": _TEXT,
        "legend.frameon": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        subfigures: Any = figure.subfigures(1, 2, width_ratios=(1, 1.25), wspace=0.04)
        left, right = subfigures
        loss, accuracy = left.subplots(2, 1, sharex=True)
        _draw_loss(loss, history)
        _draw_accuracy(accuracy, history)
        _draw_images(right, model, dataset)
        with writing(fpath) as file:
            figure.savefig(file, format="png", dpi=_DPI)


def _draw_loss(axes: Any, history: History) -> None:
    losses = history.steps["loss"]
    axes.plot(_in_epochs(history), losses, color=_TRAIN, alpha=0.3, linewidth=0.8)
    axes.plot(_in_epochs(history), _smooth(losses), color=_TRAIN, linewidth=1.8)
    axes.set_title("Training loss")
    axes.set_yscale("log")
    axes.grid(axis="y", color="#eeeeee")


def _draw_accuracy(axes: Any, history: History) -> None:
    train = np.array(history.steps["accuracy"]) * 100
    test = np.array(history["val_accuracy"]) * 100
    axes.plot(_in_epochs(history), _smooth(train), color=_TRAIN, label="training batches")
    axes.plot(
        np.arange(1, len(test) + 1), test, "o-",
        color=_TEST, markersize=4, label="test images",
    )  # fmt: skip
    axes.set_title("Accuracy, %")
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(top=100.5)
    axes.grid(axis="y", color="#eeeeee")
    axes.legend(loc="lower right")


def _draw_images(figure: Any, model: Model, dataset: Dataset) -> None:
    images, labels, names = dataset.test_images, dataset.test_labels, dataset.class_names
    predicted = predict(model, images).argmax(1)
    right, wrong = np.flatnonzero(predicted == labels), np.flatnonzero(predicted != labels)
    wrong_shown = wrong[:_COLUMNS]
    shown = [*right[: _ROWS * _COLUMNS - len(wrong_shown)], *wrong_shown]
    figure.suptitle(
        f"Test images and their predicted classes: {len(right):,} of {len(labels):,} right, "
        "wrong ones in red", x=0.02, ha="left", fontsize=10,
    )  # fmt: skip
    grid = figure.subplots(_ROWS, _COLUMNS)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for axes, i in zip(grid.flat, shown, strict=False):
        pixels = images[i].transpose(1, 2, 0)  # matplotlib does not convert colours
        axes.imshow(pixels, cmap="gray_r", vmin=0, vmax=1)
        is_right = predicted[i] == labels[i]
        colour = _TEXT if is_right else _WRONG
        axes.set_title(names[predicted[i]], color=colour, loc="center", fontsize=8, pad=3)
        if not is_right:
            axes.set_xlabel(f"not {names[labels[i]]}", color=_WRONG, fontsize=8, labelpad=3)
            axes.spines[:].set(visible=True, color=_WRONG)


def _in_epochs(history: History) -> npt.NDArray[np.float64]:
    """The end of each step, in epochs."""
    return np.array(history.steps["step"]) / history["step"][0]


def _smooth(values: Any, decay: float = 0.9) -> list[float]:
    """The exponential moving average, without its bias towards 0."""
    average, weight, smoothed = 0.0, 0.0, []
    for value in values:
        average = decay * average + (1 - decay) * value
        weight = decay * weight + (1 - decay)
        smoothed.append(average / weight)
    return smoothed
