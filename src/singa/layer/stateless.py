"""Layers without parameters: each an operation, so that a model can list it among its parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from singa import operation
from singa._tensor import Tensor
from singa.layer.base import Layer


class ReLU(Layer):
    """max(x, 0), element by element."""

    def forward(self, x: Tensor) -> Tensor:
        return operation.relu(x)


class Sigmoid(Layer):
    """1 / (1 + e ** -x), element by element."""

    def forward(self, x: Tensor) -> Tensor:
        return operation.sigmoid(x)


class Tanh(Layer):
    """The hyperbolic tangent, element by element."""

    def forward(self, x: Tensor) -> Tensor:
        return operation.tanh(x)


class SoftMax(Layer):
    """e ** x / sum(e ** x) along ``axis``."""

    def __init__(self, axis: int = 1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return operation.softmax(x, self.axis)


class Flatten(Layer):
    """(N, ...) to (N, everything else); ``axis`` is where the second part begins."""

    def __init__(self, axis: int = 1) -> None:
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        return operation.flatten(x, self.axis)


class Reshape(Layer):
    """The same elements in another shape, which the call gives; see :func:`autograd.reshape`."""

    def forward(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        return operation.reshape(x, shape)


class Identity(Layer):
    """Its input, whatever it is."""

    def forward(self, x: Any) -> Any:
        return x


class Cat(Layer):
    """Its inputs, a sequence of Tensors, one after the other along ``axis``."""

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def forward(self, xs: Sequence[Tensor]) -> Tensor:
        return operation.cat(xs, self.axis)


class Add(Layer):
    """a + b, with broadcasting."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return operation.add(a, b)


class Dropout(Layer):
    """In training, each element is 0 with probability ``ratio``, and the others are scaled."""

    def __init__(self, ratio: float = 0.5) -> None:
        operation.Dropout(ratio)  # says at once if that is no probability
        self.ratio = ratio

    def forward(self, x: Tensor) -> Tensor:
        # Random numbers are drawn for nothing otherwise.
        return operation.dropout(x, self.ratio) if self.ratio else x


class SoftMaxCrossEntropy(Layer):
    """The mean of -sum(t log softmax(x)); see :func:`singa.autograd.softmax_cross_entropy`."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return operation.softmax_cross_entropy(x, t)


class MeanSquareError(Layer):
    """The mean of (x - t) ** 2 over all elements."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return operation.mse_loss(x, t)


class BinaryCrossEntropy(Layer):
    """The cross entropy of probabilities; see :func:`singa.autograd.binary_cross_entropy`."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return operation.binary_cross_entropy(x, t)
