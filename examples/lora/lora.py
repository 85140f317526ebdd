"""Low-rank adaptation (Hu et al., 2022)."""

import math

from singa import layer
from singa.tensor import Tensor


class LoRA(layer.Layer):
    """y = linear(x) + (x A) B, where A and B are learned, and the linear layer is left alone.

    Args:
        linear: the layer; it is frozen.
        rank: the number of A's columns and of B's rows.

    Parameters:
        A: (in, rank), at first random.
        B: (rank, out), at first 0: so the network begins as it was.
    """

    def __init__(self, linear, rank):
        self.linear = linear
        self.rank = rank
        linear.freeze()

    def initialize(self, x):
        inputs, outputs = x.shape[-1], self.linear.out_features
        self.A = Tensor((inputs, self.rank), stores_grad=True).gaussian(0, 1 / math.sqrt(inputs))
        self.B = Tensor((self.rank, outputs), stores_grad=True)

    def forward(self, x):
        return self.linear(x) + (x @ self.A) @ self.B

    def merged(self):
        """One linear layer that does the same: what is learned costs nothing when it is used."""
        self.linear.W.copy_data(self.linear.W + self.A @ self.B)
        return self.linear
