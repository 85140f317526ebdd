"""Layers without parameters that put Tensors together, or into another shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from singa import operation
from singa._tensor import Tensor
from singa.layer.base import Layer
from singa.layer.function import Function


class Flatten(Function, operation=operation.Flatten):
    """(N, ...) to (N, everything else); ``axis`` is where the second part begins, as a rule 1."""


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
        return operation.dropout(x, self.ratio)
