"""Mixed precision: which operations compute in a short type, and which in float32."""

from __future__ import annotations

from contextlib import _GeneratorContextManager
from functools import cache
from typing import Any

import jax.numpy as jnp

from singa.core.watching import within
from singa.device import (
    CTensor,
    Device,
    DType,
    as_dtype,
    bfloat16,
    float16,
    float32,
    int32,
    is_complex,
    is_float,
)
from singa.engine import native
from singa.errors import ArgumentError, SlowPrecisionWarning, warn

LOW, WIDE = "low", "wide"
_HALF = (float16, bfloat16)


def as_precision(precision: Any) -> DType | None:
    """The short type of a setting: float16 or bfloat16; None for float32 (no mixed precision).

    Raises:
        ArgumentError: another type.
        DTypeError: not a type.
    """
    dtype = as_dtype(precision)
    if dtype not in (float32, *_HALF):
        raise ArgumentError(f"precision must be float32, bfloat16 or float16, got {dtype}")
    return None if dtype == float32 else dtype


def warn_where_slow(precision: DType | None, device: Device) -> None:
    """Say, once in a process, that a setting saves no time: on CPUs without instructions for it.

    The factors are those of training steps of CNNs and a transformer, beside float32.
    """
    if precision is None or device.jax_device.platform != "cpu":
        return
    if not (precision == bfloat16 and native.multiplies_bfloat16):
        _warn(precision.name, native.available)


@cache
def _warn(precision: str, with_kernels: bool) -> None:
    if with_kernels:
        how = "They are converted to float32: a step takes 1.0 to 1.2 times as long as in float32."
    else:
        how = "Without native kernels a step takes up to 6 times as long as in float32."
    warn(
        f"precision={precision!r} saves no time on this processor, which has no instructions for "
        f"products of such numbers, or none that are used here. {how}",
        SlowPrecisionWarning,
    )


def mixed_precision(precision: Any) -> _GeneratorContextManager[None]:
    """A block in which matrix products and convolutions compute in a short type.

    Their float32 inputs are converted within their kernels, and the gradients come back as
    float32: so parameters, and the state of optimizers, stay float32. Losses, sums, softmax,
    exponentials and logarithms convert short inputs to float32. All other operations compute in
    the types of their inputs. float64 is never converted.

    For float16 call the optimizer with the loss, ``optimizer(loss)``: it scales the loss so that
    small gradients do not become zero.

    Args:
        precision: ``"bfloat16"`` or ``"float16"``; ``"float32"`` turns off mixed precision inside
            a block of it.

    Source: Micikevicius et al., Mixed Precision Training, 2018.

    Example:
        >>> with autograd.mixed_precision("bfloat16"):
        ...     y = autograd.matmul(tensor.ones((2, 2)), tensor.ones((2, 2)))
        >>> y
        Tensor([[2, 2],
                [2, 2]], shape=(2, 2), dtype=bfloat16, device=cpu)
    """
    return within("precision", as_precision(precision))


def wide(dtype: DType) -> DType:
    """The type in which values of this type are summed: of the same kind, and at least 32 bits."""
    return jnp.promote_types(dtype, float32 if is_float(dtype) else int32)


def widened(x: CTensor) -> CTensor:
    """``x`` in the type in which its values are summed."""
    return x.astype(wide(x.dtype))


def computing_type(arithmetic: str | None, low: DType) -> DType | None:
    """The type that an operation converts its inputs to; None if it does not convert them."""
    return {LOW: low, WIDE: float32, None: None}[arithmetic]


def converted(xs: tuple[CTensor, ...], dtype: DType | None) -> tuple[CTensor, ...]:
    """The inputs; those of other short types or of float32 are converted to this type.

    Not if there are complex numbers among them: these have no short type.
    """
    if dtype is None or any(is_complex(x.dtype) for x in xs):
        return xs
    kinds = (*_HALF, float32) if dtype in _HALF else _HALF
    return tuple(x.astype(dtype) if x.dtype in kinds else x for x in xs)
