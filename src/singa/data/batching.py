"""Minibatches, in an order that depends on nothing but a seed and the epoch's number."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.errors import ArgumentError, ShapeError

Array = npt.NDArray[Any]


def permutation(length: int, *seed: int) -> npt.NDArray[np.intp]:
    """A random order of ``range(length)``, the same for the same seed wherever it is drawn.

    NumPy keeps the raw bits of a generator the same from release to release, but not what
    ``Generator.permutation`` makes of them (NEP 19); sorting raw bits is as good a shuffle.
    """
    bits = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(length)
    return np.argsort(bits, kind="stable")


# In lower case, as range and zip are, because it is used like a function.
class batches:
    """Iterates over ``(images, labels)`` in minibatches; each iteration is one epoch.

    With a seed, every epoch has its own order, drawn from ``(seed, epoch)``. To resume an
    interrupted training where it was, set ``epoch``.

    Args:
        images: ``(N, ...)``.
        labels: ``(N, ...)``.
        batch_size: images per batch.
        seed: a non-negative integer; None keeps the order of the arrays, for evaluation.
        drop_last: leave out the last batch of an epoch if it is smaller than the others. A
            compiled training step is traced once more for a batch of another size.

    Attributes:
        epoch: how many epochs were begun, and thereby the number of the next.

    Raises:
        ShapeError: there are not as many images as labels.
        ArgumentError: a batch size below 1, a negative seed, or, with ``drop_last``, fewer
            images than one batch needs.
    """

    def __init__(
        self,
        images: Array,
        labels: Array,
        batch_size: int,
        seed: int | None = None,
        drop_last: bool = False,
    ) -> None:
        if len(images) != len(labels):
            raise ShapeError(f"batches: {len(images)} images, but {len(labels)} labels")
        self.images = images
        self.labels = labels
        self.batch_size = operator.index(batch_size)
        self.seed = None if seed is None else operator.index(seed)
        self.drop_last = drop_last
        self.epoch = 0
        if self.batch_size < 1:
            raise ArgumentError(f"batches: batch_size is {batch_size}, at least 1 is expected")
        if self.seed is not None and self.seed < 0:
            raise ArgumentError(f"batches: seed is {seed}, at least 0 is expected")
        if drop_last and len(images) < self.batch_size:
            raise ArgumentError(
                f"batches: {len(images)} images do not fill one batch of {batch_size}, "
                "and drop_last leaves out what is smaller"
            )

    def __len__(self) -> int:
        """The number of batches in one epoch."""
        full, rest = divmod(len(self.images), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        # Not itself a generator: the epoch is counted when it begins, not at its first batch.
        epoch = self.epoch
        self.epoch += 1
        return self._batches_of(epoch)

    def _batches_of(self, epoch: int) -> Iterator[tuple[Array, Array]]:
        order = None if self.seed is None else permutation(len(self.images), self.seed, epoch)
        for number in range(len(self)):
            rows = slice(number * self.batch_size, (number + 1) * self.batch_size)
            chosen = rows if order is None else order[rows]
            yield self.images[chosen], self.labels[chosen]
