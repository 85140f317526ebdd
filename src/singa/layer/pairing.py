"""Layers of two inputs, or of bags of inputs."""

from __future__ import annotations

import math
from typing import Any

from singa.core.tensor import ArrayLike, Tensor
from singa.errors import ArgumentError
from singa.layer.base import Layer
from singa.layer.embedding import Embedding
from singa.layer.making import Initializer, expect_features, parameter, positive, weight
from singa.layer.older_forms import by_position
from singa.operation import bilinear, embedding_bag


class Bilinear(Layer):
    """y = x1 W x2 + b, for each output.

    ``Bilinear(out)`` takes the numbers of features from its first inputs; ``Bilinear(in1, in2,
    out)`` and ``Bilinear(in1, in2, out, bias)`` are PyTorch's form.

    Args:
        bias: whether to add b.
        initializer: fills W, such as ``initializer.he_normal``.

    Shapes:
        x1: (..., in1).
        x2: (..., in2).
        y: (..., out).

    Parameters:
        W: (out, in1, in2), initially normal with variance 2 / (in1 in2 + out), unless an
            initializer is given.
        b: (out,), initially 0; absent with ``bias=False``.

    Example:
        >>> layer.Bilinear(4)(Tensor((2, 5)), Tensor((2, 3))).shape
        (2, 4)
    """

    def __init__(
        self,
        out_features: int,
        *args: Any,
        bias: bool = True,
        initializer: Initializer | None = None,
    ) -> None:
        older = ("in1_features", "in2_features", "out_features", "bias")
        given = by_position("Bilinear", (out_features, *args), ["out_features"], older, bias=bias)
        if "out_features" not in given:
            raise ArgumentError("Bilinear: in1_features, in2_features, and then out_features")
        self.in1_features: int | None = None
        self.in2_features: int | None = None
        for name in older[:2]:
            if name in given:
                setattr(self, name, positive("Bilinear", name, given[name]))
        self.out_features = positive("Bilinear", "out_features", given["out_features"])
        self.bias = bool(given["bias"])
        self.initializer = initializer
        self.W: Tensor
        self.b: Tensor | None = None

    def initialize(self, x1: Tensor, x2: Tensor) -> None:
        first, second = x1.shape[-1], x2.shape[-1]
        expect_features("Bilinear", "features", x1, first, self.in1_features)
        expect_features("Bilinear", "features", x2, second, self.in2_features)
        self.in1_features, self.in2_features = first, second
        std = math.sqrt(2.0 / (first * second + self.out_features))
        self.W = weight((self.out_features, first, second), x1, std, self.initializer)
        if self.bias:
            self.b = parameter((self.out_features,), x1)

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        expect_features("Bilinear", "features", x1, x1.shape[-1], self.in1_features)
        expect_features("Bilinear", "features", x2, x2.shape[-1], self.in2_features)
        return bilinear(x1, x2, self.W, self.b)


class EmbeddingBag(Embedding):
    """The mean, the sum or the largest of the vectors of each bag of integers.

    Args:
        input_dim: the number of integers, which are from 0 to input_dim - 1; see
            :func:`singa.autograd.embedding` for others.
        output_dim: the vectors' size.
        mode: ``"mean"``, ``"sum"`` or ``"max"``. An empty bag gives 0.
        initializer: as for :class:`Embedding`.
        include_last_offset: whether ``offsets`` has one more element, the end of the last bag.
        options: ``padding_idx``, which is then left out of all bags, ``max_norm``, ``norm_type``
            and ``scale_grad_by_freq``, as for :class:`Embedding`.

    Shapes:
        x: (bags, count), integers; or (N,), all bags one after the other.
        offsets: (bags,), where each bag begins in an x of one axis.
        weights: of the shape of x: factors of the vectors, in mode ``"sum"`` only.
        y: (bags, output_dim).

    Parameters:
        W: (input_dim, output_dim).

    Example:
        >>> bags = layer.EmbeddingBag(100, 8)
        >>> bags(Tensor(data=[[1, 2, 3], [4, 5, 0]])).shape
        (2, 8)
        >>> bags(Tensor(data=[1, 2, 3, 4]), Tensor(data=[0, 3])).shape
        (2, 8)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        mode: str = "mean",
        initializer: str | Initializer = "gaussian",
        *,
        include_last_offset: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(input_dim, output_dim, initializer, **options)
        if mode not in ("mean", "sum", "max"):
            raise ArgumentError(f"EmbeddingBag: mode must be 'mean', 'sum' or 'max', got {mode!r}")
        self.mode = mode
        self.include_last_offset = bool(include_last_offset)

    def initialize(self, x: Tensor, *others: Any) -> None:
        super().initialize(x)

    def forward(
        self, x: Tensor, offsets: Tensor | ArrayLike | None = None, weights: Tensor | None = None
    ) -> Tensor:
        return embedding_bag(
            x, self.W, offsets, self.mode, weights,
            include_last_offset=self.include_last_offset, **self._options(),
        )  # fmt: skip
