"""Operators that onnxruntime's quantizer writes (the domain com.microsoft), for prediction.

Products are of integers, and exact. All others are computed in floats and quantized again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import FormatError
from singa.sonnx.rules.microsoft import MS, attended, embedded
from singa.sonnx.rules.quantized import (
    dequantize_linear,
    dequantized,
    in_bytes,
    of_rows,
    qlinear_conv,
    quantize_linear,
    quantized,
    spread,
)
from singa.sonnx.rules.recurrent import quantized_lstm
from singa.sonnx.rules.rule import Call, formula, held, rule
from singa.sonnx.rules.windows import average_pool, max_pool

rule("QuantizeLinear", domain=MS, fixed=(1, 2))(quantize_linear)
rule("DequantizeLinear", domain=MS, fixed=(1, 2))(dequantize_linear)


def _real(x: Tensor, scale: Tensor, zero: Any) -> Tensor:
    """What quantized values stand for."""
    given = [x, scale] if zero is None else [x, scale, zero]
    return formula(dequantized, *given, to="float32", axis=0, block=0)


def _again(y: Tensor, scale: Tensor, zero: Any, to: np.dtype[Any]) -> Tensor:
    given = [y, scale] if zero is None else [y, scale, zero]
    return formula(
        quantized, *given, to=str(to), axis=0, block=0, saturate=True, precision="float32"
    )


def _of_one(function: Callable[[Call, Tensor], Tensor]) -> Callable[..., Tensor]:
    """The rule of an operator of one quantized value, from what it computes of floats."""

    def computed(
        call: Call, x: Tensor, scale: Tensor, zero: Any, scale_y: Tensor, zero_y: Any = None
    ) -> Tensor:
        return _again(function(call, _real(x, scale, zero)), scale_y, zero_y, x.dtype)

    return computed


def _register(kind: str, function: Callable[[Call, Tensor], Tensor]) -> None:
    rule(kind, domain=MS, fixed=(1, 2, 3, 4))(_of_one(function))


def _channels_first(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A function of images, which may have their channels in the last axis."""

    def computed(call: Call, x: Tensor) -> Tensor:
        if not call("channels_last", 0):
            return function(call, x)
        return _channels_last(function(call, _moved(x)))

    return computed


