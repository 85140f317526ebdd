"""How each operator of ONNX is computed: a file for each family, as the operations' own.

A rule is a short function from a node's inputs to our operations; :func:`rule` registers it.
"""

from singa.sonnx.rules import (
    attention,
    classical,
    control,
    elementwise,
    linear,
    logic,
    loss,
    microsoft,
    microsoft_quantized,
    normalization,
    quantized,
    random,
    recurrent,
    reduction,
    resizing,
    selection,
    shaping,
    signal,
    support_vectors,
    text,
    types,
    vision,
    windows,
)

__all__ = [
    "attention", "classical", "control", "elementwise", "linear", "logic", "loss",
    "microsoft", "microsoft_quantized", "normalization", "quantized", "random", "recurrent",
    "reduction", "resizing", "selection", "shaping", "signal", "support_vectors", "text",
    "types", "vision", "windows",
]  # fmt: skip
