"""How the ranks exchange arrays, outside of a captured step and in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache, lru_cache
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import CTensor, Device
from singa.distributed import watch
from singa.distributed.world import rank, world_size
from singa.errors import ArgumentError, DeviceError

AXIS = "rank"
"""The name of the mesh's only axis: an index along it is a rank."""

EXCHANGE = "exchange"
"""The name, in a captured step, of operations in which ranks exchange something."""

T = TypeVar("T")


class Communicator:
    """Exchanges arrays between the ranks, on one kind of device.

    Every rank has to call the same methods in the same order, with arrays of the same shapes.
    Inside a captured step they become a part of its program.

    Args:
        device: one of this rank.
        is_wide: whether all devices of each rank take part, and do the same. This is for exchanges
            beside programs on a mesh of all devices. XLA runs one after the other what is on the
            same devices. On CPUs, the messages of programs that are on different ones get mixed up.

    Attributes:
        mesh: the ranks' devices, one for each rank; or all of them, along a second axis.

    Example:
        >>> communicator = distributed.communicator(device.get_default_device())
        >>> communicator.all_reduce([jnp.ones(3)])  # the only rank's
        [Array([1., 1., 1.], dtype=float32)]
    """

    def __init__(self, device: Device, is_wide: bool = False) -> None:
        if device.mesh is not None:
            raise DeviceError(
                f"{device.name} is a mesh, on which a step already is one of all its devices: use "
                "the optimizer itself, without DistOpt. A communicator exchanges between processes"
            )
        those: dict[int, list[Any]] = {}
        for place in jax.devices(device.jax_device.platform):
            those.setdefault(place.process_index, []).append(place)
        if len(those) != world_size():
            raise DeviceError(
                f"{device.name}: {len(those)} of {world_size()} ranks have such a device"
            )
        if not is_wide:
            those = {each: places[:1] for each, places in those.items()}
            those[rank()] = [device.jax_device]
        self._local = those[rank()]
        grid = np.array([those[each] for each in sorted(those)])
        self.mesh = Mesh(grid, (AXIS, "local")) if is_wide else Mesh(grid[:, 0], (AXIS,))
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
        if not 0 <= root < world_size():
            raise ArgumentError(f"broadcast: there is no rank {root} among {world_size()}")
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
        if world_size() > 1:
            watch.exchanging(_described(function, args))
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
        place, others = self._everywhere, self._local[1:]

        def on_all(a: CTensor) -> CTensor:
            parts = [a, *[jax.device_put(a, other) for other in others]]
            return jax.make_array_from_single_device_arrays(a.shape, place, parts)

        return jax.tree.map(on_all, arrays)

    def here(self, arrays: Any) -> Any:
        """This rank's part of arrays that were computed by all ranks."""
        return jax.tree.map(lambda a: a.addressable_data(0), arrays)


@cache
def communicator(device: Device, is_wide: bool = False) -> Communicator:
    """The communicator of a device of this rank and the same kind of device of the others.

    Args:
        device: the device.
        is_wide: see :class:`Communicator`.

    Raises:
        DeviceError: not all ranks have one.

    Example:
        >>> distributed.communicator(device.get_default_device()).mesh.size
        1
    """
    return Communicator(device, is_wide)


@lru_cache(maxsize=1024)
def _exchange(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one operation in a captured step, by the name :data:`EXCHANGE`."""

    def exchange(*args: Any) -> Any:
        return function(*args)

    return jax.jit(exchange)


def _described(function: Callable[..., Any], args: Any) -> str:
    """What is exchanged, for the comparison of the ranks."""
    arrays = " ".join(f"{a.dtype}{a.shape}" for a in jax.tree.leaves(args))
    return f"{getattr(function, '__qualname__', '')} {arrays}"


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
