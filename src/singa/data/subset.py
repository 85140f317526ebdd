"""Parts of a dataset, such as a share for validation, some classes, or the first samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.batching import MapDataset, Rows, collate, permutation
from singa.errors import ArgumentError, BoundsError, DTypeError


class Subset:
    """Some of a dataset's samples, in the order of the indices; nothing is copied.

    Args:
        dataset: any dataset with ``len`` and ``[i]``.
        indices: the indices of the samples: integers of at least 0 and less than its length, of
            shape (N,).

    Raises:
        DTypeError: the indices are not integers.
        BoundsError: there is no sample with this index.

    Example:
        >>> digits = data.load_digits()
        >>> zeros = data.Subset(digits.train, np.flatnonzero(digits.train_labels == 0))
        >>> len(zeros), int(zeros[0][1])
        (142, 0)
    """

    def __init__(self, dataset: MapDataset, indices: npt.ArrayLike) -> None:
        chosen = np.asarray(indices)
        if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
            raise DTypeError(
                f"Subset: indices are integers of shape (N,), got {chosen.dtype} of {chosen.shape}"
            )
        size = len(dataset)
        if chosen.size and not (chosen.min() >= 0 and chosen.max() < size):
            raise BoundsError(
                f"Subset: indices from {chosen.min()} to {chosen.max()}, for a dataset of {size}"
            )
        self.dataset = dataset
        self.indices = chosen.astype(np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    def take(self, rows: Rows) -> Any:
        """The batch of these rows. They are read together if the dataset has a method ``take``.

        Example:
            >>> squares = data.ArrayDataset(np.arange(10) ** 2)
            >>> data.Subset(squares, [7, 3, 5]).take(range(2))
            (array([49,  9]),)
        """
        dataset: Any = self.dataset
        chosen = self.indices[slice(rows.start, rows.stop) if isinstance(rows, range) else rows]
        if hasattr(dataset, "take"):
            return dataset.take(chosen)
        return collate([dataset[int(index)] for index in chosen])


def random_split(
    dataset: MapDataset, sizes: Sequence[float], seed: int | np.integer[Any] = 0
) -> list[Subset]:
    """Split a dataset at random into parts that have no sample in common.

    Args:
        dataset: any dataset with ``len`` and ``[i]``.
        sizes: for each part its number of samples (together all samples), or its share (together
            1). Shares are rounded down, and the first parts get one more sample each, until all
            samples are used.
        seed: the same seed gives the same parts.

    Returns:
        The parts, as :class:`Subset`.

    Raises:
        ArgumentError: the sizes do not add up, or one is negative.

    Example:
        >>> train, validation = data.random_split(data.load_digits().train, [0.9, 0.1])
        >>> len(train), len(validation)
        (1295, 143)
    """
    total = len(dataset)
    if not len(sizes) or min(sizes) < 0:
        raise ArgumentError(f"random_split: sizes of 0 or more are expected, got {sizes!r}")
    counts = [int(size) for size in sizes]
    if any(isinstance(size, float) for size in sizes):
        if abs(sum(sizes) - 1) > 1e-6:
            raise ArgumentError(f"random_split: shares add up to 1, got {sizes!r}")
        counts = [int(total * share + 1e-6) for share in sizes]
        for i in range(total - sum(counts)):
            counts[i % len(counts)] += 1
    if sum(counts) != total:
        raise ArgumentError(
            f"random_split: the dataset has {total} samples, and the sizes {sizes!r} add up to "
            f"{sum(counts)}"
        )
    parts = np.split(permutation(total, int(seed)), np.cumsum(counts)[:-1])
    return [Subset(dataset, part) for part in parts]
