"""The data of a training: loaders for each kind of data, and batches as Tensors."""

from __future__ import annotations

import inspect
import operator
import zlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

import jax
import numpy as np
import numpy.typing as npt

from singa.core.tensor import Tensor
from singa.data import ArrayDataset, DataLoader, Dataset, MapDataset, Subset, random_split
from singa.device import Device
from singa.errors import ArgumentError, DTypeError
from singa.model import Model
from singa.train.together import ALONE, Ranks

Source: TypeAlias = "DataLoader | Dataset | MapDataset | npt.ArrayLike | tuple[npt.ArrayLike, ...]"
"""Data for training or evaluation; see :func:`singa.train.fit`."""

Batch: TypeAlias = tuple[Tensor, ...]

_BATCH_SIZE = 64


def training_loader(
    owner: str,
    source: Source,
    batch_size: int | None,
    seed: int,
    device: Device,
    ranks: Ranks = ALONE,
) -> DataLoader:
    """Shuffled batches of one size, which ranks share; a loader is used unchanged."""
    if isinstance(source, Dataset):
        source = source.train
    if isinstance(source, DataLoader):
        return _in_equal_parts(owner, _unchanged(owner, source, batch_size), ranks)
    dataset = as_dataset(owner, source)
    size = _size(owner, dataset, batch_size)
    if batch_size is None and size > ranks.size:
        size -= size % ranks.size
    shard = ranks.size > 1
    loader = DataLoader(
        dataset, size, shuffle=True, seed=seed, drop_last=True, device=device, shard=shard
    )
    return _in_equal_parts(owner, loader, ranks)


def _in_equal_parts(owner: str, loader: DataLoader, ranks: Ranks) -> DataLoader:
    """The loader, if all ranks have equal parts of its batches: their gradients count the same."""
    if not (loader.shard and ranks.has_parts):
        return loader
    for size, what in zip(loader.sizes(), ("batches", "the last batch"), strict=True):
        if size % ranks.size:
            raise ArgumentError(
                f"{owner}: {ranks.size} ranks train together, each on an equal part of a batch, "
                f"and {what} of {size} samples cannot be divided by {ranks.size}: choose another "
                "batch_size; for a loader, drop_last=True leaves out a short last batch"
            )
    return loader


def evaluation_loader(
    owner: str, source: Source, batch_size: int | None, device: Device, shard: bool = False
) -> DataLoader:
    """Batches of all samples, in order, which ranks may share; a loader is used unchanged."""
    if isinstance(source, Dataset):
        source = source.test
    if isinstance(source, DataLoader):
        return _unchanged(owner, source, batch_size)
    dataset = as_dataset(owner, source)
    return DataLoader(dataset, _size(owner, dataset, batch_size), device=device, shard=shard)


@dataclass(frozen=True)
class Feed:
    """All data of a training.

    Attributes:
        loader: the loader of the training data.
        validation: the loader of the validation data; None without validation.
        batch: an example of the batches that ``loader`` gives.
        checksum: a checksum of that batch, and of the loader's settings.
    """

    loader: DataLoader
    validation: DataLoader | None
    batch: Batch
    checksum: int

    @classmethod
    def of(
        cls,
        owner: str,
        data: Source,
        validation: Source | float | None,
        batch_size: int | None,
        seed: int,
        device: Device,
        ranks: Ranks = ALONE,
    ) -> Feed:
        """Make it from the arguments of :func:`singa.train.fit`."""
        if isinstance(validation, (float, np.floating)):
            data, validation = _split(owner, data, float(validation), seed)
        if validation is None and isinstance(data, Dataset):
            validation = data.test
        loader = training_loader(owner, data, batch_size, seed, device, ranks)
        validating = None
        if validation is not None:
            size = None if isinstance(validation, DataLoader) else loader.batch_size
            is_shared = ranks.size > 1
            validating = evaluation_loader(owner, validation, size, device, is_shared)
        return cls(loader, validating, *example(owner, loader, device))


