"""Files that are written whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":  # where what processes leave stays
    import fcntl

_FORGOTTEN = 24 * 3600.0  # seconds after which nobody writes a temporary file any more


@contextmanager
def writing(fpath: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """A block in which a file is written, which is there when the block has ended well.

    What is written goes to a temporary file in the same folder, which is flushed to disk and then
    renamed: at any moment there is the old file, the new one, or none. Several threads, processes
    and hosts may write the same file: each writes its own, and the last one stays.

    Args:
        fpath: where to.
        overwrite: whether a file that is there is replaced.

    Raises:
        FileExistsError: it is there, and is not to be replaced.
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
            if sys.platform != "win32":  # while it is locked, and nobody takes it for abandoned
                _name(temporary, target, overwrite)
        if sys.platform == "win32":  # where an open file cannot be renamed
            _name(temporary, target, overwrite)
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the new name has to reach the disk as well
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _name(temporary: Path, target: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(temporary, target)
    else:
        os.link(temporary, target)  # unlike a rename, it fails if somebody was faster


def _prefix(target: Path) -> str:
    return f".{target.name[:50]}."  # names have a greatest length


def _temporary(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside the target, locked for as long as it is open."""
    while True:
        name = f"{_prefix(target)}{_kernel()}.{secrets.token_hex(4)}.tmp"
        path = target.with_name(name)
        file = open(path, "xb")  # noqa: SIM115 (closed by the caller)
        if sys.platform == "win32":
            return path, file
        with suppress(OSError):  # a file system without locks: there nobody sweeps either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return path, file
        file.close()  # somebody swept it, just before it was locked


def _sweep(target: Path) -> None:
    """Remove what processes left that were killed while they wrote the same file."""
    if sys.platform == "win32":
        return
    for left in target.parent.glob(f"{glob.escape(_prefix(target))}*.tmp"):
        with suppress(OSError):  # gone meanwhile, somebody else's, or being written
            descriptor = os.open(left, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_abandoned(left, os.fstat(descriptor).st_mtime):
                    left.unlink()
            finally:
                os.close(descriptor)


def _is_abandoned(left: Path, written: float) -> bool:
    """Whether a temporary file that nobody seems to have locked has no writer any more.

    A lock says so of all writers under the same kernel, in whatever container and with whatever
    number they run. Another host's locks may not be seen here: its files are left for a day.
    """
    kernel = left.name.split(".")[-3]
    return kernel == _kernel() or time.time() - written > _FORGOTTEN


@cache
def _kernel() -> str:
    """A name for the running kernel: all containers on a host have the same."""
    try:
        about = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # not Linux
        about = os.uname().nodename if hasattr(os, "uname") else ""
    return hashlib.sha256(about.encode()).hexdigest()[:12]
