"""What both forms of checkpoints have: arrays by name, each of a known kind, shape and type."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np

from singa.device import DType
from singa.errors import CheckpointError

MODEL = 0
"""A model's parameters and states."""

AUX = 1
"""Arrays of the user's own."""

TRAINING = 2
"""The optimizers' states and the random stream, which SINGA's files lack."""

MOST_WORDS = 1000
"""The most characters of a message about a file."""

Wanted: TypeAlias = Mapping[str, tuple[tuple[int, ...], DType]]
"""The shapes and data types of arrays, by name."""


@dataclass(frozen=True)
class Kind:
    """The kind, shape and type of an array, known before it is read.

    Example:
        >>> checkpoint.Kind(checkpoint.MODEL, (3, 2), tensor.float32).nbytes
        24
    """

    state_type: int
    shape: tuple[int, ...]
    dtype: DType

    @property
    def nbytes(self) -> int:
        """How many bytes its elements take."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


class Contents:
    """The part of a Reader that knows which arrays a checkpoint has.

    Attributes:
        path: the file or folder.
        kinds: the kind, shape and data type of each array, by name.
    """

    path: Path
    kinds: dict[str, Kind]

    def named(self, state_type: int) -> dict[str, Kind]:
        """The arrays of this kind, by name."""
        return {name: kind for name, kind in self.kinds.items() if kind.state_type == state_type}

    def expect(self, state_type: int, wanted: Wanted) -> None:
        """Check that the arrays of this kind are these: by name, shape and data type.

        Raises:
            CheckpointError: arrays are missing, are not expected or do not fit; it lists them.
        """
        expect_same(self.path, self.named(state_type), wanted)


def expect_same(
    path: Path,
    found: Mapping[str, Kind],
    wanted: Wanted,
) -> None:
    """Check that the arrays in a checkpoint are these: by name, shape and data type.

    Raises:
        CheckpointError: arrays are missing, are not expected or do not fit; it lists them.

    Example:
        >>> from pathlib import Path
        >>> found = {"W": checkpoint.Kind(checkpoint.MODEL, (3, 2), tensor.float32)}
        >>> checkpoint.expect_same(Path("w.zip"), found, {"W": ((3, 2), tensor.float32)})
    """
    problems = []
    for title, names in (
        ("missing", [name for name in wanted if name not in found]),
        ("unexpected", [name for name in found if name not in wanted]),
    ):
        if names:
            more = f" and {len(names) - 8} more" if len(names) > 8 else ""
            problems.append(f"{title}: {', '.join(names[:8])}{more}")
    problems += [
        f"{name} is {found[name].dtype}{list(found[name].shape)}, not {dtype}{list(shape)}"
        for name, (shape, dtype) in wanted.items()
        if name in found and (found[name].shape, found[name].dtype) != (shape, dtype)
    ][:8]
    if problems:
        words = f"the checkpoint is of another model: {'; '.join(problems)}"
        raise CheckpointError(f"{path}: {words[:MOST_WORDS]}")


def checked_target(fpath: str | os.PathLike[str], overwrite: bool) -> Path:
    """The path of a new checkpoint. Raises FileExistsError if it is not to be replaced."""
    target = Path(fpath)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; save_states(..., overwrite=True) replaces it")
    return target


def check_names(states: Mapping[int, Collection[str]]) -> None:
    """Raise CheckpointError if two arrays of any kinds have the same name."""
    found: set[str] = set()
    for names in states.values():
        for name in names:
            if name in found:
                raise CheckpointError(f"two states are named {name!r}")
            found.add(name)
