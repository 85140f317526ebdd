"""Untrusted zips and NumPy arrays: read with limits, and without evaluating anything."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO, Any

from singa.errors import DataError

_ENTRY = 46 + 64  # bytes of a member in the directory, with what other programs may add
_SLACK = 2**16
_LOCAL_HEADER = 30  # bytes, before the name
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks others without a limit


class Archive:
    """An open zip.

    Args:
        file: a seekable file of bytes.
        expected: the names that are expected in it. A few others are allowed, but not millions.

    Attributes:
        names: the members' names.

    Raises:
        DataError: it is not a zip, is damaged, or is far too large.
    """

    def __init__(self, file: IO[bytes], expected: Iterable[str]) -> None:
        self._file = file
        # zipfile reads the whole directory, and makes an object of each entry.
        directory = _SLACK + sum(_ENTRY + len(name.encode()) for name in expected)
        bounded: Any = _Bounded(file, directory)
        try:
            self._zip = zipfile.ZipFile(bounded)
        except DataError:
            raise
        except Exception as error:  # any error of zipfile
            raise DataError(f"damaged or cut short: {error}") from None
        bounded.most = None
        self.names = self._zip.namelist()
        if len(set(self.names)) != len(self.names):
            raise DataError("damaged: several members have the same name")

    def read(self, name: str, most: int) -> bytes:
        """A member's bytes: at most ``most``, even if the archive gives a wrong size.

        Raises:
            DataError: it is damaged, or larger.
        """
        info = self._zip.getinfo(name)
        if info.compress_type not in _METHODS:
            raise DataError(f"{name} is packed by method {info.compress_type}, which is not read")
        if info.file_size > most:
            raise DataError(f"{name} is of {info.file_size} bytes, at most {most} are expected")
        try:
            with self._zip.open(name) as member:
                content = member.read(most + 1)
                is_whole = len(content) <= most and not member.read(1)
        except Exception as error:  # any error of zlib or zipfile
            raise DataError(f"{name} is damaged or cut short: {error}") from None
        if not is_whole:
            raise DataError(f"{name} is larger than it says")
        return content

    def stored(self, name: str) -> IO[bytes] | None:
        """A member as a file, if it is stored uncompressed; None if it is packed or encrypted.

        The member's checksum is not compared.

        Raises:
            DataError: it is damaged.
        """
        info = self._zip.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            return None
        try:
            self._file.seek(info.header_offset)
        except (OSError, ValueError):  # an impossible offset
            raise DataError(f"{name} is damaged or cut short") from None
        header = self._file.read(_LOCAL_HEADER)
        if len(header) < _LOCAL_HEADER:
            raise DataError(f"{name} is damaged or cut short")
        lengths = (int.from_bytes(header[i : i + 2], "little") for i in (26, 28))
        begin = info.header_offset + _LOCAL_HEADER + sum(lengths)
        return io.BufferedReader(_Window(self._file, begin, info.file_size))


class _Bounded:
    """A file that refuses to read more than ``most`` bytes in one call."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self._file = file
        self.most: int | None = most

    def read(self, size: int = -1) -> bytes:
        if self.most is not None and size > self.most:
            raise DataError(f"damaged: its directory is of {size} bytes")
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Window(io.RawIOBase):
    """A part of a file, as a file."""

    def __init__(self, file: IO[bytes], begin: int, size: int) -> None:
        self._file, self._begin, self._size = file, begin, size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"a place before the beginning: {start + offset}")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        left = memoryview(buffer)[: max(self._size - self._place, 0)]
        self._file.seek(self._begin + self._place)
        count: int = self._file.readinto(left)  # type: ignore[attr-defined]
        self._place += count
        return count


@dataclass(frozen=True)
class Header:
    """The header of an array's file.

    Attributes:
        descr: the data type, as in ``<f4``.
        fortran: whether the first axis varies fastest.
        shape: of the array.
        size: the number of bytes before the array's data.
    """

    descr: str
    fortran: bool
    shape: tuple[int, ...]
    size: int


_MAGIC = b"\x93NUMPY"
_LENGTHS = {(1, 0): 2, (2, 0): 4, (3, 0): 4}  # bytes that have the header's length, by version
_MOST_HEADER = 4096

# The header is a Python dict, of which only these items are read.
_ITEMS = {
    "descr": r"'([^'\\]{1,20})'",
    "fortran_order": r"(True|False)",
    "shape": r"\(((?:\d{1,18}L?, ?)*(?:\d{1,18}L?)?)\)",
}
_ITEM = "|".join(f"'{name}': ?{value}" for name, value in _ITEMS.items())
_HEADER = re.compile(rf"\{{(?:(?:{_ITEM}), ?){{2}}(?:{_ITEM})(?:, ?)?\}}")


def read_header(content: bytes) -> Header:
    """The header of an array in NumPy's format (``.npy``). Nothing in it is evaluated.

    https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

    Raises:
        DataError: there is none, or it does not describe a plain array.
    """
    version = tuple(content[6:8])
    if content[:6] != _MAGIC or version not in _LENGTHS:
        raise DataError("it does not begin as NumPy's files do")
    begin = 8 + _LENGTHS[version]
    size = begin + int.from_bytes(content[8:begin], "little")
    if not begin < size <= min(len(content), _MOST_HEADER):
        raise DataError(f"its header is of {size} bytes")
    text = content[begin:size].decode("latin1").strip()
    items = {name: re.search(rf"'{name}': ?{value}", text) for name, value in _ITEMS.items()}
    if not _HEADER.fullmatch(text) or not all(items.values()):
        raise DataError(f"its header does not describe a plain array: {text[:100]}")
    descr, order, shape = (item[1] for item in items.values() if item)
    sizes = (n.strip(" L") for n in shape.split(","))
    return Header(descr, order == "True", tuple(int(n) for n in sizes if n), size)
