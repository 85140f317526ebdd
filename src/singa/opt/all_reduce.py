"""Sums of Tensors over all ranks: of all elements, or of the large ones only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from zlib import crc32

import jax.numpy as jnp
import numpy as np

from singa import distributed
from singa.core.guard import Watched
from singa.core.holding import changeable
from singa.core.tensor import Tensor
from singa.core.watching import local, outside_capture
from singa.device import CTensor, Device, create_cpu_device, create_cuda_gpu, float16, get_num_gpus
from singa.distributed import Communicator, communicator
from singa.errors import ArgumentError, DeviceError, DistributedError, DTypeError, ShapeError
from singa.opt.exchange import Groups, grouped, sparsified_together, summed

THRESHOLD = 2_097_152
"""Arrays of more elements than this are sent alone."""


class AllReduce(Watched):
    """The part of a :class:`DistOpt` that exchanges Tensors, for training steps of your own."""

    def __init__(self, buffSize: int) -> None:
        check_size("DistOpt: buffSize", buffSize, 1)
        self.buffSize = buffSize
        self._used: set[Device] = set()
        self._agreed: set[str] = set()  # descriptions of exchanges that were equal on all ranks
        # Tensors to send later: unchanged (False), and as float16 (True).
        self._waiting: dict[bool, list[Tensor]] = {False: [], True: []}

    @property
    def world_size(self) -> int:
        """The number of ranks."""
        return distributed.world_size()

    @property
    def global_rank(self) -> int:
        """The number of this rank."""
        return distributed.rank()

    @property
    def local_rank(self) -> int:
        """The number of this rank on its machine."""
        return distributed.local_rank()

    @property
    def communicator(self) -> Communicator:
        """The communicator of the ranks' GPUs, or of their CPUs if this rank has no GPU."""
        return communicator(create_cuda_gpu() if get_num_gpus() else create_cpu_device())

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Replace the values of a Tensor by their sums over all ranks, and return it.

        SINGA's ``all_reduce(t.data)`` changes ``t`` too, outside of compiled steps. This takes some
        milliseconds longer, and is refused if another Tensor has the same array.

        Example:
            >>> sgd = opt.DistOpt(opt.SGD(0.1))
            >>> sgd.all_reduce(Tensor(data=[1.0, 2.0])).to_numpy()  # there is only one rank
            array([1., 2.], dtype=float32)
        """
        return self._reduce("all_reduce", [tensor], half=False)[0]

    def all_reduce_half(self, tensor: Tensor) -> Tensor:
        """:meth:`all_reduce`, but the values are sent as float16."""
        return self._reduce("all_reduce_half", [tensor], half=True)[0]

    def fused_all_reduce(self, tensor: Iterable[Tensor], send: bool = True) -> list[Tensor]:
        """:meth:`all_reduce` of several Tensors, which are sent together.

        Args:
            tensor: several Tensors.
            send: send them now, with all Tensors that were given with ``send=False`` before. If
                false, they are sent by a later call.

        Returns:
            The Tensors that have changed.
        """
        return self._fused("fused_all_reduce", tensor, send, half=False)

    def fused_all_reduce_half(self, tensor: Iterable[Tensor], send: bool = True) -> list[Tensor]:
        """:meth:`fused_all_reduce`, but the values are sent as float16."""
        return self._fused("fused_all_reduce_half", tensor, send, half=True)

    def sparsification(
        self, tensor: Tensor, accumulation: Tensor | None, spars: float, topK: bool
    ) -> Tensor:
        """Replace a Tensor by the sum over all ranks of its large elements, and return it.

        Args:
            tensor: any shape.
            accumulation: it is added to the Tensor first, and is then set to the rest, which was
                not sent. It has the same shape. If None, nothing is added and the rest is lost.
            spars, topK: see :meth:`backward_and_sparse_update`.

        Raises:
            ShapeError: the accumulation has another number of elements.
            DTypeError: an argument is not a Tensor.
            ArgumentError: ``spars`` is out of range.
        """
        return self.fused_sparsification([tensor], accumulation, spars, topK)[0]

    def fused_sparsification(
        self, tensor: Iterable[Tensor], accumulation: Tensor | None, spars: float, topK: bool
    ) -> list[Tensor]:
        """:meth:`sparsification` of several Tensors, whose elements are compared together.

        Args:
            tensor: several Tensors.
            accumulation: one for all of their elements, in the order of the Tensors: (elements,).
            spars, topK: see :meth:`backward_and_sparse_update`.
        """
        check_share(spars, topK)
        tensors = tensors_of("sparsification", tensor)
        arrays = [t.data for t in tensors]
        if not arrays:
            return []
        if len({array.dtype for array in arrays}) > 1:
            raise DTypeError(
                "DistOpt.sparsification: elements are compared together; Tensors of one type are "
                f"expected, got {', '.join(str(array.dtype) for array in arrays)}"
            )
        size = sum(array.size for array in arrays)
        if accumulation is None:
            left = jnp.zeros(size, arrays[0].dtype)
        else:
            [accumulation] = tensors_of("sparsification", [accumulation])
            if accumulation.size() != size:
                raise ShapeError(
                    f"sparsification: the accumulation is of shape {accumulation.shape}, "
                    f"for {size} elements"
                )
            left = accumulation.data.ravel()
        self._expect_same_kinds("sparsification", tensors)
        run = sparsified_together(len(arrays), float(spars), bool(topK))
        sums, left = self._communicator(tensors).run(run, arrays, left)
        Tensor.assign_all(tensors, sums)
        if accumulation is not None:
            accumulation.assign(left.reshape(accumulation.shape))
        return tensors

    def wait(self) -> None:
        """Wait until everything that was sent has arrived. In a compiled step no wait is needed."""
        if local.capture is None:
            for device in self._used:
                device.sync()

    def _fused(self, what: str, tensors: Iterable[Tensor], send: bool, half: bool) -> list[Tensor]:
        self._waiting[half] += tensors_of(what, tensors)
        if not send:
            return []
        waiting, self._waiting[half] = self._waiting[half], []
        return self._reduce(what, waiting, half)

    def _reduce(self, what: str, tensors: Sequence[Tensor], half: bool) -> list[Tensor]:
        tensors = tensors_of(what, tensors)
        if tensors:
            arrays = [tensor.data for tensor in tensors]
            self._expect_same_kinds(what, tensors)
            run = summed(groups_of(arrays, THRESHOLD, self.buffSize), float16 if half else None)
            Tensor.assign_all(tensors, self._communicator(tensors).run(run, arrays))
        return tensors

    def _expect_same_kinds(self, what: str, tensors: Sequence[Tensor]) -> None:
        kinds = [(tensor.shape, str(tensor.dtype)) for tensor in tensors]
        self._expect_same(
            (what, kinds),
            [],
            tensors[0].device,
            f"calls {what} of {len(kinds)} Tensors, and others do something else: all ranks have "
            "to exchange Tensors of the same shapes and types",
        )

    def _communicator(self, tensors: Sequence[Tensor]) -> Communicator:
        self._used.add(tensors[0].device)
        return communicator(tensors[0].device)

    def _expect_same(self, what: Any, are_known: list[bool], device: Device, problem: str) -> None:
        """Compare what the ranks are going to exchange, and raise on all if it is not the same.

        Otherwise ranks would wait for each other, or end without a message. Nothing is compared in
        a captured step if this exchange was compared before, because the other ranks may not be
        capturing now.
        """
        ours = str(what)
        if self.world_size == 1:
            return
        if local.capture is not None and ours in self._agreed and all(are_known):
            return
        with outside_capture():
            number = np.array(crc32(f"{ours} {are_known}".encode()), np.int64)
            here = Tensor(data=number, device=device)
            if not communicator(device).are_equal([here.data])[0]:
                raise DistributedError(f"DistOpt: rank {self.global_rank} {problem}")
        self._agreed.add(ours)


def tensors_of(what: str, tensors: Iterable[Any]) -> list[Tensor]:
    """The Tensors as a list; of an array, the one that has it. Refused is more than one device."""
    found = [changeable(tensor, f"DistOpt.{what}") for tensor in tensors]
    for tensor in found:
        if tensor.device is not found[0].device:
            raise DeviceError(
                f"DistOpt.{what}: Tensors on {found[0].device.name} and {tensor.device.name} "
                "cannot travel together"
            )
    return found


def groups_of(arrays: Sequence[CTensor], threshold: int, most: int) -> Groups:
    """Which arrays are sent together; see :func:`singa.opt.exchange.grouped`."""
    check_size("DistOpt: threshold", threshold, 0)
    return grouped(arrays, threshold, most)


def check_size(what: str, value: Any, least: int) -> None:
    """Raise if the value is not an integer of at least this; ``what`` begins the message."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{what} must be a number of at least {least}, got {value!r}")


def check_share(spars: float, is_top: bool) -> None:
    """Raise if ``spars`` is not a fraction (if ``is_top``), or not an absolute value."""
    if not spars >= 0 or (is_top and not 0 < spars <= 1):
        wanted = "a part of 1, above 0" if is_top else "a value of at least 0"
        raise ArgumentError(f"DistOpt: spars must be {wanted}, got {spars!r}")
