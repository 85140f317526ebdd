"""CIFAR-10 and CIFAR-100, in the binary version, from files that the user has.

A file is a sequence of records: the labels, one byte each, and 3,072 bytes of a picture: 32 rows of
32 pixels in red, then in green, then in blue (https://www.cs.toronto.edu/~kriz/cifar.html). The
python version of the same data consists of pickles, which could run any code, and is not read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from singa.data.dataset import Dataset
from singa.data.files import content, find_files, read_lines
from singa.errors import DataError

_IMAGE_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_TEST_RECORDS = 10_000  # at most
_BLOCK = 1000  # records that are read and checked at a time
_MOST_NAMES = 2**16  # bytes of the classes' names


@dataclass(frozen=True)
class _Version:
    """The names of the files of a version, and the number of labels of a record."""

    train: tuple[str, ...]
    records: int  # of each file to train on, at most
    test: str
    names: str
    folder: str
    labels: int
    archive: str

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, self.test, self.names)


_VERSIONS = {
    "cifar-10": _Version(
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)), 10_000, "test_batch.bin",
        "batches.meta.txt", "cifar-10-batches-bin", 1, "cifar-10-binary.tar.gz",
    ),
    "cifar-100": _Version(
        ("train.bin",), 50_000, "test.bin",
        "fine_label_names.txt", "cifar-100-binary", 2, "cifar-100-binary.tar.gz",
    ),
}  # fmt: skip


def load_cifar10(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """CIFAR-10: 50,000 and 10,000 colour photographs of 32x32 pixels, of 10 classes.

    The files of the binary version, unpacked from cifar-10-binary.tar.gz, are searched in
    ``data_dir``, or, if that is None, in the folder of the environment variable SINGA_DATA_DIR;
    first in its subfolders ``cifar-10`` and ``cifar-10-batches-bin``.

    Returns:
        Images ``(N, 3, 32, 32)``, with classes "airplane" to "truck".

    Raises:
        DataError: the files are not there, or are damaged.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Example:
        >>> data.load_cifar10("no-such-folder")
        Traceback (most recent call last):
            ...
        singa.errors.DataError: the files of cifar-10 were not found: looked in ...
    """
    return _load("cifar-10", data_dir)


def load_cifar100(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """CIFAR-100: 50,000 and 10,000 colour photographs of 32x32 pixels, of 100 classes.

    The files of the binary version, unpacked from cifar-100-binary.tar.gz, are searched like those
    of :func:`load_cifar10`, first in the subfolders ``cifar-100`` and ``cifar-100-binary``.

    Returns:
        Images ``(N, 3, 32, 32)``, with the fine classes, "apple" to "worm".

    Raises:
        DataError: the files are not there, or are damaged.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.

    Example:
        >>> data.load_cifar100("no-such-folder")
        Traceback (most recent call last):
            ...
        singa.errors.DataError: the files of cifar-100 were not found: looked in ...
    """
    return _load("cifar-100", data_dir)


def _load(name: str, data_dir: str | os.PathLike[str] | None) -> Dataset:
    version = _VERSIONS[name]
    _, (*train, test, names) = _find(name, data_dir)
    class_names = tuple(line for line in read_lines(names, most=_MOST_NAMES) if line)
    classes = len(class_names)
    parts = [_read(path, version.labels, version.records, classes) for path in train]
    tested = _read(test, version.labels, _TEST_RECORDS, classes)
    train_images, train_labels = _converted(parts, version.labels)
    return Dataset(
        train_images, train_labels, *_converted([tested], version.labels), class_names=class_names
    )


def find_folder(name: str, data_dir: str | os.PathLike[str] | None = None) -> Path:
    """The folder that "cifar-10" or "cifar-100" would be loaded from.

    Raises:
        DataError: the files are not there.
    """
    return _find(name, data_dir)[0]


def _find(name: str, data_dir: str | os.PathLike[str] | None) -> tuple[Path, list[Path]]:
    version = _VERSIONS[name]
    how = (
        f"The binary version is read, {version.archive}, not the python version, which is pickles. "
        "Get"
    )
    return find_files(name, version.files, data_dir, (name, version.folder), how)


Records: TypeAlias = npt.NDArray[np.uint8]
"""(N, labels and pixels)."""


def _read(path: Path, labels: int, most: int, classes: int) -> Records:
    size = labels + _PIXELS
    records = bytearray()
    with content(path) as file:
        while block := file.read(_BLOCK * size):
            found, rest = divmod(len(block), size)
            before = len(records) // size
            if before + found > most or (rest and before + found == most):
                raise DataError(f"{path}: too long, at most {most} records are expected")
            if rest:
                raise DataError(
                    f"{path}: truncated, records of {size} bytes are expected, but after "
                    f"{before + found} of them {rest} bytes are left"
                )
            _check_labels(path, block[labels - 1 :: size], before, classes)
            records += block
    return np.frombuffer(records, np.uint8).reshape(-1, size)


def _check_labels(path: Path, labels: bytearray, first: int, classes: int) -> None:
    if (greatest := max(labels)) >= classes:
        raise DataError(
            f"{path}: labels from 0 to {classes - 1} are expected, found {greatest} in record "
            f"{first + labels.index(greatest)}"
        )


def _converted(
    parts: list[Records], labels: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Images in [0, 1] and labels, in one array each; the images take most of the memory."""
    images = np.empty((sum(map(len, parts)), *_IMAGE_SHAPE), np.float32)
    begin = 0
    for records in parts:
        part = images[begin : begin + len(records)]
        part[:] = records[:, labels:].reshape(part.shape)
        begin += len(records)
    images /= 255
    # The coarse label comes before the fine one.
    return images, np.concatenate([records[:, labels - 1] for records in parts]).astype(np.int32)
