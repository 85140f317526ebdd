"""DataLoader: batches of a dataset, epoch by epoch, made ahead of time where that is wanted."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakSet

import jax
import numpy as np

from singa.core.tensor import Tensor
from singa.data.batching import BatchMaker, MapDataset, Rows, permutation
from singa.data.workers import Workers, ahead
from singa.device import Device
from singa.errors import ArgumentError


class DataLoader:
    """Iterates over a dataset in minibatches; each iteration is one epoch.

    The batches of an epoch depend on nothing but the seed and the epoch's number; not on the
    number of workers either. To resume an interrupted training where it was, set ``epoch``, or
    ask :meth:`batches_of` for the rest of an epoch.

    Workers are processes that hold a copy of the dataset as it was when they were started, which
    is when the first epoch begins. They are kept for the next one, and end with the loader,
    :meth:`close`, or a ``with`` block. Their number costs memory, and a start of about a quarter
    of a second; where batches are cut out of arrays, 0 is fastest.

    Args:
        dataset: a :class:`singa.data.MapDataset`, such as an :class:`singa.data.ArrayDataset`.
        batch_size: samples per batch.
        shuffle: whether every epoch has its own order, drawn from ``(seed, epoch)``.
        seed: of the orders and of the transform's generators: a non-negative integer.
        drop_last: leave out the last batch of an epoch if it is smaller than the others. A
            compiled training step is traced once more for a batch of another size.
        workers: how many processes make batches; with 0, this one does.
        prefetch: how many batches each worker makes ahead, and how many are put on the device
            ahead of the one that is asked for.
        collate: makes a batch of a list of samples; :func:`singa.data.collate` if not given.
        device: the arrays of a batch come as Tensors there; as NumPy arrays if not given.
        transform: called for each sample with its fields, and a NumPy ``Generator`` of this
            sample in this epoch; returns the sample to use.

    Attributes:
        epoch: how many epochs were begun, and thereby the number of the next.

    Raises:
        ArgumentError: a number out of range; or, with ``drop_last``, fewer samples than one batch
            needs. When workers start: the dataset or a function cannot be pickled.
        WorkerError: while iterating, a worker died. What the dataset or a function raised in a
            worker is raised as it was.

    Example:
        >>> digits = data.load_digits()
        >>> batches = data.DataLoader(digits.train, 64, shuffle=True)
        >>> for images, labels in batches:
        ...     pass
        >>> len(batches), images.shape, labels.shape  # the last one is smaller
        (23, (30, 1, 8, 8), (30,))
        >>> def noisy(image, label, generator):
        ...     return image + generator.normal(0, 0.1, image.shape).astype(np.float32), label
        >>> images, labels = next(iter(data.DataLoader(digits.train, 64, transform=noisy)))
        >>> images.shape, images.dtype
        ((64, 1, 8, 8), dtype('float32'))
    """

    def __init__(
        self,
        dataset: MapDataset,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        workers: int = 0,
        prefetch: int = 2,
        collate: Callable[[list[Any]], Any] | None = None,
        device: Device | None = None,
        transform: Callable[..., Any] | None = None,
    ) -> None:
        self.dataset = dataset
        self.batch_size = _at_least("batch_size", batch_size, 1)
        self.shuffle = shuffle
        self.seed = _at_least("seed", seed, 0)
        self.drop_last = drop_last
        self.workers = _at_least("workers", workers, 0)
        self.prefetch = _at_least("prefetch", prefetch, 1)
        self.device = device
        self.epoch = 0
        self._maker = BatchMaker(dataset, transform, collate, self.seed)
        self._all_workers: WeakSet[Workers] = WeakSet()
        self._idle: Workers | None = None
        if drop_last and len(dataset) < self.batch_size:
            raise ArgumentError(
                f"DataLoader: {len(dataset)} samples do not fill one batch of {batch_size}, and "
                "drop_last leaves out what is smaller"
            )

    def __len__(self) -> int:
        """The number of batches in one epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        # Not itself a generator: the epoch is counted when it begins, not at its first batch.
        epoch = self.epoch
        self.epoch += 1
        return self.batches_of(epoch)

    def batches_of(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of the epoch of this number, from batch ``start`` on. ``epoch`` stays.

        Example:
            >>> batches = data.DataLoader(data.ArrayDataset(np.arange(10)), 4)
            >>> [x.tolist() for (x,) in batches.batches_of(epoch=0, start=1)]
            [[4, 5, 6, 7], [8, 9]]
        """
        batches = self._batches_of(epoch, start)
        if self.device is None:
            return batches
        return ahead((jax.tree.map(self._on_device, batch) for batch in batches), self.prefetch)

    def example(self) -> Any:
        """A batch of the first samples, as those of epoch 0 are but for the order and the device.

        Example:
            >>> batches = data.DataLoader(data.ArrayDataset(np.arange(10)), 4, shuffle=True)
            >>> (x,) = batches.example()
            >>> x.tolist()
            [0, 1, 2, 3]
        """
        return self._maker(0, range(min(self.batch_size, len(self.dataset))))

    def close(self) -> None:
        """End all workers. An iteration that is under way fails; a later one starts others.

        Example:
            >>> batches = data.DataLoader(data.ArrayDataset(np.arange(4)), 2, workers=1)
            >>> [x.tolist() for (x,) in batches]
            [[0, 1], [2, 3]]
            >>> batches.close()
        """
        self._idle = None
        for workers in list(self._all_workers):
            workers.stop()

    def __enter__(self) -> DataLoader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _batches_of(self, epoch: int, start: int) -> Iterator[Any]:
        length, size = len(self.dataset), self.batch_size
        order: Rows = permutation(length, self.seed, epoch) if self.shuffle else range(length)
        requests = (
            (epoch, order[number * size : (number + 1) * size])
            for number in range(start, len(self))
        )
        if not self.workers:
            for request in requests:
                yield self._maker(*request)
            return
        # An epoch has its workers to itself; if it is left early, so are they, with what they
        # are in the middle of.
        workers, self._idle = self._idle or Workers(self.workers, self._maker), None
        self._all_workers.add(workers)
        try:
            yield from workers.make(requests, self.prefetch)
        except BaseException:
            workers.stop()
            raise
        self._idle = workers

    def _on_device(self, leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        return Tensor(data=leaf, device=self.device, requires_grad=False)


def _at_least(name: str, value: int, least: int) -> int:
    number = operator.index(value)
    if number < least:
        raise ArgumentError(f"DataLoader: {name} is {value}, at least {least} is expected")
    return number
