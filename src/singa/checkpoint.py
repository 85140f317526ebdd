"""The checkpoint file: SINGA's zip, written whole or not at all, and read without trust.

Members:

- ``tensor_dict.npz``: the model's parameters and states, and the user's own (aux), by name.
- ``states_attr.json``: for each array its kind, shape and data type.
- ``training_state.npz``: what SINGA's files lack: the optimizers' state and the random stream.

SINGA reads the first two and passes over the third; its own files, without the third, are read
here. NumPy has no bfloat16, so that such arrays are stored as the uint16 of the same bits.

Nothing in a file is executed or unpickled, and no memory is taken for an array before its shape
and type are known to be wanted.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from singa.device import DTYPES, DType, bfloat16, float16, float32, int32
from singa.errors import CheckpointError
from singa.files import writing

Array: TypeAlias = np.ndarray[Any, Any]

MODEL, AUX, TRAINING = 0, 1, 2
"""The kinds of states; the first two are SINGA's."""

_TENSORS = "tensor_dict.npz"
_ATTRIBUTES = "states_attr.json"
_TRAINING = "training_state.npz"
_FILES = {MODEL: _TENSORS, AUX: _TENSORS, TRAINING: _TRAINING}

# SINGA numbers its data types. Other types go by their names, and uint32 for random streams.
_NUMBERED: dict[int, DType] = {0: float32, 1: float16, 2: int32}
_NAMED: dict[str, DType] = {**DTYPES, "uint32": np.dtype("uint32")}

_MOST_ATTRIBUTES = 64 * 2**20  # bytes of JSON
_MOST_AUX = 2**30  # bytes of aux arrays, whose sizes nobody here knows beforehand
_HEADER = 4096  # bytes that an array's header and its entry in the archive may take