def _split(owner: str, data: Source, share: float, seed: int) -> list[Subset]:
    """The data without a random share of the samples, and this share."""
    if not 0 < share < 1:
        raise ArgumentError(f"{owner}: a validation of {share}: a share is between 0 and 1")
    if isinstance(data, DataLoader):
        raise ArgumentError(
            f"{owner}: a validation of {share}: a DataLoader is used as it is; data.random_split "
            "divides its dataset"
        )
    dataset = as_dataset(owner, data.train if isinstance(data, Dataset) else data)
    size = max(round(share * len(dataset)), 1)
    return random_split(dataset, [len(dataset) - size, size], seed)


def as_dataset(owner: str, source: Any) -> MapDataset:
    """The source as a dataset: arrays become one, and a dataset is returned unchanged."""
    if isinstance(source, (tuple, list)):
        return ArrayDataset(*source)
    if isinstance(source, (np.ndarray, jax.Array)):
        return ArrayDataset(np.asarray(source))
    if hasattr(source, "__len__") and hasattr(source, "__getitem__"):
        dataset: MapDataset = source
        return dataset
    raise DTypeError(
        f"{owner}: a DataLoader, a dataset, an array or a tuple of arrays is expected, "
        f"got {type(source).__name__}"
    )


def _unchanged(owner: str, loader: DataLoader, batch_size: int | None) -> DataLoader:
    if batch_size is not None and batch_size != loader.batch_size:
        raise ArgumentError(
            f"{owner}: batch_size is {batch_size}, but the DataLoader has its own, "
            f"{loader.batch_size}"
        )
    return loader


def _size(owner: str, dataset: MapDataset, batch_size: int | None) -> int:
    length = len(dataset)
    if not length:
        raise ArgumentError(f"{owner}: there are no samples")
    if batch_size is None:
        return min(_BATCH_SIZE, length)
    size = operator.index(batch_size)
    if size < 1:
        raise ArgumentError(f"{owner}: batch_size is {size}, at least 1 is expected")
    return size


# -- batches --------------------------------------------------------------------------------------


def example(owner: str, loader: DataLoader, device: Device) -> tuple[Batch, int]:
    """A batch like the loader's, without shuffling, and a checksum of it.

    The checksum shows whether a training is resumed with other data or other batches.
    """
    if not len(loader.dataset):
        raise ArgumentError(f"{owner}: there are no samples")
    if loader.shard and device.spans_processes and loader.device is not device:
        raise ArgumentError(
            f"{owner}: on a mesh of several processes each makes the samples of its devices: give "
            "the DataLoader device= the mesh, or leave out shard=True to make all in each process"
        )
    batch = as_batch(owner, loader.example(whole=device.spans_processes), device)
    # Of the samples of all ranks: another number of them may go on with the training.
    whole = as_batch(owner, loader.example(whole=True), device) if loader.shard else batch
    order = len(loader.dataset), loader.seed, loader.shuffle, loader.drop_last
    checksum = zlib.crc32(repr(order).encode())
    for field in whole:
        checksum = zlib.crc32(field.to_numpy().tobytes(), checksum)
    return batch, checksum


def as_batch(owner: str, batch: Any, device: Device) -> Batch:
    """The fields of a batch as Tensors."""
    fields = batch if isinstance(batch, (tuple, list)) else (batch,)
    return tuple([_as_tensor(owner, field, device) for field in fields])


def batches(
    owner: str, loader: DataLoader, epoch: int, start: int, device: Device
) -> Generator[Batch]:
    """The batches of an epoch as Tensors, from batch ``start`` on."""
    for batch in loader.batches_of(epoch, start):
        yield as_batch(owner, batch, device)


def _as_tensor(owner: str, field: Any, device: Device) -> Tensor:
    if isinstance(field, Tensor):
        return field
    if isinstance(field, np.generic):
        field = np.asarray(field)
    if isinstance(field, (np.ndarray, jax.Array)):
        return Tensor(data=field, device=device, requires_grad=False)
    raise DTypeError(
        f"{owner}: a batch is an array or a tuple of arrays, one for each argument of "
        f"train_one_batch; there is a {type(field).__name__} in it"
    )


def inputs_of(model: Model, batch: Batch) -> list[Tensor]:
    """The fields that ``forward`` takes: the first ones, as many as it has required arguments."""
    parameters = inspect.signature(model.forward).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return list(batch[: max(len(batch) - 1, 1)])
    needed = sum(
        parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        for parameter in parameters
    )
    return list(batch[:needed])
