"""CIFAR-10 and CIFAR-100, in the binary version, from files that the user has.

A file is a row of records: the labels, a byte each, and 3,072 bytes of a picture: 32 rows of 32
pixels in red, then in green, then in blue (https://www.cs.toronto.edu/~kriz/cifar.html). The
python version of the same data is pickles, which could run anybody's code, and is not read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.dataset import Dataset
from singa.data.files import find_files, read_file, read_lines
from singa.errors import DataError

_IMAGE_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Version:
    """What is where: the names of the files, and how many labels a record has."""

    train: tuple[str, ...]
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
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin",
        "batches.meta.txt", "cifar-10-batches-bin", 1, "cifar-10-binary.tar.gz",
    ),
    "cifar-100": _Version(
        ("train.bin",), "test.bin",
        "fine_label_names.txt", "cifar-100-binary", 2, "cifar-100-binary.tar.gz",
    ),
}  # fmt: skip


def load_cifar10(data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """CIFAR-10: 50,000 and 10,000 colour photographs of 32x32 pixels, of 10 classes.

    The files of the binary version, unpacked from cifar-10-binary.tar.gz, are looked for in
    ``data_dir``, or, if that is None, in the folder that the environment variable SINGA_DATA_DIR
    names; in each, in the subfolders ``cifar-10`` and ``cifar-10-batches-bin`` first.

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

    The files of the binary version, unpacked from cifar-100-binary.tar.gz, are looked for as
    those of :func:`load_cifar10`, in the subfolders ``cifar-100`` and ``cifar-100-binary`` first.

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
    _, (*data, names) = _find(name, data_dir)
    class_names = tuple(line for line in read_lines(names) if line)
    *train, test = (_read(path, version.labels, len(class_names)) for path in data)
    images, labels = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return Dataset(images, labels, *test, class_names=class_names)


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


def _read(
    path: Path, labels: int, classes: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    content = read_file(path)
    size = labels + _PIXELS
    count, rest = divmod(len(content), size)
    if rest:
        raise DataError(
            f"{path}: truncated, records of {size} bytes are expected, but after {count} of them "
            f"{rest} bytes are left"
        )
    records: npt.NDArray[Any] = np.frombuffer(content, np.uint8).reshape(count, size)
    found = records[:, labels - 1].astype(np.int32)  # the coarse label comes before the fine one
    if count and found.max() >= classes:
        raise DataError(
            f"{path}: labels from 0 to {classes - 1} are expected, found {found.max()} in record "
            f"{found.argmax()}"
        )
    images = records[:, labels:].reshape(-1, *_IMAGE_SHAPE).astype(np.float32)
    images /= 255
    return images, found
