"""Activation functions as layers. Each takes the arguments of its operation."""

from __future__ import annotations

from singa import operation
from singa.core.tensor import Tensor
from singa.layer.base import Layer
from singa.layer.function import Function
from singa.layer.making import parameter, positive
from singa.operation import checks


class ReLU(Function, operation=operation.ReLU):
    """max(x, 0), element by element.

    Example:
        >>> layer.ReLU()(Tensor(data=[-1.0, 0.0, 2.0])).to_numpy()
        array([0., 0., 2.], dtype=float32)
    """


class ReLU6(Function, operation=operation.ReLU6):
    """min(max(x, 0), 6), element by element.

    Example:
        >>> layer.ReLU6()(Tensor(data=[-1.0, 2.0, 8.0])).to_numpy()
        array([0., 2., 6.], dtype=float32)
    """


class LeakyReLU(Function, operation=operation.LeakyRelu):
    """x where positive, else ``a`` x; see :func:`singa.autograd.leakyrelu`.

    Shapes:
        x, y: any.

    Example:
        >>> layer.LeakyReLU(0.5)(Tensor(data=[-1.0, 0.0, 2.0])).to_numpy()
        array([-0.5,  0. ,  2. ], dtype=float32)
    """


class ELU(Function, operation=operation.Elu):
    """x where positive, else ``alpha`` (e ** x - 1); see :func:`singa.autograd.elu`.

    Shapes:
        x, y: any.

    Example:
        >>> layer.ELU()(Tensor(data=[-1.0, 0.0, 2.0])).to_numpy()
        array([-0.6321,  0.    ,  2.    ], dtype=float32)
    """


class SELU(Function, operation=operation.SeLU):
    """``gamma`` times an ELU; see :func:`singa.autograd.selu`.

    Shapes:
        x, y: any.

    Example:
        >>> layer.SELU()(Tensor(data=[-1.0, 0.0, 2.0])).to_numpy()
        array([-1.1113,  0.    ,  2.1014], dtype=float32)
    """


class GELU(Function, operation=operation.Gelu):
    """x times the normal cumulative distribution at x; see :func:`singa.autograd.gelu`.

    ``approximate="tanh"`` uses an approximate formula with a tanh.

    Shapes:
        x, y: any.

    Example:
        >>> layer.GELU()(Tensor(data=[-1.0, 0.0, 2.0])).to_numpy()
        array([-0.1587,  0.    ,  1.9545], dtype=float32)
    """


class SiLU(Function, operation=operation.SiLU):
    """x sigmoid(x), also known as swish.

    Shapes:
        x, y: any.

    Example:
        >>> layer.SiLU()(Tensor(data=[-1.0, 0.0, 2.0])).to_numpy()
        array([-0.2689,  0.    ,  1.7616], dtype=float32)
    """


class Mish(Function, operation=operation.Mish):
    """x tanh(softplus(x)), element by element.

    Example:
        >>> layer.Mish()(Tensor(data=[-1.0, 0.0, 2.0])).to_numpy()
        array([-0.3034,  0.    ,  1.944 ], dtype=float32)
    """


class Sigmoid(Function, operation=operation.Sigmoid):
    """1 / (1 + e ** -x), element by element.

    Example:
        >>> layer.Sigmoid()(Tensor(data=[-1.0, 0.0, 1.0])).to_numpy()
        array([0.2689, 0.5   , 0.7311], dtype=float32)
    """


class LogSigmoid(Function, operation=operation.LogSigmoid):
    """The logarithm of the sigmoid.

    Shapes:
        x, y: any.

    Example:
        >>> layer.LogSigmoid()(Tensor(data=[-1.0, 0.0, 1.0])).to_numpy()
        array([-1.3133, -0.6931, -0.3133], dtype=float32)
    """


class HardSigmoid(Function, operation=operation.HardSigmoid):
    """min(max(``alpha`` x + ``gamma``, 0), 1), element by element.

    Example:
        >>> layer.HardSigmoid()(Tensor(data=[-1.0, 0.0, 4.0])).to_numpy()
        array([0.3, 0.5, 1. ], dtype=float32)
    """


