from __future__ import annotations

from singa._tensor import Tensor, TensorLike
from singa.device import float32
from singa.errors import ArgumentError, ShapeError
from singa.layer.base import Layer, positive


class Embedding(Layer):
    """A vector for each integer.

    Args:
        input_dim: how many integers there are: 0 to input_dim - 1. Others are clamped.
        output_dim: the vectors' size.
        initializer: ``"gaussian"`` with mean 0 and variance 1, or ``"uniform"`` from -1 to 1.

    Shapes:
        x: (...), integers.
        y: (..., output_dim), float32 or of the type of pretrained vectors.

    Parameters:
        W: (input_dim, output_dim).
    """

    def __init__(self, input_dim: int, output_dim: int, initializer: str = "gaussian") -> None:
        self.input_dim = positive("Embedding", "input_dim", input_dim)
        self.output_dim = positive("Embedding", "output_dim", output_dim)
        if initializer not in ("gaussian", "uniform"):
            raise ArgumentError(
                f"Embedding: initializer must be 'gaussian' or 'uniform', got {initializer!r}"
            )
        self.initializer = initializer
        self.W: Tensor

    def initialize(self, x: Tensor) -> None:
        if hasattr(self, "W"):
            self.W.to_device(x.device)
            return
        self.W = Tensor((self.input_dim, self.output_dim), x.device, float32, stores_grad=True)
        if self.initializer == "gaussian":
            self.W.gaussian(0.0, 1.0)
        else:
            self.W.uniform(-1.0, 1.0)

    def from_pretrained(self, W: TensorLike, freeze: bool = True) -> None:
        """Take over these vectors, (input_dim, output_dim), and leave them so if ``freeze``.

        Raises:
            ShapeError: they are of another shape.
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
        return self.W[x]
