"""Files that are written completely or not at all."""

from __future__ import annotations

import glob
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from singa.formats.process import kernel

if sys.platform != "win32":  # on Windows, temporary files of killed processes are not removed
    import fcntl

_FORGOTTEN = 24 * 3600.0  # seconds after which no process is still writing a temporary file


@contextmanager
def writing(fpath: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """A block in which a file is written; the file exists if the block has ended without an error.

    The data are written to a temporary file in the same folder, which is flushed to disk and then
    renamed: at any moment there is the old file, the new one, or none. Several threads, processes
    and hosts may write the same file: each writes its own, and the last one remains.

    Args:
        fpath: the file's path.
        overwrite: whether to replace an existing file.

    Raises:
        FileExistsError: it exists, and ``overwrite`` is false.
        OSError: it cannot be written.
    """
    target = Path(fpath)
    _sweep(target)
    temporary, file = _temporary(target)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if sys.platform != "win32":  # while it is locked, so that no process removes it
                _name(temporary, target, overwrite)
        if sys.platform == "win32":  # an open file cannot be renamed there
            _name(temporary, target, overwrite)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # flush the new name to disk as well
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _name(temporary: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, target)
    else:
        os.link(temporary, target)  # unlike a rename, it fails if the file exists by now


def _prefix(target: Path) -> str:
    return f".{target.name[:50]}."  # the length of a file's name is limited


def _temporary(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside the target, locked as long as it is open."""
    while True:
        name = f"{_prefix(target)}{kernel()}.{secrets.token_hex(4)}.tmp"
        path = target.with_name(name)
        file = open(path, "xb")  # noqa: SIM115 (closed by the caller)
        if sys.platform == "win32":
            return path, file
        with suppress(OSError):  # a file system without locks; there _sweep removes nothing either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()  # another process removed it, just before it was locked


def _sweep(target: Path) -> None:
    """Remove temporary files of processes that were killed while they wrote the same file."""
    if sys.platform == "win32":
        return
    for left in target.parent.glob(f"{glob.escape(_prefix(target))}*.tmp"):
        with suppress(OSError):  # already removed, owned by another user, or being written
            descriptor = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_abandoned(left, os.fstat(descriptor).st_mtime):
                    left.unlink()
            finally:
                os.close(descriptor)


def _is_abandoned(left: Path, written: float) -> bool:
    """Whether a temporary file that could be locked here has no writer any more.

    The lock is proof for all writers under the same kernel, in any container. The locks of another
    host may not be visible here: its files are kept for a day.
    """
    writer = left.name.split(".")[-3]
    return writer == kernel() or time.time() - written > _FORGOTTEN
