"""Activation functions as layers. Each takes the arguments of its operation."""

from __future__ import annotations

from singa import operation
from singa._tensor import Tensor
from singa.layer.base import Layer, parameter, positive
from singa.layer.function import Function


class ReLU(Function, operation=operation.ReLU):
    """max(x, 0), element by element."""


class ReLU6(Function, operation=operation.ReLU6):
    """min(max(x, 0), 6), element by element."""


class LeakyReLU(Function, operation=operation.LeakyRelu):
    """x where positive, else ``a`` x; see :func:`singa.autograd.leakyrelu`."""


class ELU(Function, operation=operation.Elu):
    """x where positive, else ``alpha`` (e ** x - 1); see :func:`singa.autograd.elu`."""


class SELU(Function, operation=operation.SeLU):
    """``gamma`` times an ELU; see :func:`singa.autograd.selu`."""


class GELU(Function, operation=operation.Gelu):
    """x times the normal distribution's function at x; see :func:`singa.autograd.gelu`.

    ``approximate="tanh"`` is the formula with a tanh.
    """


class SiLU(Function, operation=operation.SiLU):
    """x sigmoid(x), also known as swish."""


class Mish(Function, operation=operation.Mish):
    """x tanh(softplus(x)), element by element."""


class Sigmoid(Function, operation=operation.Sigmoid):
    """1 / (1 + e ** -x), element by element."""


class LogSigmoid(Function, operation=operation.LogSigmoid):
    """The logarithm of the sigmoid."""


class HardSigmoid(Function, operation=operation.HardSigmoid):
    """min(max(``alpha`` x + ``gamma``, 0), 1), element by element."""


class HardSwish(Function, operation=operation.HardSwish):
    """x min(max(x / 6 + 1/2, 0), 1), element by element."""


class Tanh(Function, operation=operation.Tanh):
    """The hyperbolic tangent, element by element."""


class Softplus(Function, operation=operation.SoftPlus):
    """ln(1 + e ** x), element by element."""


class Softsign(Function, operation=operation.SoftSign):
    """x / (1 + abs(x)), element by element."""


class SoftMax(Function, operation=operation.SoftMax):
    """e ** x / sum(e ** x) along ``axis``, which is 1 unless given."""


class LogSoftMax(Function, operation=operation.LogSoftmax):
    """The logarithm of the softmax along ``axis``, which is 1 unless given."""


class GLU(Function, operation=operation.GLU):
    """a sigmoid(b), for the halves a and b of x along ``axis``, the last one unless given."""


class PReLU(Layer):
    """x where positive, else slope x, with learned slopes (He et al., 2015).

    Args:
        num_parameters: 1, or the number of channels: a slope for each of them.
        init: what the slopes are at first.

    Shapes:
        x, y: any for one slope, otherwise (N, C, ...).

    Parameters:
        slope: (num_parameters,).
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.num_parameters = positive("PReLU", "num_parameters", num_parameters)
        self.init = float(init)
        self.slope: Tensor

    def initialize(self, x: Tensor) -> None:
        self.slope = parameter((self.num_parameters,), x).set_value(self.init)

    def forward(self, x: Tensor) -> Tensor:
        if self.num_parameters == 1:
            return operation.prelu(x, self.slope)
        wide = (self.num_parameters, *[1] * (x.ndim() - 2))
        return operation.prelu(x, operation.reshape(self.slope, wide))
