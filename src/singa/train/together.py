"""The ranks that train one model together: what they tell each other, and decide alike.

Every exchange here takes place at a moment that is the same on all ranks, so that nobody waits for
ever. A process that trains alone exchanges nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from singa import distributed
from singa.core.tensor import Tensor
from singa.device import CTensor, Device, create_cpu_device
from singa.errors import ArgumentError
from singa.model import Model
from singa.opt import DistOpt

_PAUSE = 0.25  # seconds between two questions whether to end
_MOST = 1000  # steps between them
_LETTERS = 200  # of a reason
_LEAST = 16  # numbers that are sent: messages of few sizes are compiled once

Numbers = npt.NDArray[np.float64]


class Ranks:
    """The ranks that train together, as one of them sees them.

    Args:
        size: how many.
        device: whose communicator they use; none if there is only one.
        has_parts: whether each computes on its own part of the data, and has numbers of its own.
        is_wide: whether they train on a mesh of all their devices.

    Attributes:
        is_first: whether this is the rank that writes files and shows the progress.
    """

    def __init__(
        self,
        size: int = 1,
        device: Device | None = None,
        has_parts: bool = False,
        is_wide: bool = False,
    ) -> None:
        self.size, self.has_parts = size, has_parts and size > 1
        self.is_first = size == 1 or distributed.rank() == 0
        self._device, self._is_wide = device, is_wide

    @classmethod
    def of(cls, model: Model, device: Device) -> Ranks:
        """Those that train this model on this device: all, if they exchange something in a step."""
        are_several = distributed.world_size() > 1
        if are_several and any(isinstance(each, DistOpt) for each in model.optimizers().values()):
            return cls(distributed.world_size(), device, has_parts=True)
        if device.spans_processes:
            return cls(distributed.world_size(), create_cpu_device(), is_wide=True)
        return cls()

    @classmethod
    def sharing(cls, is_shared: bool) -> Ranks:
        """All ranks, if a loader shares its samples among them."""
        size = distributed.world_size() if is_shared else 1
        return cls(size, create_cpu_device() if size > 1 else None, has_parts=True)

    def ask(self, values: npt.ArrayLike) -> CTensor:
        """Begin to gather numbers of all ranks: (ranks, ...); read the result later."""
        flat = np.asarray(values, np.float64).ravel()
        room = max(_LEAST, 1 << (max(flat.size, 1) - 1).bit_length())
        sent = np.zeros(room)
        sent[: flat.size] = flat
        assert self._device is not None
        communicator = distributed.communicator(self._device, self._is_wide)
        here = Tensor(data=sent, device=self._device, requires_grad=False)
        return communicator.all_gather([here.data])[0]

    def gather(self, values: npt.ArrayLike) -> Numbers:
        """Numbers of all ranks: (ranks, ...). It waits for them."""
        own = np.asarray(values, np.float64)
        found = np.asarray(self.ask(own))[:, : own.size]
        return found.reshape(self.size, *own.shape)

    def expect_same(self, facts: Mapping[str, Any], own: Sequence[str] = ()) -> dict[str, Any]:
        """Check that all ranks train in the same way; the facts that they have in common.

        Args:
            facts: by name.
            own: names of those that may differ, because each rank has data of its own: for them
                the first rank's are taken, and a checksum is one of all.

        Raises:
            ArgumentError: something differs.
        """
        if self.size == 1:
            return dict(facts)
        sums = self.gather([crc32(repr(fact).encode()) for fact in facts.values()])
        differing = [name for name, each in zip(facts, sums.T, strict=True) if len({*each}) > 1]
        for name in differing:
            if name not in own:
                why = _OTHER_DATA if name in ("samples", "checksum", "validation_samples") else ""
                raise ArgumentError(
                    f"fit: all ranks have to be given the same, and {name!r} is not the same on "
                    f"all; here it is {facts[name]!r}{why}"
                )
        found = dict(facts)
        for name in differing:
            numbers = self.gather(facts[name])
            one_of_all = crc32(repr(numbers.tolist()).encode())
            found[name] = one_of_all if name == "checksum" else int(numbers[0])
        return found

    def agree(self, is_wanted: bool, is_interrupted: bool, reason: str) -> tuple[bool, bool, str]:
        """Whether any rank wants to end, whether one was interrupted, and the reason of the first.

        All ranks have to call this.
        """
        if self.size == 1:
            return is_wanted, is_interrupted, reason
        letters = np.zeros(_LETTERS)
        text = np.frombuffer(reason.encode()[:_LETTERS], np.uint8)
        letters[: text.size] = text
        found = self.gather([is_wanted, is_interrupted, *letters])
        reasons = [bytes(row[2:][row[2:] > 0].astype(np.uint8)) for row in found if row[0]]
        return (
            bool(found[:, 0].any()),
            bool(found[:, 1].any()),
            reasons[0].decode(errors="ignore") if reasons else reason,
        )

    def of_first(self, values: Sequence[float]) -> list[float]:
        """The first rank's numbers, on all ranks."""
        return list(values) if self.size == 1 else [*map(float, self.gather(values)[0])]

    def means(self, values: npt.ArrayLike, counts: npt.ArrayLike) -> tuple[Numbers, Numbers]:
        """The means over all ranks, and how much they count: element by element.

        Args:
            values: this rank's means.
            counts: how much each of them counts here. A mean that counts nothing may be NaN.
        """
        pair = np.asarray([values, counts], np.float64)
        found, weights = np.moveaxis(self.gather(pair), 1, 0)
        total = weights.sum(0)
        sums = np.where(weights != 0, found, 0) * weights
        means = np.divide(sums.sum(0), total, out=np.full(total.shape, np.nan), where=total != 0)
        return means, total

    def totals(self, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """The sums of arrays over all ranks, in their types."""
        if not arrays:
            return {}
        found = self.gather(np.concatenate([a.ravel() for a in arrays.values()])).sum(0)
        ends = np.cumsum([a.size for a in arrays.values()])[:-1]
        return {
            name: part.reshape(array.shape).astype(array.dtype)
            for (name, array), part in zip(arrays.items(), np.split(found, ends), strict=True)
        }


_OTHER_DATA = (
    ". fit divides the data itself: give all ranks the whole of it, or a DataLoader, which is used "
    "as it is"
)

ALONE = Ranks()


class Questions:
    """Whether to end after a step, asked now and then, so that all ranks do after the same one.

    The answer to a question is read when the next one is asked: no step waits for it. The first
    rank's speed decides how many steps are between two questions.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._asked: CTensor | None = None
        self._steps, self._next, self._since = 0, 1, time.perf_counter()

    def is_end(self, is_wanted: bool) -> bool:
        """Called after each step: whether all ranks end now, because one of them wants to."""
        if self._ranks.size == 1:
            return is_wanted
        self._steps += 1
        if self._steps < self._next:
            return False
        if self._asked is not None:
            answers = np.asarray(self._asked)
            if answers[:, 0].any():
                self._asked = None
                return True
            self._next = int(np.clip(_PAUSE / max(answers[0, 1], 1e-9), 1, _MOST))
        now = time.perf_counter()
        self._asked = self._ranks.ask([is_wanted, (now - self._since) / self._steps])
        self._steps, self._since = 0, now
        return False
