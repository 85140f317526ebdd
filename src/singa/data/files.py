"""Finding and reading the files of a data set that the user has."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from singa.errors import DataError
from singa.formats.reading import open_file, read_file

_GZIP_MAGIC = b"\x1f\x8b"
_PIECE = 2**16  # bytes
_MOST_MEMBERS = 100_000  # of a gzip file; bgzip makes one for each 64 KiB
_MOST_UNPACKED = 1032  # the most bytes that deflate can unpack from one byte


class Content:
    """The content of a file, read from its beginning; never more than requested."""

    def __init__(self, pieces: Iterator[bytes], most: int) -> None:
        self._pieces = pieces
        self._piece = memoryview(b"")
        self.most = most
        """The most bytes that are possible for the size of the file."""

    def read(self, count: int) -> bytearray:
        """The next bytes; fewer at the end of the file. Memory is allocated as they are read."""
        found = bytearray()
        while len(found) < count:
            if not self._piece:
                self._piece = memoryview(next(self._pieces, b""))
                if not self._piece:
                    break
            wanted = count - len(found)
            found += self._piece[:wanted]
            self._piece = self._piece[wanted:]
        return found


@contextmanager
def content(path: str | os.PathLike[str]) -> Iterator[Content]:
    """A block in which a file is read; it is decompressed if it is a gzip file, with any name.

    Only for formats that do not begin with gzip's first two bytes.

    Raises:
        DataError: it is a damaged gzip file; raised when the damaged part is read.
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        is_packed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        if is_packed:
            yield Content(_unpacked(path, file), size * _MOST_UNPACKED)
        else:
            yield Content(iter(lambda: file.read(_PIECE), b""), size)


def _unpacked(path: str | os.PathLike[str], file: BinaryIO) -> Iterator[bytes]:
    """The content of a gzip file, in pieces of limited size."""
    packed = file.read(_PIECE)
    for _ in range(_MOST_MEMBERS):
        member = zlib.decompressobj(wbits=31)
        while not member.eof:
            try:
                piece = member.decompress(packed, _PIECE)
            except zlib.error as error:
                raise DataError(f"{path}: damaged gzip file: {error}") from error
            packed = member.unconsumed_tail
            if piece:
                yield piece
            elif not packed and not member.eof:
                packed = file.read(_PIECE)
                if not packed:
                    raise DataError(f"{path}: damaged gzip file: it is cut short")
        packed = member.unused_data.lstrip(b"\0") or file.read(_PIECE).lstrip(b"\0")
        if not packed:
            return
    raise DataError(f"{path}: damaged gzip file: it is of more than {_MOST_MEMBERS} members")


def find_files(
    name: str,
    files: Sequence[str],
    data_dir: str | os.PathLike[str] | None,
    subfolders: Sequence[str],
    how_to_get: str,
    system_folder: Path | None = None,
) -> tuple[Path, list[Path]]:
    """The first folder that has all the files of a data set, and these files.

    Args:
        name: of the data set.
        files: their names; each may end in .gz.
        data_dir: the only folder to search; if it is None, the folder of the environment variable
            SINGA_DATA_DIR is searched, and then ``system_folder``.
        subfolders: its subfolders that are searched first.
        how_to_get: how to get the files, for the message: "Get".
        system_folder: the folder in which a package of the operating system installs them.

    Raises:
        DataError: the files are not there.
    """
    folders: list[Path] = []
    # If the caller gives a folder, only this one is searched: other data must not be used silently.
    given = os.environ.get("SINGA_DATA_DIR") if data_dir is None else data_dir
    if given:
        folders += [*(Path(given) / subfolder for subfolder in subfolders), Path(given)]
    if data_dir is None and system_folder is not None:
        folders.append(system_folder)

    looked = []
    for folder in folders:
        paths = [_existing(folder / file) for file in files]
        found = [path for path in paths if path is not None]
        if len(found) == len(files):
            return folder, found
        missing = [file for file, path in zip(files, paths, strict=True) if path is None]
        if not folder.is_dir():
            looked.append(f"{folder} (no such folder)")
        elif found:
            looked.append(f"{folder} (without {', '.join(missing)})")
        else:
            looked.append(f"{folder} (none of the files)")
    where = f"looked in {'; '.join(looked)}" if looked else "no folder was named"
    raise DataError(
        f"the files of {name} were not found: {where}. "
        f"{how_to_get} the files {', '.join(files)} (each may end in .gz) and name their "
        "folder as data_dir or in the environment variable SINGA_DATA_DIR."
    )


def _existing(path: Path) -> Path | None:
    compressed = path.with_name(path.name + ".gz")
    return next((file for file in (path, compressed) if file.is_file()), None)


def read_lines(
    path: str | os.PathLike[str], encoding: str = "utf-8", most: int | None = None
) -> list[str]:
    """The lines of a text file, without their ends.

    Raises:
        DataError: it is not text in this encoding, or of more than ``most`` bytes.
        OSError: it cannot be read.
    """
    text = Path(path).read_bytes() if most is None else read_file(path, most)
    lines = text.removeprefix(b"\xef\xbb\xbf").splitlines()
    return [decoded(line, path, number, encoding) for number, line in enumerate(lines, 1)]


def decoded(line: bytes, path: str | os.PathLike[str], number: int, encoding: str) -> str:
    """A line as text; DataError if it is not text in this encoding."""
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, line {number}: not {encoding}: {error.reason}") from None
