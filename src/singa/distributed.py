"""Several processes that train one model: how they connect, and how they exchange arrays.

Each process is a *rank*: it has a device of its own, runs the same program as all others on its own
part of the data, and holds its own copy of the parameters. All ranks take part in every exchange,
in the same order. XLA moves the data: by NCCL between GPUs, by Gloo between CPUs.

A process that has not joined any others is the only rank of a world of one. Programs for many ranks
run there unchanged.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import socket
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import CTensor, Device
from singa.errors import ArgumentError, DeviceError, DistributedError
from singa.spreading import fully_sharded as fully_sharded
from singa.spreading import place as place
from singa.spreading import placement as placement
from singa.spreading import shard as shard
from singa.spreading import tensor_parallel as tensor_parallel

AXIS = "rank"
"""The name of the mesh's only axis: an index along it is a rank."""

EXCHANGE = "exchange"
"""The name, in a captured step, of operations in which ranks exchange something."""

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process among all processes.

    Attributes:
        rank: the number of this process, from 0.
        size: the number of processes.
        local_rank: the number of this process among those on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0


_ALONE = World()
_world = _ALONE


def rank() -> int:
    """The number of this process, from 0.

    Example:
        >>> distributed.rank()
        0
    """
    return _world.rank


def local_rank() -> int:
    """The number of this process among those on this machine, and the number of its GPU, if any.

    Example:
        >>> distributed.local_rank()
        0
    """
    return _world.local_rank


def world_size() -> int:
    """How many processes there are.

    Example:
        >>> distributed.world_size()
        1
    """
    return _world.size


