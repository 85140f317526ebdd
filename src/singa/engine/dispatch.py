"""Programs for CPUs run on the thread that calls them.

jax's way is to give a program to another thread, and to return before it has run. On a CPU both
threads need the same processors, and a training step waits for its loss anyway. Small steps spend
as long on waking each other up as on their work, and glibc gives each thread a heap of its own,
which keeps the scratch memory of the programs that it ran. (Threads that load data do not wait:
Python's lock is free while a program runs.)

``SINGA_ASYNC=1`` in the environment leaves jax's way. So does an array that was made before
``import singa``: jax decides when it first uses the CPU. GPUs always run on their own.
"""

from __future__ import annotations

import os

import jax


def run_in_the_calling_thread() -> str:
    """Turn jax's asynchronous calls off, and return in a few words whether that is done."""
    if os.environ.get("SINGA_ASYNC", "0") == "1":
        return "in another thread (SINGA_ASYNC=1)"
    jax.config.update("jax_cpu_enable_async_dispatch", False)
    return "in the calling thread"


status = run_in_the_calling_thread()
