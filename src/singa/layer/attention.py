from __future__ import annotations

import math

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import bool_
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.layer.base import Layer, expect_features, parameter, positive
from singa.layer.linear import Linear
from singa.operation import (
    Dropout,
    affine,
    matmul,
    reshape,
    scaled_dot_product_attention,
    transpose,
    unstack,
    where,
)  # fmt: skip


class MultiHeadAttention(Layer):
    """Attention of several heads, each with a part of the features (Vaswani et al., 2017).

    Args:
        embed_dim: the number of features, a multiple of ``num_heads``.
        num_heads: the number of heads that share the features.
        dropout: the probability with which an attention weight is 0, in training.
        bias: whether the four projections have biases.

    Shapes:
        query, y: (batch, queries, embed_dim).
        key, value: (batch, keys, embed_dim). If None, the key is the query, and the value is the
            key.
        mask: true where a query may attend to a key, or numbers that are added to the scores:
            (queries, keys), or a shape that broadcasts to (batch, heads, queries, keys). If a query
            may attend to no key, its values are 0.
        key_mask: (batch, keys), true for keys, false for padding.
        causal: whether a query attends only to the keys up to its own position.

    Parameters:
        in_proj_weight: (embed_dim, 3 * embed_dim), the projections to queries, keys and values
            side by side; initially uniform, with variance 1 / (2 * embed_dim).
        in_proj_bias: (3 * embed_dim,), initially 0.
        out_proj: a Linear.

    Example:
        >>> attention = layer.MultiHeadAttention(embed_dim=16, num_heads=4)
        >>> attention(Tensor((2, 5, 16)), causal=True).shape
        (2, 5, 16)
        >>> is_key = [[True, True, False], [True, False, False]]  # the rest is padding
        >>> attention(Tensor((2, 5, 16)), Tensor((2, 3, 16)), key_mask=is_key).shape
        (2, 5, 16)
    """

    def __init__(
        self, embed_dim: int, num_heads: int, dropout: float = 0.0, bias: bool = True
    ) -> None:
        self.embed_dim = positive("MultiHeadAttention", "embed_dim", embed_dim)
        self.num_heads = positive("MultiHeadAttention", "num_heads", num_heads)
        if embed_dim % num_heads:
            raise ArgumentError(
                f"MultiHeadAttention: embed_dim={embed_dim} is not a multiple of "
                f"num_heads={num_heads}"
            )
        Dropout(dropout)  # raises immediately if it is not a probability
        self.dropout = float(dropout)
        self.bias = bool(bias)
        self.in_proj_weight: Tensor
        self.in_proj_bias: Tensor | None = None
        self.out_proj = Linear(embed_dim, embed_dim, bias=self.bias)

    def initialize(self, query: Tensor, *others: Tensor | None) -> None:
        size = self.embed_dim
        bound = math.sqrt(3 / (2 * size))  # as in PyTorch: Glorot's bound for the three together
        self.in_proj_weight = parameter((size, 3 * size), query).uniform(-bound, bound)
        if self.bias:
            self.in_proj_bias = parameter((3 * size,), query)

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        causal: bool = False,
    ) -> Tensor:
        key = query if key is None else key
        value = key if value is None else value
        for x in (query, key, value):
            if x.ndim() != 3:
                raise ShapeError(
                    "MultiHeadAttention: inputs must be (batch, places, features), got shape "
                    f"{x.shape}"
                )
            expect_features("MultiHeadAttention", "features", x, x.shape[-1], self.embed_dim)
        q, k, v = self._heads(query, key, value)
        mask = self._joined(mask, key_mask, key)
        y = scaled_dot_product_attention(q, k, v, mask, causal, self.dropout)
        return self.out_proj(reshape(transpose(y, (0, 2, 1, 3)), query.shape))

    def _joined(
        self, mask: TensorLike | None, key_mask: TensorLike | None, key: Tensor
    ) -> Tensor | None:
        """Both masks combined, of a shape that broadcasts to (batch, heads, queries, keys)."""
        seen = None if mask is None else as_tensor(mask, key)
        if key_mask is None:
            return seen
        is_key = as_tensor(key_mask, key)
        if is_key.dtype != bool_ or is_key.shape != key.shape[:2]:
            raise DTypeError(
                f"MultiHeadAttention: key_mask must be bools of shape {key.shape[:2]}, got "
                f"{is_key.dtype} of {is_key.shape}"
            )
        is_key = reshape(is_key, (len(key), 1, 1, key.shape[1]))
        if seen is None:
            return is_key
        if seen.dtype == bool_:
            return seen & is_key
        return where(seen, -math.inf, is_key)

    def _heads(self, *xs: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, projected: (batch, heads, places, size) each."""
        if xs[0] is xs[1] is xs[2]:
            y = self._split(self._project(xs[0]), 3)  # one product instead of three
            return unstack(transpose(y, (2, 0, 3, 1, 4)))
        size = self.embed_dim
        parts = (slice(i * size, (i + 1) * size) for i in range(3))
        return tuple(
            transpose(self._split(self._project(x, part)), (0, 2, 1, 3))
            for x, part in zip(xs, parts, strict=True)
        )

    def _split(self, x: Tensor, *parts: int) -> Tensor:
        """(batch, places, parts * features) as (batch, places, parts, heads, size)."""
        size = self.embed_dim // self.num_heads
        return reshape(x, (*x.shape[:2], *parts, self.num_heads, size))

    def _project(self, x: Tensor, part: slice | None = None) -> Tensor:
        weight, bias = self.in_proj_weight, self.in_proj_bias
        if part is not None:
            weight, bias = weight[:, part], None if bias is None else bias[part]
        return matmul(x, weight) if bias is None else affine(x, weight, bias)
