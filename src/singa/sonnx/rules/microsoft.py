"""Operators that onnxruntime writes into optimized files: fused ones (the domain com.microsoft)."""

from __future__ import annotations

import functools
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import FormatError
from singa.sonnx.rules.attention import rotary
from singa.sonnx.rules.rule import Call, formula, held, rule
from singa.sonnx.rules.windows import conv

MS = "com.microsoft"


def _number(value: float, x: Tensor) -> Tensor:
    return held(np.asarray(value).astype(x.dtype), x.device)


def _activated(x: Tensor, kind: str | None, given: list[float]) -> Tensor:
    """An activation with its parameters, in the order of the file."""
    match kind:
        case None | "":
            return x
        case "Relu":
            return op.relu(x)
        case "Sigmoid":
            return op.sigmoid(x)
        case "Tanh":
            return op.tanh(x)
        case "LeakyRelu":
            return op.leakyrelu(x, given[0] if given else 0.01)
        case "HardSigmoid":
            alpha, beta = given or (0.2, 0.5)
            return op.hardsigmoid(x, alpha, beta)
        case "Clip":
            return op.clip(x, *given)
        case "HardSwish":
            return op.hardswish(x)
        case "Softplus":
            return op.softplus(x)
    raise FormatError(f"there is no activation {kind!r} here")


@rule("FusedConv", domain=MS)
def _fused_conv(call: Call, x: Tensor, w: Tensor, b: Any = None, z: Any = None) -> Tensor:
    y = conv(call, x, w, b)
    y = y if z is None else op.add(y, z)
    return _activated(y, call("activation"), call("activation_params") or [])


@rule("FusedGemm", domain=MS)
def _fused_gemm(call: Call, a: Tensor, b: Tensor, c: Any = None) -> Tensor:
    y = op.gemm(
        a, b, c, call("alpha", 1.0), call("beta", 1.0), bool(call("transA", 0)),
        bool(call("transB", 0)),
    )  # fmt: skip
    names = ("activation_alpha", "activation_beta", "activation_gamma")
    return _activated(y, call("activation"), [v for v in map(call, names) if v is not None])


@rule("FusedMatMul", "TransposeMatMul", domain=MS)
def _fused_matmul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    a = _transposed(a, call("transA", 0), call("transBatchA", 0))
    b = _transposed(b, call("transB", 0), call("transBatchB", 0))
    y, alpha = op.matmul(a, b), call("alpha", 1.0)
    return y if alpha == 1 else y * _number(alpha, y)


def _transposed(x: Tensor, matrix: int, batch: int) -> Tensor:
    axes = [*range(x.ndim)]
    if batch and x.ndim > 2:  # the first axis is the matrix' own, before the batch
        axes = [*axes[1:-1], axes[0], axes[-1]]
    if matrix and x.ndim > 1:
        axes[-2:] = axes[:-3:-1]
    return x if axes == [*range(x.ndim)] else op.transpose(x, axes)


@rule("Gelu", domain=MS)
def _gelu(call: Call, x: Tensor) -> Tensor:
    return op.gelu(x)


@rule("BiasGelu", domain=MS)
def _bias_gelu(call: Call, x: Tensor, bias: Tensor) -> Tensor:
    return op.gelu(op.add(x, bias))


@rule("FastGelu", domain=MS)
def _fast_gelu(call: Call, x: Tensor, bias: Any = None) -> Tensor:
    return op.gelu(x if bias is None else op.add(x, bias), "tanh")


@rule("QuickGelu", domain=MS)
def _quick_gelu(call: Call, x: Tensor) -> Tensor:
    return x * op.sigmoid(x * _number(call("alpha", 1.702), x))


@rule("SkipLayerNormalization", domain=MS)
def _skip_layer_norm(
    call: Call, x: Tensor, skip: Tensor, scale: Tensor, shift: Any = None, bias: Any = None
) -> tuple[Any, ...]:
    total = _summed(x, skip, bias)
    epsilon = call("epsilon", 1e-12)
    mean = inverse = None
    if _wants(call, 1) or _wants(call, 2):
        wide = op.cast(total, jnp.promote_types(total.dtype, np.float32))
        var, mean = op.var_mean(wide, (-1,), True)
        inverse = op.rsqrt(var + _number(epsilon, var))
    return op.layer_norm(total, scale, shift, epsilon), mean, inverse, total


