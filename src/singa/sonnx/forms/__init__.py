"""How each operation is written as ONNX: a file for each family, as ``rules/`` for reading.

A form is a short function from an operation and its inputs to nodes. An operation without a form
is written by the primitives of jax that it consists of (``tracing.py``).
"""

from singa.sonnx.forms import (
    elementwise,
    linear,
    normalization,
    primitives,
    primitives_of_places,
    recurrent,
    reduction,
    shaping,
    windows,
)

__all__ = [
    "elementwise", "linear", "normalization", "primitives", "primitives_of_places", "recurrent",
    "reduction", "shaping", "windows",
]  # fmt: skip
