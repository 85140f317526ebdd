"""Datasets whose samples are in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.batching import Rows
from singa.errors import ArgumentError, ShapeError


class ArrayDataset:
    """Samples that are the rows of arrays: ``dataset[i]`` is a tuple of every array's row i.

    A whole batch is read at once. Batches of consecutive rows are views of the arrays.

    Args:
        arrays: of shapes ``(N, ...)``.

    Raises:
        ShapeError: an array has no axes, or another number of rows than the first.
        ArgumentError: there are no arrays.

    Example:
        >>> digits = data.load_digits()
        >>> dataset = data.ArrayDataset(digits.train_images, digits.train_labels)
        >>> image, label = dataset[0]
        >>> len(dataset), image.shape, int(label)
        (1438, (1, 8, 8), 3)
    """

    def __init__(self, *arrays: npt.ArrayLike) -> None:
        self.arrays = tuple(np.asarray(array) for array in arrays)
        if not self.arrays:
            raise ArgumentError("ArrayDataset: at least one array is expected")
        shapes = [array.shape for array in self.arrays]
        if not all(shapes) or len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(
                "ArrayDataset: arrays with the same number of rows are expected, got shapes "
                + " and ".join(map(str, shapes))
            )

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        return tuple(array[index] for array in self.arrays)

    def take(self, rows: Rows) -> tuple[npt.NDArray[Any], ...]:
        """The batch of these rows.

        Example:
            >>> dataset = data.ArrayDataset(np.arange(10), np.arange(10) ** 2)
            >>> dataset.take(range(2, 5))
            (array([2, 3, 4]), array([ 4,  9, 16]))
            >>> dataset.take(np.array([7, 3]))
            (array([7, 3]), array([49,  9]))
        """
        chosen = slice(rows.start, rows.stop) if isinstance(rows, range) else rows
        return tuple(array[chosen] for array in self.arrays)


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images, split for training and testing.

    Attributes:
        train_images: float32, ``(N, C, H, W)``, in [0, 1].
        train_labels: int32, ``(N,)``; an index into ``class_names``.
        test_images: as ``train_images``.
        test_labels: as ``train_labels``.
        class_names: one name per class.

    Example:
        >>> digits = data.load_digits()
        >>> digits
        Dataset(train=1438, test=359, image_shape=(1, 8, 8), classes=10)
        >>> digits.train_images.shape, digits.train_labels[:5]
        ((1438, 1, 8, 8), array([3, 7, 3, 5, 3], dtype=int32))
    """

    train_images: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int32]
    test_images: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int32]
    class_names: tuple[str, ...]

    @property
    def train(self) -> ArrayDataset:
        """The samples to train on: (image, label).

        Example:
            >>> image, label = data.load_digits().train[0]
            >>> image.shape, label.dtype
            ((1, 8, 8), dtype('int32'))
        """
        return ArrayDataset(self.train_images, self.train_labels)

    @property
    def test(self) -> ArrayDataset:
        """The samples to test on: (image, label).

        Example:
            >>> len(data.load_digits().test)
            359
        """
        return ArrayDataset(self.test_images, self.test_labels)

    def __repr__(self) -> str:
        return (
            f"Dataset(train={len(self.train_images)}, test={len(self.test_images)}, "
            f"image_shape={self.train_images.shape[1:]}, classes={len(self.class_names)})"
        )
