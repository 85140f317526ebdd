"""How each operator of ONNX is computed: a file for each family, as the operations' own.

A rule is a short function from a node's inputs to our operations; :func:`rule` registers it.
"""

from singa.sonnx.rules import (
    control,
    elementwise,
    linear,
    logic,
    normalization,
    reduction,
    resizing,
    selection,
    shaping,
    types,
    vision,
    windows,
)

__all__ = [
    "control", "elementwise", "linear", "logic", "normalization", "reduction", "resizing", "selection",
    "shaping", "types", "vision", "windows",
]  # fmt: skip
