"""Where the parts of an array are: on one of jax's devices, or spread over the axes of a mesh.

A mesh is several of jax's devices in a grid whose axes have names. An array on it is still one
array, of one shape: jax's sharding says along which axes of the mesh each axis of the array is
split, and XLA computes with it as with any other. So placements change where numbers are, and how
fast they are computed, but not the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, TypeAlias
from zlib import crc32

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from singa.errors import ArgumentError

Split: TypeAlias = Sequence[str | Sequence[str] | None]
"""For each axis of an array, the mesh's axis along which it is split, several of them, or None.
Axes at the end may be left out: they are not split."""

Place: TypeAlias = Any
"""What jax puts arrays on: a ``jax.Device``, or a ``Sharding``."""


def mesh_of(axes: Mapping[str, int], devices: Sequence[jax.Device]) -> Mesh:
    """A mesh with these axes, of the first of these devices.

    Raises:
        ArgumentError: names or sizes are wrong, or there are fewer devices.
    """
    if not isinstance(axes, Mapping) or not axes:
        raise ArgumentError(
            f"create_mesh: axes with names and sizes are expected, such as {{'data': 4}}; "
            f"got {axes!r}"
        )
    for name, size in axes.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ArgumentError(f"create_mesh: an axis has a name, such as 'data'; got {name!r}")
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < 1:
            raise ArgumentError(
                f"create_mesh: the axis {name!r} has a size of 1 or more, got {size!r}"
            )
    count = math.prod(axes.values())
    if count > len(devices):
        raise ArgumentError(
            f"create_mesh: {_product(axes)} is {count} devices, and there are {len(devices)}"
        )
    if len(set(devices[:count])) < count:
        raise ArgumentError("create_mesh: a device is given twice")
    grid = np.array(devices[:count]).reshape(tuple(axes.values()))
    return Mesh(grid, tuple(axes), axis_types=(AxisType.Auto,) * len(axes))


def _product(axes: Mapping[str, int]) -> str:
    return " x ".join(f"{name}={size}" for name, size in axes.items())


def split_as(mesh: Mesh, shape: Sequence[int], split: Split, what: str) -> NamedSharding:
    """The placement of an array of this shape that is split in this way.

    Args:
        mesh: the mesh.
        shape: the array's.
        split: how it is to be split.
        what: the array, for messages.

    Raises:
        ArgumentError: there is no such axis, an axis is used twice or does not divide, or the array
            has fewer axes.
    """
    if isinstance(split, str) or not isinstance(split, Sequence):
        raise ArgumentError(
            f"{what}: for each of its axes an axis of the mesh or None is expected, such as "
            f"(None, 'model'); got {split!r}"
        )
    if len(split) > len(shape):
        raise ArgumentError(
            f"{what}: {tuple(split)} is for {len(split)} axes, and it has the shape {tuple(shape)}"
        )
    seen: set[str] = set()
    for axis, (size, names) in enumerate(zip(shape, map(_names, split), strict=False)):
        for name in names:
            if name not in mesh.shape:
                raise ArgumentError(
                    f"{what}: the mesh has no axis {name!r}; its axes are {', '.join(mesh.shape)}"
                )
            if name in seen:
                raise ArgumentError(f"{what}: {tuple(split)} uses the mesh's axis {name!r} twice")
            seen.add(name)
        parts = math.prod(mesh.shape[name] for name in names)
        if size % parts:
            raise ArgumentError(
                f"{what}: its axis {axis} of size {size} cannot be split into {parts} equal parts "
                f"along {' and '.join(map(repr, names))}"
            )
    entries = [names[0] if len(names) == 1 else names or None for names in map(_names, split)]
    return NamedSharding(mesh, PartitionSpec(*entries))


def _names(entry: str | Sequence[str] | None) -> tuple[str, ...]:
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def split_of(array: Any) -> tuple[tuple[str, ...], ...]:
    """For each axis of an array, the names of the mesh's axes along which it is split."""
    spec = getattr(array.sharding, "spec", ())
    named = [_names(entry) for entry in spec]
    return tuple(named + [()] * (array.ndim - len(named)))


def in_batches(mesh: Mesh, shape: Sequence[int], batch: tuple[str, ...]) -> NamedSharding:
    """The placement of a batch: split along its first axis if that can be, whole otherwise."""
    parts = math.prod(mesh.shape[name] for name in batch)
    if batch and shape and shape[0] and shape[0] % parts == 0:
        return NamedSharding(mesh, PartitionSpec(batch if len(batch) > 1 else batch[0]))
    return NamedSharding(mesh, PartitionSpec())


def is_on(array: Any, place: Place) -> bool:
    """Whether an array is on the device, or spread in some way over the mesh, of this place."""
    sharding = array.sharding
    if isinstance(place, jax.Device):
        return bool(array.committed and sharding.device_set == {place})
    mesh = getattr(sharding, "mesh", place.mesh)
    return bool(array.committed and sharding.device_set == place.device_set and mesh == place.mesh)


exchanges: list[Callable[[str], None]] = []
"""Called with what all processes have to do alike, in the same order."""


def announce(what: str, arrays: Sequence[Any] = (), mesh: Mesh | None = None) -> None:
    """Let the processes of a mesh compare, in the background, what they are about to do on it.

    Nothing is announced that is traced: it runs later, as a part of something else.

    Args:
        what: what it is; the same text in all processes.
        arrays: what it is done with.
        mesh: where; the first array's if not given.
    """
    if not exchanges or any(isinstance(array, jax.core.Tracer) for array in arrays):
        return
    if mesh is None:
        mesh = getattr(arrays[0].sharding, "mesh", None) if arrays else None
    if mesh is not None and mesh.is_multi_process:
        kinds = ", ".join([_kind(array.dtype, array.shape) for array in arrays])
        for exchange in exchanges:
            exchange(f"{what} of {kinds}" if kinds else what)


