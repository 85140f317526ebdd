"""Integers in place of floats: quantization, and products of integers, which are exact.

A scale or a zero point is one number, one for each index of an axis, or one for each block of an
axis. None of them is learned.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.sonnx.rules.rule import Call, formula, held, rule
from singa.sonnx.rules.types import cast_array, dtype_of
from singa.sonnx.rules.windows import geometry


def spread(scale: CTensor, shape: tuple[int, ...], axis: int, block: int) -> CTensor:
    """A scale for each element of an array of this shape, or what broadcasts to it."""
    if scale.size == 1:
        return scale.reshape(())
    axis %= len(shape)
    if block:
        wide = jnp.repeat(scale, block, axis)
        return jax.lax.slice_in_dim(wide, 0, shape[axis], axis=axis)
    if scale.ndim == 1:
        return scale.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return scale


@rule("QuantizeLinear", fixed=(1, 2))
def quantize_linear(call: Call, x: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
    """Floats as integers, or as short floats."""
    given = call("output_dtype", 0)
    to = zero.dtype if zero is not None else dtype_of(given) if given else np.dtype(np.uint8)
    precision = call("precision", 0)
    values = [x, scale] if zero is None else [x, scale, zero]
    return formula(
        quantized, *values, to=str(to), axis=call("axis", 1), block=call("block_size", 0),
        saturate=bool(call("saturate", 1)),
        precision=str(dtype_of(precision)) if precision else None,
    )  # fmt: skip


def quantized(
    x: CTensor, scale: CTensor, zero: CTensor | None = None, *, to: str, axis: int, block: int,
    saturate: bool, precision: str | None,
) -> CTensor:  # fmt: skip
    """The integers for an array; the scale and the zero point are spread along an axis."""
    scale = spread(scale, x.shape, axis, block)
    kind = precision or jnp.promote_types(jnp.promote_types(x.dtype, scale.dtype), jnp.float16)
    # A true division: XLA would multiply by the inverse of one scale, which may round otherwise.
    divisor = jax.lax.optimization_barrier(jnp.broadcast_to(scale.astype(kind), x.shape))
    ratio = x.astype(kind) / divisor
    if zero is not None:
        zero = spread(zero, x.shape, axis, block)
    if jnp.issubdtype(jnp.dtype(to), jnp.floating):
        ratio = ratio.astype(jnp.float32)
        if zero is not None:
            ratio = ratio + zero.astype(jnp.float32)
        return cast_array(ratio, to, saturate)
    return rounded(ratio, zero, to)


def rounded(x: CTensor, zero: CTensor | None, to: str) -> CTensor:
    """Floats as integers: rounded to even, moved by the zero point, and clipped to the type."""
    ends = jnp.iinfo(jnp.dtype(to))
    # Clip before the conversion too: twice the range is enough for any zero point.
    wide = 2.0 * max(-int(ends.min), int(ends.max)) + 2
    whole = jnp.rint(jnp.clip(x.astype(jnp.float32), -wide, wide)).astype(jnp.int32)
    if zero is not None:
        whole = whole + zero.astype(jnp.int32)
    return jnp.clip(whole, int(ends.min), int(ends.max)).astype(jnp.dtype(to))


def in_bytes(x: CTensor) -> tuple[CTensor, CTensor, CTensor]:
    """An array in bytes, with the scale and the zero point that span its range and 0."""
    low, high = jnp.minimum(x.min(), 0), jnp.maximum(x.max(), 0)
    scale = jnp.where(high > low, (high - low) / 255, 1).astype(x.dtype)
    zero = jnp.clip(jnp.rint(-low / scale), 0, 255)
    divisor = jax.lax.optimization_barrier(jnp.broadcast_to(scale, x.shape))
    whole = jnp.clip(jnp.rint(x / divisor) + zero, 0, 255)
    return whole.astype(jnp.uint8), scale, zero.astype(jnp.uint8)


@rule("DequantizeLinear", fixed=(1, 2))
def dequantize_linear(call: Call, x: Tensor, scale: Tensor, zero: Any = None) -> Tensor:
    """The floats that integers stand for."""
    given = call("output_dtype", 0)
    values = [x, scale] if zero is None else [x, scale, zero]
    return formula(
        dequantized, *values, to=str(dtype_of(given) if given else scale.dtype),
        axis=call("axis", 1), block=call("block_size", 0),
    )  # fmt: skip


def dequantized(
    x: CTensor, scale: CTensor, zero: CTensor | None = None, *, to: str, axis: int, block: int
) -> CTensor:
    """The floats for an array of integers."""
    if zero is None:
        moved = x.astype(jnp.float32)
    else:
        zero = spread(zero, x.shape, axis, block)
        wide = jnp.float32 if jnp.issubdtype(x.dtype, jnp.floating) else jnp.int32
        moved = (x.astype(wide) - zero.astype(wide)).astype(jnp.float32)
    factor = spread(scale, x.shape, axis, block).astype(jnp.float32)
    return (moved * factor).astype(jnp.dtype(to))


@rule("MatMulInteger", fixed=(2, 3))
def _matmul_integer(
    call: Call, a: Tensor, b: Tensor, zero_a: Any = None, zero_b: Any = None
) -> Tensor:
    return formula(_integer_product, a, b, _or_zero(zero_a, a), _or_zero(zero_b, b))


def _or_zero(zero: Any, like: Tensor) -> Tensor:
    return held(np.zeros((), like.dtype), like.device) if zero is None else zero


def _integer_product(a: CTensor, b: CTensor, zero_a: CTensor, zero_b: CTensor) -> CTensor:
    """The product in int32. A vector of zero points is for rows of a, or for columns of b."""
    moved_a = a.astype(jnp.int32) - of_rows(zero_a, a).astype(jnp.int32)
    moved_b = b.astype(jnp.int32) - zero_b.astype(jnp.int32)
    return jnp.matmul(moved_a, moved_b, preferred_element_type=jnp.int32)


def of_rows(each: CTensor, a: CTensor) -> CTensor:
    """A number for each row of a matrix, in the shape to compute with."""
    return each[:, None] if each.ndim == 1 and each.size > 1 and a.ndim > 1 else each


@rule("QLinearMatMul", fixed=(1, 2, 4, 5, 6, 7))
def _qlinear_matmul(call: Call, *xs: Tensor) -> Tensor:
    return formula(_quantized_product, *xs)


def _quantized_product(
    a: CTensor, scale_a: CTensor, zero_a: CTensor, b: CTensor, scale_b: CTensor, zero_b: CTensor,
    scale: CTensor, zero: CTensor,
) -> CTensor:  # fmt: skip
    total = _integer_product(a, b, zero_a, zero_b).astype(jnp.float32)
    factor = of_rows(scale_a, a) * scale_b / of_rows(scale, a)
    y = total * factor.astype(jnp.float32)
    return rounded(y, of_rows(zero, a), str(zero.dtype))


@rule("ConvInteger", fixed=(2, 3))
def _conv_integer(
    call: Call, x: Tensor, w: Tensor, zero_x: Any = None, zero_w: Any = None
) -> Tensor:
    return formula(
        _integer_conv, x, w, _or_zero(zero_x, x), _or_zero(zero_w, w), **_windows(call, x, w)
    )


def _windows(call: Call, x: Tensor, w: Tensor) -> dict[str, Any]:
    strides, dilations, pads = geometry(call, x.shape[2:], w.shape[2:])
    return {"strides": strides, "dilations": dilations, "pads": pads, "groups": call("group", 1)}


def _integer_conv(
    x: CTensor, w: CTensor, zero_x: CTensor, zero_w: CTensor, *, strides: Any, dilations: Any,
    pads: Any, groups: int,
) -> CTensor:  # fmt: skip
    """The convolution in int32; the padding is the zero point.

    It is computed in float64, which is exact too: XLA's convolutions of integers are thirty times
    slower on a CPU, and GPUs have none.
    """
    moved_x = x.astype(jnp.float64) - zero_x.astype(jnp.float64).reshape(())
    moved_w = w.astype(jnp.float64) - spread(zero_w, w.shape, 0, 0).astype(jnp.float64)
    total = jax.lax.conv_general_dilated(
        moved_x, moved_w, strides, pads, rhs_dilation=dilations, feature_group_count=groups,
        precision=jax.lax.Precision.HIGHEST,
    )  # fmt: skip
    return jnp.rint(total).astype(jnp.int32)


@rule("QLinearConv", fixed=(1, 2, 4, 5, 6, 7))
def qlinear_conv(
    call: Call, x: Tensor, scale_x: Tensor, zero_x: Tensor, w: Tensor, scale_w: Tensor,
    zero_w: Tensor, scale: Tensor, zero: Tensor, bias: Any = None,
) -> Tensor:  # fmt: skip
    """A convolution of integers, as integers again."""
    values = [x, scale_x, zero_x, w, scale_w, zero_w, scale, zero]
    return formula(
        _quantized_conv, *values, *([] if bias is None else [bias]), **_windows(call, x, w)
    )


def _quantized_conv(
    x: CTensor, scale_x: CTensor, zero_x: CTensor, w: CTensor, scale_w: CTensor, zero_w: CTensor,
    scale: CTensor, zero: CTensor, bias: CTensor | None = None, **windows: Any,
) -> CTensor:  # fmt: skip
    total = _integer_conv(x, w, zero_x, zero_w, **windows)
    if bias is not None:
        total = total + spread(bias, total.shape, 1, 0)
    factor = scale_x.reshape(()) * spread(scale_w, total.shape, 1, 0) / scale.reshape(())
    return rounded(total.astype(jnp.float32) * factor, zero.reshape(()), str(zero.dtype))
