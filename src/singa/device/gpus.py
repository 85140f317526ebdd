"""GPUs, by their numbers. There is no OpenCL."""

from __future__ import annotations

from functools import cache, partial

import jax

from singa.device.device import Device, number_of
from singa.engine.gpus import is_expected
from singa.errors import ArgumentError, DeviceError


def get_num_gpus() -> int:
    """How many GPUs jax sees here.

    Example:
        >>> device.get_num_gpus() == len(device.get_gpu_ids())
        True
    """
    return len(here())


def get_gpu_ids() -> list[int]:
    """The numbers of the GPUs here.

    Example:
        >>> ids = device.get_gpu_ids()
        >>> len(ids) == device.get_num_gpus()
        True
    """
    return [number_of(gpu) for gpu in here()]


def create_cuda_gpu() -> Device:
    """The first GPU. Raises DeviceError if there is none.

    Example:
        >>> has_gpu = device.get_num_gpus() > 0
        >>> dev = device.create_cuda_gpu() if has_gpu else device.create_cpu_device()
    """
    return create_cuda_gpus(1)[0]


def create_cuda_gpu_on(id: int) -> Device:
    """The GPU with this number. Raises DeviceError if there is none, now or at its first use.

    Example:
        >>> gpus = [device.create_cuda_gpu_on(id) for id in device.get_gpu_ids()]
    """
    return create_cuda_gpus_on([id])[0]


def create_cuda_gpus(num: int) -> list[Device]:
    """The first ``num`` GPUs. Raises DeviceError if there are fewer; ArgumentError if num < 1.

    Example:
        >>> count = device.get_num_gpus()
        >>> gpus = device.create_cuda_gpus(count) if count else []
    """
    if num < 1:
        raise ArgumentError(f"create_cuda_gpus: at least 1 GPU must be asked for, got {num}")
    if num > get_num_gpus():
        raise DeviceError(_no_gpu(f"{num} GPUs" if num > 1 else "a GPU"))
    return [_gpu(number_of(gpu)) for gpu in here()[:num]]


def create_cuda_gpus_on(ids: list[int]) -> list[Device]:
    """The GPUs with these numbers. Raises DeviceError if one is missing, now or at its first use.

    Example:
        >>> gpus = device.create_cuda_gpus_on(device.get_gpu_ids())
    """
    if not all(map(is_expected, ids)):
        missing = [id for id in ids if id not in get_gpu_ids()]
        if missing:
            raise DeviceError(_no_gpu(f"GPU {', '.join(map(str, missing))}"))
    return [*map(_gpu, ids)]


def get_gpu_mem_size(id: int) -> tuple[int, int]:
    """Free and total memory of a GPU that this process may use, in bytes.

    Raises:
        DeviceError: there is no such GPU, or it does not report its memory.

    Example:
        >>> sizes = {id: device.get_gpu_mem_size(id) for id in device.get_gpu_ids()}
    """
    stats = create_cuda_gpu_on(id).jax_device.memory_stats()
    if not stats:
        raise DeviceError(f"get_gpu_mem_size: GPU {id} does not report its memory")
    total = stats["bytes_limit"]
    return total - stats["bytes_in_use"], total


def device_query(id: int, verbose: bool = False) -> str:
    """A description of a GPU, as text; with ``verbose`` its memory statistics too.

    Raises:
        DeviceError: there is no such GPU.

    Example:
        >>> texts = [device.device_query(id) for id in device.get_gpu_ids()]
    """
    gpu = create_cuda_gpu_on(id).jax_device
    lines = [f"GPU {id}: {gpu.device_kind}, process {gpu.process_index}"]
    if verbose:
        lines += [f"  {name}: {value}" for name, value in (gpu.memory_stats() or {}).items()]
    return "\n".join(lines)


def get_num_opencl_platforms() -> int:
    """How many OpenCL platforms XLA knows: none.

    Example:
        >>> device.get_num_opencl_platforms()
        0
    """
    return 0


def get_num_opencl_devices() -> int:
    """How many OpenCL devices XLA knows: none.

    Example:
        >>> device.get_num_opencl_devices()
        0
    """
    return 0


def create_opencl_device() -> Device:
    """Raises DeviceError: there is no OpenCL in XLA.

    Example:
        >>> device.create_opencl_device()
        Traceback (most recent call last):
            ...
        singa.errors.DeviceError: there is no OpenCL in XLA; the CPU and NVIDIA's GPUs are there
    """
    raise DeviceError("there is no OpenCL in XLA; the CPU and NVIDIA's GPUs are there")


@cache
def _gpu(number: int) -> Device:
    """The GPU with this number on this machine, which is looked for when it is first used."""
    return Device(partial(_find_gpu, number))


def _find_gpu(number: int) -> jax.Device:
    for gpu in here():
        if number_of(gpu) == number:
            return gpu
    raise DeviceError(_no_gpu(f"GPU {number}"))


@cache
def here() -> tuple[jax.Device, ...]:
    """Jax's objects for all GPUs of this process."""
    try:
        return tuple(jax.local_devices(backend="gpu"))
    except RuntimeError:  # jax has no GPU backend here
        return ()


def _no_gpu(wanted: str) -> str:
    ids = get_gpu_ids()
    if ids:
        return f"{wanted} asked for, but the GPUs here are {', '.join(map(str, ids))}"
    return (
        f"{wanted} asked for, but jax sees no GPU here. "
        "With an NVIDIA GPU and driver, install the extra: pip install 'singa-xla[cuda]'"
    )
