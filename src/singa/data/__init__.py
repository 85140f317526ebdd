"""Data sets, and a loader that makes minibatches of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from singa.data import cifar, mnist
from singa.data.batching import MapDataset, collate
from singa.data.cifar import load_cifar10, load_cifar100
from singa.data.dataset import ArrayDataset, Dataset
from singa.data.digits import FOLDER, load_digits
from singa.data.idx import read_idx
from singa.data.image_batch_iter import ImageBatchIter
from singa.data.images import ImageFolder
from singa.data.loader import DataLoader
from singa.data.mnist import load_fashion_mnist, load_mnist
from singa.data.subset import Subset, random_split
from singa.data.text import CsvTable, TextLines
from singa.errors import ArgumentError

__all__ = [
    "NAMES",
    "ArrayDataset",
    "CsvTable",
    "DataLoader",
    "Dataset",
    "ImageBatchIter",
    "ImageFolder",
    "MapDataset",
    "Subset",
    "TextLines",
    "collate",
    "folder",
    "load",
    "load_cifar10",
    "load_cifar100",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "random_split",
    "read_idx",
]

_LOADERS: dict[str, Callable[[str | os.PathLike[str] | None], Dataset]] = {
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
    "cifar-10": load_cifar10,
    "cifar-100": load_cifar100,
}

NAMES = ("digits", *_LOADERS)
"""The data sets that :func:`load` knows."""


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set of that name.

    Args:
        name: one of ``NAMES``.
        data_dir: where the files are; see :func:`load_mnist` and :func:`load_cifar10`. "digits"
            has its own.

    Raises:
        ArgumentError: no data set has that name, or "digits" is given a ``data_dir``.
        DataError: the files are not there, are damaged, or are not those of this data set.

    Example:
        >>> data.load("digits")
        Dataset(train=1438, test=359, image_shape=(1, 8, 8), classes=10)
    """
    _check(name, data_dir)
    return load_digits() if name == "digits" else _LOADERS[name](data_dir)


def folder(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder that :func:`load` would read from; same arguments.

    Raises:
        ArgumentError: as :func:`load`.
        DataError: the files are not there.

    Example:
        >>> data.folder("digits").name
        'optdigits'
    """
    _check(name, data_dir)
    if name == "digits":
        return FOLDER
    module = cifar if name.startswith("cifar") else mnist
    return module.find_folder(name, data_dir)


def _check(name: str, data_dir: str | os.PathLike[str] | None) -> None:
    if name not in NAMES:
        raise ArgumentError(f"unknown data set {name!r}; one of {', '.join(NAMES)} is expected")
    if name == "digits" and data_dir is not None:
        raise ArgumentError("digits come with the package and are not read from a data_dir")