@rule("SkipSimplifiedLayerNormalization", domain=MS)
def _skip_rms_norm(
    call: Call, x: Tensor, skip: Tensor, scale: Tensor, bias: Any = None
) -> tuple[Any, ...]:
    total = _summed(x, skip, bias)
    epsilon = call("epsilon", 1e-12)
    inverse = _inverse_size(total, epsilon) if _wants(call, 2) else None
    return op.rms_norm(total, scale, None, epsilon), None, inverse, total


@rule("SimplifiedLayerNormalization")  # onnxruntime's, but it is in ONNX's own domain
@rule("SimplifiedLayerNormalization", domain=MS)
def _rms_norm(call: Call, x: Tensor, scale: Tensor) -> Any:
    axis = call("axis", -1) % x.ndim
    if axis != x.ndim - scale.ndim:
        raise FormatError("SimplifiedLayerNormalization: the scale is not of the axes that follow")
    epsilon = call("epsilon", 1e-5)
    y = op.rms_norm(x, scale, None, epsilon)
    return (y, _inverse_size(x, epsilon, scale.ndim)) if _wants(call, 1) else y


def _summed(x: Tensor, skip: Tensor, bias: Tensor | None) -> Tensor:
    total = op.add(x, skip)
    return total if bias is None else op.add(total, bias)


def _inverse_size(x: Tensor, epsilon: float, axes: int = 1) -> Tensor:
    wide = op.cast(x, jnp.promote_types(x.dtype, np.float32))
    mean = op.reduce_mean(op.mul(wide, wide), tuple(range(-axes, 0)), True)
    return op.rsqrt(mean + _number(epsilon, mean))


def _wants(call: Call, number: int) -> bool:
    return len(call.node.outputs) > number and bool(call.node.outputs[number])


@rule("EmbedLayerNormalization", domain=MS)
def embedded(
    call: Call, ids: Tensor, segments: Any, words: Tensor, places: Tensor, parts: Any,
    scale: Tensor, shift: Tensor, mask: Any = None, numbers: Any = None,
) -> tuple[Any, ...]:  # fmt: skip
    """The normalized sum of embeddings, the lengths, and the sum itself."""
    if numbers is None:
        found = op.slice(places, [0], [ids.shape[1]], [0])
    else:
        found = op.gather(places, 0, numbers)
    total = op.add(op.gather(words, 0, ids), found)
    if segments is not None and parts is not None:
        total = op.add(total, op.gather(parts, 0, segments))
    y = op.layer_norm(total, scale, shift, call("epsilon", 1e-12))
    if mask is None:
        counts = held(np.zeros(ids.shape[:1], np.int32), ids.device)
    else:
        counts = formula(_ones, mask)
    return y, counts, total


def _ones(mask: CTensor) -> CTensor:
    return (mask == 1).sum(1, dtype=jnp.int32)


