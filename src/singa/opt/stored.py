"""Optimizers' states in checkpoints: their names there, and whether they fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from singa.core.tensor import Tensor
from singa.errors import CheckpointError, CheckpointWarning, warn
from singa.opt.assigned import PREFIX
from singa.opt.distributed import DistOpt
from singa.opt.optimizer import Optimizer
from singa.opt.state import SHARED, Kind

Optimizers: TypeAlias = Mapping[str, Optimizer | DistOpt]
"""Optimizers by their paths in a model."""

Names: TypeAlias = Mapping[Tensor, str]
"""The names of the parameters."""

ALGORITHM = "algorithm"
"""One of an optimizer's states in a checkpoint: the name of its class, as bytes."""

_LONGEST_NAME = 128

_MOST_FOREIGN = 16  # bytes per element of the parameters, for states that the model does not have


def states(optimizers: Optimizers, names: Names) -> dict[str, Tensor]:
    """All of the optimizers' states, as ``optimizer/state``."""
    found: dict[str, Tensor] = {}
    for owner, optimizer in optimizers.items():
        algorithm = np.frombuffer(_algorithm(optimizer).encode()[:_LONGEST_NAME], np.uint8)
        found[f"{owner}/{ALGORITHM}"] = Tensor(data=algorithm, requires_grad=False)
        found |= {f"{owner}/{name}": t for name, t in optimizer.get_states(names).items()}
    return found


def acceptable(found: Mapping[str, Kind], optimizers: Optimizers, names: Names) -> dict[str, Kind]:
    """The states of a file that may be read: those with the expected shapes and types.

    States that the optimizers here do not have are accepted too, if they are not larger than usual.

    Args:
        found: the states in the file.
        optimizers, names: of the model.
    """
    kinds = {owner: optimizer.state_kinds(names) for owner, optimizer in optimizers.items()}
    sizes = {name: param.size() for param, name in names.items()}
    wanted: dict[str, Kind] = {}
    foreign = _MOST_FOREIGN * (sum(sizes.values()) + 1000)
    for key, (shape, dtype) in found.items():
        owner, state = _split(key, kinds)
        param, of, _ = state.rpartition(":")
        most = _LONGEST_NAME if state == ALGORITHM else 8 * max(sizes.get(param, not of), 2)
        if state in kinds.get(owner, {}):
            wanted[key] = kinds[owner][state]
            continue
        size = int(np.prod(shape, dtype=object)) * dtype.itemsize
        foreign -= size
        if size <= most and foreign >= 0:
            wanted[key] = shape, dtype
    return wanted


@dataclass
class Fitting:
    """The states in a file for a model's optimizers.

    Attributes:
        path: the file.
        states: for each optimizer, the states that it takes.
        left_out: for each optimizer, the slots in the file that it does not have.
    """

    path: Path
    states: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, set[str]] = field(default_factory=dict)

    def warn(self) -> None:
        """Warn of the states that were left out, if there are any."""
        for owner, slots in self.left_out.items():
            warn(
                f"{self.path}: {', '.join(sorted(slots))} of {owner!r} was left out, because the "
                "model's optimizer keeps no such state; load_states(..., resume=False) leaves out "
                "all of it",
                CheckpointWarning,
            )


def assign_numbers(arrays: Mapping[str, Any], optimizers: Optimizers) -> None:
    """Give the optimizers the hyper-parameters that were assigned before a file was written."""
    for owner, optimizer in optimizers.items():
        optimizer._set_assigned(_own(arrays, owner, optimizers))


def fitting(path: Path, arrays: Mapping[str, Any], optimizers: Optimizers, names: Names) -> Fitting:
    """Find the states in a file for each optimizer.

    Args:
        path: the file, for messages.
        arrays: its arrays, by name.
        optimizers, names: of the model.

    Raises:
        CheckpointError: the state of another algorithm.
    """
    found = Fitting(path)
    for owner, optimizer in optimizers.items():
        kinds = optimizer.state_kinds(names)
        own = _own(arrays, owner, optimizers)
        written = bytes(own.pop(ALGORITHM, b"")).decode(errors="replace")
        here = _algorithm(optimizer)
        problem = _problem(written, here, own, kinds)
        if problem:
            raise CheckpointError(
                f"{path}: the state of {owner!r} is {problem}, and not of the model's {here}; "
                "load_states(..., resume=False) does not change the optimizer"
            )
        if own:
            found.states[owner] = {state: own[state] for state in own if state in kinds}
        foreign = own.keys() - kinds
        left_out = _slots(foreign) | {state for state in foreign if state.startswith(PREFIX)}
        if left_out:
            found.left_out[owner] = left_out
    return found


def _problem(
    written: str, here: str, own: Mapping[str, Any], kinds: Mapping[str, Kind]
) -> str | None:
    """Why a file's state is not one of this algorithm, for a message; None if it is.

    Files of older versions do not have the algorithm's name: then the slots are compared. A state
    that only lacks slots, or only has additional ones, fits; one with other slots does not.
    """
    if written not in ("", here) and _slots(own):
        return f"of {written}"
    more = _slots(own.keys() - kinds) - SHARED
    less = _slots(kinds.keys() - own) - SHARED
    return f"one with {', '.join(sorted(more))}" if more and less else None


def _algorithm(optimizer: Optimizer | DistOpt) -> str:
    return type(optimizer.opt if isinstance(optimizer, DistOpt) else optimizer).__name__


def _own(arrays: Mapping[str, Any], owner: str, owners: Iterable[str]) -> dict[str, Any]:
    """The states of one optimizer, by their names there."""
    split = ((*_split(key, owners), array) for key, array in arrays.items())
    return {state: array for of, state, array in split if of == owner and state}


def _split(key: str, owners: Iterable[str]) -> tuple[str, str]:
    """The optimizer to which a state belongs, and the state's name there."""
    owner = max((o for o in owners if key.startswith(f"{o}/")), key=len, default=None)
    if owner is None:
        owner = key.partition("/")[0]
    return owner, key[len(owner) + 1 :]


def _slots(states: Iterable[str]) -> set[str]:
    """The slots of these states; states that belong to no parameter are left out."""
    return {slot for _, of, slot in (state.rpartition(":") for state in states) if of}
