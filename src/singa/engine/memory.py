"""Keeps a step's scratch memory mapped between steps.

XLA's CPU client takes a program's scratch memory from ``malloc`` and gives it back after every
call. glibc answers with a fresh ``mmap`` each time, so every step pays again for the page faults:
15 to 18 ms of a 38 ms convolutional step. Raising glibc's thresholds keeps the pages.

That does not help blocks of more than 64 MiB: a heap of any thread but the main one is no larger,
and glibc maps what does not fit. So XLA is told to make its blocks smaller than that.

Elsewhere than on glibc nothing happens; ``SINGA_MALLOC=0`` in the environment turns it off.
"""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Sequence

# Parameter numbers of mallopt(3), from <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4

_SETTINGS = (
    (_M_MMAP_MAX, 0),  # large blocks come from the heap, not from mmap
    (_M_TRIM_THRESHOLD, 2**31 - 1),  # the heap's top is not returned to the system
    (_M_TOP_PAD, 256 * 2**20),  # and grows in steps of 256 MiB
)

_ON = "on (glibc mallopt)"
_MUCH = 128 * 2**20  # bytes of arrays of new shapes
_LARGEST = 60 * 2**20  # bytes of a block that such a heap has room for


def keep_scratch_mapped() -> str:
    """Raise glibc's thresholds, and say in a word or two what is in force."""
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


def compiler_options(arrays: Sequence[int]) -> dict[str, int]:
    """What to tell XLA about blocks of memory.

    Its disk cache takes no program of several blocks, and XLA complains about arrays that are
    larger than a block; hence nothing if one block will do, or if such blocks won't.

    Args:
        arrays: the sizes in bytes of the intermediate values of a program for a CPU.
    """
    if status != _ON or sum(arrays) <= _LARGEST or max(arrays) > _LARGEST:
        return {}
    return {"xla_multiheap_size_constraint_per_heap": _LARGEST}


def return_unused() -> None:
    """Give free pages back, which is worth it after a compilation: it leaves up to 200 MiB."""
    if status == _ON:
        ctypes.CDLL(None).malloc_trim(0)


class _NewShapes:
    """Gives free pages back from time to time, as long as arrays of new shapes turn up.

    What the shapes before needed lies in pieces in the heaps of XLA's threads, where the new ones
    do not fit: a program that meets many shapes would grow to ten times what it needs.
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