@rule("Attention", domain=MS)
def _attention(
    call: Call, x: Tensor, weight: Tensor, bias: Any = None, mask: Any = None, past: Any = None,
    more: Any = None, past_length: Any = None,
) -> Any:  # fmt: skip
    if call("do_rotary", 0) or call("past_present_share_buffer", 0) or past_length is not None:
        raise FormatError("Attention: rotations, and a shared buffer, are not here")
    sizes = call("qkv_hidden_sizes") or [weight.shape[1] // 3] * 3
    qkv = op.matmul(x, weight)
    qkv = qkv if bias is None else op.add(qkv, bias)
    return attended(call, op.split(qkv, -1, sizes), mask, past, more)


def attended(call: Call, qkv: Any, mask: Any, past: Any = None, more: Any = None) -> Any:
    """The attention of queries, keys and values, and perhaps its cache.

    Args:
        call: of the node, whose attributes are those of Attention.
        qkv: the three, (batch, steps, heads x size).
        mask: of the keys; None for none.
        past: keys and values of the steps before, stacked; None for none.
        more: what is added to the scores.
    """
    q, k, v = (_of_heads(part, call("num_heads")) for part in qkv)
    before = 0
    if past is not None:
        old_k, old_v = op.unstack(past, 0)
        before = old_k.shape[2]
        k, v = op.cat([old_k, k], 2), op.cat([old_v, v], 2)
    y = _attention_of_heads(call, (q, k, v), before, mask, more)
    return (y, op.stack([k, v], 0)) if _wants(call, 1) else y


def _of_heads(x: Tensor, heads: int) -> Tensor:
    return op.transpose(op.reshape(x, (*x.shape[:2], heads, -1)), (0, 2, 1, 3))


def _attention_of_heads(call: Call, qkv: Any, before: int, mask: Any, more: Any) -> Tensor:
    q, k, v = qkv
    added = _added(call, mask, q.shape[2], before, k)
    added = added if more is None else more if added is None else op.add(added, more)
    y = op.scaled_dot_product_attention(q, k, v, added, scale=call("scale") or None)
    return op.reshape(op.transpose(y, (0, 2, 1, 3)), (y.shape[0], y.shape[2], -1))


@rule("MultiHeadAttention", domain=MS)
def _multi_head_attention(
    call: Call, q: Tensor, k: Any = None, v: Any = None, bias: Any = None, mask: Any = None,
    more: Any = None, past_k: Any = None, past_v: Any = None, *further: Any,
) -> Any:  # fmt: skip
    heads = call("num_heads")
    if q.ndim != 3 or k is None or v is None or any(x is not None for x in further):
        raise FormatError("MultiHeadAttention: packed inputs, and beams, are not here")
    given = [q, k, v]
    if bias is not None:
        wide = q.shape[2]
        parts = op.split(bias, 0, [wide, wide, bias.shape[0] - 2 * wide])
        given = [op.add(x, b) if x.ndim == 3 else x for x, b in zip(given, parts, strict=True)]
    q, k, v = (x if x.ndim == 4 else _of_heads(x, heads) for x in given)
    before = 0
    if past_k is not None:
        before = past_k.shape[2]
        k, v = op.cat([past_k, k], 2), op.cat([past_v, v], 2)
    y = _attention_of_heads(call, (q, k, v), before, mask, more)
    return (y, k, v) if _wants(call, 1) else y


@rule("RotaryEmbedding", domain=MS, fixed=(2, 3))
def _rotary(call: Call, x: Tensor, places: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    if call("is_packed_batching", 0) or call("scale", 1.0) != 1:
        raise FormatError("RotaryEmbedding: packed batches, and a scale, are not here")
    steps, size = x.shape[-2], call("rotary_embedding_dim", 0) or 2 * cos.shape[1]
    places = formula(_all_places, places, batch=x.shape[0], steps=steps)
    heads = call("num_heads", 0) or x.shape[-1] // (2 * cos.shape[1])
    return rotary(x, cos, sin, places, heads, size, bool(call("interleaved", 0)))


def _all_places(places: CTensor, batch: int, steps: int) -> CTensor:
    """The places (batch, steps), of which the first one may be given."""
    if places.size == 1:
        places = places.reshape(1, 1) + jnp.arange(steps, dtype=places.dtype)
    return jnp.broadcast_to(places, (batch, steps))


def _added(call: Call, mask: Any, length: int, before: int, k: Tensor) -> Tensor | None:
    """What is added to the scores, (batch, 1, queries, keys); None for nothing."""
    parts = []
    if call("unidirectional", 0):
        later = np.triu(np.ones((length, before + length), bool), before + 1)
        least = jnp.finfo(k.dtype).min
        parts.append(held(np.where(later, least, 0).astype(k.dtype)[None, None], k.device))
    if mask is not None:
        parts.append(
            formula(
                _scores_of, mask, batch=k.shape[0], keys=before + length,
                value=call("mask_filter_value", -10000.0), dtype=str(k.dtype),
            )
        )  # fmt: skip
    return functools.reduce(op.minimum, parts) if parts else None


def _scores_of(mask: CTensor, batch: int, keys: int, value: float, dtype: str) -> CTensor:
    if mask.ndim == 1 and mask.size in (batch, 2 * batch):
        number = jnp.arange(keys)
        seen = number < mask[:batch, None]  # the end of each sample, then perhaps the begin
        if mask.size == 2 * batch:
            seen &= number >= mask[batch:, None]
        seen = seen[:, None, None]
    elif mask.ndim in (2, 3):
        seen = (mask > 0).reshape(batch, 1, -1, mask.shape[-1])
    else:
        raise FormatError(f"Attention: a mask of shape {mask.shape} is not here")
    return jnp.where(seen, 0, value).astype(dtype)
