"""DataLoader: batches of a dataset, epoch by epoch, made ahead of time if wanted."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from weakref import WeakSet

import jax
import numpy as np

from singa.core.tensor import Tensor
from singa.data.batching import BatchMaker, MapDataset, Rows, permutation
from singa.data.workers import Workers, ahead
from singa.device import Device, as_dtype
from singa.distributed import rank, world_size
from singa.errors import ArgumentError
from singa.placement import assembled, exchanges, rows_here


class DataLoader:
    """Iterates over a dataset in minibatches; each iteration is one epoch.

    The batches of an epoch depend only on the seed and the epoch's number, and not on the
    number of workers. To resume an interrupted training, set ``epoch``, or call
    :meth:`batches_of` for the rest of an epoch.

    Workers are processes with a copy of the dataset from the time when they were started, which
    is when the first epoch begins. They are kept for the next epochs, and end with the loader,
    :meth:`close`, or a ``with`` block. Each takes memory, and about a quarter of a second to
    start; if samples are rows of arrays, 0 workers are fastest.

    Args:
        dataset: a :class:`singa.data.MapDataset`, such as an :class:`singa.data.ArrayDataset`.
        batch_size: samples per batch.
        shuffle: whether every epoch has its own random order, made from ``(seed, epoch)``.
        seed: of the orders and of the transform's generators: a non-negative integer.
        drop_last: leave out the last batch of an epoch if it is smaller than the others. A
            compiled training step is captured again for a batch of another size.
        workers: the number of processes that make batches; with 0, this process makes them.
        prefetch: the number of batches that each worker makes ahead, and that are moved to the
            device ahead.
        collate: makes a batch of a list of samples; :func:`singa.data.collate` if not given.
        device: the device of a batch's Tensors; if not given, batches are NumPy arrays.
        transform: called for each sample with its fields, and a NumPy ``Generator`` at the
            beginning of the stream of this sample in this epoch; returns the sample to use. The
            generator is for this call: the next sample's stream is of the same one.
        shard: whether the ranks of :func:`singa.distributed.initialize` share the samples. Each
            batch is then divided: ``batch_size`` is that of all ranks together, and a rank gets
            its part, of the same samples that a single process would have in that batch. All ranks
            give the same arguments, and take the same number of batches, of which no sample is in
            two parts, or in none. On a mesh of all ranks, ``device``, their parts are one Tensor,
            and each makes what its devices need. Otherwise, if a batch does not divide, parts
            differ by one sample; a last batch of fewer samples than ranks is added to the one
            before.

    Attributes:
        epoch: the number of epochs that have begun; it is the number of the next epoch.

    Raises:
        ArgumentError: a number out of range; or, with ``drop_last``, fewer samples than one batch
            needs. When workers start: the dataset or a function cannot be pickled.
        WorkerError: while iterating, a worker died. An exception of the dataset or a function in a
            worker is raised unchanged.

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
        shard: bool = False,
    ) -> None:
        self.dataset = dataset
        self.batch_size = _at_least("batch_size", batch_size, 1)
        self.shuffle = shuffle
        self.seed = _at_least("seed", seed, 0)
        self.drop_last = drop_last
        self.workers = _at_least("workers", workers, 0)
        self.prefetch = _at_least("prefetch", prefetch, 1)
        self.device = device
        self.shard = bool(shard)
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
        fits = rest >= self._parts() or not full  # each rank has some of its samples
        return full + (rest > 0 and fits and not self.drop_last)

    def sizes(self) -> tuple[int, int]:
        """The samples of a batch, and of the last one; with ``shard``, those of all ranks together.

        Example:
            >>> data.DataLoader(data.ArrayDataset(np.arange(10)), 4).sizes()
            (4, 2)
        """
        first, last = (self._span(number) for number in (0, max(len(self) - 1, 0)))
        return len(first), len(last)

    def __iter__(self) -> Iterator[Any]:
        # Not a generator itself: the epoch is counted when it begins, not at its first batch.
        epoch = self.epoch
        self.epoch += 1
        if self.shard:  # with other options ranks would have the same samples, and miss others
            options = self.batch_size, self.shuffle, self.seed, self.drop_last
            for exchange in exchanges:
                exchange(f"epoch {epoch} of {len(self.dataset)} samples with {options}")
        return self.batches_of(epoch)

    def batches_of(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of the epoch with this number, from batch ``start``; ``epoch`` is unchanged.

        Example:
            >>> batches = data.DataLoader(data.ArrayDataset(np.arange(10)), 4)
            >>> [x.tolist() for (x,) in batches.batches_of(epoch=0, start=1)]
            [[4, 5, 6, 7], [8, 9]]
        """
        batches = self._batches_of(epoch, start)
        if self.device is None:
            return batches
        numbers = range(start, len(self))
        moved = (self._moved(n, batch) for n, batch in zip(numbers, batches, strict=True))
        return ahead(moved, self.prefetch)

    def example(self, whole: bool = False) -> Any:
        """A batch of the first samples, as those of epoch 0 are but for the order and the device.

        Args:
            whole: with ``shard``, as many samples as all ranks together have in a batch.

        Example:
            >>> batches = data.DataLoader(data.ArrayDataset(np.arange(10)), 4, shuffle=True)
            >>> (x,) = batches.example()
            >>> x.tolist()
            [0, 1, 2, 3]
        """
        return self._maker(0, range(len(self._span(0) if whole else self._part(0))))

    def close(self) -> None:
        """End all workers. A running iteration fails; a later one starts new workers.

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
        length = len(self.dataset)
        order: Rows = permutation(length, self.seed, epoch) if self.shuffle else range(length)
        parts = (self._part(number) for number in range(start, len(self)))
        requests = ((epoch, order[part.start : part.stop]) for part in parts)
        if not self.workers:
            for request in requests:
                yield self._maker(*request)
            return
        # An epoch does not share its workers. If it is left early they are ended, because they
        # may still be making its batches.
        workers, self._idle = self._idle or Workers(self.workers, self._maker), None
        self._all_workers.add(workers)
        try:
            yield from workers.make(requests, self.prefetch)
        except BaseException:
            workers.stop()
            raise
        self._idle = workers

    def _parts(self) -> int:
        """The number of ranks that share the samples."""
        parts = world_size() if self.shard and not self._is_assembled else 1
        if parts > 1 and min(self.batch_size, len(self.dataset)) < parts:
            raise ArgumentError(
                f"DataLoader: {len(self.dataset)} samples in batches of {self.batch_size} cannot "
                f"be shared by {parts} ranks: each needs one or more of every batch"
            )
        return parts

    def _span(self, number: int) -> range:
        """The places, in the order of the epoch, of a batch's samples: of all ranks."""
        length, first = len(self.dataset), number * self.batch_size
        is_end = number == len(self) - 1 and not self.drop_last
        return range(first, length if is_end else min(first + self.batch_size, length))

    def _part(self, number: int) -> range:
        """This rank's part of it."""
        span, parts = self._span(number), self._parts()
        if self.device is not None and self._is_assembled:
            rows = rows_here(self.device.place_of_input((len(span),)), len(span))
            return span[rows.start : rows.stop]
        if parts == 1:
            return span
        first, end = (len(span) * each // parts for each in (rank(), rank() + 1))
        return span[first:end]

    @property
    def _is_assembled(self) -> bool:
        """Whether ranks make parts of one batch on a mesh of all of them."""
        return self.shard and self.device is not None and self.device.spans_processes

    def _moved(self, number: int, batch: Any) -> Any:
        """A batch with Tensors on the device in place of arrays."""
        return jax.tree.map(partial(self._on_device, number), batch)

    def _on_device(self, number: int, leaf: Any) -> Any:
        if not isinstance(leaf, np.ndarray):
            return leaf
        value: Any = leaf
        if self.device is not None and self._is_assembled and leaf.ndim:
            span, part = self._span(number), self._part(number)
            if len(leaf) == len(part):
                shape = (len(span), *leaf.shape[1:])
                place = self.device.place_of_input(shape)
                own = np.array(leaf, as_dtype(leaf.dtype))  # jax may use its memory: a copy
                value = assembled(own, place, part.start - span.start, shape)
        return Tensor(data=value, device=self.device, requires_grad=False)


def _at_least(name: str, value: int, least: int) -> int:
    number = operator.index(value)
    if number < least:
        raise ArgumentError(f"DataLoader: {name} is {value}, at least {least} is expected")
    return number
