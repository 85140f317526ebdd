"""Activation functions."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax.nn import sigmoid as logistic

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.engine.fusion import again
from singa.errors import ArgumentError
from singa.operation import checks
from singa.operation.pointwise import Pointwise, RealFunction
from singa.operation.vectorized import log1p_of_share
from singa.operation.vectorized import softplus as softplus_of
from singa.tape import Operation

__all__ = [
    "Elu", "HardSigmoid", "LeakyRelu", "LogSigmoid", "LogSoftmax", "PRelu", "ReLU", "ReLU6", "SeLU",
    "Sigmoid", "SoftMax", "SoftPlus", "SoftSign", "Tanh", "elu", "hardsigmoid", "leakyrelu",
    "log_sigmoid", "log_softmax", "prelu", "relu", "relu6", "selu", "sigmoid", "softmax",
    "softplus", "softsign", "tanh",
]  # fmt: skip


class ReLU(Operation):
    """y = max(x, 0); the gradient at 0 is 0."""

    def forward(self, x: CTensor) -> CTensor:
        checks.no_bools(self, "x.as_type(float32) makes numbers of them", x)
        self.y = jnp.maximum(x, 0)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where(self.y > 0, dy, 0)


class Sigmoid(Operation):
    """y = 1 / (1 + e ** -x)."""

    def forward(self, x: CTensor) -> CTensor:
        self.y = jax.nn.sigmoid(checks.as_float(self, "its input", x))
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy * self.y * (1 - self.y)


class Tanh(Operation):
    """y = tanh(x)."""

    complex_numbers = "derived"

    def forward(self, x: CTensor) -> CTensor:
        self.y = jnp.tanh(checks.as_float(self, "its input", x))
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy * (1 - self.y * self.y)


class SoftMax(Operation):
    """y = e ** x / sum(e ** x) along an axis, shifted by the largest x to avoid an overflow."""

    arithmetic = "wide"

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jax.nn.softmax(x, checks.axis(self, self.axis, x.ndim))
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return self.y * (dy - (dy * self.y).sum(self.axis, keepdims=True))


class LogSoftmax(Operation):
    """y = log(softmax(x)) along an axis, finite where the softmax itself would be 0."""

    arithmetic = "wide"

    def __init__(self, axis: int = 1) -> None:
        super().__init__()
        self.axis = checks.integer(f"{self.name}: axis", axis)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jax.nn.log_softmax(x, checks.axis(self, self.axis, x.ndim))
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return dy - jnp.exp(self.y) * dy.sum(self.axis, keepdims=True)


class SoftPlus(Operation):
    """y = ln(1 + e ** (beta x)) / beta, and x where beta x is above the threshold, if there is one.

    Without a threshold there is no overflow either.
    """

    numbers = ("beta", "threshold")

    def __init__(self, *, beta: float = 1.0, threshold: float | None = None) -> None:
        super().__init__()
        self.beta = checks.number(f"{self.name}: beta", beta)
        if not self.beta:
            raise ArgumentError(f"{self.name}: beta must not be 0")
        threshold = math.inf if threshold is None else threshold
        self.threshold = checks.number(f"{self.name}: threshold", threshold)

    def forward(self, x: CTensor) -> CTensor:
        x = checks.as_float(self, "its input", x)
        self.scaled = x * self.beta
        y = (
            jnp.where(self.scaled > 0, x, 0)
            + log1p_of_share(jnp.exp(-jnp.abs(self.scaled))) / self.beta
        )
        return jnp.where(self.scaled > self.threshold, x, y)

    def backward(self, dy: CTensor) -> CTensor:
        return dy * jnp.where(self.scaled > self.threshold, 1, logistic(self.scaled))


class LogSigmoid(RealFunction, formula=lambda x: -softplus_of(-x), slope=lambda x: logistic(-x)):
    """y = ln(1 / (1 + e ** -x))."""


class SoftSign(
    RealFunction,
    formula=lambda x: x / (1 + jnp.abs(x)),
    slope=lambda x: 1 / (1 + jnp.abs(x)) ** 2,
):
    """y = x / (1 + abs(x))."""


class ReLU6(
    Pointwise,
    formula=lambda x: jnp.clip(x, 0, 6),
    slope=lambda x: ((x > 0) & (x < 6)).astype(x.dtype),
):
    """y = min(max(x, 0), 6); the gradient at both ends is 0."""


class Elu(Operation):
    """y = x where positive, else alpha (e ** x - 1) (Clevert et al., 2015)."""

    numbers: tuple[str, ...] = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = checks.number(f"{self.name}: alpha", alpha)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x = x
        return jnp.where(x > 0, x, self.alpha * jnp.expm1(x))

    def backward(self, dy: CTensor) -> CTensor:
        # Use where, not a product: if x is large, e ** x is infinite.
        x = again(self.x)
        return jnp.where(x > 0, dy, dy * self.alpha * jnp.exp(x))


class SeLU(Elu):
    """y = gamma x where positive, else gamma alpha (e ** x - 1) (Klambauer et al., 2017)."""

    numbers = ("alpha", "gamma")

    def __init__(
        self, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805
    ) -> None:
        super().__init__(alpha)
        self.gamma = checks.number(f"{self.name}: gamma", gamma)

    def forward(self, x: CTensor) -> CTensor:
        return self.gamma * super().forward(x)

    def backward(self, dy: CTensor) -> CTensor:
        return super().backward(self.gamma * dy)


class PRelu(Operation):
    """y = x where positive, else slope x; the slope is learned (He et al., 2015)."""

    def forward(self, x: CTensor, slope: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        checks.broadcastable(self, x, slope)
        self.x, self.slope = x, slope
        return jnp.where(x > 0, x, slope * x)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        positive = self.x > 0
        return jnp.where(positive, dy, dy * self.slope), jnp.where(positive, 0, dy * self.x)


class LeakyRelu(Operation):
    """y = x where positive, else a x."""

    numbers = ("a",)

    def __init__(self, a: float = 0.01) -> None:
        super().__init__()
        self.a = checks.number(f"{self.name}: a", a)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.positive = x > 0
        return jnp.where(self.positive, x, self.a * x)

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where(self.positive, dy, self.a * dy)


class HardSigmoid(Operation):
    """y = min(max(alpha x + gamma, 0), 1); the gradient at both ends is 0."""

    numbers = ("alpha", "gamma")

    def __init__(self, alpha: float = 0.2, gamma: float = 0.5) -> None:
        super().__init__()
        self.alpha = checks.number(f"{self.name}: alpha", alpha)
        self.gamma = checks.number(f"{self.name}: gamma", gamma)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.y = jnp.clip(self.alpha * x + self.gamma, 0, 1)
        return self.y

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.where((self.y > 0) & (self.y < 1), self.alpha * dy, 0)


def relu(x: Tensor) -> Tensor:
    """``max(x, 0)``, element by element.

    Example:
        >>> autograd.relu(Tensor(data=[-1.0, 2.0]))
        Tensor([0., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return ReLU()(x)[0]


def sigmoid(x: Tensor) -> Tensor:
    """``1 / (1 + e ** -x)``, element by element.

    Example:
        >>> autograd.sigmoid(Tensor(data=[-1.0, 0.0, 1.0]))
        Tensor([0.2689, 0.5   , 0.7311], shape=(3,), dtype=float32, device=cpu)
    """
    return Sigmoid()(x)[0]


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, element by element.

    Example:
        >>> autograd.tanh(Tensor(data=[-1.0, 0.0, 1.0]))
        Tensor([-0.7616,  0.    ,  0.7616], shape=(3,), dtype=float32, device=cpu)
    """
    return Tanh()(x)[0]


def softmax(x: Tensor, axis: int = 1) -> Tensor:
    """``e ** x / sum(e ** x)`` along ``axis``, along which the sum is 1; of x's shape.

    Example:
        >>> autograd.softmax(Tensor(data=[[0.0, 0.0], [0.0, np.log(3.0)]]))
        Tensor([[0.5 , 0.5 ],
                [0.25, 0.75]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return SoftMax(axis)(x)[0]


def log_softmax(x: Tensor, axis: int = 1) -> Tensor:
    """The logarithm of the softmax along ``axis``; of x's shape.

    Example:
        >>> autograd.log_softmax(Tensor(data=[[0.0, 0.0], [0.0, 1000.0]]))
        Tensor([[   -0.6931,    -0.6931],
                [-1000.    ,     0.    ]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return LogSoftmax(axis)(x)[0]


def softplus(x: Tensor, *, beta: float = 1.0, threshold: float | None = None) -> Tensor:
    """``ln(1 + e ** (beta * x)) / beta``, element by element.

    Args:
        x: any shape.
        beta: how near it is to relu(x).
        threshold: where ``beta * x`` is above it, the result is x itself. By default there is none,
            because nothing overflows (PyTorch's is 20).

    Raises:
        ArgumentError: ``beta`` is 0.

    Example:
        >>> autograd.softplus(Tensor(data=[-1.0, 0.0, 100.0]))
        Tensor([  0.3133,   0.6931, 100.    ], shape=(3,), dtype=float32, device=cpu)
        >>> autograd.softplus(Tensor(data=[-1.0, 1.0]), beta=2.0, threshold=1.0)
        Tensor([0.0635, 1.    ], shape=(2,), dtype=float32, device=cpu)
    """
    return SoftPlus(beta=beta, threshold=threshold)(x)[0]


def softsign(x: Tensor) -> Tensor:
    """``x / (1 + abs(x))``, element by element: between -1 and 1.

    Example:
        >>> autograd.softsign(Tensor(data=[-1.0, 3.0]))
        Tensor([-0.5 ,  0.75], shape=(2,), dtype=float32, device=cpu)
    """
    return SoftSign()(x)[0]


def log_sigmoid(x: Tensor) -> Tensor:
    """The logarithm of the sigmoid, element by element; finite where the sigmoid itself would be 0.

    Example:
        >>> autograd.log_sigmoid(Tensor(data=[-1000.0, 0.0]))
        Tensor([-1000.    ,    -0.6931], shape=(2,), dtype=float32, device=cpu)
    """
    return LogSigmoid()(x)[0]


def relu6(x: Tensor) -> Tensor:
    """``min(max(x, 0), 6)``, element by element.

    Example:
        >>> autograd.relu6(Tensor(data=[-1.0, 2.0, 8.0]))
        Tensor([0., 2., 6.], shape=(3,), dtype=float32, device=cpu)
    """
    return ReLU6()(x)[0]


def elu(x: Tensor, alpha: float = 1.0) -> Tensor:
    """``x`` where positive, else ``alpha * (e ** x - 1)``, element by element.

    Example:
        >>> autograd.elu(Tensor(data=[-1.0, 2.0]))
        Tensor([-0.6321,  2.    ], shape=(2,), dtype=float32, device=cpu)
    """
    return Elu(alpha)(x)[0]


def selu(x: Tensor, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Tensor:
    """``gamma`` times :func:`elu`, element by element.

    These defaults keep mean 0 and variance 1 through many layers.

    Example:
        >>> autograd.selu(Tensor(data=[-1.0, 2.0]))
        Tensor([-1.1113,  2.1014], shape=(2,), dtype=float32, device=cpu)
    """
    return SeLU(alpha, gamma)(x)[0]


def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """``x`` where positive, else ``slope * x``, element by element.

    The slope broadcasts; one for each channel of images (N, C, H, W) is of shape (C, 1, 1).

    Example:
        >>> autograd.prelu(Tensor(data=[-1.0, 2.0]), Tensor(data=0.25))
        Tensor([-0.25,  2.  ], shape=(2,), dtype=float32, device=cpu)
    """
    return PRelu()(x, slope)[0]


def leakyrelu(x: Tensor, a: float = 0.01) -> Tensor:
    """``x`` where positive, else ``a * x``, element by element; the gradient at 0 is ``a``.

    Example:
        >>> autograd.leakyrelu(Tensor(data=[-1.0, 2.0]), a=0.1)
        Tensor([-0.1,  2. ], shape=(2,), dtype=float32, device=cpu)
    """
    return LeakyRelu(a)(x)[0]


def hardsigmoid(x: Tensor, alpha: float = 0.2, gamma: float = 0.5) -> Tensor:
    """``min(max(alpha * x + gamma, 0), 1)``, element by element.

    Example:
        >>> autograd.hardsigmoid(Tensor(data=[-4.0, 0.0, 1.0]))
        Tensor([0. , 0.5, 0.7], shape=(3,), dtype=float32, device=cpu)
    """
    return HardSigmoid(alpha, gamma)(x)[0]
