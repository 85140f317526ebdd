from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from singa.layer.base import Layer


class Sequential(Layer):
    """Layers one after the other: the first gets the inputs, each other one the previous output.

    They are named by their indices, ``0.W``; ``model[i]``, ``len`` and loops work as for a list.

    Shapes:
        xs: the inputs of the first layer.
        y: the output of the last layer.

    Example:
        >>> net = layer.Sequential(layer.Linear(8), layer.ReLU(), layer.Linear(3))
        >>> net(Tensor((2, 5))).shape
        (2, 3)
        >>> len(net), net[-1].W.shape
        (3, (8, 3))
    """

    def __init__(self, *layers: Layer) -> None:
        self.register_layers({str(i): layer for i, layer in enumerate(layers)})
        self._count = len(layers)

    def forward(self, *xs: Any) -> Any:
        for layer in self:
            xs = (layer(*xs),)
        return xs[0]

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Layer:
        layer: Layer = getattr(self, str(range(self._count)[index]))
        return layer

    def __iter__(self) -> Iterator[Layer]:
        return (self[i] for i in range(self._count))
