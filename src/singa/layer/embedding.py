from __future__ import annotations

from functools import partial
from typing import Any

from singa import initializer, operation
from singa.core.tensor import Tensor, TensorLike
from singa.device import float32
from singa.errors import ArgumentError, ShapeError
from singa.layer.base import Layer
from singa.layer.making import Initializer, positive
from singa.operation import checks
from singa.tape import no_grad

_INITIALIZERS: dict[str, Initializer] = {
    "gaussian": initializer.normal,
    "uniform": partial(initializer.uniform, low=-1.0, high=1.0),
}


class Embedding(Layer):
    """A vector for each integer.

    Args:
        input_dim: the number of integers, which are from 0 to input_dim - 1; see
            :func:`singa.autograd.embedding` for others.
        output_dim: the vectors' size.
        initializer: ``"gaussian"`` with mean 0 and variance 1, ``"uniform"`` from -1 to 1, or a
            function of :mod:`singa.initializer`.
        padding_idx: the integer whose vector is initially 0 and is not trained, if there is one;
            counted from the end if negative.
        max_norm: longer vectors are shortened to this norm before they are used, in W itself.
        norm_type: the p of that norm.
        scale_grad_by_freq: whether a vector's gradient is divided by the number of times that it is
            in x.

    Shapes:
        x: (...), integers.
        y: (..., output_dim), float32 or of the type of pretrained vectors.

    Parameters:
        W: (input_dim, output_dim).

    Example:
        >>> layer.Embedding(100, 8)(Tensor(data=[[1, 2, 3], [4, 5, 0]])).shape
        (2, 3, 8)
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        initializer: str | Initializer = "gaussian",
        *,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
    ) -> None:
        self.input_dim = positive("Embedding", "input_dim", input_dim)
        self.output_dim = positive("Embedding", "output_dim", output_dim)
        if not callable(initializer) and initializer not in _INITIALIZERS:
            raise ArgumentError(
                "Embedding: initializer must be 'gaussian', 'uniform' or a function, got "
                f"{initializer!r}"
            )
        self.initializer = initializer
        name = type(self).__name__
        if padding_idx is not None:
            padding_idx = checks.integer(f"{name}: padding_idx", padding_idx)
            if not -input_dim <= padding_idx < input_dim:
                raise ArgumentError(
                    f"{name}: padding_idx={padding_idx} is none of {input_dim} integers"
                )
        self.padding_idx = padding_idx
        self.max_norm = None if max_norm is None else checks.number(f"{name}: max_norm", max_norm)
        self.norm_type = checks.number(f"{name}: norm_type", norm_type)
        self.scale_grad_by_freq = bool(scale_grad_by_freq)
        self.W: Tensor

    def initialize(self, x: Tensor) -> None:
        if hasattr(self, "W"):
            self.W.to_device(x.device)
            return
        self.W = Tensor((self.input_dim, self.output_dim), x.device, float32, stores_grad=True)
        fill = self.initializer
        (fill if callable(fill) else _INITIALIZERS[fill])(self.W)
        if self.padding_idx is not None:
            with no_grad():
                self.W[self.padding_idx] = 0.0

    def from_pretrained(self, W: TensorLike, freeze: bool = True) -> None:
        """Use these vectors, (input_dim, output_dim), and do not train them if ``freeze``.

        Raises:
            ShapeError: they are of another shape.

        Example:
            >>> words = layer.Embedding(3, 2)
            >>> words.from_pretrained([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
            >>> words(Tensor(data=[2, 1])).to_numpy()
            array([[3., 4.],
                   [1., 2.]], dtype=float32)
        """
        vectors = Tensor(data=W, requires_grad=True, stores_grad=True)
        if vectors.shape != (self.input_dim, self.output_dim):
            raise ShapeError(
                f"Embedding: pretrained vectors must be {(self.input_dim, self.output_dim)}, got "
                f"{vectors.shape}"
            )
        if hasattr(self, "W"):
            self.W.copy_data(vectors)
        else:
            self.W = vectors
        self.W.requires_grad = not freeze

    def forward(self, x: Tensor) -> Tensor:
        return operation.embedding(x, self.W, **self._options())

    def _options(self) -> dict[str, Any]:
        """The options of the operation."""
        return {
            "padding_idx": self.padding_idx, "max_norm": self.max_norm,
            "norm_type": self.norm_type, "scale_grad_by_freq": self.scale_grad_by_freq,
        }  # fmt: skip
