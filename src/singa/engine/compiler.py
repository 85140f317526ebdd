"""Flags for XLA's compiler for CPUs, in the environment variable ``XLA_FLAGS``.

XLA's tiled emitter copies the data of loops over equal arrays, such as ``a + b``, to the stack and
back, 64 bytes at a time, in memory that is freed only at the loop's end: the loops run at a half or
a third of their speed. It is turned off. Versions of XLA that do not have it ignore the option.

The user's flags are kept, and if ``xla_backend_extra_options`` is among them, nothing is added. The
flag has no effect if something was computed before ``import singa``: XLA reads its flags once.
"""

from __future__ import annotations

import os

_OPTION = "xla_backend_extra_options"


def with_our_flags(flags: str) -> str:
    """``XLA_FLAGS`` with ours after the user's."""
    if _OPTION in flags:
        return flags
    return f"{flags} --{_OPTION}=xla_cpu_disable_tiled_emitter".strip()


os.environ["XLA_FLAGS"] = with_our_flags(os.environ.get("XLA_FLAGS", ""))
