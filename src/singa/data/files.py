"""Finding and reading the files of a data set that the user has."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path

from singa.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The content of a file; decompressed if it is gzip's, whatever its name is.

    For formats that do not begin with gzip's first two bytes.

    Raises:
        DataError: it is a damaged gzip file.
        OSError: it cannot be read.
    """
    content = Path(path).read_bytes()
    if content.startswith(_GZIP_MAGIC):
        try:
            return gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path}: damaged gzip file: {error}") from error
    return content


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
        data_dir: where to look, and nowhere else; the folder that the environment variable
            SINGA_DATA_DIR names, and then ``system_folder``, if it is None.
        subfolders: where to look in it, before it is looked at itself.
        how_to_get: how the files are got, for the message: "Get".
        system_folder: where a package of the operating system installs them.

    Raises:
        DataError: the files are not there.
    """
    folders: list[Path] = []
    # A folder that the caller names is the only one: its data must not silently be another's.
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


def read_lines(path: str | os.PathLike[str], encoding: str = "utf-8") -> list[str]:
    """The lines of a text file, without their ends.

    Raises:
        DataError: it is not text in this encoding.
        OSError: it cannot be read.
    """
    lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()
    return [decoded(line, path, number, encoding) for number, line in enumerate(lines, 1)]


def decoded(line: bytes, path: str | os.PathLike[str], number: int, encoding: str) -> str:
    """A line as text; DataError if it is none in this encoding."""
    try:
        return line.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, line {number}: not {encoding}: {error.reason}") from None
