"""Which samples are in which batch, and how a batch is made of them. Without jax, for workers."""

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

    A sample is a tuple of arrays, numbers or strings; a dict, or one array by itself, will do.
    A dataset that can make whole batches faster than sample by sample also has
    ``take(rows)``, as :class:`singa.data.ArrayDataset` has.

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
    """A random order of ``range(length)``, the same for the same seed wherever it is drawn.

    NumPy keeps the raw bits of a generator the same from release to release, but not what
    ``Generator.permutation`` makes of them (NEP 19); sorting raw bits is as good a shuffle.
    """
    bits = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(length)
    return np.argsort(bits, kind="stable")


def collate(samples: Sequence[Any]) -> Any:
    """Put samples together: arrays and numbers are stacked along a new first axis.

    Tuples and dicts are put together field by field; of strings a list is made. As in a Tensor,
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
    """Makes a batch of a dataset's samples; what a DataLoader was told, without the loader."""

    dataset: Any
    transform: Callable[..., Any] | None
    collate: Callable[[list[Any]], Any] | None
    seed: int

    def __call__(self, epoch: int, rows: Rows) -> Any:
        """The batch of these samples: the same in whichever process it is made."""
        if self.transform is None and self.collate is None and hasattr(self.dataset, "take"):
            return self.dataset.take(rows)
        samples = [self._sample(epoch, int(row)) for row in rows]
        return (self.collate or collate)(samples)

    def _sample(self, epoch: int, row: int) -> Any:
        sample = self.dataset[row]
        if self.transform is None:
            return sample
        fields = sample if isinstance(sample, tuple) else (sample,)
        # A stream for each sample, so that it does not matter who makes which.
        seed = np.random.SeedSequence((self.seed, epoch), spawn_key=(row,))
        return self.transform(*fields, np.random.Generator(np.random.PCG64(seed)))
