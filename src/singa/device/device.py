"""Devices, and each device's random stream; the data types of :mod:`singa.dtypes`."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import _GeneratorContextManager
from functools import cache, partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from singa.dtypes import DTYPES as DTYPES
from singa.dtypes import CTensor as CTensor
from singa.dtypes import DType as DType
from singa.dtypes import as_dtype as as_dtype
from singa.dtypes import bfloat16 as bfloat16
from singa.dtypes import bool_ as bool_
from singa.dtypes import complex64 as complex64
from singa.dtypes import complex128 as complex128
from singa.dtypes import complex_type as complex_type
from singa.dtypes import float16 as float16
from singa.dtypes import float32 as float32
from singa.dtypes import float64 as float64
from singa.dtypes import has_gradients as has_gradients
from singa.dtypes import int8 as int8
from singa.dtypes import int16 as int16
from singa.dtypes import int32 as int32
from singa.dtypes import int64 as int64
from singa.dtypes import is_complex as is_complex
from singa.dtypes import is_float as is_float
from singa.dtypes import real_type as real_type
from singa.dtypes import uint8 as uint8

# These imports set up the process before the first array is made.
from singa.engine import compilation_cache as compilation_cache
from singa.engine import compiler as compiler
from singa.engine import dispatch as dispatch
from singa.engine import gpus, native
from singa.engine import memory as memory
from singa.errors import ArgumentError, DeviceError, DTypeError
from singa.placement import Place, in_batches, mesh_of, put

# float64 and int64 exist only in this mode. Kernels state their dtypes, so that it changes
# nothing for other types; a test searches every operation for unintended 64-bit values.
jax.config.update("jax_enable_x64", True)


class _Stream(threading.local):
    """A thread's random stream: its seed and its present key."""

    seed: int | None = None
    key: Any = None


