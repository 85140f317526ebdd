"""This process among all: its rank, and how the ranks connect."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from singa.distributed import watch
from singa.distributed.hub import PATIENCE
from singa.engine import gpus
from singa.errors import ArgumentError, DistributedError


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


_A_DAY = 86_400  # seconds

_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK")
_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE")
_LOCAL_RANKS = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")
"""Environment variables, first torchrun's, then Open MPI's, and those of MPICH and Intel MPI."""

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
    names = (*_SIZES, "SLURM_STEP_NUM_TASKS")
    return max(_from_variable(name) if name in os.environ else 1 for name in names)


def initialize(
    address: str | None = None,
    rank: int | None = None,
    world_size: int | None = None,
    local_rank: int | None = None,
    timeout: int = 300,
    heartbeat_timeout: float = PATIENCE,
) -> World:
    """Connect to the other ranks; returns when all are connected. Call it before making Tensors.

    Arguments that are not given are read from the environment: from ``MASTER_ADDR``,
    ``MASTER_PORT``, ``RANK``, ``WORLD_SIZE`` and ``LOCAL_RANK``, as ``torchrun`` and ``singa
    launch`` set them; or from Slurm, Open MPI 4, or Kubernetes, by ``jax.distributed``. Under the
    ``mpirun`` of MPICH, Intel MPI and Open MPI 5 only the first two have to be set.

    From now on the ranks watch each other. If one fails, all others end with a
    :class:`~singa.errors.DistributedError` that says which, and what has happened to it.

    Args:
        address: the address of rank 0, ``host:port``. The ranks meet there; for jax, rank 0 listens
            at another free port.
        rank, world_size: the number of this rank, and how many there are.
        local_rank: its number on its machine; rank 0 to ``n`` on the first and so on, if not given.
        timeout: seconds to wait for the others.
        heartbeat_timeout: seconds after which a rank that is stopped, or of which nothing is heard,
            has failed. A thread gives the signs of life: there are none in a call of C that lets
            no other threads run. (``singa launch`` and :func:`launch` need none: they see whether
            a process is stopped.)

    Raises:
        ArgumentError: the numbers are invalid.
        DistributedError: it is too late, or the others did not connect.
    """
    global _world
    if _world is not _ALONE:
        _expect_same(address, rank, world_size)
        return _world
    address, rank, world_size = _from_environment(address, rank, world_size)
    if rank is not None and world_size is not None and not 0 <= rank < world_size:
        raise ArgumentError(f"initialize: there is no rank {rank} in a world of {world_size}")
    if local_rank is None:
        given = (_from_variable(name) for name in _LOCAL_RANKS if name in os.environ)
        local_rank = next(given, None)
    if _has_devices():
        raise DistributedError(
            "initialize: too late, because this process has already computed something. Call "
            "it first in the program, before any Tensor is made"
        )
    is_known = False
    if address is not None and rank is not None and world_size is not None:
        is_known = True
        if world_size > 1:
            address = watch.join(address, rank, world_size, timeout, heartbeat_timeout)
    # Ranks may end one after the other, for they are watched here, and not by jax.
    jax.config.update("jax_enable_recoverability", True)
    try:
        jax.distributed.initialize(
            address,
            world_size,
            rank,
            None if local_rank is None else [local_rank],
            initialization_timeout=timeout,
            heartbeat_timeout_seconds=_A_DAY,
        )
    except ValueError as error:
        raise ArgumentError(
            "initialize: no address, rank and world size were given, and the environment does not "
            f"have them: {error} Under mpirun, set MASTER_ADDR and MASTER_PORT, or start the "
            "script by singa launch"
        ) from error
    except RuntimeError as error:
        raise DistributedError(f"initialize: the others did not connect: {error}") from error
    if threading.current_thread() is threading.main_thread():
        # jax has a handler of its own by now, which does nothing but note the signal.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM) or signal.SIG_DFL)
    with _yielding_threads():
        place, size = jax.process_index(), jax.process_count()  # this starts jax
    _world = World(place, size, place if local_rank is None else local_rank)
    if size > 1 and not is_known:
        watch.join(_agreed_address(place), place, size, timeout, heartbeat_timeout)
    _first_exchange()
    return _world


@contextmanager
def _yielding_threads() -> Iterator[None]:
    """A block whose new threads interrupt no other one that computes (on Linux).

    Gloo's thread tries to get a lock that the thread in a collective holds, again and again without
    a pause. If it has interrupted that one, on the same core, it goes on until its time is over:
    4 ms for each message. By the policy for background work it waits for its turn instead.
    """
    if sys.platform != "linux" or gpus.is_expected(0) or os.sched_getscheduler(0) != os.SCHED_OTHER:
        yield
        return
    with suppress(OSError):  # a container may forbid it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    try:
        yield
    finally:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _first_exchange() -> None:
    """Exchange something while the ranks are together, which they are now.

    Gloo connects the ranks' CPUs when they first exchange something, and gives up after 30 seconds.
    A rank that loads its data for longer would end them all. Later exchanges wait for any time.
    """
    first = {device.process_index: device for device in reversed(jax.devices())}
    if len(first) == 1 or first[0].platform != "cpu":
        return
    mesh = Mesh(np.array([first[each] for each in sorted(first)]), ("rank",))
    whole = PartitionSpec()
    one = jax.device_put(np.int32(1), first[jax.process_index()])
    ones = jax.make_array_from_single_device_arrays((), NamedSharding(mesh, whole), [one])
    count = jax.shard_map(
        lambda x: jax.lax.psum(x, "rank"), mesh=mesh, in_specs=whole, out_specs=whole,
        check_vma=False,
    )  # fmt: skip
    jax.block_until_ready(jax.jit(count)(ones))


def _from_environment(
    address: str | None, rank: int | None, world_size: int | None
) -> tuple[str | None, int | None, int | None]:
    given = os.environ
    places = [names for names in zip(_RANKS, _SIZES, strict=True) if given.keys() >= {*names}]
    if places and "MASTER_ADDR" in given:
        port = _from_variable("MASTER_PORT") if "MASTER_PORT" in given else 29500
        if given.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            port += 1  # torchrun itself listens at that port
        address = address or f"{given['MASTER_ADDR']}:{port}"
        rank = _from_variable(places[0][0]) if rank is None else rank
        world_size = _from_variable(places[0][1]) if world_size is None else world_size
    return address, rank, world_size


def _from_variable(name: str) -> int:
    """The integer in an environment variable.

    Raises:
        ArgumentError: it has something else.
    """
    try:
        return int(os.environ[name])
    except ValueError:
        raise ArgumentError(
            f"initialize: the environment variable {name} must be an integer, got "
            f"{os.environ[name]!r}; unset it if this process is not one of several"
        ) from None


def _has_devices() -> bool:
    """Whether jax has made its devices; this is an option that cannot be changed any more then."""
    name = "jax_num_cpu_devices"
    number = getattr(jax.config, name)
    try:
        jax.config.update(name, number + 1)
    except RuntimeError:
        return True
    jax.config.update(name, number)
    return False


def _agreed_address(rank: int) -> str:
    """A free port of rank 0, on all ranks, where jax has found the ranks without our help."""
    own = f"{socket.getfqdn()}:{free_address().rpartition(':')[2]}" if rank == 0 else ""
    letters = np.frombuffer(own.encode().ljust(256), np.uint8)
    agreed: bytes = np.asarray(multihost_utils.broadcast_one_to_all(letters)).tobytes()
    return agreed.decode().strip()


def _expect_same(address: str | None, rank: int | None, world_size: int | None) -> None:
    if rank not in (None, _world.rank) or world_size not in (None, _world.size):
        raise ArgumentError(
            f"initialize: this process is already rank {_world.rank} of {_world.size}, "
            f"and cannot be {rank} of {world_size}"
        )
