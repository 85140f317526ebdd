"""Imperative autograd in the style of PyTorch, with SINGA's API, run by XLA."""

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

__version__ = "0.1.0"

__all__ = [
    "Tensor", "autograd", "device", "distributed", "errors", "initializer", "layer", "metric",
    "model", "opt", "tensor",
]  # fmt: skip
