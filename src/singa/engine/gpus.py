"""Which GPUs there are, without starting jax: it must not start before ranks have connected."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules

import jax

FILES = Path("/dev")
"""Where NVIDIA's driver has a file for each GPU, on Linux."""


def is_expected(number: int) -> bool:
    """Whether jax will find a GPU with this number, for all that can be known before it starts.

    Example:
        >>> gpus.is_expected(-1)
        False
    """
    setting = "jax_platforms"
    if getattr(jax.config, setting):
        return False  # jax may be kept from looking for GPUs
    plugins = find_spec("jax_plugins")
    places = [] if plugins is None else plugins.submodule_search_locations or []
    has_plugin = any(module.name.startswith("xla_cuda") for module in iter_modules(places))
    count = len([*FILES.glob("nvidia[0-9]*")])
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        count = min(count, len(visible.split(",")))
    return has_plugin and 0 <= number < count
