from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from singa.core.tensor import Tensor
from singa.errors import ShapeError
from singa.layer.base import Layer
from singa.layer.making import Initializer, expect_features, parameter, positive, weight
from singa.layer.older_forms import by_position
from singa.operation import affine, checks, flatten, gemm, matmul


class Linear(Layer):
    """y = x W + b.

    ``Linear(out)`` takes the number of input features from its first input; ``Linear(in, out)``
    and ``Linear(in, out, bias)`` are SINGA's older form.

    Args:
        bias: whether to add b.
        initializer: fills W, such as ``initializer.he_normal``.

    Shapes:
        x: (N, in), or (N, ..., in): all axes but the last are batches. Images (N, C, H, W), with
            in = C H W, are flattened.
        y: (N, out), or (N, ..., out).

    Parameters:
        W: (in, out), initially normal with variance 2 / (in + out) (Glorot and Bengio, 2010),
            unless an initializer is given.
        b: (out,), initially 0; absent with ``bias=False``.

    Example:
        >>> linear = layer.Linear(3)
        >>> linear(Tensor((2, 5))).shape
        (2, 3)
        >>> linear.W.shape, linear.b.shape
        ((5, 3), (3,))
        >>> layer.Linear(3)(Tensor((2, 7, 5))).shape  # 7 positions each
        (2, 7, 3)
        >>> layer.Linear(3)(Tensor((2, 1, 8, 8))).shape  # images
        (2, 3)
    """

    def __init__(
        self,
        out_features: int,
        *args: Any,
        bias: bool = True,
        initializer: Initializer | None = None,
    ) -> None:
        older = ("in_features", "out_features", "bias")
        given = by_position("Linear", (out_features, *args), ["out_features"], older, bias=bias)
        self.in_features: int | None = None
        if "in_features" in given:
            self.in_features = positive("Linear", "in_features", given["in_features"])
        self.out_features = positive("Linear", "out_features", given["out_features"])
        self.bias = bool(given["bias"])
        self.initializer = initializer
        self.W: Tensor
        self.b: Tensor | None = None

    def initialize(self, x: Tensor) -> None:
        if x.ndim() < 2:
            raise ShapeError(f"Linear: the input must be (N, features), got shape {x.shape}")
        features = self._as_rows(x).shape[-1]
        expect_features("Linear", "features", x, features, self.in_features)
        self.in_features = features
        std = math.sqrt(2.0 / (features + self.out_features))
        self.W = weight((features, self.out_features), x, std, self.initializer)
        if self.bias:
            self.b = parameter((self.out_features,), x)

    def forward(self, x: Tensor) -> Tensor:
        x = self._as_rows(x)
        expect_features("Linear", "features", x, x.shape[-1], self.in_features)
        return matmul(x, self.W) if self.b is None else affine(x, self.W, self.b)

    def _as_rows(self, x: Tensor) -> Tensor:
        # Four axes are images here as everywhere in the library, unless the last one has the size
        # that the layer was made for.
        return flatten(x) if x.ndim() == 4 and x.shape[-1] != self.in_features else x


class Gemm(Layer):
    """y = alpha A B + beta C, with B and C learned (ONNX Gemm).

    Args:
        nb_kernels: the number of outputs.
        alpha, beta: factors of the product and of the bias.
        transA: whether the input is (features, N).
        transB: whether W is stored as (nb_kernels, features).
        bias: whether there is a bias.
        bias_shape: its shape, which broadcasts with the output; (1, nb_kernels) if None.

    Shapes:
        x: (N, features), or (features, N).
        y: (N, nb_kernels).

    Parameters:
        W: (nb_kernels, features), or (features, nb_kernels) with ``transB=False``; initially
            normal with variance 2 / (features + nb_kernels).
        b: ``bias_shape``, initially 0; absent with ``bias=False``.

    Example:
        >>> gemm = layer.Gemm(3)
        >>> gemm(Tensor((2, 5))).shape
        (2, 3)
        >>> gemm.W.shape, gemm.b.shape
        ((3, 5), (1, 3))
        >>> layer.Gemm(3, transA=True)(Tensor((5, 2))).shape
        (2, 3)
    """

    def __init__(
        self,
        nb_kernels: int,
        alpha: float = 1.0,
        beta: float = 1.0,
        transA: bool = False,
        transB: bool = True,
        bias: bool = True,
        bias_shape: Sequence[int] | None = None,
    ) -> None:
        self.nb_kernels = positive("Gemm", "nb_kernels", nb_kernels)
        self.alpha = checks.number("Gemm: alpha", alpha)
        self.beta = checks.number("Gemm: beta", beta)
        self.transA, self.transB = bool(transA), bool(transB)
        self.bias = bool(bias)
        self.bias_shape: tuple[int, ...] = (1, self.nb_kernels)
        if bias_shape is not None:
            self.bias_shape = checks.integers("Gemm: bias_shape", bias_shape)
        self.W: Tensor
        self.b: Tensor | None = None

    def initialize(self, x: Tensor) -> None:
        if x.ndim() != 2:
            raise ShapeError(f"Gemm: the input must have two axes, got shape {x.shape}")
        features = x.shape[0 if self.transA else 1]
        shape = (features, self.nb_kernels)
        self.W = parameter(shape[::-1] if self.transB else shape, x)
        self.W.gaussian(0.0, math.sqrt(2.0 / (features + self.nb_kernels)))
        if self.bias:
            self.b = parameter(self.bias_shape, x)

    def forward(self, x: Tensor) -> Tensor:
        return gemm(x, self.W, self.b, self.alpha, self.beta, self.transA, self.transB)
