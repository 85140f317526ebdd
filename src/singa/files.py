"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def writing(fpath: str | os.PathLike[str], overwrite: bool = True) -> Iterator[BinaryIO]:
    """A block in which a file is written, which is there when the block has ended well.

    What is written goes to a temporary file in the same folder, which is flushed to disk and then
    renamed: at any moment there is the old file, the new one, or none.

    Args:
        fpath: where to.
        overwrite: whether a file that is there is replaced.

    Raises:
        FileExistsError: it is there, and is not to be replaced.
        OSError: it cannot be written.
    """
    target = Path(fpath)
    _sweep(target)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(temporary, target)
        else:
            os.link(temporary, target)  # unlike a rename, it fails if somebody was faster
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":  # the new name has to reach the disk as well
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _sweep(target: Path) -> None:
    """Remove what processes left that were killed while they wrote the same file."""
    if os.name != "posix":
        return
    for left in target.parent.glob(f".{target.name}.*.tmp"):
        process = left.name.removeprefix(f".{target.name}.").partition(".")[0]
        try:
            os.kill(int(process), 0)
        except ProcessLookupError:
            left.unlink(missing_ok=True)
        except (ValueError, OSError):
            continue  # not ours to judge
