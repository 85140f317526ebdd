"""How each operator of ONNX is computed: a file for each family, as the operations' own.

A rule is a short function from a node's inputs to our operations; :func:`rule` registers it.
"""

from singa.sonnx.rules import (
    classical,
    control,
    elementwise,
    linear,
    logic,
    microsoft,
    normalization,
    quantized,
    reduction,
    resizing,
    selection,
    shaping,
    signal,
    text,
    types,
    vision,
    windows,
)

__all__ = [
    "classical", "control", "elementwise", "linear", "logic", "microsoft", "normalization",
    "quantized", "reduction", "resizing", "selection", "shaping", "signal", "text", "types",
    "vision", "windows",
]  # fmt: skip