def free_address() -> str:
    """An address on this machine, ``127.0.0.1:port``, by which its processes can connect.

    Example:
        >>> distributed.free_address().startswith("127.0.0.1:")
        True
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def announced_size() -> int:
    """The number of ranks that the environment variables give; 1 if they give none.

    Example:
        >>> distributed.announced_size()
        1
    """
    names = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
    return max(int(os.environ.get(name, 1)) for name in names)


def initialize(
    address: str | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    local_rank: int | None = None,
    timeout: int = 300,
) -> World:
    """Connect to the other ranks; returns when all are connected. Call it before making Tensors.

    Arguments that are not given are read from the environment: from ``MASTER_ADDR``,
    ``MASTER_PORT``, ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``, as ``torchrun`` sets them, or from
    Slurm, Open MPI, or Kubernetes, by ``jax.distributed``.

    Args:
        address: the address of rank 0, ``host:port``.
        rank, world_size: the number of this rank, and how many there are.
        local_rank: its number on its machine; rank 0 to ``n`` on the first and so on, if not given.
        timeout: seconds to wait for the others.

    Raises:
        ArgumentError: the numbers are invalid.
        DistributedError: it is too late, or the others did not connect.
    """
    global _world
    if _world is not _ALONE:
        _expect_same(address, rank, world_size)
        return _world
    given = os.environ
    if "RANK" in given and "WORLD_SIZE" in given and "MASTER_ADDR" in given:
        address = address or f"{given['MASTER_ADDR']}:{given.get('MASTER_PORT', '29500')}"
        rank = int(given["RANK"]) if rank is None else rank
        world_size = int(given["WORLD_SIZE"]) if world_size is None else world_size
    if rank is not None and world_size is not None and not 0 <= rank < world_size:
        raise ArgumentError(f"initialize: there is no rank {rank} in a world of {world_size}")
    if local_rank is None:
        names = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
        found = next((given[name] for name in names if name in given), None)
        local_rank = None if found is None else int(found)
    try:
        jax.distributed.initialize(
            address,
            world_size,
            rank,
            None if local_rank is None else [local_rank],
            initialization_timeout=timeout,
        )
    except ValueError as error:
        raise ArgumentError(
            "initialize: no address, rank and world size were given, and the environment does not "
            f"have them: {error}"
        ) from error
    except RuntimeError as error:
        if "before" in str(error):
            raise DistributedError(
                "initialize: too late, because this process has already computed something. Call "
                "it first in the program, before any Tensor or device is made"
            ) from error
        raise DistributedError(f"initialize: the others did not connect: {error}") from error
    place, size = jax.process_index(), jax.process_count()
    _world = World(place, size, place if local_rank is None else local_rank)
    return _world


def _expect_same(address: str | None, rank: int | None, world_size: int | None) -> None:
    if rank not in (None, _world.rank) or world_size not in (None, _world.size):
        raise ArgumentError(
            f"initialize: this process is already rank {_world.rank} of {_world.size}, "
            f"and cannot be {rank} of {world_size}"
        )


# -- exchange -----------------------------------------------------------------------------------


class Communicator:
    """Exchanges arrays between the ranks, on one kind of device.

    Every rank has to call the same methods in the same order, with arrays of the same shapes.
    Inside a captured step they become a part of its program.

    Attributes:
        mesh: the ranks' devices, one for each rank.

    Example:
        >>> communicator = distributed.communicator(device.get_default_device())
        >>> communicator.all_reduce([jnp.ones(3)])  # the only rank's
        [Array([1., 1., 1.], dtype=float32)]
    """

    def __init__(self, device: Device) -> None:
        if device.mesh is not None:
            raise DeviceError(
                f"{device.name} is a mesh, on which a step already is one of all its devices: use "
                "the optimizer itself, without DistOpt. A communicator exchanges between processes"
            )
        first: dict[int, Any] = {}
        for each in jax.devices(device.jax_device.platform):
            first.setdefault(each.process_index, each)
        first[_world.rank] = device.jax_device
        if len(first) != _world.size:
            raise DeviceError(
                f"{device.name}: {len(first)} of {_world.size} ranks have such a device"
            )
        self.mesh = Mesh(np.array([first[rank] for rank in sorted(first)]), (AXIS,))
        self._everywhere = NamedSharding(self.mesh, PartitionSpec())
        self._compiled = lru_cache(maxsize=1024)(self._compile)

    def all_reduce(self, arrays: Sequence[CTensor]) -> list[CTensor]:
        """The sum of each array over all ranks."""
        return self.run(_sum, list(arrays))

    def all_gather(self, arrays: Sequence[CTensor]) -> list[CTensor]:
        """All ranks' arrays, stacked: (ranks, ...) of each."""
        return self.run(_gather, list(arrays))

    def broadcast(self, arrays: Sequence[CTensor], root: int = 0) -> list[CTensor]:
        """The arrays of rank ``root``, on all ranks."""
        if not 0 <= root < _world.size:
            raise ArgumentError(f"broadcast: there is no rank {root} among {_world.size}")
        return self.run(_from(root), list(arrays))

    def are_equal(self, arrays: Sequence[CTensor]) -> list[bool]:
        """For each array, whether it is the same on all ranks, bit for bit."""
        return [bool(same) for same in self.run(_are_same, list(arrays))]

    def run(self, function: Callable[..., T], *args: Any) -> T:
        """``function(*args)``, run by all ranks together.

        The function may use ``jax.lax``'s collectives along :data:`AXIS`. It is compiled once, so
        give the same function object each time. The functions that were used last are kept.

        Args:
            function: of arrays, in any nesting, to arrays.
        """
        if local.capture is not None:
            local.capture.communicates(self)
            result: T = _exchange(function)(*args)
            return result
        result = self.here(self._compiled(function)(*self.everywhere(args)))
        return result

    def _compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        compiled: Callable[..., Any] = jax.jit(self.mapped(function))
        return compiled

    def mapped(self, function: Callable[..., T]) -> Callable[..., T]:
        """``function`` of one rank's arrays as a function of the results of :meth:`everywhere`."""
        everything = PartitionSpec()
        mapped: Callable[..., T] = jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=everything,
            out_specs=everything,
            check_vma=False,
        )
        return mapped

    def everywhere(self, arrays: Any) -> Any:
        """Each rank's own arrays as arrays of all ranks, without another axis.

        jax is told that all ranks hold the same values. This is not true, but in :meth:`mapped`
        each rank sees only its own; so no data are moved, and no axis for the ranks is needed.
        """
        place = self._everywhere
        return jax.tree.map(
            lambda a: jax.make_array_from_single_device_arrays(a.shape, place, [a]), arrays
        )

    def here(self, arrays: Any) -> Any:
        """This rank's part of arrays that were computed by all ranks."""
        return jax.tree.map(lambda a: a.addressable_data(0), arrays)


@cache
def communicator(device: Device) -> Communicator:
    """The communicator of a device of this rank and the same kind of device of the others.

    Raises:
        DeviceError: not all ranks have one.

    Example:
        >>> distributed.communicator(device.get_default_device()).mesh.size
        1
    """
    return Communicator(device)