def _moved(x: Tensor) -> Tensor:
    return op.transpose(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def _channels_last(x: Tensor) -> Tensor:
    return op.transpose(x, (0, *range(2, x.ndim), 1))


def _softmax(call: Call, x: Tensor) -> Tensor:
    axis = call("axis", -1) % x.ndim
    if call("opset", 13) >= 13:
        return op.softmax(x, axis)
    flat = op.reshape(x, (int(np.prod(x.shape[:axis])), -1))
    return op.reshape(op.softmax(flat, 1), x.shape)


def _mean(call: Call, x: Tensor) -> Tensor:
    return op.reduce_mean(x, tuple(range(2, x.ndim)), True)


_register("QLinearSigmoid", lambda call, x: op.sigmoid(x))
_register("QLinearLeakyRelu", lambda call, x: op.leakyrelu(x, call("alpha", 0.01)))
_register("QLinearSoftmax", _softmax)
_register("QLinearAveragePool", _channels_first(average_pool))
_register("QLinearGlobalAveragePool", _channels_first(_mean))


def _of_two(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def computed(
        call: Call, a: Tensor, scale_a: Tensor, zero_a: Any, b: Tensor, scale_b: Tensor,
        zero_b: Any, scale: Tensor, zero: Any = None,
    ) -> Tensor:  # fmt: skip
        y = function(_real(a, scale_a, zero_a), _real(b, scale_b, zero_b))
        return _again(y, scale, zero, a.dtype)

    return computed


for _kind, _function in (("QLinearAdd", op.add), ("QLinearMul", op.mul)):
    rule(_kind, domain=MS, fixed=(1, 2, 4, 5, 6, 7))(_of_two(_function))


@rule("QLinearWhere", domain=MS, fixed=(2, 3, 5, 6, 7, 8))
def _qlinear_where(
    call: Call, condition: Tensor, a: Tensor, scale_a: Tensor, zero_a: Tensor, b: Tensor,
    scale_b: Tensor, zero_b: Tensor, scale: Tensor, zero: Tensor,
) -> Tensor:  # fmt: skip
    chosen = op.where(_real(a, scale_a, zero_a), _real(b, scale_b, zero_b), condition)
    return _again(chosen, scale, zero, a.dtype)


@rule("QLinearConcat", domain=MS, fixed=(0, 1))
def _qlinear_concat(call: Call, scale: Tensor, zero: Tensor, *xs: Tensor) -> Tensor:
    parts = [_real(*xs[i : i + 3]) for i in range(0, len(xs), 3)]
    return _again(op.cat(parts, call("axis")), scale, zero, zero.dtype)


@rule("QLinearConv", domain=MS, fixed=(1, 2, 4, 5, 6, 7))
def _qlinear_conv(call: Call, x: Tensor, *further: Any) -> Tensor:
    if not call("channels_last", 0):
        return qlinear_conv(call, x, *further)
    return _channels_last(qlinear_conv(call, _moved(x), *further))


@rule("NhwcMaxPool", domain=MS)
def _nhwc_max_pool(call: Call, x: Tensor) -> Tensor:
    return _channels_last(max_pool(call, _moved(x)))


# -- products -------------------------------------------------------------------------------------


def _product(a: CTensor, zero_a: CTensor, b: CTensor, zero_b: CTensor) -> CTensor:
    """The product of integers; in float64, which is exact too and faster."""
    moved_a = a.astype(jnp.float64) - of_rows(zero_a, a).astype(jnp.float64)
    return jnp.matmul(moved_a, b.astype(jnp.float64) - zero_b.astype(jnp.float64))


def _scaled_product(
    a: CTensor, scale_a: CTensor, zero_a: CTensor, b: CTensor, scale_b: CTensor, zero_b: CTensor
) -> CTensor:
    factor = of_rows(scale_a, a).astype(jnp.float32) * scale_b.astype(jnp.float32)
    return (_product(a, zero_a, b, zero_b).astype(jnp.float32) * factor).astype(scale_b.dtype)


def _zero(zero: Any, like: Tensor) -> Tensor:
    return held(np.zeros((), like.dtype), like.device) if zero is None else zero


@rule("MatMulIntegerToFloat", domain=MS, fixed=(2, 3, 4, 5))
def _matmul_integer_to_float(
    call: Call, a: Tensor, b: Tensor, scale_a: Tensor, scale_b: Tensor, zero_a: Any = None,
    zero_b: Any = None, bias: Any = None,
) -> Tensor:  # fmt: skip
    y = formula(_scaled_product, a, scale_a, _zero(zero_a, a), b, scale_b, _zero(zero_b, b))
    return y if bias is None else op.add(y, bias)


@rule("DynamicQuantizeMatMul", domain=MS, fixed=(2, 3))
def _dynamic_quantize_matmul(
    call: Call, a: Tensor, b: Tensor, scale: Tensor, zero: Any = None, bias: Any = None
) -> Tensor:
    y = formula(_rounded_product, a, b, scale, _zero(zero, b))
    return y if bias is None else op.add(y, bias)


def _rounded_product(a: CTensor, b: CTensor, scale: CTensor, zero: CTensor) -> CTensor:
    whole, scale_a, zero_a = in_bytes(a)
    return _scaled_product(whole, scale_a, zero_a, b, scale, zero)


@rule("QGemm", domain=MS, fixed=(1, 2, 4, 5, 7, 8))
def _qgemm(
    call: Call, a: Tensor, scale_a: Tensor, zero_a: Tensor, b: Tensor, scale_b: Tensor,
    zero_b: Tensor, c: Any = None, scale: Any = None, zero: Any = None,
) -> Tensor:  # fmt: skip
    given = [a, scale_a, zero_a, b, scale_b, zero_b, *(() if c is None else (c,))]
    y = formula(
        _gemm_of_integers, *given, alpha=call("alpha", 1.0), of_a=bool(call("transA", 0)),
        of_b=bool(call("transB", 0)),
    )  # fmt: skip
    return y if scale is None else _again(y, scale, zero, np.dtype(np.uint8) if zero is None
                                          else zero.dtype)  # fmt: skip


def _gemm_of_integers(
    a: CTensor, scale_a: CTensor, zero_a: CTensor, b: CTensor, scale_b: CTensor, zero_b: CTensor,
    c: CTensor | float = 0.0, *, alpha: float, of_a: bool, of_b: bool,
) -> CTensor:  # fmt: skip
    total = _product(a.T if of_a else a, zero_a, b.T if of_b else b, zero_b) + c
    return (total * alpha).astype(jnp.float32) * (scale_a * scale_b)


@rule("DynamicQuantizeLSTM", domain=MS, fixed=(5, 6, 8, 9, 10, 11))
def _dynamic_quantize_lstm(
    call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any, lengths: Any, h: Any, c: Any, p: Any,
    scale_w: Tensor, zero_w: Tensor, scale_r: Tensor, zero_r: Tensor,
) -> Any:  # fmt: skip
    w, r = (
        formula(_of_gates, *each) for each in ((w, scale_w, zero_w), (r, scale_r, zero_r))
    )  # fmt: skip
    return quantized_lstm(call, x, w, r, b, lengths, h, c, p)


def _of_gates(w: CTensor, scale: CTensor, zero: CTensor) -> CTensor:
    """(directions, inputs, gates) with a scale for each direction, or for each gate of it."""
    scale, zero = (each.reshape(w.shape[0], 1, -1) for each in (scale, zero))
    moved = w.astype(jnp.int32) - zero.astype(jnp.int32)
    return (moved.astype(jnp.float32) * scale).swapaxes(1, 2)


# -- weights of few bits --------------------------------------------------------------------------


def _numbers(packed: CTensor, bits: int) -> CTensor:
    """The numbers in bytes, the lowest bits first, along the last axis."""
    shifts = jnp.arange(0, 8, bits, dtype=jnp.uint8)
    numbers = (packed[..., None] >> shifts) & ((1 << bits) - 1)
    return numbers.reshape(*packed.shape[:-1], -1).astype(jnp.int32)


@rule("MatMulNBits", domain=MS, fixed=(2, 3, 4))
def _matmul_of_bits(
    call: Call, a: Tensor, b: Tensor, scales: Tensor, zeros: Any = None, groups: Any = None,
    bias: Any = None,
) -> Tensor:  # fmt: skip
    bits, block = call("bits", 4), call("block_size")
    if groups is not None or bits not in (2, 4, 8) or call("weight_prepacked", 0):
        raise FormatError(
            f"MatMulNBits: groups, packed weights, and {bits} bits other than 2, 4 and 8, are not "
            "here"
        )
    given = [b, scales, *(() if zeros is None else (zeros,))]
    shape = (call("N"), call("K"))
    w = formula(_of_bits, *given, bits=bits, block=block, shape=shape)
    y = op.matmul(a, op.transpose(w, (1, 0)))
    return y if bias is None else op.add(y, bias)


def _of_bits(
    b: CTensor, scales: CTensor, zeros: CTensor | None = None, *, bits: int, block: int,
    shape: tuple[int, int],
) -> CTensor:  # fmt: skip
    """Weights (N, K) of blocks of each row, which are padded to whole bytes."""
    rows, columns = shape
    blocks = -(-columns // block)
    numbers = _numbers(b.reshape(rows, blocks, -1), bits)[..., :block]
    if zeros is None:
        zero: CTensor = jnp.full((rows, blocks), 1 << (bits - 1))
    elif jnp.issubdtype(zeros.dtype, jnp.floating):
        zero = zeros.reshape(rows, blocks)
    else:
        zero = _numbers(zeros.reshape(rows, -1), bits)[:, :blocks]
    moved = (numbers - zero[..., None]) * scales.reshape(rows, blocks, 1)
    return moved.reshape(rows, -1)[:, :columns].astype(scales.dtype)


@rule("GatherBlockQuantized", domain=MS, fixed=(2, 3))
def _gather_of_blocks(
    call: Call, data: Tensor, places: Tensor, scales: Tensor, zeros: Any = None
) -> Tensor:
    given = [data, scales, *(() if zeros is None else (zeros,))]
    whole = formula(
        _of_blocks, *given, bits=call("bits", 4) if str(data.dtype) == "uint8" else 0,
        axis=call("quantize_axis", 1), block=call("block_size", 128),
    )  # fmt: skip
    return op.gather(whole, call("gather_axis", 0), places)


def _of_blocks(
    data: CTensor, scales: CTensor, zeros: CTensor | None = None, *, bits: int, axis: int,
    block: int,
) -> CTensor:  # fmt: skip
    zero: Any = zeros
    if bits and bits < 8:
        data = _numbers(data, bits)
        zero = None if zeros is None else _numbers(zeros, bits)[..., : scales.shape[-1]]
    if zero is None:
        zero = jnp.full(scales.shape, 1 << (bits - 1) if bits else 0)
    scale, zero = (spread(each, data.shape, axis, block) for each in (scales, zero))
    moved = data.astype(jnp.int32) - zero.astype(jnp.int32)
    return (moved * scale).astype(scales.dtype)


# -- transformers ---------------------------------------------------------------------------------


@rule("QAttention", domain=MS, fixed=(3, 4, 6, 7))
def _qattention(
    call: Call, x: Tensor, weight: Tensor, bias: Tensor, scale_x: Tensor, scale_w: Tensor,
    mask: Any = None, zero_x: Any = None, zero_w: Any = None, past: Any = None,
) -> Any:  # fmt: skip
    zeros = _zero(zero_x, x), _zero(zero_w, weight)
    qkv = formula(_scaled_product, x, scale_x, zeros[0], weight, scale_w, zeros[1])
    sizes = [weight.shape[1] // 3] * 3
    return attended(call, op.split(op.add(qkv, bias), -1, sizes), mask, past)


@rule("QEmbedLayerNormalization", domain=MS, fixed=tuple(range(8, 18)))
def _qembed_layer_norm(
    call: Call, ids: Tensor, segments: Any, words: Tensor, places: Tensor, parts: Any,
    scale: Tensor, shift: Tensor, mask: Any, *quantization: Any,
) -> Any:  # fmt: skip
    tables = [words, places, parts, scale, shift]
    scales, zeros = quantization[:5], quantization[5:]
    real = [
        None if x is None else _real(x, factor, zero)
        for x, factor, zero in zip(tables, scales, zeros, strict=True)
    ]
    return embedded(call, ids, segments, *real, mask)[:2]
