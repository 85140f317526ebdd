"""Which process has written something, and whether it is still there."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_MOST_PID = 2**31


@cache
def kernel() -> str:
    """A name for the running kernel: all containers on a host have the same.

    Example:
        >>> len(process.kernel())
        12
    """
    try:
        about = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:  # not Linux
        about = os.uname().nodename if hasattr(os, "uname") else ""
    return hashlib.sha256(about.encode()).hexdigest()[:12]


def this_process() -> dict[str, Any]:
    """This process, in JSON's types, for :func:`is_gone`.

    Example:
        >>> process.is_gone(process.this_process())
        False
    """
    return {"kernel": kernel(), "namespace": _namespace(), "pid": os.getpid()} | _began(os.getpid())


def is_gone(about: Any) -> bool:
    """Whether the process that :func:`this_process` has described has ended.

    False if that cannot be known here: it ran on another host or in another container, or the
    description is damaged.

    Example:
        >>> process.is_gone(process.this_process() | {"pid": 2**31 - 1})
        True
    """
    here = {"kernel": kernel(), "namespace": _namespace()}
    if not isinstance(about, dict) or any(about.get(key) != here[key] for key in here):
        return False
    pid = about.get("pid")
    if type(pid) is not int or not 0 < pid < _MOST_PID or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass  # of another user
    found = _began(pid)
    # Numbers of processes are used again. A process whose parent has not asked for its end is over.
    return "began" in about and "began" in found and found["began"] != about["began"]


def _namespace() -> str:
    """In which numbers of processes mean something; empty where there is only one."""
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid")
    return ""


def _began(pid: int) -> dict[str, str]:
    """When a process began, in ticks since the start of the kernel, if it says so."""
    with suppress(OSError, IndexError):
        # The name of the program, in brackets, may have blanks and brackets of its own.
        state, *others = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return {"began": "" if state in "ZX" else others[18]}
    return {}
