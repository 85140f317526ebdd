"""Data sets, and a loader that makes minibatches of them."""

from __future__ import annotations

import os
from pathlib import Path

from singa.data.batching import MapDataset, collate
from singa.data.dataset import ArrayDataset, Dataset
from singa.data.digits import FOLDER, load_digits
from singa.data.idx import read_idx
from singa.data.loader import DataLoader
from singa.data.mnist import find_folder, load_fashion_mnist, load_mnist
from singa.errors import ArgumentError

__all__ = [
    "NAMES",
    "ArrayDataset",
    "DataLoader",
    "Dataset",
    "MapDataset",
    "collate",
    "folder",
    "load",
    "load_digits",
    "load_fashion_mnist",
    "load_mnist",
    "read_idx",
]

NAMES = ("digits", "mnist", "fashion-mnist")
"""The data sets that :func:`load` knows."""


def load(name: str, data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """The data set of that name: "digits", "mnist" or "fashion-mnist".

    Args:
        name: one of ``NAMES``.
        data_dir: where the files are; see :func:`load_mnist`. "digits" has its own.

    Raises:
        ArgumentError: no data set has that name, or "digits" is given a ``data_dir``.
        DataError: the files are not there, are damaged, or are not those of this data set.
    """
    _check(name, data_dir)
    if name == "mnist":
        return load_mnist(data_dir)
    if name == "fashion-mnist":
        return load_fashion_mnist(data_dir)
    return load_digits()


def folder(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder that :func:`load` would read from; same arguments.

    Raises:
        ArgumentError: as :func:`load`.
        DataError: the files are not there.
    """
    _check(name, data_dir)
    return FOLDER if name == "digits" else find_folder(name, data_dir)


def _check(name: str, data_dir: str | os.PathLike[str] | None) -> None:
    if name not in NAMES:
        raise ArgumentError(f"unknown data set {name!r}; one of {', '.join(NAMES)} is expected")
    if name == "digits" and data_dir is not None:
        raise ArgumentError("digits come with the package and are not read from a data_dir")
