"""Keeps the programs that XLA has compiled on disk, so that the next process starts fast.

It is jax's own compilation cache, turned on for kernels of any size, in a folder of this user. An
entry is the same as what would be compiled: its name is a hash of the program, the compiler and its
options. Each type of processor has a folder of its own.

``SINGA_CACHE=0`` in the environment turns it off, and ``SINGA_CACHE_DIR`` moves it. If jax's own
``JAX_COMPILATION_CACHE_DIR`` is set, nothing is changed.
"""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

import jax


def _processor() -> str:
    """A name for this kind of processor: compiled code uses all of its instructions."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        about = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    except OSError:
        # Not on Linux; there this call would start a process and wait for it.
        about = platform.processor()
    about += platform.machine()
    return f"{platform.machine()}-{hashlib.sha256(about.encode()).hexdigest()[:12]}"


def _folder() -> Path:
    chosen = os.environ.get("SINGA_CACHE_DIR")
    if chosen:
        return Path(chosen)
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "singa-xla"


def keep_on_disk() -> str:
    """Turn the cache on, and return in a few words where it is, or why it is off."""
    if os.environ.get("SINGA_CACHE", "1") == "0":
        return "off (SINGA_CACHE=0)"
    if chosen := getattr(jax.config, "jax_compilation_cache_dir", None):
        return f"as set for jax ({chosen})"
    try:
        folder = _folder() / f"jax-{jax.__version__}-{_processor()}"
        # The programs in it are run: no other user may write there.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        return f"off ({error})"
    if not os.access(folder, os.W_OK):
        return f"off ({folder} cannot be written)"
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Most kernels of single operations compile in a few hundredths of a second, and there are many.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return f"on ({folder})"


status = keep_on_disk()