class HardSwish(Function, operation=operation.HardSwish):
    """x min(max(x / 6 + 1/2, 0), 1), element by element.

    Example:
        >>> layer.HardSwish()(Tensor(data=[-6.0, 0.0, 6.0])).to_numpy()
        array([0., 0., 6.], dtype=float32)
    """


class Tanh(Function, operation=operation.Tanh):
    """The hyperbolic tangent, element by element.

    Example:
        >>> layer.Tanh()(Tensor(data=[-1.0, 0.0, 1.0])).to_numpy()
        array([-0.7616,  0.    ,  0.7616], dtype=float32)
    """


class Softplus(Function, operation=operation.SoftPlus):
    """ln(1 + e ** (``beta`` x)) / ``beta``: see :func:`singa.autograd.softplus`.

    Args:
        beta: how near it is to relu(x).
        threshold: where ``beta`` x is above it, the result is x.

    Example:
        >>> layer.Softplus()(Tensor(data=[-1.0, 0.0, 1.0])).to_numpy()
        array([0.3133, 0.6931, 1.3133], dtype=float32)
    """


class Softsign(Function, operation=operation.SoftSign):
    """x / (1 + abs(x)), element by element.

    Example:
        >>> layer.Softsign()(Tensor(data=[-1.0, 0.0, 3.0])).to_numpy()
        array([-0.5 ,  0.  ,  0.75], dtype=float32)
    """


class SoftMax(Function, operation=operation.SoftMax):
    """e ** x / sum(e ** x) along ``axis``, which is 1 unless given.

    Shapes:
        x, y: (N, classes), or any that has the axis.

    Example:
        >>> layer.SoftMax()(Tensor(data=[[0.0, 0.0], [0.0, 100.0]])).to_numpy()
        array([[0.5, 0.5],
               [0. , 1. ]], dtype=float32)
    """


class LogSoftMax(Function, operation=operation.LogSoftmax):
    """The logarithm of the softmax along ``axis``, which is 1 unless given.

    Shapes:
        x, y: (N, classes), or any that has the axis.

    Example:
        >>> layer.LogSoftMax()(Tensor(data=[[0.0, 0.0]])).to_numpy()
        array([[-0.6931, -0.6931]], dtype=float32)
    """


class GLU(Function, operation=operation.GLU):
    """a sigmoid(b), for the halves a and b of x along ``axis``, the last one unless given.

    Shapes:
        x: (..., 2 * features), or any with an even number of elements along the axis.
        y: (..., features).

    Example:
        >>> layer.GLU()(Tensor(data=[[4.0, 6.0, 0.0, 0.0]])).to_numpy()
        array([[2., 3.]], dtype=float32)
    """


class PReLU(Layer):
    """x where positive, else slope x, with learned slopes (He et al., 2015).

    Args:
        num_parameters: 1, or the number of channels: a slope for each of them.
        init: the initial value of the slopes.

    Shapes:
        x, y: any for one slope, otherwise (N, C, ...).

    Parameters:
        slope: (num_parameters,).

    Example:
        >>> prelu = layer.PReLU()
        >>> prelu(Tensor(data=[-1.0, 0.0, 2.0])).to_numpy()
        array([-0.25,  0.  ,  2.  ], dtype=float32)
        >>> prelu.slope.shape
        (1,)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.num_parameters = positive("PReLU", "num_parameters", num_parameters)
        self.init = checks.number("PReLU: init", init)
        self.slope: Tensor

    def initialize(self, x: Tensor) -> None:
        self.slope = parameter((self.num_parameters,), x).set_value(self.init)

    def forward(self, x: Tensor) -> Tensor:
        if self.num_parameters == 1:
            return operation.prelu(x, operation.reshape(self.slope, ()))
        wide = (self.num_parameters, *[1] * (x.ndim() - 2))
        return operation.prelu(x, operation.reshape(self.slope, wide))
