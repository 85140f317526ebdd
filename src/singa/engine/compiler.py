"""What XLA's compiler for CPUs is told, in the environment variable ``XLA_FLAGS``.

XLA's tiled emitter takes loops over equal arrays, such as ``a + b``, to the stack and back, 64
bytes at a time, in memory that is given back only at the loop's end: they run at a half or a
third of their speed. It is turned off. Versions of XLA that do not know it ignore the option.

Flags of the user's stay, and if ``xla_backend_extra_options`` is among them, this adds nothing. So
it is when something has been computed before ``import singa``: XLA reads its flags once.
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
