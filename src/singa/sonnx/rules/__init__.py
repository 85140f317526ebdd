"""How each operator of ONNX is computed: a file for each family, as the operations' own.

A rule is a short function from a node's inputs to our operations; :func:`rule` registers it.
"""

from singa.sonnx.rules import (
    attention,
    control,
    elementwise,
    linear,
    logic,
    loss,
    normalization,
    random,
    recurrent,
    reduction,
    selection,
    shaping,
    windows,
)

__all__ = [
    "attention", "control", "elementwise", "linear", "logic", "loss", "normalization", "random",
    "recurrent", "reduction", "selection", "shaping", "windows",
]  # fmt: skip
