"""Keeps a step's scratch memory mapped between steps.

XLA's CPU client allocates a program's scratch memory with ``malloc`` and frees it after every
call. glibc makes a new ``mmap`` each time, so every step has the page faults again: 15 to 18 ms of
a 38 ms convolutional step. Raising glibc's thresholds keeps the pages.

Blocks of more than 64 MiB fit into the main thread's heap only, and programs run there: see
``dispatch.py``. For other threads glibc uses ``mmap`` each time.

Without glibc nothing is changed; ``SINGA_MALLOC=0`` in the environment turns it off.
"""

from __future__ import annotations

import ctypes
import os
import platform

# Parameter numbers of mallopt(3), from <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4

_SETTINGS = (
    (_M_MMAP_MAX, 0),  # large blocks come from the heap, not from mmap
    (_M_TRIM_THRESHOLD, 2**31 - 1),  # the heap's top is not returned to the system
    (_M_TOP_PAD, 256 * 2**20),  # the heap grows in steps of 256 MiB
)

_ON = "on (glibc mallopt)"
_MUCH = 128 * 2**20  # bytes of arrays of new shapes, after which free pages are returned


def keep_scratch_mapped() -> str:
    """Raise glibc's thresholds, and return in a few words whether that is in effect."""
    if os.environ.get("SINGA_MALLOC", "1") == "0":
        return "off (SINGA_MALLOC=0)"
    if platform.libc_ver()[0] != "glibc":
        return "off (the C library is not glibc)"
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return "off (no mallopt)"
    accepted = [mallopt(parameter, value) == 1 for parameter, value in _SETTINGS]
    return _ON if all(accepted) else "refused by mallopt"


def return_unused() -> None:
    """Return free pages to the system: after a compilation, and after a program's first run.

    A compilation leaves up to 200 MiB. A first run leaves its whole scratch memory where the next
    one cannot use it, if it has allocated arrays that stay: new values of what could not be donated
    to it. They lie above the scratch memory, so that this is not joined with the heap's free top
    when it is freed, and glibc finds no place for an aligned block in a hole of its very size.
    """
    if status == _ON:
        ctypes.CDLL(None).malloc_trim(0)


class _NewShapes:
    """Returns free pages to the system from time to time, as long as arrays have new shapes.

    The memory that earlier shapes needed is free, but fragmented in the heaps of XLA's threads, and
    arrays of new shapes do not fit: with many shapes a process would use ten times what it needs.
    """

    def __init__(self) -> None:
        self._seen = 0

    def __call__(self, size: int) -> None:
        """Count the bytes of a new kernel's inputs and outputs."""
        self._seen += size
        if self._seen > _MUCH:
            self._seen = 0
            return_unused()


new_shapes = _NewShapes()
status = keep_scratch_mapped()