@dataclass(frozen=True)
class Kind:
    """What is known of an array before it is read.

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


# -- writing ------------------------------------------------------------------------------------


def write(
    fpath: str | os.PathLike[str], states: Mapping[int, Mapping[str, Array]], overwrite: bool
) -> None:
    """Write arrays, by kind and name, to a new file.

    They go to a temporary file in the same folder, which is flushed to disk and then renamed: at
    any moment there is the old file, the new one, or none.

    Raises:
        FileExistsError: it exists and ``overwrite`` is false.
        CheckpointError: a name that is used twice.

    Example:
        >>> states = {checkpoint.MODEL: {"W": np.ones((3, 2), np.float32)}}
        >>> checkpoint.write("w.zip", states, overwrite=False)
        >>> with checkpoint.Reader("w.zip") as reader:
        ...     reader.kinds
        {'W': Kind(state_type=0, shape=(3, 2), dtype=dtype('float32'))}
    """
    target = Path(fpath)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} exists; save_states(..., overwrite=True) replaces it")
    archives: dict[str, dict[str, Array]] = {_TENSORS: {}}
    attributes: dict[str, dict[str, Any]] = {}
    for state_type, arrays in states.items():
        for name, array in arrays.items():
            if name in attributes:
                raise CheckpointError(f"two states are named {name!r}")
            attributes[name] = {
                "state_type": state_type,
                "shape": list(array.shape),
                "dtype": _dtype_code(array.dtype),
            }
            stored = array.view(np.uint16) if array.dtype == bfloat16 else array
            archives.setdefault(_FILES[state_type], {})[name] = stored
    with writing(target, overwrite) as file, zipfile.ZipFile(file, "w") as archive:
        for member, arrays in archives.items():
            with archive.open(member, "w", force_zip64=True) as out:
                _write_npz(out, arrays)
        archive.writestr(_ATTRIBUTES, json.dumps(attributes))


def _write_npz(out: Any, arrays: Mapping[str, Array]) -> None:
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, order="C"), allow_pickle=False)


def _dtype_code(dtype: DType) -> int | str:
    return next((code for code, known in _NUMBERED.items() if known == dtype), str(dtype))


# -- reading ------------------------------------------------------------------------------------


class Reader:
    """An open checkpoint: first what is in it, then the arrays.

    Raises:
        CheckpointError: it is damaged, or not a checkpoint.
        FileNotFoundError: there is none.

    Example:
        >>> states = {checkpoint.MODEL: {"b": np.ones(2, np.float32)}}
        >>> checkpoint.write("w.zip", states, overwrite=False)
        >>> with checkpoint.Reader("w.zip") as reader:
        ...     reader.expect(checkpoint.MODEL, {"b": ((2,), tensor.float32)})
        ...     reader.read(checkpoint.MODEL)
        {'b': array([1., 1.], dtype=float32)}
    """

    def __init__(self, fpath: str | os.PathLike[str]) -> None:
        self.path = Path(fpath)
        self._file: BinaryIO = open(self.path, "rb")  # noqa: SIM115 (closed by __exit__)
        try:
            self._archive = self._zip(self._file)
            names = self._archive.namelist()
            known = {_TENSORS, _ATTRIBUTES, _TRAINING}
            if len(set(names)) != len(names) or not {_TENSORS, _ATTRIBUTES} <= set(names) <= known:
                raise self._error(f"not a checkpoint: it holds {', '.join(names[:5]) or 'nothing'}")
            self.kinds = self._read_attributes()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def named(self, state_type: int) -> dict[str, Kind]:
        """The arrays of this kind, by name."""
        return {name: kind for name, kind in self.kinds.items() if kind.state_type == state_type}

    def expect(self, state_type: int, wanted: Mapping[str, tuple[tuple[int, ...], DType]]) -> None:
        """The arrays of this kind are these: by name, shape and data type.

        Raises:
            CheckpointError: it says what is missing, what is too much, and what does not fit.
        """
        found = self.named(state_type)
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
            raise self._error(f"the checkpoint is of another model: {'; '.join(problems)}")

    def read(self, *state_types: int) -> dict[str, Array]:
        """All arrays of these kinds. Check what they are beforehand: :meth:`expect`."""
        aux = sum(kind.nbytes for kind in self.named(AUX).values())
        if aux > _MOST_AUX:
            raise self._error(f"aux states of {aux} bytes; at most {_MOST_AUX} are read")
        arrays: dict[str, Array] = {}
        for member in dict.fromkeys(_FILES[state_type] for state_type in state_types):
            kinds = {n: k for n, k in self.kinds.items() if _FILES[k.state_type] == member}
            if not kinds and member not in self._archive.namelist():
                continue
            found = self._read_npz(member, kinds)
            arrays |= {n: a for n, a in found.items() if kinds[n].state_type in state_types}
        return arrays

    def _read_attributes(self) -> dict[str, Kind]:
        text = self._member(self._archive, _ATTRIBUTES, _MOST_ATTRIBUTES)
        try:
            table = json.loads(text)
            return {str(name): self._kind(entry) for name, entry in table.items()}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self._error(f"{_ATTRIBUTES} does not describe states: {error}") from None

    def _kind(self, entry: Any) -> Kind:
        code = entry["dtype"]
        dtype = _NUMBERED.get(code) if isinstance(code, int) else _NAMED.get(code)
        shape = tuple(entry["shape"])
        if dtype is None:
            raise ValueError(f"unknown data type {code!r}")
        if not all(isinstance(size, int) and 0 <= size < 2**48 for size in shape):
            raise ValueError(f"no shape: {entry['shape']!r}")
        if entry["state_type"] not in _FILES:
            raise ValueError(f"unknown kind of state {entry['state_type']!r}")
        return Kind(entry["state_type"], shape, dtype)

    def _read_npz(self, member: str, kinds: Mapping[str, Kind]) -> dict[str, Array]:
        most = sum(kind.nbytes + len(name.encode()) * 2 + _HEADER for name, kind in kinds.items())
        data = self._member(self._archive, member, most + _HEADER)
        archive = self._zip(io.BytesIO(data))
        names = archive.namelist()
        if sorted(names) != sorted(f"{name}.npy" for name in kinds):
            raise self._error(f"{member} does not hold the arrays that {_ATTRIBUTES} names")
        return {name: self._read_array(archive, name, kind) for name, kind in kinds.items()}

    def _read_array(self, archive: zipfile.ZipFile, name: str, kind: Kind) -> Array:
        data = self._member(archive, f"{name}.npy", kind.nbytes + _HEADER)
        stored = np.dtype(np.uint16) if kind.dtype == bfloat16 else kind.dtype
        stream = io.BytesIO(data)
        try:
            version = np.lib.format.read_magic(stream)
            reader = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, fortran, dtype = reader(stream)
        except (ValueError, KeyError, EOFError) as error:
            raise self._error(f"{name} is no array: {error}") from None
        if dtype.hasobject:
            raise self._error(f"{name} holds pickled objects, which are never loaded")
        rest = memoryview(data)[stream.tell() :]
        if (shape, dtype) != (kind.shape, stored) or len(rest) != kind.nbytes:
            raise self._error(f"{name} is {dtype}{list(shape)}, but {_ATTRIBUTES} says otherwise")
        flat = np.frombuffer(rest, dtype).view(kind.dtype)
        return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)

    def _zip(self, file: BinaryIO) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
            raise self._error(f"damaged or cut short: {error}") from None

    def _member(self, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
        """A member's bytes: no more than ``most``, whatever the archive says of itself."""
        if archive.getinfo(name).file_size > most:
            raise self._error(
                f"{name} is of {archive.getinfo(name).file_size} bytes, at most {most} are expected"
            )
        try:
            with archive.open(name) as member:
                data = member.read(most + 1)
                if len(data) > most or member.read(1):
                    raise self._error(f"{name} is larger than it says")
                return data
        except CheckpointError:
            raise
        except Exception as error:  # whatever zlib and zipfile find wrong
            raise self._error(f"{name} is damaged or cut short: {error}") from None

    def _error(self, problem: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {problem}")
