"""Devices by their names, by which they are pickled, too."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

from singa.device.device import Device, create_cpu_device
from singa.device.gpus import create_cuda_gpu, create_cuda_gpu_on
from singa.device.mesh import same_mesh
from singa.errors import DeviceError, DTypeError


def device_named(name: str) -> Device:
    """The device of that name: ``cpu``, ``cuda`` (or ``gpu``), ``cuda:N``. DeviceError if none is.

    Example:
        >>> device.device_named("cpu")
        <Device cpu>
    """
    kind, _, number = name.partition(":")
    if kind == "cpu" and number in ("", "0"):
        return create_cpu_device()
    if kind in ("cuda", "gpu") and (not number or number.isdigit()):
        return create_cuda_gpu_on(int(number)) if number else create_cuda_gpu()
    raise DeviceError(f"no device is named {name!r}; cpu, cuda or cuda:N is expected")


def as_device(device: Device | str) -> Device:
    """A device, or the one of that name. Raises DeviceError, and DTypeError for anything else.

    Example:
        >>> device.as_device("cpu")
        <Device cpu>
    """
    if isinstance(device, str):
        return device_named(device)
    if not isinstance(device, Device):
        raise DTypeError(f"a Device or the name of one is expected, such as 'cpu'; got {device!r}")
    return device


def _pickled(device: Device) -> tuple[Callable[..., Device], tuple[Any, ...]]:
    """The function that finds the device again, and its arguments."""
    if device.mesh is None:
        return device_named, (device.name,)
    numbers = [place.id for place in device.mesh.devices.flat]
    return same_mesh, (device.axes, device.jax_device.platform, numbers, device.batch)


copyreg.pickle(Device, _pickled)