@lru_cache(maxsize=1024)
def _exchange(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one operation in a captured step, by the name :data:`EXCHANGE`."""

    def exchange(*args: Any) -> Any:
        return function(*args)

    return jax.jit(exchange)


def _sum(arrays: list[CTensor]) -> list[CTensor]:
    return [jax.lax.psum(array, AXIS) for array in arrays]


def _gather(arrays: list[CTensor]) -> list[CTensor]:
    return [jax.lax.all_gather(array, AXIS) for array in arrays]


@cache
def _from(root: int) -> Callable[[list[CTensor]], list[CTensor]]:
    def send(arrays: list[CTensor]) -> list[CTensor]:
        is_root = jax.lax.axis_index(AXIS) == root
        # The sum of the bits: it keeps -0.0, and ignores NaN of other ranks.
        sent = [jax.lax.psum(jnp.where(is_root, _bits(a), 0), AXIS) for a in arrays]
        return [_unbits(bits, a.dtype) for bits, a in zip(sent, arrays, strict=True)]

    return send


def _are_same(arrays: list[CTensor]) -> list[CTensor]:
    bits = map(_bits, arrays)
    return [(jax.lax.pmax(b, AXIS) == jax.lax.pmin(b, AXIS)).all() for b in bits]


def _bits(array: CTensor) -> CTensor:
    """The elements' bits as numbers that XLA's collectives add and compare."""
    if array.dtype == np.bool_:
        return array.astype(np.uint32)
    size = array.dtype.itemsize
    bits = jax.lax.bitcast_convert_type(array, f"uint{8 * size}")
    return bits.astype(np.uint64 if size == 8 else np.uint32)


def _unbits(bits: CTensor, dtype: Any) -> CTensor:
    if dtype == np.bool_:
        return bits.astype(bool)
    return jax.lax.bitcast_convert_type(bits.astype(f"uint{8 * dtype.itemsize}"), dtype)


def broadcast(tensors: Iterable[Tensor], root: int = 0) -> None:
    """Give Tensors, on all ranks, the values that they have on rank ``root``.

    ::

        distributed.broadcast(model.get_states().values())

    Raises:
        ArgumentError: there is no such rank.

    Example:
        >>> weight = Tensor(data=[1.0, 2.0])
        >>> distributed.broadcast([weight])
        >>> weight.to_numpy()
        array([1., 2.], dtype=float32)
    """
    by_device: dict[Device, list[Tensor]] = {}
    for tensor in tensors:
        by_device.setdefault(tensor.device, []).append(tensor)
    for device, those in by_device.items():
        values = communicator(device).broadcast([tensor.data for tensor in those], root)
        Tensor.assign_all(those, values)


# -- starting them ------------------------------------------------------------------------------


def launch(function: Callable[..., T], world_size: int, *args: Any) -> list[T]:
    """Run ``function(*args)`` in ``world_size`` new, connected processes on this machine.

    Each is a rank; on a machine with GPUs, each has one of them. They are new Python processes. So
    the function has to be defined in a module, and its arguments and result must be picklable. If
    one process fails, all are ended.

    Returns:
        The results of the function, by rank.

    Raises:
        ArgumentError: it is not a number of processes.
        DistributedError: one of them failed; with its traceback.

    Example:
        >>> distributed.launch(distributed.rank, 2)
        [0, 1]
    """
    if isinstance(world_size, bool) or not isinstance(world_size, int) or world_size < 1:
        raise ArgumentError(f"launch: a number of processes is expected, got {world_size!r}")
    context = multiprocessing.get_context("spawn")
    task = pickle.dumps((function, args))  # unpickle it only after connecting: it may have Tensors
    address = free_address()
    processes, ends = [], []
    for rank in range(world_size):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(
            target=_run, args=(theirs, address, rank, world_size, task), daemon=True
        )
        process.start()
        theirs.close()
        processes.append(process)
        ends.append(ours)
    results: dict[int, T] = {}
    try:
        while len(results) < world_size:
            waiting = [end for rank, end in enumerate(ends) if rank not in results]
            for end in wait(waiting):
                rank = ends.index(end)  # type: ignore[arg-type]
                results[rank] = _received(rank, ends[rank])
        for process in processes:
            process.join()
    finally:
        for process in processes:
            process.kill()
            process.join()
    return [results[rank] for rank in range(world_size)]


def _received(rank: int, end: Connection) -> Any:
    try:
        is_good, result = end.recv()
    except EOFError:
        raise DistributedError(f"launch: rank {rank} ended without a result") from None
    if not is_good:
        raise DistributedError(f"launch: rank {rank} failed:\n\n{result}")
    return result


def _run(end: Connection, address: str, rank: int, world_size: int, task: bytes) -> None:
    try:
        initialize(address, rank, world_size, local_rank=rank)
        function, args = pickle.loads(task)
        end.send((True, function(*args)))
    except BaseException:
        end.send((False, traceback.format_exc()))
        raise SystemExit(1) from None
