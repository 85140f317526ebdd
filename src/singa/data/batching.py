"""Which samples are in which batch, and how a batch is made. Without jax, for workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from singa.errors import ShapeError

Rows = range | npt.NDArray[np.intp]
"""Numbers of samples."""


class MapDataset(Protocol):
    """Numbered samples: what a :class:`singa.data.DataLoader` reads.

    A sample is a tuple of arrays, numbers or strings; a dict or a single array is possible too.
    A dataset that can make whole batches faster than sample by sample also has
    ``take(rows)``, like :class:`singa.data.ArrayDataset`.

    Example:
        >>> class Squares:
        ...     def __len__(self):
        ...         return 100
        ...     def __getitem__(self, index):
        ...         return np.float32(index), index**2
        >>> x, y = next(iter(data.DataLoader(Squares(), 4)))
        >>> x, y
        (array([0., 1., 2., 3.], dtype=float32), array([0, 1, 4, 9], dtype=int32))
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


def permutation(length: int, *seed: int) -> npt.NDArray[np.intp]:
    """A random order of ``range(length)``, the same for the same seed in every process.

    NumPy guarantees that the raw bits of a generator are the same in all releases, but not the
    results of ``Generator.permutation`` (NEP 19). Sorting by raw bits is an equally good shuffle.
    """
    bits = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(length)
    return np.argsort(bits, kind="stable")


def collate(samples: Sequence[Any]) -> Any:
    """Make a batch of samples: arrays and numbers are stacked along a new first axis.

    Tuples and dicts are stacked field by field; strings become a list. As in a Tensor,
    Python's floats become float32 and its ints int32.

    Raises:
        ShapeError: the samples do not have the same shape, or not the same fields.

    Example:
        >>> data.collate([(np.zeros((2, 3)), 1, "one"), (np.zeros((2, 3)), 2, "two")])[1:]
        (array([1, 2], dtype=int32), ['one', 'two'])
        >>> data.collate([{"x": 1.0}, {"x": 2.0}])
        {'x': array([1., 2.], dtype=float32)}
    """
    first = samples[0]
    if isinstance(first, (tuple, dict)):
        if len({len(sample) for sample in samples}) > 1:
            raise ShapeError("collate: the samples do not have the same number of fields")
        if isinstance(first, dict):
            return {key: collate([sample[key] for sample in samples]) for key in first}
        return tuple(collate(field) for field in zip(*samples, strict=True))
    if isinstance(first, (str, bytes)):
        return list(samples)
    arrays = [np.asarray(sample, _PYTHONS.get(type(sample))) for sample in samples]
    for number, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ShapeError(
                f"collate: sample {number} of a batch is of shape {array.shape}, sample 0 of "
                f"{arrays[0].shape}; DataLoader(..., collate=) takes a function for such samples"
            )
    return np.stack(arrays)


_PYTHONS: dict[type, type[np.generic]] = {float: np.float32, int: np.int32}


@dataclass(frozen=True)
class BatchMaker:
    """Makes batches of a dataset's samples; it has a DataLoader's options, without the loader."""

    dataset: Any
    transform: Callable[..., Any] | None
    collate: Callable[[list[Any]], Any] | None
    seed: int

    def __call__(self, epoch: int, rows: Rows) -> Any:
        """The batch of these samples; it is the same in every process."""
        if self.transform is None and self.collate is None and hasattr(self.dataset, "take"):
            return self.dataset.take(rows)
        if self.transform is None:
            samples = [self.dataset[int(row)] for row in rows]
        else:
            samples = self._transformed(self.transform, epoch, rows)
        return (self.collate or collate)(samples)

    def _transformed(self, transform: Callable[..., Any], epoch: int, rows: Rows) -> list[Any]:
        stream_of = _streams(self.seed, epoch)
        found = []
        for row in map(int, rows):
            sample = self.dataset[row]
            fields = sample if isinstance(sample, tuple) else (sample,)
            found.append(transform(*fields, stream_of(row)))
        return found


def _streams(seed: int, epoch: int) -> Callable[[int], np.random.Generator]:
    """A random stream for each sample, so that it does not matter which process makes it.

    To make a generator takes longer than most transforms. So there is one, which is put at the
    beginning of each sample's stream: Philox's numbers are a function of a key and a counter
    (Salmon et al., 2011), of which the highest word is the sample here.
    """
    key = np.random.SeedSequence((seed, epoch)).generate_state(2, np.uint64)
    bits = np.random.Philox(key=key)
    generator, state = np.random.Generator(bits), bits.state
    counter = state["state"]["counter"]

    def stream_of(row: int) -> np.random.Generator:
        counter[3] = row
        bits.state = state
        return generator

    return stream_of
