"""The public API of automatic differentiation: the tape, the operations, and some layers.

``autograd.training = True`` turns recording on, ``False`` off. The switch is global to the process.

For SINGA's programs, some layers are here too: ``autograd.Conv2d``.
"""

from __future__ import annotations

import sys
from types import ModuleType

from singa import operation as _operation
from singa.layer import (
    LSTM,
    RNN,
    AvgPool1d,
    AvgPool2d,
    BatchNorm2d,
    Conv2d,
    Layer,
    Linear,
    MaxPool1d,
    MaxPool2d,
    Pooling2d,
    RNN_Base,
    SeparableConv2d,
)
from singa.operation import *  # noqa: F403  (its __all__ is public here)
from singa.tape import (
    Operation,
    axis_helper,
    back_broadcast,
    backward,
    check_gradients,
    checkpoint,
    ctensor2numpy,
    detect_anomaly,
    enable_grad,
    from_jax,
    grad,
    gradients,
    hessian,
    hvp,
    jacobian,
    jvp,
    mixed_precision,
    no_grad,
    per_sample_gradients,
    to_jax,
    vjp,
    vmap,
)
from singa.tape import mode as _mode

training: bool  # the tape's switch, see below

Operator = Operation

__all__ = [
    *_operation.__all__,
    "AvgPool1d", "AvgPool2d", "BatchNorm2d", "Conv2d", "LSTM", "Layer", "Linear", "MaxPool1d",
    "MaxPool2d", "Operation", "Operator", "Pooling2d", "RNN", "RNN_Base", "SeparableConv2d",
    "axis_helper", "back_broadcast", "backward", "check_gradients", "checkpoint", "ctensor2numpy",
    "detect_anomaly", "enable_grad", "from_jax",
    "grad", "gradients", "hessian", "hvp", "jacobian", "jvp", "mixed_precision", "no_grad",
    "per_sample_gradients", "to_jax", "training", "vjp", "vmap",
]  # fmt: skip


class _Face(ModuleType):
    """A module whose ``training`` is the tape's switch, not a copy of it."""

    @property
    def training(self) -> bool:
        return _mode.training

    @training.setter
    def training(self, value: bool) -> None:
        _mode.training = bool(value)


sys.modules[__name__].__class__ = _Face
