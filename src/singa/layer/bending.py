"""Functions with bends as layers. Each takes the arguments of its operation."""

from __future__ import annotations

from singa import operation
from singa.core.tensor import Tensor
from singa.layer.base import Layer
from singa.layer.function import Function
from singa.operation import checks


class HardTanh(Function, operation=operation.HardTanh):
    """At least ``min_val`` and at most ``max_val``; see :func:`singa.autograd.hardtanh`.

    Shapes:
        x, y: any.

    Example:
        >>> layer.HardTanh()(Tensor(data=[-3.0, 0.5, 2.0])).to_numpy()
        array([-1. ,  0.5,  1. ], dtype=float32)
    """


class CELU(Function, operation=operation.Celu):
    """x where positive, else ``alpha`` (e ** (x / alpha) - 1); see :func:`singa.autograd.celu`.

    Shapes:
        x, y: any.

    Example:
        >>> layer.CELU()(Tensor(data=[-1.0, 2.0])).to_numpy()
        array([-0.6321,  2.    ], dtype=float32)
    """


class SoftMin(Layer):
    """e ** -x / sum(e ** -x) along ``axis``; see :func:`singa.autograd.softmin`.

    Shapes:
        x, y: any with this axis.

    Example:
        >>> layer.SoftMin()(Tensor(data=[[0.0, -np.log(3.0)]])).to_numpy()
        array([[0.25, 0.75]], dtype=float32)
    """

    def __init__(self, axis: int = 1) -> None:
        self.axis = checks.integer("SoftMin: axis", axis)

    def forward(self, x: Tensor) -> Tensor:
        return operation.softmin(x, self.axis)
