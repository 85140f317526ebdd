"""Transformers (Vaswani et al., 2017): layers with attention and a small network, and stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from singa.core.tensor import Tensor, TensorLike
from singa.errors import ArgumentError
from singa.layer.attention import MultiHeadAttention
from singa.layer.base import Layer
from singa.layer.linear import Linear
from singa.layer.normalization import LayerNorm
from singa.layer.stateless import Dropout
from singa.operation import gelu, relu

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": relu, "gelu": gelu}


class _TransformerLayer(Layer):
    """Base of encoder and decoder layers, with the residual connections and the network."""

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str = "relu",
        layer_norm_eps: float = 1e-5,
        norm_first: bool = False,
        bias: bool = True,
        *,
        num_kv_heads: int | None = None,
        batch_first: bool = True,
    ) -> None:
        if activation not in _ACTIVATIONS:
            raise ArgumentError(
                f"{type(self).__name__}: activation must be 'relu' or 'gelu', got {activation!r}"
            )
        self.activation = activation
        self.norm_first = bool(norm_first)
        self.self_attn = MultiHeadAttention(
            d_model, nhead, dropout, bias, num_kv_heads=num_kv_heads, batch_first=batch_first
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias)
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias)
        self.dropout = Dropout(dropout)

    def residual(self, x: Tensor, norm: Layer, function: Callable[[Tensor], Tensor]) -> Tensor:
        """``x`` plus a function of it; either the function's input or the sum is normalized."""
        if self.norm_first:
            return x + self.dropout(function(norm(x)))
        return norm(x + self.dropout(function(x)))

    def attention(
        self,
        mask: TensorLike | None,
        key_mask: TensorLike | None,
        causal: bool,
        padding: TensorLike | None,
    ) -> Callable[[Tensor], Tensor]:
        """The self-attention with these masks, as a function."""
        return lambda x: self.self_attn(
            x, None, None, mask, key_mask, causal, key_padding_mask=padding
        )

    def network(self, x: Tensor) -> Tensor:
        """The network, applied to each position: (batch, places, d_model) to the same shape."""
        return self.linear2(self.dropout(_ACTIVATIONS[self.activation](self.linear1(x))))


class TransformerEncoderLayer(_TransformerLayer):
    """Self-attention, then a network for each position; each has a residual connection.

    Args:
        d_model: the number of features.
        nhead: the number of the attention's heads.
        dim_feedforward: the network's inner size.
        dropout: the probability, in training, that an element is 0: of the attention's weights,
            inside the network, and in the terms added to the residual connections.
        activation: of the network, ``"relu"`` or ``"gelu"``.
        layer_norm_eps: added to the variance.
        norm_first: whether to normalize the inputs of attention and network, or else the sums.
        bias: whether there are biases, in the normalizations too.
        num_kv_heads: the number of heads of keys and values, if it is less than ``nhead``.
        batch_first: whether inputs are (batch, places, d_model), or else (places, batch, d_model).

    Shapes:
        x, y: (batch, places, d_model).
        mask, key_mask, causal, key_padding_mask: see :class:`MultiHeadAttention`.

    Example:
        >>> encode = layer.TransformerEncoderLayer(d_model=16, nhead=4, dim_feedforward=32)
        >>> encode(Tensor((2, 5, 16)), causal=True).shape
        (2, 5, 16)
    """

    def forward(
        self,
        x: Tensor,
        mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        causal: bool = False,
        *,
        key_padding_mask: TensorLike | None = None,
    ) -> Tensor:
        x = self.residual(x, self.norm1, self.attention(mask, key_mask, causal, key_padding_mask))
        return self.residual(x, self.norm2, self.network)


class TransformerDecoderLayer(_TransformerLayer):
    """Like the encoder's layer, with attention to the encoder's outputs in between.

    Its arguments are those of :class:`TransformerEncoderLayer`.

    Shapes:
        x, y: (batch, places, d_model).
        memory: the encoder's outputs, (batch, keys, d_model).
        mask, key_mask, causal, key_padding_mask: see :class:`MultiHeadAttention`, for the
            self-attention.
        memory_mask, memory_key_mask, memory_key_padding_mask: for the attention to the memory.

    Example:
        >>> decode = layer.TransformerDecoderLayer(d_model=16, nhead=4, dim_feedforward=32)
        >>> is_key = [[True, True, True], [True, True, False]]  # the last key is padding
        >>> x, memory = Tensor((2, 5, 16)), Tensor((2, 3, 16))
        >>> decode(x, memory, causal=True, memory_key_mask=is_key).shape
        (2, 5, 16)
    """

    def __init__(self, d_model: int, nhead: int, *args: Any, **options: Any) -> None:
        super().__init__(d_model, nhead, *args, **options)
        attention = self.self_attn
        self.multihead_attn = MultiHeadAttention(
            d_model, nhead, attention.dropout, attention.bias,
            num_kv_heads=attention.num_kv_heads, batch_first=attention.batch_first,
        )  # fmt: skip
        self.norm3 = LayerNorm(d_model, self.norm1.eps, attention.bias)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        mask: TensorLike | None = None,
        key_mask: TensorLike | None = None,
        causal: bool = False,
        memory_mask: TensorLike | None = None,
        memory_key_mask: TensorLike | None = None,
        *,
        key_padding_mask: TensorLike | None = None,
        memory_key_padding_mask: TensorLike | None = None,
    ) -> Tensor:
        x = self.residual(x, self.norm1, self.attention(mask, key_mask, causal, key_padding_mask))
        x = self.residual(
            x,
            self.norm2,
            lambda x: self.multihead_attn(
                x, memory, memory, memory_mask, memory_key_mask,
                key_padding_mask=memory_key_padding_mask,
            ),
        )  # fmt: skip
        return self.residual(x, self.norm3, self.network)


class TransformerEncoder(Layer):
    """Layers one after the other, and a normalization at the end if given.

    Args:
        layers: such as ``[TransformerEncoderLayer(...) for _ in range(6)]``.
        norm: a layer for the last layer's outputs, as is usual with ``norm_first``.

    All further arguments of a call are passed to every layer.

    Shapes:
        x, y: (batch, places, d_model).

    Example:
        >>> layers = [layer.TransformerEncoderLayer(16, 4, 32, norm_first=True) for _ in range(2)]
        >>> encoder = layer.TransformerEncoder(layers, norm=layer.LayerNorm())
        >>> encoder(Tensor((2, 5, 16)), causal=True).shape
        (2, 5, 16)
    """

    def __init__(self, layers: Sequence[Layer], norm: Layer | None = None) -> None:
        self.layers = list(layers)
        self.norm = norm

    def forward(self, x: Tensor, *others: Any, **options: Any) -> Tensor:
        for layer in self.layers:
            x = layer(x, *others, **options)
        return x if self.norm is None else self.norm(x)


class TransformerDecoder(TransformerEncoder):
    """The same for decoder layers; the call is ``decoder(x, memory, ...)``.

    Shapes:
        x, y: (batch, places, d_model).
        memory: the encoder's outputs, (batch, keys, d_model).

    Example:
        >>> decoder = layer.TransformerDecoder([layer.TransformerDecoderLayer(16, 4, 32)])
        >>> decoder(Tensor((2, 5, 16)), Tensor((2, 3, 16)), causal=True).shape
        (2, 5, 16)
    """
