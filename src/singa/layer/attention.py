from __future__ import annotations

import math
from typing import Any

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import bool_, is_float
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.layer.base import Layer
from singa.layer.linear import Linear
from singa.layer.making import expect_features, parameter, positive
from singa.operation import (
    Dropout,
    affine,
    checks,
    matmul,
    reduce_mean,
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
        num_kv_heads: the number of heads of the keys and values, which divides ``num_heads``: each
            is for as many neighbouring heads of the queries (Ainslie et al., 2023). ``num_heads``
            if None.
        kdim, vdim: the numbers of features of keys and of values; ``embed_dim`` if None.
        batch_first: whether inputs and outputs are (batch, places, features), as below; otherwise
            their first two axes are exchanged.
        scale: the factor of the products of queries and keys; 1 / sqrt(a head's features) if None.

    Shapes:
        query, y: (batch, queries, embed_dim).
        key, value: (batch, keys, kdim), (batch, keys, vdim). If None, the key is the query, and the
            value is the key.
        mask: true where a query may attend to a key, or numbers that are added to the scores:
            (queries, keys), or a shape that broadcasts to (batch, heads, queries, keys). If a query
            may attend to no key, its values are 0.
        key_mask: (batch, keys), true for keys, false for padding.
        causal: whether a query attends only to the keys up to its own position.
        key_padding_mask: the opposite of ``key_mask``, and in its place: (batch, keys), true for
            padding; or numbers that are added to the scores.
        need_weights: whether to return the attention's weights as well, after the dropout.
        average_attn_weights: whether these are the means over the heads.
        weights: (batch, queries, keys), or (batch, heads, queries, keys).

    Parameters:
        in_proj_weight: (embed_dim, 3 * embed_dim), the projections to queries, keys and values
            side by side; initially uniform, with variance 1 / (2 * embed_dim). With fewer heads of
            keys and values their projections are narrower: embed_dim * num_kv_heads / num_heads.
        q_proj_weight, k_proj_weight, v_proj_weight: these three, in its place, if ``kdim`` or
            ``vdim`` are not ``embed_dim``; initially uniform, with Glorot's bounds.
        in_proj_bias: (3 * embed_dim,), or narrower as in_proj_weight; initially 0.
        out_proj: a Linear.

    Raises:
        ArgumentError: numbers of heads that do not divide, or both ``key_mask`` and
            ``key_padding_mask``.
        ShapeError: inputs or masks have wrong shapes.
        DTypeError: ``key_mask`` is not of bools, or ``key_padding_mask`` neither of bools nor
            of floats.

    Example:
        >>> attention = layer.MultiHeadAttention(embed_dim=16, num_heads=4)
        >>> attention(Tensor((2, 5, 16)), causal=True).shape
        (2, 5, 16)
        >>> is_key = [[True, True, False], [True, False, False]]  # the rest is padding
        >>> attention(Tensor((2, 5, 16)), Tensor((2, 3, 16)), key_mask=is_key).shape
        (2, 5, 16)
        >>> grouped = layer.MultiHeadAttention(16, 4, num_kv_heads=2)
        >>> y, weights = grouped(Tensor((2, 5, 16)), need_weights=True)
        >>> weights.shape, grouped.in_proj_weight.shape
        ((2, 5, 5), (16, 32))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        num_kv_heads: int | None = None,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = True,
        scale: float | None = None,
    ) -> None:
        name = "MultiHeadAttention"
        self.embed_dim = positive(name, "embed_dim", embed_dim)
        self.num_heads = positive(name, "num_heads", num_heads)
        if embed_dim % num_heads:
            raise ArgumentError(
                f"{name}: embed_dim={embed_dim} is not a multiple of num_heads={num_heads}"
            )
        self.num_kv_heads, self.kdim, self.vdim = num_kv_heads, kdim, vdim
        given = {"num_kv_heads": (num_kv_heads, num_heads)}
        given |= {"kdim": (kdim, embed_dim), "vdim": (vdim, embed_dim)}
        self._kv_heads, *features = (
            positive(name, what, usual if value is None else value)
            for what, (value, usual) in given.items()
        )
        self._kv_features = tuple(features)
        if num_heads % self._kv_heads:
            raise ArgumentError(
                f"{name}: num_heads={num_heads} is not a multiple of num_kv_heads={num_kv_heads}"
            )
        Dropout(dropout)  # raises immediately if it is not a probability
        self.dropout = float(dropout)
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        self.scale = None if scale is None else checks.number(f"{name}: scale", scale)
        self.in_proj_weight: Tensor
        self.q_proj_weight: Tensor
        self.k_proj_weight: Tensor
        self.v_proj_weight: Tensor
        self.in_proj_bias: Tensor | None = None
        self.out_proj = Linear(embed_dim, embed_dim, bias=self.bias)

    def initialize(self, query: Tensor, *others: Tensor | None) -> None:
        size = self.embed_dim
        wide = sum(self._widths())
        if self._is_joint():
            # As in PyTorch: Glorot's bound for the three together.
            bound = math.sqrt(6 / (size + wide))
            self.in_proj_weight = parameter((size, wide), query).uniform(-bound, bound)
        else:
            names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
            features = (size, *self._kv_features)
            for name, rows, columns in zip(names, features, self._widths(), strict=True):
                bound = math.sqrt(6 / (rows + columns))
                setattr(self, name, parameter((rows, columns), query).uniform(-bound, bound))
        if self.bias:
            self.in_proj_bias = parameter((wide,), query)

    def _is_joint(self) -> bool:
        """Whether the three projections are one matrix."""
        return self._kv_features == (self.embed_dim, self.embed_dim)

    def _widths(self) -> tuple[int, int, int]:
        """The numbers of features of projected queries, keys and values."""
        narrow = self.embed_dim // self.num_heads * self._kv_heads
        return self.embed_dim, narrow, narrow

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        causal: bool = False,
        *,
        key_padding_mask: TensorLike | None = None,
        need_weights: bool = False,
        average_attn_weights: bool = True,
    ) -> Any:
        key = query if key is None else key
        value = key if value is None else value
        features = (self.embed_dim, *self._kv_features)
        for x, wanted in zip((query, key, value), features, strict=True):
            if x.ndim() != 3:
                axes = (
                    "(batch, places, features)" if self.batch_first else "(places, batch, features)"
                )
                raise ShapeError(f"MultiHeadAttention: inputs must be {axes}, got shape {x.shape}")
            expect_features("MultiHeadAttention", "features", x, x.shape[-1], wanted)
        q, k, v = self._heads(query, key, value)
        keys = self._keys(key_mask, key_padding_mask, k)
        results = scaled_dot_product_attention(
            q, k, v, self._joined(mask, keys, k), causal, self.dropout, self.scale,
            enable_gqa=self._kv_heads < self.num_heads, need_weights=need_weights,
        )  # fmt: skip
        y, *weights = results if need_weights else (results,)
        order = (0, 2, 1, 3) if self.batch_first else (2, 0, 1, 3)
        y = self.out_proj(reshape(transpose(y, order), query.shape))
        if not need_weights:
            return y
        return y, reduce_mean(weights[0], 1, False) if average_attn_weights else weights[0]

    def _keys(
        self, key_mask: TensorLike | None, padding: TensorLike | None, k: Tensor
    ) -> Tensor | None:
        """True for keys, or numbers to be added to their scores: (batch, 1, 1, keys)."""
        shape = (k.shape[0], k.shape[2])
        if key_mask is not None and padding is not None:
            raise ArgumentError(
                "MultiHeadAttention: key_mask is true for keys, key_padding_mask for the others; "
                "one of them is enough"
            )
        keys = None
        if key_mask is not None:
            keys = as_tensor(key_mask, k)
            if keys.dtype != bool_ or keys.shape != shape:
                raise DTypeError(
                    f"MultiHeadAttention: key_mask must be bools of shape {shape}, got "
                    f"{keys.dtype} of {keys.shape}"
                )
        elif padding is not None:
            keys = as_tensor(padding, k)
            if keys.shape != shape or not (keys.dtype == bool_ or is_float(keys.dtype)):
                raise DTypeError(
                    "MultiHeadAttention: key_padding_mask must be bools or floats of shape "
                    f"{shape}, got {keys.dtype} of {keys.shape}"
                )
            keys = ~keys if keys.dtype == bool_ else keys
        return None if keys is None else reshape(keys, (shape[0], 1, 1, shape[1]))

    def _joined(self, mask: TensorLike | None, keys: Tensor | None, k: Tensor) -> Tensor | None:
        """Both masks combined, of a shape that broadcasts to (batch, heads, queries, keys)."""
        seen = None if mask is None else as_tensor(mask, k)
        if seen is None or keys is None:
            return keys if seen is None else seen
        if seen.dtype == keys.dtype == bool_:
            return seen & keys
        if keys.dtype == bool_:
            return where(seen, -math.inf, keys)
        return where(keys, -math.inf, seen) if seen.dtype == bool_ else seen + keys

    def _heads(self, *xs: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, projected: (batch, heads, places, size) each."""
        if xs[0] is xs[1] is xs[2] and self._is_joint() and self._kv_heads == self.num_heads:
            y = _projected(xs[0], self.in_proj_weight, self.in_proj_bias)
            y = self._split(y, 3)  # one product instead of three
            return unstack(transpose(y, (2, 0, 3, 1, 4) if self.batch_first else (2, 1, 3, 0, 4)))
        order = (0, 2, 1, 3) if self.batch_first else (1, 2, 0, 3)
        first, second, _ = self._widths()
        parts = (slice(first), slice(first, first + second), slice(first + second, None))
        if self._is_joint():
            weights = [self.in_proj_weight[:, part] for part in parts]
        else:
            weights = [self.q_proj_weight, self.k_proj_weight, self.v_proj_weight]
        bias = self.in_proj_bias
        biases = [None if bias is None else bias[part] for part in parts]
        return tuple(
            transpose(self._split(_projected(*each)), order)
            for each in zip(xs, weights, biases, strict=True)
        )

    def _split(self, x: Tensor, *parts: int) -> Tensor:
        """(batch, places, parts * features) as (batch, places, parts, heads, size)."""
        size = self.embed_dim // self.num_heads
        heads = x.shape[-1] // (size * math.prod(parts))
        return reshape(x, (*x.shape[:2], *parts, heads, size))


def _projected(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return matmul(x, weight) if bias is None else affine(x, weight, bias)
