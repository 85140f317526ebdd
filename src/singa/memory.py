"""Keeps a step's scratch memory mapped between steps.

XLA's CPU client takes a program's scratch memory from ``malloc`` and gives it back after every
call. glibc answers with a fresh ``mmap`` each time, so every step pays again for the page faults:
45,000 in one ResNet-18 step, 80 ms of processor time. Raising glibc's thresholds keeps the pages;
and one arena for all threads keeps those that one thread has freed for the next, whoever that is.
Elsewhere than on glibc nothing happens; ``SINGA_MALLOC=0`` in the environment turns it off.
"""

from __future__ import annotations

import ctypes
import os
import platform

# Parameter numbers of mallopt(3), from <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8

_SETTINGS = (
    (_M_MMAP_MAX, 0),  # large blocks come from the heap, not from mmap
    (_M_TRIM_THRESHOLD, 2**31 - 1),  # the heap's top is not returned to the system
    (_M_TOP_PAD, 256 * 2**20),  # and grows in steps of 256 MiB
    (_M_ARENA_MAX, 1),  # there is one heap
)

_ON = "on (glibc mallopt)"


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


def return_unused() -> None:
    """Give free pages back, which is worth it after a compilation: it leaves up to 200 MiB."""
    if status == _ON:
        ctypes.CDLL(None).malloc_trim(0)


status = keep_scratch_mapped()
