"""Imperative autograd in the style of PyTorch, with SINGA's API, run by XLA."""

import gc
import sys

# Imported objects stay alive. Garbage collection during the import would take a sixth of its time.
_collects = gc.isenabled()
gc.disable()
try:
    from singa import (
        autograd,
        device,
        distributed,
        distributions,
        errors,
        fft,
        initializer,
        layer,
        linalg,
        metric,
        model,
        opt,
        random,
        special,
        tensor,
    )
    from singa.core.tensor import Tensor
    from singa.formats import checkpoint, weights
finally:
    if _collects:
        # They count as old from now on; otherwise the first collection would look at all of them.
        gc.freeze()
        gc.unfreeze()
        gc.enable()

# Users import these by shorter names.
sys.modules.update({"singa.checkpoint": checkpoint, "singa.weights": weights})

__version__ = "0.1.0"

__all__ = [
    "Tensor", "autograd", "checkpoint", "device", "distributed", "distributions", "errors", "fft",
    "initializer", "layer", "linalg", "metric", "model", "opt", "random", "special", "tensor",
    "weights",
]  # fmt: skip
