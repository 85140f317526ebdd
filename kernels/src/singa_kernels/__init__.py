"""oneDNN's convolutions and products, and other kernels for XLA: kernels/README.md lists them.

This package only loads the library. ``singa.engine.native`` registers what is in it with jax and
knows its arguments; the two agree if :data:`INTERFACE` is what it expects.
"""

from __future__ import annotations

import ctypes
import re
from importlib.metadata import PackageNotFoundError, files, version
from pathlib import Path
from typing import Any

import jax

__version__ = version("singa-xla-kernels")

INTERFACE = 10
"""The number of the interface: of the handlers, their arguments and their attributes."""

HANDLERS = (
    "singa_attention",
    "singa_attention_gradient",
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
    "singa_running",
    "singa_running_extreme",
    "singa_linear_recurrence",
    "singa_sort",
    "singa_search",
    "singa_scatter",
    "singa_last_written",
)

_ONEDNN, _LIBRARY = "onednn-cpu-gomp", "libdnnl.so.3"


def load() -> ctypes.CDLL:
    """The library with the handlers; oneDNN is loaded with it.

    Raises:
        OSError: oneDNN or the library is missing or does not fit this machine, or the library is
            made for a newer jaxlib.
    """
    try:
        found = [path for path in files(_ONEDNN) or () if path.name == _LIBRARY]
    except PackageNotFoundError:
        found = []
    if not found:
        raise OSError(f"{_LIBRARY} is missing: pip install {_ONEDNN}")
    # Where pip puts it the loader does not look; once it is in the process it is found by name.
    ctypes.CDLL(str(found[0].locate()))
    library = ctypes.CDLL(str(Path(__file__).with_name("libsinga_kernels.so")))
    # XLA takes handlers made for older versions. One that is made for a newer version would keep
    # jax from finding any device.
    if library.singa_ffi_version() > ffi_version():
        raise OSError(
            f"singa-xla-kernels was built with a newer jaxlib than {version('jaxlib')}, "
            "and has to be built again"
        )
    return library


def ffi_version() -> int:
    """The version of XLA's foreign function interface in the jaxlib that is here.

    Raises:
        OSError: jaxlib does not tell.
    """
    header = Path(jax.ffi.include_dir(), "xla/ffi/api/c_api.h")
    text = header.read_text(encoding="utf-8")
    found = dict(re.findall(r"^#define XLA_FFI_API_(MAJOR|MINOR) (\d+)", text, re.MULTILINE))
    if len(found) < 2:
        raise OSError(f"{header} has no version of XLA's foreign function interface")
    return 1000 * int(found["MAJOR"]) + int(found["MINOR"])


def handlers(library: ctypes.CDLL) -> dict[str, Any]:
    """The addresses of the handlers by name, as ctypes functions."""
    return {name: getattr(library, name) for name in HANDLERS}


def onednn_version() -> str:
    """The version of the oneDNN that is loaded."""
    return version(_ONEDNN)