class Device:
    """A device, which holds arrays and runs operations: one of jax's, or a mesh of several.

    There is one object per physical device. A mesh is made by :func:`create_mesh`. jax starts when
    a device is first used, not when the object is made: so processes may connect in between.

    Each thread has a random stream of its own, so that its numbers do not depend on other threads.
    It begins with the seed that the thread has set, or else with the main thread's. (A compiled
    step always uses the stream of the thread that ran it first.)

    Args:
        jax_device: jax's object for the device, or a function that finds it at its first use.

    Attributes:
        jax_device: jax's object for the device; of a mesh, for the first one of this process.
        mesh: jax's object for the mesh; None for a single device.
        batch: the mesh's axes along which inputs are split.
        home: where jax puts arrays by default: the device, or the whole array on each of the mesh.
        verbosity: what :meth:`print_time_profiling` will show; 0 for nothing.
        skip_iteration: how many of the first steps are not timed.
        profiler: measures the time (:mod:`singa.report.profiler`); None until a step is timed.

    Example:
        >>> dev = device.get_default_device()
        >>> dev.set_rand_seed(0)
        >>> dev
        <Device cpu>
    """

    __slots__ = (
        "_find", "_seed", "_stream", "batch", "home", "jax_device", "mesh", "profiler",
        "skip_iteration", "verbosity",
    )  # fmt: skip

    jax_device: jax.Device
    home: Place

    def __init__(
        self,
        jax_device: jax.Device | Callable[[], jax.Device],
        mesh: Mesh | None = None,
        batch: tuple[str, ...] = (),
    ) -> None:
        self._find = (lambda: jax_device) if isinstance(jax_device, jax.Device) else jax_device
        self.mesh, self.batch = mesh, batch
        self._seed = 0  # the main thread's
        self._stream = _Stream()
        self.verbosity = 0
        self.skip_iteration = 5
        self.profiler: Any = None

    def __getattr__(self, name: str) -> Any:
        # Called for what is not set yet.
        if name not in ("jax_device", "home"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.jax_device = self._find()
        mesh = self.mesh
        self.home = self.jax_device if mesh is None else NamedSharding(mesh, PartitionSpec())
        return getattr(self, name)

    @property
    def name(self) -> str:
        """``cpu``, the platform and number, ``cuda:0``, or a mesh's axes: ``cpu[data=4]``."""
        number = _number(self.jax_device)
        platform = {"gpu": "cuda"}.get(self.jax_device.platform, self.jax_device.platform)
        if self.mesh is not None:
            return f"{platform}[{', '.join(f'{n}={size}' for n, size in self.axes.items())}]"
        return "cpu" if platform == "cpu" and number == 0 else f"{platform}:{number}"

    @property
    def axes(self) -> dict[str, int]:
        """The sizes of a mesh's axes, by name; empty for a single device."""
        return {} if self.mesh is None else dict(self.mesh.shape)

    @property
    def spans_processes(self) -> bool:
        """Whether it is a mesh with devices of several processes."""
        return self.mesh is not None and bool(self.mesh.is_multi_process)

    def place_of_input(self, shape: Sequence[int]) -> Place:
        """Where an input of this shape goes: its batch axis is split over a mesh, if it divides."""
        return self.home if self.mesh is None else in_batches(self.mesh, shape, self.batch)

    def id(self) -> int:
        """The GPU's number; -1 for the CPU, as in SINGA."""
        return -1 if self.jax_device.platform == "cpu" else _number(self.jax_device)

    @property
    def seed(self) -> int:
        """The last seed of this thread's random stream."""
        return self._seed if self._stream.seed is None else self._stream.seed

    @property
    def random_key(self) -> Any:
        """The state of this thread's random stream; None until the first number is drawn.

        A Tensor, so that a compiled step reads and advances it like any other state.
        """
        return self._stream.key

    @random_key.setter
    def random_key(self, key: Any) -> None:
        self._stream.key = key

    def set_rand_seed(self, seed: int) -> None:
        """Restart this thread's random stream; the same seed gives the same numbers."""
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
            raise DTypeError(f"set_rand_seed: an integer is expected, got {seed!r}")
        if not -(2**63) <= seed < 2**63:
            raise ArgumentError(f"set_rand_seed: {seed} does not fit into 64 bits")
        self._stream.seed = int(seed)
        if threading.current_thread() is threading.main_thread():
            self._seed = int(seed)
        if self.random_key is not None:
            self.random_key.data = self.initial_key()

    def initial_key(self) -> CTensor:
        """The state of a random stream that starts from this thread's seed: uint32 (2,)."""
        with jax.ensure_compile_time_eval():
            return put(jax.random.PRNGKey(self.seed), self.home)

    def sync(self) -> None:
        """Wait until everything that was started on this device is done."""
        # Programs run in the order in which they were started: wait for one more.
        put(np.zeros((), np.float32), self.home).block_until_ready()
        jax.effects_barrier()

    def host(self) -> Device:
        """The CPU, from which this device gets its data."""
        return create_cpu_device()

    # -- the time of models' steps ------------------------------------------------------------

    def set_verbosity(self, verbosity: int) -> None:
        """Measure the time of the steps of all models on this device, eager or compiled.

        Args:
            verbosity: what :meth:`print_time_profiling` will show: 1 for forward and backward, 2
                for each operation too, 3 for operations that communicate only. 0 turns it off.

        Raises:
            ArgumentError: it is none of these.
        """
        if isinstance(verbosity, bool) or verbosity not in (0, 1, 2, 3):
            raise ArgumentError(f"set_verbosity: 0, 1, 2 or 3 is expected, got {verbosity!r}")
        self.verbosity = verbosity
        if verbosity:
            timed_devices.add(self)
        elif self in timed_devices:
            timed_devices.remove(self)
            profiler, self.profiler = self.profiler, None
            if profiler is not None:
                profiler.finish()

    def set_skip_iteration(self, skip_iteration: int = 5) -> None:
        """Do not time this many first steps: they compile, and warm up.

        Raises:
            ArgumentError: it is not a number of steps.
        """
        if (
            isinstance(skip_iteration, bool)
            or not isinstance(skip_iteration, int)
            or skip_iteration < 0
        ):
            raise ArgumentError(
                f"set_skip_iteration: a number of steps is expected, got {skip_iteration!r}"
            )
        self.skip_iteration = skip_iteration
        if self.profiler is not None:
            self.profiler.skip = skip_iteration

    def print_time_profiling(self) -> None:
        """Print averages over the steps that were timed since the last report, in seconds."""
        if not self.verbosity:
            print("Time Profiling: off; SetVerbosity(1) before the training turns it on")
        elif self.profiler is None:
            print("Time Profiling: no step was timed")
        else:
            print(self.profiler.summary(self.verbosity))

    # -- SINGA's buffer of operations ---------------------------------------------------------

    def enable_graph(self, enable: bool) -> None:
        """SINGA's switch for buffering operations; only turning it off is possible here.

        Raises:
            DeviceError: ``enable`` is true. Programs belong to models:
                ``model.compile(inputs, use_graph=True)``.
        """
        if enable:
            raise DeviceError(
                _no_graph("EnableGraph(True)", "model.compile(inputs, use_graph=True)")
            )

    def graph_enabled(self) -> bool:
        """Whether the device buffers operations: never. ``model.graph_mode`` is a model's mode."""
        return False

    def run_graph(self, serial: bool = False) -> None:
        """Raises DeviceError: a model's program runs when the model is called."""
        raise DeviceError(_no_graph("RunGraph", "model(x, y)"))

    def reset_graph(self) -> None:
        """Does nothing: the device has no buffer that could be emptied."""

    def reset(self) -> None:
        """Stop timing steps, as after :meth:`set_verbosity` of 0, and time as at first later."""
        self.set_verbosity(0)
        self.set_skip_iteration()

    @staticmethod
    def enable_lazy_alloc(enable: bool) -> None:
        """Does nothing: XLA plans a program's memory before it runs."""

    SetRandSeed = set_rand_seed
    Sync = sync
    SetVerbosity = set_verbosity
    SetSkipIteration = set_skip_iteration
    PrintTimeProfiling = print_time_profiling
    EnableGraph = enable_graph
    RunGraph = run_graph
    ResetGraph = reset_graph
    Reset = reset
    EnableLazyAlloc = enable_lazy_alloc

    def __repr__(self) -> str:
        return f"<Device {self.name}>"

    def __reduce__(self) -> Any:
        if self.mesh is None:
            return device_named, (self.name,)
        numbers = [place.id for place in self.mesh.devices.flat]
        return _same_mesh, (self.axes, self.jax_device.platform, numbers, self.batch)


def _no_graph(call: str, instead: str) -> str:
    return f"{call}: a device buffers no operations, programs belong to models; write {instead}"


timed_devices: set[Device] = set()
"""The devices whose models' steps are timed. The storeys above check it once for each step."""


def _number(place: jax.Device) -> int:
    """A device's number on this machine; jax numbers the devices of all processes."""
    number: int | None = place.local_hardware_id
    return place.id if number is None else number


@cache
def _gpu(number: int) -> Device:
    """The GPU with this number on this machine, which is looked for when it is first used."""
    return Device(partial(_find_gpu, number))


def _find_gpu(number: int) -> jax.Device:
    for gpu in _gpus():
        if _number(gpu) == number:
            return gpu
    raise DeviceError(_no_gpu(f"GPU {number}"))


def _first_cpu() -> jax.Device:
    return jax.local_devices(backend="cpu")[0]


@cache
def _gpus() -> tuple[jax.Device, ...]:
    try:
        return tuple(jax.local_devices(backend="gpu"))
    except RuntimeError:  # jax has no GPU backend here
        return ()


def get_default_device() -> Device:
    """The device of Tensors for which none is given: the CPU, as in SINGA.

    Example:
        >>> device.get_default_device()
        <Device cpu>
    """
    return create_cpu_device()


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


def enable_lazy_alloc(enable: bool) -> None:
    """Does nothing: XLA plans a program's memory before it runs.

    Example:
        >>> device.enable_lazy_alloc(True)
    """


def exact_convolutions() -> _GeneratorContextManager[None]:
    """A block, or with ``@exact_convolutions()`` a function, without Winograd's algorithm.

    The native kernels compute large float32 convolutions with windows of 3x3 and stride 1 by it on
    CPUs, and their gradients: that takes about half the time, and the rounding errors are up to
    twice as large, of filters' gradients seven times. They are relative to the largest number of
    the 6x6 pixels that a tile of the result is computed from: results next to much larger pixels
    have fewer digits. (If there are results beyond 2^20, NaN or infinities, all are exact.) In the
    block each product of a pixel and a filter's number is computed on its own. A backward pass is
    exact if its forward pass was. The block is for the calling thread; the environment variable
    ``SINGA_WINOGRAD=0`` is for the whole process.

    Example:
        >>> x, w = Tensor((1, 64, 8, 8)), Tensor((64, 64, 3, 3))
        >>> with device.exact_convolutions():
        ...     y = autograd.conv2d(x, w)
    """
    return native.exact(True)


def create_opencl_device() -> Device:
    """Raises DeviceError: there is no OpenCL in XLA.

    Example:
        >>> device.create_opencl_device()
        Traceback (most recent call last):
            ...
        singa.errors.DeviceError: there is no OpenCL in XLA; the CPU and NVIDIA's GPUs are there
    """
    raise DeviceError("there is no OpenCL in XLA; the CPU and NVIDIA's GPUs are there")


def __getattr__(name: str) -> Device:
    # Not made at import: processes that train together have to connect before.
    if name == "default_device":
        return get_default_device()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def create_cpu_device() -> Device:
    """The CPU.

    Example:
        >>> Tensor((2, 3), device.create_cpu_device()).device
        <Device cpu>
    """
    return Device(_first_cpu)


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
    return [_gpu(_number(gpu)) for gpu in _gpus()[:num]]


def create_cuda_gpus_on(ids: list[int]) -> list[Device]:
    """The GPUs with these numbers. Raises DeviceError if one is missing, now or at its first use.

    Example:
        >>> gpus = device.create_cuda_gpus_on(device.get_gpu_ids())
    """
    if not all(map(gpus.is_expected, ids)):
        missing = [id for id in ids if id not in get_gpu_ids()]
        if missing:
            raise DeviceError(_no_gpu(f"GPU {', '.join(map(str, missing))}"))
    return [*map(_gpu, ids)]


def _no_gpu(wanted: str) -> str:
    ids = get_gpu_ids()
    if ids:
        return f"{wanted} asked for, but the GPUs here are {', '.join(map(str, ids))}"
    return (
        f"{wanted} asked for, but jax sees no GPU here. "
        "With an NVIDIA GPU and driver, install the extra: pip install 'singa-xla[cuda]'"
    )


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
    here = _gpus() or jax.local_devices(backend="cpu")
    if jax.process_count() == 1:
        return here
    everywhere: list[jax.Device] = jax.devices(here[0].platform)
    sizes = [*axes.values()] if isinstance(axes, Mapping) else []
    is_all = all(isinstance(size, int) for size in sizes) and math.prod(sizes) == len(everywhere)
    return everywhere if is_all else here


@cache
def _mesh_device(mesh: Mesh, batch: tuple[str, ...]) -> Device:
    return Device(lambda: mesh.local_devices[0], mesh, batch)


def _same_mesh(
    axes: dict[str, int], platform: str, numbers: list[int], batch: tuple[str, ...]
) -> Device:
    """A mesh that was pickled: of the devices with the same numbers."""
    known = {place.id: place for place in jax.devices(platform)}
    missing = [number for number in numbers if number not in known]
    if missing:
        raise DeviceError(
            f"a mesh of {len(numbers)} devices was stored, and there are {len(known)} here"
        )
    return create_mesh(axes, [known[number] for number in numbers], batch or None)


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


def get_num_gpus() -> int:
    """How many GPUs jax sees here.

    Example:
        >>> device.get_num_gpus() == len(device.get_gpu_ids())
        True
    """
    return len(_gpus())


def get_gpu_ids() -> list[int]:
    """The numbers of the GPUs here.

    Example:
        >>> ids = device.get_gpu_ids()
        >>> len(ids) == device.get_num_gpus()
        True
    """
    return [_number(gpu) for gpu in _gpus()]


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
