"""MNIST and Fashion-MNIST, from files that the user has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.dataset import Dataset
from singa.data.files import find_files
from singa.data.idx import read_wanted
from singa.errors import DataError

_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_IMAGE_SHAPE = (28, 28)

_CLASS_NAMES = {
    "mnist": ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9"),
    "fashion-mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip

# The files of both data sets have the same names; the first training labels tell which they are.
_FIRST_LABELS = {
    "mnist": [5, 0, 4, 1, 9, 2, 1, 3, 1, 4],
    "fashion-mnist": [9, 0, 0, 3, 0, 2, 7, 2, 5, 5],
}

_SYSTEM_FOLDERS = {"fashion-mnist": Path("/usr/share/datasets/fashion-mnist")}
_HOW_TO_GET = {
    "mnist": "Get",
    "fashion-mnist": "Install Debian's package dataset-fashion-mnist, or get",
}


def load_mnist(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """MNIST: 60,000 and 10,000 handwritten digits of 28x28 pixels.

    The four files are searched in ``data_dir``, or, if that is None, in the folder of the
    environment variable SINGA_DATA_DIR; first in its subfolder ``mnist``.

    Returns:
        Images ``(N, 1, 28, 28)``, with classes "0" to "9".

    Raises:
        DataError: the files are not there, are damaged, or are not those of this data set.

    Source: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to
    document recognition", Proceedings of the IEEE, 1998.

    Example:
        >>> data.load_mnist("no-such-folder")
        Traceback (most recent call last):
            ...
        singa.errors.DataError: the files of mnist were not found: looked in ...
    """
    return _load("mnist", data_dir)


def load_fashion_mnist(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Fashion-MNIST: 60,000 and 10,000 pictures of clothing of 28x28 pixels.

    The four files are searched in ``data_dir``, or, if that is None, in the folder of the
    environment variable SINGA_DATA_DIR; first in its subfolder ``fashion-mnist``. Without
    ``data_dir``, the folder of Debian's package dataset-fashion-mnist is searched last.

    Returns:
        Images ``(N, 1, 28, 28)``, with classes "T-shirt/top" to "Ankle boot".

    Raises:
        DataError: the files are not there, are damaged, or are not those of this data set.

    Source: H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for
    Benchmarking Machine Learning Algorithms", https://arxiv.org/abs/1708.07747, 2017.

    Example:
        >>> data.load_fashion_mnist("no-such-folder")
        Traceback (most recent call last):
            ...
        singa.errors.DataError: the files of fashion-mnist were not found: looked in ...
    """
    return _load("fashion-mnist", data_dir)


def find_folder(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder that "mnist" or "fashion-mnist" would be loaded from.

    Raises:
        DataError: the files are not there.
    """
    folder, _ = _find(name, data_dir)
    return folder


def _load(name: str, data_dir: str | os.PathLike[str] | None) -> Dataset:
    folder, paths = _find(name, data_dir)
    train_images = _images(paths[0])
    train_labels = _labels(paths[1], len(train_images))
    for other, first_labels in _FIRST_LABELS.items():
        if other != name and train_labels[: len(first_labels)].tolist() == first_labels:
            raise DataError(f"{folder}: the files are those of {other}, not of {name}")
    test_images = _images(paths[2])
    test_labels = _labels(paths[3], len(test_images))
    return Dataset(
        train_images, train_labels, test_images, test_labels, class_names=_CLASS_NAMES[name]
    )


def _find(name: str, data_dir: str | os.PathLike[str] | None) -> tuple[Path, list[Path]]:
    """The first folder that has all four files, and these files."""
    return find_files(name, _FILES, data_dir, (name,), _HOW_TO_GET[name], _SYSTEM_FOLDERS.get(name))


def _images(path: Path) -> npt.NDArray[np.float32]:
    """Images in [0, 1] with a channel axis."""

    def check(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        if dtype != np.uint8 or len(shape) != 3 or shape[1:] != _IMAGE_SHAPE:
            raise DataError(
                f"{path}: uint8 of shape (N, 28, 28) is expected, found {dtype} of shape {shape}"
            )

    scaled = read_wanted(path, check).astype(np.float32)[:, np.newaxis]
    scaled /= 255
    return scaled


def _labels(path: Path, images: int) -> npt.NDArray[np.int32]:
    """The labels; ``images`` is their expected number."""

    def check(dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        if dtype != np.uint8 or shape != (images,):
            raise DataError(
                f"{path}: uint8 of shape {(images,)}, a label per image, is expected, found "
                f"{dtype} of shape {shape}"
            )

    labels = read_wanted(path, check)
    if labels.size and labels.max() >= 10:
        raise DataError(f"{path}: labels from 0 to 9 are expected, found {labels.max()}")
    return labels.astype(np.int32)
