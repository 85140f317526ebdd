"""Keeps a step's scratch memory mapped between steps.

XLA's CPU client takes a program's scratch memory from ``malloc`` and gives it back after every
call. glibc answers with a fresh ``mmap`` each time, so every step pays again for the page faults:
15 to 18 ms of a 38 ms convolutional step. Raising glibc's thresholds keeps the pages. Elsewhere
than on glibc nothing happens; ``SINGA_MALLOC=0`` in the environment turns it off.
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
    (_M_TOP_PAD, 256 * 2**20),  # and grows in steps of 256 MiB
)


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
    return "on (glibc mallopt)" if all(accepted) else "refused by mallopt"


status = keep_scratch_mapped()
