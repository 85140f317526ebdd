"""Hyper-parameters that were assigned during a training, for checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from singa.core.guard import Cache, changed, own
from singa.core.tensor import Tensor
from singa.device import float64
from singa.errors import ArgumentError, CheckpointWarning, warn
from singa.opt.compiled import CompiledUpdate
from singa.opt.schedule import Constant, DecayScheduler
from singa.opt.state import Kind

PREFIX = "hyperparameters/"
"""States with such names are an assigned hyper-parameter: its number when the training began, and
its present number. A schedule is NaN."""

KIND: Kind = ((2,), float64)

_ABSENT = -math.inf  # where a training begins, for a group that was added later


class AssignedNumbers(CompiledUpdate):
    """The part of an optimizer that remembers which hyper-parameters were assigned.

    A checkpoint has only these: the program that goes on makes the optimizer with all others.
    """

    _beginnings: Cache  # the numbers when the training began, by place

    def scale_lr(self, factor: float, least: float = 0.0) -> None:
        """Multiply the learning rate, and those of groups, by a factor.

        Args:
            factor: the factor.
            least: a learning rate does not become less than this, unless it is less already.

        Raises:
            ArgumentError: a learning rate follows a schedule.

        Example:
            >>> sgd = opt.SGD(0.5)
            >>> sgd.scale_lr(0.5)
            >>> sgd.lr
            Constant(init_value=0.25)
        """
        rates = {place: s for place, s in self._places() if place.rpartition("/")[2] == "lr"}
        for schedule in rates.values():
            if type(schedule) is not Constant:
                raise ArgumentError(
                    f"{type(self).__name__}.scale_lr: the learning rate follows a schedule, "
                    f"{schedule!r}, and only a number can be scaled"
                )
        for place, schedule in rates.items():
            number = _number(schedule)
            self._assign(place, schedule, min(number, max(number * factor, least)))

    def _assigned_kinds(self) -> dict[str, Kind]:
        """The shape and type of each hyper-parameter in a checkpoint, by name."""
        return {PREFIX + place: KIND for place, _ in self._places()}

    def _assigned_states(self) -> dict[str, Tensor]:
        """The hyper-parameters that were assigned since the first step."""
        pairs = {
            place: (self._beginnings.get(place, math.nan), _number(schedule))
            for place, schedule in self._places()
            if place in self._beginnings
        }
        return {
            PREFIX + place: Tensor(data=np.array(pair), requires_grad=False)
            for place, pair in pairs.items()
            if not _same(*pair)
        }

    def _set_assigned(self, states: Mapping[str, Any]) -> None:
        """Assign what :meth:`_assigned_states` has returned.

        A hyper-parameter that begins with another number here keeps it: it was chosen anew.
        """
        for place, schedule in self._places():
            if PREFIX + place not in states:
                continue
            began, now = map(float, np.asarray(states[PREFIX + place]))
            if not _same(began, self._beginnings.get(place, _number(schedule))):
                continue
            self._beginnings[place] = began
            if not math.isnan(now):
                self._assign(place, schedule, now)
            elif not math.isnan(_number(schedule)):
                warn(
                    f"{type(self).__name__}: {place} was assigned a schedule, which a checkpoint "
                    f"does not hold; it is {schedule!r}",
                    CheckpointWarning,
                )

    def _note_beginnings(self) -> None:
        """Note the numbers with which a training begins, unless they are known."""
        for place, schedule in self._places():
            if place not in self._beginnings:
                self._beginnings[place] = _number(schedule)

    def _note_added(self) -> None:
        """Note that the last group was not there when the training began, if it has begun.

        So a checkpoint has its numbers, and an optimizer without this group warns of them.
        """
        attributes = own(self)
        if all(name in self._beginnings for name in self._hyperparameters):
            last = len(attributes["_groups"]) - 1
            for name in attributes["_groups"][last].schedules:
                self._beginnings[f"group{last}/{name}"] = _ABSENT

    def _places(self) -> Iterator[tuple[str, DecayScheduler]]:
        """All hyper-parameters by the names of their places; nothing counts as read."""
        attributes = own(self)
        yield from ((name, attributes[name]) for name in self._hyperparameters)
        for number, group in enumerate(attributes["_groups"]):
            yield from ((f"group{number}/{name}", each) for name, each in group.schedules.items())

    def _assign(self, place: str, schedule: DecayScheduler, number: float) -> None:
        if isinstance(schedule, Constant):
            schedule.set(number)
            return
        group, _, name = place.rpartition("/")
        if not group:
            setattr(self, name, number)
            return
        schedules = self._groups[int(group.removeprefix("group"))].schedules
        schedules[name] = getattr(type(self), name).schedule(self, number)
        changed(self, "_groups")


def _number(schedule: DecayScheduler) -> float:
    return float(own(schedule)["init_value"]) if type(schedule) is Constant else math.nan


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))
