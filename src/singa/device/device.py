"""A device, its random stream, and the settings that SINGA's devices have."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from singa.dtypes import CTensor
from singa.errors import ArgumentError, DeviceError, DTypeError
from singa.placement import Place, in_batches, put


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
        number = number_of(self.jax_device)
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
        return -1 if self.jax_device.platform == "cpu" else number_of(self.jax_device)

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


def _no_graph(call: str, instead: str) -> str:
    return f"{call}: a device buffers no operations, programs belong to models; write {instead}"


timed_devices: set[Device] = set()
"""The devices whose models' steps are timed. The storeys above check it once for each step."""


def number_of(place: jax.Device) -> int:
    """A device's number on this machine; jax numbers the devices of all processes."""
    number: int | None = place.local_hardware_id
    return place.id if number is None else number


def get_default_device() -> Device:
    """The device of Tensors for which none is given: the CPU, as in SINGA.

    Example:
        >>> device.get_default_device()
        <Device cpu>
    """
    return create_cpu_device()


@cache
def create_cpu_device() -> Device:
    """The CPU.

    Example:
        >>> Tensor((2, 3), device.create_cpu_device()).device
        <Device cpu>
    """
    return Device(_first_cpu)


def _first_cpu() -> jax.Device:
    return jax.local_devices(backend="cpu")[0]
