"""The checkpoint file: SINGA's zip, written completely or not at all, and read as untrusted data.

Members:

- ``tensor_dict.npz``: the model's parameters and states, and the user's own (aux), by name.
- ``states_attr.json``: for each array its kind, shape and data type.
- ``training_state.npz``: the optimizers' state and the random stream, which SINGA's files lack.

SINGA reads the first two and ignores the third; its own files, without the third, can be read
here. NumPy has no bfloat16, so such arrays are stored as uint16 with the same bits.

Nothing in a file is executed, evaluated or unpickled. No memory is allocated for an array before
it is known that its shape and type are expected.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import numpy as np

from singa.device import DTYPES, DType, bfloat16, float16, float32, int32
from singa.errors import CheckpointError, DataError
from singa.formats.archive import Archive, read_header
from singa.formats.files import writing
from singa.formats.kinds import AUX as AUX
from singa.formats.kinds import MODEL as MODEL
from singa.formats.kinds import MOST_WORDS, Contents, Wanted, check_names, checked_target
from singa.formats.kinds import TRAINING as TRAINING
from singa.formats.kinds import Kind as Kind
from singa.formats.kinds import expect_same as expect_same
from singa.formats.reading import MOST_JSON, open_file, parse_json

Array: TypeAlias = np.ndarray[Any, Any]

_TENSORS = "tensor_dict.npz"
_ATTRIBUTES = "states_attr.json"
_TRAINING = "training_state.npz"
_FILES = {MODEL: _TENSORS, AUX: _TENSORS, TRAINING: _TRAINING}

# SINGA numbers its data types. Other types have their names; uint32 is for random streams.
_NUMBERED: dict[int, DType] = {0: float32, 1: float16, 2: int32}
_NAMED: dict[str, DType] = {**DTYPES, "uint32": np.dtype("uint32")}

_MEMBERS = (_TENSORS, _ATTRIBUTES, _TRAINING)
_MOST_UNEXPECTED = 64 * 2**20  # bytes of arrays, such as aux states, beyond twice the file's size
_MOST_AXES = 32
_HEADER = 4096  # bytes that an array's header and its entry in the archive may take


# -- writing ------------------------------------------------------------------------------------


def write(
    fpath: str | os.PathLike[str], states: Mapping[int, Mapping[str, Array]], overwrite: bool
) -> None:
    """Write arrays, by kind and name, to a new file.

    They are written to a temporary file in the same folder, which is flushed to disk and then
    renamed: at any moment there is the old file, the new one, or none.

    Raises:
        FileExistsError: it exists and ``overwrite`` is false.
        CheckpointError: a name is used twice.

    Example:
        >>> states = {checkpoint.MODEL: {"W": np.ones((3, 2), np.float32)}}
        >>> checkpoint.write("w.zip", states, overwrite=False)
        >>> with checkpoint.Reader("w.zip") as reader:
        ...     reader.kinds
        {'W': Kind(state_type=0, shape=(3, 2), dtype=dtype('float32'))}
    """
    prepared(fpath, states, overwrite)()


def prepared(
    fpath: str | os.PathLike[str], states: Mapping[int, Mapping[str, Array]], overwrite: bool
) -> Callable[[], None]:
    """The same with all checks now; what is returned writes the file, in any thread.

    Example:
        >>> states = {checkpoint.MODEL: {"W": np.ones((3, 2), np.float32)}}
        >>> checkpoint.prepared("w.zip", states, overwrite=False)()
    """
    target = checked_target(fpath, overwrite)
    check_names(states)
    archives: dict[str, dict[str, Array]] = {_TENSORS: {}}
    attributes: dict[str, dict[str, Any]] = {}
    for state_type, arrays in states.items():
        for name, array in arrays.items():
            attributes[name] = {
                "state_type": state_type,
                "shape": list(array.shape),
                "dtype": _dtype_code(array.dtype),
            }
            stored = array.view(np.uint16) if array.dtype == bfloat16 else array
            archives.setdefault(_FILES[state_type], {})[name] = stored
    return partial(_write, target.absolute(), archives, attributes, overwrite)


def _write(
    target: Path,
    archives: Mapping[str, Mapping[str, Array]],
    attributes: Mapping[str, Any],
    overwrite: bool,
) -> None:
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


class Reader(Contents):
    """An open checkpoint: first gives the arrays' kinds, then reads the arrays.

    Raises:
        CheckpointError: it is damaged, or not a checkpoint.
        FileNotFoundError: it does not exist.

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
        self._expected: set[int] = set()  # the kinds for which expect() was called
        try:
            self._file: BinaryIO = open_file(self.path)
        except DataError as error:
            raise CheckpointError(str(error)) from None
        try:
            self._archive = Archive(self._file, _MEMBERS)
            names = self._archive.names
            if not {_TENSORS, _ATTRIBUTES} <= set(names) <= {*_MEMBERS}:
                raise self._error(f"not a checkpoint: it holds {', '.join(names[:5]) or 'nothing'}")
            self.kinds = self._read_attributes()
        except DataError as error:
            self._file.close()
            raise self._error(str(error)) from None
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def expect(self, state_type: int, wanted: Wanted) -> None:
        """Check that the arrays of this kind are these: by name, shape and data type.

        :meth:`read` then reads them, however large they are.

        Raises:
            CheckpointError: arrays are missing, are not expected or do not fit; it lists them.
        """
        super().expect(state_type, wanted)
        self._expected.add(state_type)

    def read(self, *state_types: int, names: Container[str] | None = None) -> dict[str, Array]:
        """All arrays of these kinds. Check them before, with :meth:`expect`.

        Args:
            state_types: the kinds.
            names: only those with these names.

        Raises:
            CheckpointError: it is damaged; or arrays that were not checked are much larger than
                the file.
        """
        arrays: dict[str, Array] = {}
        try:
            for member in dict.fromkeys(_FILES[state_type] for state_type in state_types):
                kinds = {n: k for n, k in self.kinds.items() if _FILES[k.state_type] == member}
                if kinds or member in self._archive.names:
                    wanted = [
                        name
                        for name, kind in kinds.items()
                        if kind.state_type in state_types and (names is None or name in names)
                    ]
                    arrays |= self._read_npz(member, kinds, wanted)
        except DataError as error:
            raise self._error(str(error)) from None
        return arrays

    def _read_attributes(self) -> dict[str, Kind]:
        content = self._archive.read(_ATTRIBUTES, MOST_JSON)
        try:
            return {_checked(name): _kind(entry) for name, entry in parse_json(content).items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._error(f"{_ATTRIBUTES} does not describe states: {error}") from None

    def _read_npz(
        self, member: str, kinds: Mapping[str, Kind], wanted: Sequence[str]
    ) -> dict[str, Array]:
        self._check_unexpected([kinds[name] for name in wanted])
        # In an uncompressed member, arrays that are not needed are skipped.
        file = self._archive.stored(member)
        if file is None:
            self._check_unexpected(kinds.values())
            most = sum(k.nbytes + len(name.encode()) * 2 + _HEADER for name, k in kinds.items())
            file = io.BytesIO(self._archive.read(member, most + _HEADER))
        files = [f"{name}.npy" for name in kinds]
        archive = Archive(file, files)
        if sorted(archive.names) != sorted(files):
            raise self._error(f"{member} does not hold the arrays that {_ATTRIBUTES} names")
        return {name: self._read_array(archive, name, kinds[name]) for name in wanted}

    def _check_unexpected(self, kinds: Iterable[Kind]) -> None:
        """Raise if arrays that were not checked by :meth:`expect` are much larger than the file."""
        size = sum(kind.nbytes for kind in kinds if kind.state_type not in self._expected)
        most = _MOST_UNEXPECTED + 2 * os.fstat(self._file.fileno()).st_size
        if size > most:
            raise self._error(f"states of {size} bytes; of such a file at most {most} are read")

    def _read_array(self, archive: Archive, name: str, kind: Kind) -> Array:
        data = archive.read(f"{name}.npy", kind.nbytes + _HEADER)
        stored = np.dtype(np.uint16) if kind.dtype == bfloat16 else kind.dtype
        try:
            header = read_header(data)
        except DataError as error:
            raise self._error(f"{name} is not an array: {error}") from None
        if "O" in header.descr:
            raise self._error(f"{name} holds pickled objects, which are never loaded")
        rest = memoryview(data)[header.size :]
        found = header.shape, header.descr, len(rest)
        if found != (kind.shape, stored.str, kind.nbytes):
            raise self._error(
                f"{name} is {header.descr}{list(header.shape)}, but {_ATTRIBUTES} says otherwise"
            )
        flat = np.frombuffer(rest, stored).view(kind.dtype)
        return flat.reshape(kind.shape[::-1]).T if header.fortran else flat.reshape(kind.shape)

    def _error(self, problem: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: {problem[:MOST_WORDS]}")


def _checked(name: str) -> str:
    name.encode()  # raises if it is not valid Unicode, which JSON allows
    return name


def _kind(entry: Any) -> Kind:
    code = entry["dtype"]
    dtype = _NUMBERED.get(code) if type(code) is int else _NAMED.get(code)
    if dtype is None:
        raise ValueError(f"unknown data type {code!r}")
    shape = tuple(entry["shape"])
    if len(shape) > _MOST_AXES or not all(type(n) is int and 0 <= n < 2**48 for n in shape):
        raise ValueError(f"not a shape: {shape[:_MOST_AXES]!r}")
    if entry["state_type"] not in _FILES:
        raise ValueError(f"unknown kind of state {entry['state_type']!r}")
    return Kind(entry["state_type"], shape, dtype)
