"""Checkpoints in parts: a folder to which each process writes what its devices hold.

The folder is written and read by the package orbax-checkpoint, whole or not at all. An array is
never made whole on the way, so that a model may be larger than a device, and larger than the memory
of one machine. It is read onto other devices, in other parts, bit for bit.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Container, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import jax
import numpy as np

from singa.errors import CheckpointError, DependencyError
from singa.formats import checkpoint
from singa.formats.kinds import (
    AUX,
    MODEL,
    TRAINING,
    Contents,
    Kind,
    check_names,
    checked_target,
)
from singa.placement import Place

_ITEMS = {MODEL: "model", AUX: "aux", TRAINING: "training"}


def is_sharded(fpath: str | os.PathLike[str]) -> bool:
    """Whether this is a folder, as checkpoints in parts are; other ones are files.

    Example:
        >>> from singa.formats import sharded
        >>> sharded.is_sharded("net.zip")
        False
    """
    return Path(fpath).is_dir()


def newest(fpath: str | os.PathLike[str]) -> Path | None:
    """The newest complete checkpoint in a folder of :func:`write`; or else the folder.

    None: it has none that is complete.

    Example:
        >>> from singa.formats import sharded
        >>> sharded.write("net", {checkpoint.MODEL: {"W": jnp.ones(3)}}, overwrite=False)()
        >>> sharded.newest("net").as_posix()
        'net/1'
    """
    folder = Path(fpath)
    if number := _last(folder):
        return folder / str(number)
    names = [each.name for each in folder.glob("*")]
    return folder if names and not any(map(_OF_SERIES.fullmatch, names)) else None


def _last(folder: Path) -> int:
    """The number of the newest complete checkpoint; 0 if there is none."""
    return max((int(each.name) for each in folder.glob("*") if each.name.isdecimal()), default=0)


_OF_SERIES = re.compile(r"[0-9]+(\.orbax-checkpoint-tmp.*)?")  # also those that are not complete
_MARK = "_CHECKPOINT_METADATA"  # a file of orbax in each complete checkpoint


def _is_foreign(path: Path) -> bool:
    """Whether this has the name of a checkpoint in a folder of :func:`write`, and is none."""
    return path.name.isdecimal() and not (path / _MARK).exists()


def _expect_no_foreign(folder: Path) -> None:
    """Raise if something else has such a name in a folder where older checkpoints are deleted."""
    for each in folder.glob("*"):
        if _is_foreign(each):
            raise FileExistsError(
                f"{each} is no checkpoint in parts; save_states(..., sharded=True) needs a folder "
                f"of its own, such as {folder / 'net'}"
            )


def write(
    fpath: str | os.PathLike[str], states: Mapping[int, Mapping[str, Any]], overwrite: bool
) -> Callable[[], None]:
    """Copy arrays from their devices, and begin to write them, by kind and name.

    They go into a new folder with a number in the given one. When it is complete, older ones go. So
    at each moment there is a complete one, whichever process ends, and nobody has to agree on it.

    Args:
        fpath: the folder. All processes give the same.
        states: those on a mesh as jax's arrays; others as NumPy's, which process 0 writes.
        overwrite: whether the folder may have a checkpoint already.

    Returns:
        A function that waits until all is written.

    Raises:
        FileExistsError: there is a checkpoint and ``overwrite`` is false; it is a file; or
            something else in it has a number as its name.
        CheckpointError: a name is used twice.
        DependencyError: the package orbax-checkpoint is not installed.

    Example:
        >>> from singa.formats import sharded
        >>> for step in range(2):
        ...     sharded.write("w", {checkpoint.MODEL: {"W": jnp.ones(3)}}, overwrite=True)()
        >>> sharded.newest("w").as_posix()
        'w/2'
    """
    orbax = _orbax("save_states")
    folder = Path(fpath).absolute()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file, and a checkpoint in parts is a folder")
    if jax.process_index() == 0:  # which deletes older ones, perhaps while others are here
        _expect_no_foreign(folder)
    # Others may have begun to write already: only a complete checkpoint counts.
    if newest(folder) is not None:
        checked_target(folder, overwrite)
    check_names(states)
    items = {
        _ITEMS[kind]: orbax.args.PyTreeSave({name: _kept(x) for name, x in arrays.items()})
        for kind, arrays in states.items()
        if arrays
    }
    number = _last(folder) + 1  # all processes find the same: one is complete for all or for none
    writer = orbax.AsyncCheckpointer(_handler(orbax))
    writer.save(folder / str(number), args=orbax.args.Composite(**items))

    def finish() -> None:
        try:
            writer.wait_until_finished()
        finally:
            writer.close()
        if jax.process_index() == 0:
            for each in folder.iterdir():
                if _OF_SERIES.fullmatch(each.name) and each.name != str(number):
                    _delete(each)

    return finish


def _delete(checkpoint: Path) -> None:
    """Delete a checkpoint; if that is interrupted, what is left is none any more."""
    if checkpoint.name.isdecimal():
        checkpoint = checkpoint.rename(f"{checkpoint}.orbax-checkpoint-tmp-old")
    shutil.rmtree(checkpoint, ignore_errors=True)


def _kept(array: Any) -> Any:
    """An array that stays as it is while it is written: the next step writes over the present one.

    From other devices orbax copies it to the host first.
    """
    if isinstance(array, jax.Array) and next(iter(array.devices())).platform == "cpu":
        return array.copy()
    return array


class Reader(Contents):
    """An open checkpoint in parts; see :class:`singa.formats.checkpoint.Reader`.

    Args:
        fpath: the folder; or one with several checkpoints, of which the newest is read.
        place: where an array of this name and kind goes; None for NumPy's, whole.

    Raises:
        CheckpointError: it is damaged, or not a checkpoint.
        DependencyError: the package orbax-checkpoint is not installed.

    Example:
        >>> from singa.formats import sharded
        >>> sharded.write("w", {checkpoint.MODEL: {"b": jnp.ones(2)}}, overwrite=False)()
        >>> with sharded.Reader("w", lambda name, kind: None) as reader:
        ...     reader.expect(checkpoint.MODEL, {"b": ((2,), tensor.float32)})
        ...     reader.read(checkpoint.MODEL)
        {'b': array([1., 1.], dtype=float32)}
    """

    def __init__(
        self, fpath: str | os.PathLike[str], place: Callable[[str, Kind], Place | None]
    ) -> None:
        self._orbax = _orbax("load_states")
        self.path = newest(fpath) or Path(fpath)
        self._place = place
        self._reader = self._orbax.Checkpointer(_handler(self._orbax))
        self.kinds: dict[str, Kind] = {}
        try:
            found = self._reader.metadata(self.path.absolute()).item_metadata
            for kind, item in _ITEMS.items():
                for name, about in found[item].tree.items() if item in found else ():
                    self.kinds[name] = Kind(kind, tuple(about.shape), np.dtype(about.dtype))
        except Exception as error:  # any error of orbax
            self._reader.close()
            raise CheckpointError(f"{self.path}: not a checkpoint: {error}") from None
        if not self.kinds:
            self._reader.close()
            raise CheckpointError(f"{self.path}: not a checkpoint: it holds no arrays")

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    def read(self, *state_types: int, names: Container[str] | None = None) -> dict[str, Any]:
        """All arrays of these kinds, where they belong. Each process reads its parts.

        Args:
            state_types: the kinds.
            names: only those with these names.

        Raises:
            CheckpointError: it is damaged.
        """
        items = {}
        for kind in state_types:
            named = {n: k for n, k in self.named(kind).items() if names is None or n in names}
            if named:
                how = {name: self._how(name, about) for name, about in named.items()}
                whole = dict.fromkeys(named, 0)
                items[_ITEMS[kind]] = self._orbax.args.PyTreeRestore(
                    item=whole, restore_args=how, partial_restore=True
                )
        try:
            found = self._reader.restore(
                self.path.absolute(), args=self._orbax.args.Composite(**items)
            )
        except Exception as error:  # any error of orbax
            raise CheckpointError(f"{self.path}: damaged: {error}") from None
        return {name: array for item in items for name, array in found[item].items()}

    def _how(self, name: str, kind: Kind) -> Any:
        place = self._place(name, kind)
        if place is None:
            return self._orbax.RestoreArgs(restore_type=np.ndarray)
        return self._orbax.ArrayRestoreArgs(
            sharding=place, global_shape=kind.shape, dtype=kind.dtype
        )


def opened(
    fpath: str | os.PathLike[str],
    place: Callable[[str, Kind], Place | None] = lambda name, kind: None,
) -> checkpoint.Reader | Reader:
    """The reader of a checkpoint: of a file, or of a folder with one in parts.

    Args:
        fpath: the file or folder.
        place: of a folder, where an array of this name and kind goes; None for NumPy's, whole.

    Example:
        >>> from singa.formats import sharded
        >>> sharded.write("w", {checkpoint.MODEL: {"b": jnp.ones(2)}}, overwrite=False)()
        >>> with sharded.opened("w") as reader:
        ...     list(reader.kinds)
        ['b']
    """
    return Reader(fpath, place) if is_sharded(fpath) else checkpoint.Reader(fpath)


def _handler(orbax: Any) -> Any:
    items = {item: orbax.PyTreeCheckpointHandler() for item in _ITEMS.values()}
    return orbax.CompositeCheckpointHandler(**items)


def _orbax(who: str) -> Any:
    try:
        return import_module("orbax.checkpoint")
    except ImportError:
        raise DependencyError(
            f"{who}: checkpoints in parts need the package orbax-checkpoint: "
            "pip install 'singa-xla[orbax]'"
        ) from None
