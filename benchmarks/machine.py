"""The machine of a measurement, and the part of it that is used."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any


def confine(device: str, threads: int) -> None:
    """Give every library ``threads`` threads; call it before any of them is imported.

    Not all of them have a setting for it. On Linux the process, and those that it starts, get
    ``threads`` cores instead, which all libraries respect.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cores(threads))
    else:
        # Otherwise jax would allocate most of the GPU's memory.
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"


def cores(count: int) -> set[int]:
    """``count`` processors, on different cores if there are enough."""
    allowed = sorted(os.sched_getaffinity(0))
    siblings: dict[str, int] = {}
    for cpu in allowed:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        siblings.setdefault(path.read_text() if path.exists() else str(cpu), cpu)
    chosen = list(siblings.values())
    chosen += [cpu for cpu in allowed if cpu not in chosen]
    return set(chosen[:count])


def describe(device: str, threads: int) -> dict[str, Any]:
    about = {
        "processor": _processor(), "cores": os.cpu_count(), "threads used": threads,
        "system": platform.platform(terse=True), "python": platform.python_version(),
        "native kernels": natively(),
    }  # fmt: skip
    if device == "cuda":
        import jax

        about["gpu"] = jax.devices()[0].device_kind
    for package in ("singa-xla", "jax", "jaxlib", "torch", "flax", "optax", "mlx", "numpy"):
        about[package] = _version(package)
    return about


class Neighbours:
    """The number of cores that other programs use, because they disturb measurements."""

    def __init__(self) -> None:
        self._start = self._seconds()

    def busy(self) -> float | None:
        """Cores, on average since this object was made; None if it cannot be found out."""
        if self._start is None:
            return None
        spent, wall = (now - then for now, then in zip(self._seconds(), self._start, strict=True))
        return max(0.0, spent / wall)

    def _seconds(self) -> tuple[float, float] | None:
        """The processor seconds that other programs have used, and the seconds on the clock."""
        try:
            with open("/proc/stat") as file:
                _, *ticks = file.readline().split()
        except OSError:
            return None
        user, nice, system, _, _, *interrupts_and_stolen = map(int, ticks[:8])
        spent = (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")
        return spent - sum(os.times()[:4]), time.monotonic()


def in_a_line(about: dict[str, Any]) -> str:
    """A line for a chart that says on which machine its numbers were measured."""
    where = about.get("gpu") or f"{about['threads used']} threads of {about['processor']}"
    packages = [f"{name} {about[name]}" for name in ("jax", "torch", "flax", "mlx") if about[name]]
    return f"{where}; {', '.join(packages)}"


def natively() -> bool:
    """Whether singa uses its native kernels."""
    try:
        from singa.engine import native
    except ImportError:
        return False
    return bool(native.available() if callable(native.available) else native.available)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
