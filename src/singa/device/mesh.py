"""Several devices as one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache

import jax
from jax.sharding import Mesh

from singa.device import gpus
from singa.device.device import Device
from singa.errors import ArgumentError, DeviceError
from singa.placement import mesh_of


def create_mesh(
    axes: Mapping[str, int],
    devices: Sequence[Device | jax.Device] | None = None,
    batch: str | Sequence[str] | None = "data",
) -> Device:
    """Several devices as one: a grid whose axes have names.

    A Tensor on it is one array, of which each device has a part, or the whole. Inputs, as made by
    ``Tensor(data=x, device=mesh)``, are split along their first axis over ``batch``, if it can be
    divided; parameters and other states are whole on each device, until
    :func:`singa.distributed.shard` spreads them. Where an array is changes no results, except for
    rounding: batch normalization too sees the whole batch.

    After :func:`singa.distributed.initialize` a mesh as large as all devices of all processes spans
    them; a smaller one is of this process's devices. On one that spans processes, each of these
    runs the same operations, and gives the same whole arrays to Tensors, of which it keeps the
    parts of its devices. A ``DataLoader(..., shard=True, device=mesh)`` makes only these parts.

    Args:
        axes: the names and sizes of the axes: ``{"data": 4, "model": 2}`` takes 8 devices.
        devices: these, in the order of the grid, the last axis first; all GPUs if not given, or
            all CPU devices if there is no GPU.
        batch: the axis, or axes, along which inputs are split; None to have them whole everywhere.

    Raises:
        ArgumentError: there are fewer devices, or names or sizes are wrong.

    Example:
        >>> mesh = device.create_mesh({"data": 1})
        >>> Tensor((4, 2), mesh).device
        <Device cpu[data=1]>
    """
    places = _for_mesh(axes) if devices is None else devices
    mesh = mesh_of(axes, [d.jax_device if isinstance(d, Device) else d for d in places])
    if len(mesh.local_devices) == 0:
        raise ArgumentError("create_mesh: none of these devices is of this process")
    names = () if batch is None else (batch,) if isinstance(batch, str) else tuple(batch)
    for name in names:
        if name not in axes:
            raise ArgumentError(
                f"create_mesh: batches are to be split along {name!r}, which is none of the axes "
                f"{', '.join(axes)}; batch= names another one, or is None to leave them whole"
            )
    return _mesh_device(mesh, names)


def _for_mesh(axes: Mapping[str, int]) -> Sequence[jax.Device]:
    """The devices of all processes, if these are what the axes need; or else those here."""
    here = gpus.here() or jax.local_devices(backend="cpu")
    if jax.process_count() == 1:
        return here
    everywhere: list[jax.Device] = jax.devices(here[0].platform)
    sizes = [*axes.values()] if isinstance(axes, Mapping) else []
    is_all = all(isinstance(size, int) for size in sizes) and math.prod(sizes) == len(everywhere)
    return everywhere if is_all else here


@cache
def _mesh_device(mesh: Mesh, batch: tuple[str, ...]) -> Device:
    return Device(lambda: mesh.local_devices[0], mesh, batch)


def same_mesh(
    axes: dict[str, int], platform: str, numbers: list[int], batch: tuple[str, ...]
) -> Device:
    """The mesh of the devices with these numbers, which was pickled."""
    known = {place.id: place for place in jax.devices(platform)}
    missing = [number for number in numbers if number not in known]
    if missing:
        raise DeviceError(
            f"a mesh of {len(numbers)} devices was stored, and there are {len(known)} here"
        )
    return create_mesh(axes, [known[number] for number in numbers], batch or None)