@lru_cache(maxsize=1024)
def _kind(dtype: Any, shape: tuple[int, ...]) -> str:
    return f"{dtype}{list(shape)}"  # to write a type takes 15 us


def expect_same(array: np.ndarray[Any, Any], place: Place) -> None:
    """Let the processes of a mesh compare, in the background, what they are about to put on it."""
    if exchanges and not (isinstance(place, jax.Device) or place.is_fully_addressable):
        checksum = crc32(np.ascontiguousarray(array).view(np.uint8).data) if array.size else 0
        announce(f"an array {array.dtype}{array.shape} of the checksum {checksum}", (), place.mesh)


def put(array: Any, place: Place) -> Any:
    """An array on a device or a mesh.

    If other processes have devices of the mesh, all of them have to give the same array, of which
    each takes the parts of its devices. Nothing is sent, unless the array is on such a mesh now.
    """
    if isinstance(array, jax.core.Tracer):
        return jax.device_put(array, place)
    if isinstance(array, jax.Array) and not array.is_fully_addressable:
        if getattr(place, "mesh", None) == getattr(array.sharding, "mesh", 0):
            announce(f"another placement, {place.spec},", [array])
            return jax.device_put(array, place)
        array = gathered(array)
    if isinstance(place, jax.Device) or place.is_fully_addressable:
        return jax.device_put(array, place)
    return assembled(np.asarray(array), place, 0, np.shape(array))


def assembled(part: Any, place: Place, first: int, shape: Sequence[int]) -> Any:
    """An array on a mesh of several processes, of which each gives the rows that it has.

    Args:
        part: the rows of this process: at least those that its devices have.
        place: the placement of the whole.
        first: the number of its first row in the whole array.
        shape: of the whole array.
    """

    def shard(index: Any) -> Any:
        if not index:
            return part
        rows = index[0].indices(shape[0])
        return part[(slice(rows[0] - first, rows[1] - first), *index[1:])]

    return jax.make_array_from_callback(tuple(shape), place, shard)


def rows_here(place: Place, count: int) -> range:
    """Of an array with so many rows, those that this process's devices have in this placement."""
    found = place.addressable_devices_indices_map((count,)).values()
    rows = [index[0].indices(count) for index in found]
    return range(min(each[0] for each in rows), max(each[1] for each in rows))


def gathered(array: Any) -> np.ndarray[Any, Any]:
    """The values of a whole array; if a part is with other processes, all have to ask for it."""
    if not (array.is_fully_addressable or array.is_fully_replicated):
        announce("the values", [array])
        array = _everywhere(array.sharding.mesh)(array)
    return np.asarray(array)


@cache
def _everywhere(mesh: Mesh) -> Callable[[Any], Any]:
    return jax.jit(lambda array: array, out_shardings=NamedSharding(mesh, PartitionSpec()))


def as_before(value: Any, before: Any) -> Any:
    """``value`` in the placement of the array that it replaces, if that is on the same mesh."""
    place, now = before.sharding, value.sharding
    mesh = getattr(place, "mesh", None)
    if value.shape != before.shape or now == place or now.device_set != place.device_set:
        return value
    if getattr(now, "mesh", mesh) != mesh:
        return value
    if mesh is not None:
        announce(f"another placement, {place.spec},", [value])
    return jax.device_put(value, place)


def whole_from(first: int, array: Any, mesh: Mesh) -> Any:
    """The array with its axes from this one on not split; in code that is being traced."""
    if array.ndim <= first:
        return array
    free = [PartitionSpec.UNCONSTRAINED] * first
    spec = PartitionSpec(*free, *[None] * (array.ndim - first))
    return jax.lax.with_sharding_constraint(array, NamedSharding(mesh, spec))


def as_parameter(shape: Sequence[int], param: Any) -> Place | None:
    """Where a state of this shape goes that is split as its parameter; None if it has another one.

    It may have further axes before those of the parameter, which are not split.
    """
    before = len(shape) - param.ndim
    if before < 0 or tuple(shape[before:]) != param.shape:
        return None
    if not isinstance(param.sharding, NamedSharding):
        return param.sharding
    split = [()] * before + [*split_of(param)]
    return NamedSharding(param.sharding.mesh, PartitionSpec(*[names or None for names in split]))


class Part:
    """A parameter of which each device has a part, and which is gathered for each use.

    Without this XLA may choose to gather the batch instead: both are split along the same axis.

    Args:
        array: the parameter's value.
        place: its placement where it is used: not split along the axes of the batch.
    """

    __slots__ = ("_place", "array")

    def __init__(self, array: Any, place: NamedSharding) -> None:
        self.array, self._place = array, place

    def gathered(self, after: Any = None) -> Any:
        """The array where it is used; in a program, not before another array is there."""
        array = self.array
        if after is not None and isinstance(array, jax.core.Tracer):
            array, _ = jax.lax.optimization_barrier((array, after))
        return jax.lax.with_sharding_constraint(array, self._place)


def use_of(kept: Any, batch: tuple[str, ...]) -> NamedSharding | None:
    """Where a parameter is used that is kept like this; None if that is where it is kept."""
    if isinstance(kept, jax.core.Tracer) or not batch:
        return None
    splits = split_of(kept)
    left = [tuple(name for name in names if name not in batch) for names in splits]
    if left == list(splits):
        return None
    return NamedSharding(kept.sharding.mesh, PartitionSpec(*[names or None for names in left]))


def part_bytes(array: Any) -> int:
    """The bytes of an array that each device holds."""
    return int(math.prod(array.sharding.shard_shape(array.shape)) * array.dtype.itemsize)
