"""Layers without parameters that combine or reshape Tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from singa import operation
from singa.core.tensor import Tensor
from singa.layer.base import Layer
from singa.layer.function import Function


class Flatten(Function, operation=operation.Flatten):
    """(N, ...) to (N, all other axes as one); the second part begins at ``axis``, 1 by default.

    Example:
        >>> layer.Flatten()(Tensor((2, 3, 8, 8))).shape
        (2, 192)
    """


class Reshape(Layer):
    """The same elements in another shape, an argument of the call; see :func:`autograd.reshape`.

    Example:
        >>> layer.Reshape()(Tensor((2, 12)), (2, 3, -1)).shape
        (2, 3, 4)
    """

    def forward(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        return operation.reshape(x, shape)


class Identity(Layer):
    """Returns its input.

    Shapes:
        x, y: any.

    Example:
        >>> x = Tensor((2, 3))
        >>> layer.Identity()(x) is x
        True
    """

    def forward(self, x: Any) -> Any:
        return x


class Cat(Layer):
    """Its inputs, a sequence of Tensors, one after the other along ``axis``.

    Shapes:
        xs: any shapes that differ along the axis only.
        y: the sizes along the axis are added up.

    Example:
        >>> layer.Cat(axis=1)([Tensor((2, 3)), Tensor((2, 5))]).shape
        (2, 8)
    """

    def __init__(self, axis: int = 0) -> None:
        self.axis = axis

    def forward(self, xs: Sequence[Tensor]) -> Tensor:
        return operation.cat(xs, self.axis)


class Add(Layer):
    """a + b, with broadcasting.

    Example:
        >>> layer.Add()(Tensor(data=[[1.0], [2.0]]), Tensor(data=[10.0, 20.0])).to_numpy()
        array([[11., 21.],
               [12., 22.]], dtype=float32)
    """

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return operation.add(a, b)


class Dropout(Layer):
    """In training, each element is 0 with probability ``ratio``, and the others are scaled.

    Args:
        ratio: the probability, from 0 to 1. The other elements are divided by 1 - ``ratio``.

    Shapes:
        x, y: any.

    Example:
        >>> dropout = layer.Dropout(0.5)
        >>> x = Tensor((1000,)).set_value(1.0)
        >>> sorted(set(dropout(x).to_numpy().tolist()))  # unchanged in evaluation
        [1.0]
        >>> autograd.training = True
        >>> sorted(set(dropout(x).to_numpy().tolist()))
        [0.0, 2.0]
    """

    def __init__(self, ratio: float = 0.5) -> None:
        operation.Dropout(ratio)  # raises immediately if it is not a probability
        self.ratio = ratio

    def forward(self, x: Tensor) -> Tensor:
        return operation.dropout(x, self.ratio)
