"""Imperative autograd in the style of PyTorch, with SINGA's API, run by XLA."""

import gc

# What is imported stays. To look for garbage among it meanwhile takes a sixth of the time.
_collects = gc.isenabled()
gc.disable()
try:
    from singa import (
        autograd,
        device,
        distributed,
        errors,
        initializer,
        layer,
        metric,
        model,
        opt,
        tensor,
    )
    from singa._tensor import Tensor
finally:
    if _collects:
        gc.enable()

__version__ = "0.1.0"

__all__ = [
    "Tensor", "autograd", "device", "distributed", "errors", "initializer", "layer", "metric",
    "model", "opt", "tensor",
]  # fmt: skip
