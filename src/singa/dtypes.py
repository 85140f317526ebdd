"""Data types: their names, and what can be asked of them. ``singa.device`` hands them on."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from singa.errors import DTypeError

CTensor = jax.Array
"""The raw array of a Tensor: an Operation's forward and backward take and return such arrays."""

DType = np.dtype[Any]

float16: DType = np.dtype("float16")
bfloat16: DType = np.dtype(jax.numpy.bfloat16)
float32: DType = np.dtype("float32")
float64: DType = np.dtype("float64")
int8: DType = np.dtype("int8")
int16: DType = np.dtype("int16")
int32: DType = np.dtype("int32")
int64: DType = np.dtype("int64")
uint8: DType = np.dtype("uint8")
bool_: DType = np.dtype("bool")
complex64: DType = np.dtype("complex64")
complex128: DType = np.dtype("complex128")

DTYPES: dict[str, DType] = {
    str(dtype): dtype
    for dtype in (
        float16, bfloat16, float32, float64, int8, int16, int32, int64, uint8, bool_,
        complex64, complex128,
    )
}  # fmt: skip

# They are looked up here, because eager operations ask often, and NumPy's answer takes longer.
_FLOATS = frozenset({float16, bfloat16, float32, float64})
_COMPLEX = frozenset({complex64, complex128})

_ALIASES: dict[Any, DType] = {
    float: float32,
    int: int32,
    bool: bool_,
    complex: complex64,
    "float": float32,
    "int": int32,
    "complex": complex64,
}


def as_dtype(dtype: Any) -> DType:
    """The data type that ``dtype`` names: a constant of this module, its name, or NumPy's.

    ``float``, ``int`` and their names mean 32 bits, as in SINGA; ``complex`` means complex64.

    Raises:
        DTypeError: there is no such data type here.

    Example:
        >>> device.as_dtype("float16"), device.as_dtype(float)
        (dtype('float16'), dtype('float32'))
    """
    try:
        found = _ALIASES.get(dtype) or DTYPES.get(str(np.dtype(dtype)))
    except TypeError:
        found = None
    if found is None:
        raise DTypeError(f"unknown data type {dtype!r}; one of {', '.join(DTYPES)} is expected")
    return found


def is_float(dtype: DType) -> bool:
    """Whether this is a type of real numbers with fractions.

    Example:
        >>> device.is_float(tensor.bfloat16), device.is_float(tensor.int32)
        (True, False)
    """
    return dtype in _FLOATS or bool(jax.numpy.issubdtype(dtype, np.floating))


def is_complex(dtype: DType) -> bool:
    """Whether this is a type of complex numbers.

    Example:
        >>> device.is_complex(tensor.complex64), device.is_complex(tensor.float32)
        (True, False)
    """
    return dtype in _COMPLEX


def has_gradients(dtype: DType) -> bool:
    """Whether values of this type can have gradients: floats and complex numbers can.

    Example:
        >>> device.has_gradients(tensor.complex64), device.has_gradients(tensor.int32)
        (True, False)
    """
    return is_float(dtype) or is_complex(dtype)


def real_type(dtype: DType) -> DType:
    """The type of the real and of the imaginary part of complex numbers; for others their own.

    Example:
        >>> device.real_type(tensor.complex128)
        dtype('float64')
    """
    return np.dtype(f"float{4 * dtype.itemsize}") if is_complex(dtype) else dtype


def complex_type(dtype: DType) -> DType:
    """The type of complex numbers whose parts are of this type; complex64 for shorter ones.

    Example:
        >>> device.complex_type(tensor.float64), device.complex_type(tensor.float16)
        (dtype('complex128'), dtype('complex64'))
    """
    return complex128 if dtype in (float64, complex128) else complex64
