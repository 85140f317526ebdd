"""oneDNN's convolutions and products, pooling, statistics and recurrences, as XLA custom calls.

This package only loads the library. ``singa.engine.native`` registers what is in it with jax and
knows its arguments; the two agree if :data:`INTERFACE` is what it expects.
"""

from __future__ import annotations

import ctypes
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import Any

__version__ = version("singa-xla-kernels")

INTERFACE = 4
"""The number of the interface: of the handlers, their arguments and their attributes."""

HANDLERS = (
    "singa_convolution",
    "singa_convolution_input_gradient",
    "singa_convolution_weight_gradient",
    "singa_max_pooling",
    "singa_max_pooling_gradient",
    "singa_average_pooling",
    "singa_average_pooling_gradient",
    "singa_channel_moments",
    "singa_channel_products",
    "singa_product",
    "singa_recurrence",
    "singa_recurrence_gradient",
)

_ONEDNN, _LIBRARY = "onednn-cpu-gomp", "libdnnl.so.3"


def load() -> ctypes.CDLL:
    """The library with the handlers; oneDNN is loaded with it.

    Raises:
        OSError: oneDNN or the library is missing or does not fit this machine.
    """
    try:
        found = [path for path in files(_ONEDNN) or () if path.name == _LIBRARY]
    except PackageNotFoundError:
        found = []
    if not found:
        raise OSError(f"{_LIBRARY} is missing: pip install {_ONEDNN}")
    # Where pip puts it the loader does not look; once it is in the process it is found by name.
    ctypes.CDLL(str(found[0].locate()))
    return ctypes.CDLL(str(Path(__file__).with_name("libsinga_kernels.so")))


def handlers(library: ctypes.CDLL) -> dict[str, Any]:
    """The addresses of the handlers by name, as ctypes functions."""
    return {name: getattr(library, name) for name in HANDLERS}


def onednn_version() -> str:
    """The version of the oneDNN that is loaded."""
    return version(_ONEDNN)
