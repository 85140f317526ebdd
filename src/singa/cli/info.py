"""``singa info``: versions, devices, settings, data sets."""

from __future__ import annotations

import platform
from importlib.metadata import version
from typing import Any

import jax
import typer

import singa
from singa import data, device
from singa.cli.app import JsonOption, app, examples, print_json
from singa.engine import compilation_cache, dispatch, memory, native
from singa.errors import DataError
from singa.report.text import aligned


@app.command(epilog=examples("singa info", "singa info --json"))
def info(as_json: JsonOption = False) -> None:
    """Show versions, devices, settings, and the folders of data sets."""
    found = collect()
    if as_json:
        print_json(found)
    else:
        typer.echo("\n".join(lines(found)))


def collect() -> dict[str, Any]:
    """Versions, devices, settings, and the folders of the data sets (None if not found)."""
    devices = [device.create_cpu_device()]
    if device.get_num_gpus():
        devices += device.create_cuda_gpus_on(device.get_gpu_ids())
    return {
        "singa": singa.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("jax", "jaxlib", "numpy")},
        "platform": platform.platform(),
        "devices": {d.name: d.jax_device.device_kind for d in devices},
        "x64": bool(jax.config.read("jax_enable_x64")),
        "allocator": memory.status,
        "programs run": dispatch.status,
        "native kernels": native.status,
        "Winograd's convolutions": native.winograd_status(),
        "compilation cache": compilation_cache.status,
        "data": {name: _folder(name) for name in data.NAMES},
    }


def lines(info: dict[str, Any]) -> list[str]:
    """The same for people: a name and a value per line."""
    rows: list[list[str]] = []
    for name, value in info.items():
        if isinstance(value, dict):
            rows += [[f"{name} {key}", str(value[key] or "not found")] for key in value]
        else:
            rows.append([name, {True: "on", False: "off"}.get(value, str(value))])
    return aligned(rows)


def _folder(name: str) -> str | None:
    try:
        return str(data.folder(name))
    except DataError:
        return None
