"""How an operation is differentiated: by its own backward, or by what jax derives from forward.

The gradient of a real number by z = x + iy is here its derivative by x plus i times that by y: the
direction in which it grows fastest, as in PyTorch. jax's is its conjugate, the derivative by x
minus i times that by y. The two meet only in :func:`pulled_back`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from singa.device import CTensor, DType, has_gradients, is_complex
from singa.errors import ArgumentError, DTypeError
from singa.tape.likes import OperationLike

DERIVED, OWN = "derived", "own"
"""What ``complex_numbers`` of an operation may be, besides None: who differentiates it for complex
inputs, jax or its own backward."""

PULLBACK = "_pullback"
"""The attribute that forward leaves if jax has derived the backward of the call."""


def refuse_complex(operation: OperationLike, xs: Sequence[Any]) -> None:
    """Raise if an input is complex, and the operation is not for complex numbers.

    Every operation is checked here, while its kernel is traced; later calls do not take longer.
    """
    if operation.complex_numbers not in (None, DERIVED, OWN):
        raise ArgumentError(
            f"{operation.name}: complex_numbers must be None, {DERIVED!r} or {OWN!r}, got "
            f"{operation.complex_numbers!r}"
        )
    found = [x.dtype for x in xs if is_complex(x.dtype)]
    if found and operation.complex_numbers is None:
        raise DTypeError(
            f"{operation.name}: real numbers are needed, got {found[0]}; autograd.real, imag, abs "
            "and angle give real numbers"
        )


def is_derived(operation: OperationLike, xs: Sequence[CTensor]) -> bool:
    """Whether jax has to derive the backward of a call with these inputs."""
    if operation.complex_numbers == DERIVED and any(is_complex(x.dtype) for x in xs):
        return True
    return operation.derives_backward()


def backward(operation: OperationLike, dys: Sequence[CTensor]) -> Any:
    """What ``operation.backward`` returns, or what jax has derived for this call instead."""
    if PULLBACK in operation.__dict__:
        return pulled_back(operation, dys)
    return operation.backward(*dys)


def pulled_back(operation: OperationLike, dys: Sequence[CTensor]) -> tuple[CTensor | None, ...]:
    """The gradients that jax has derived, in our convention."""
    # jax needs gradients of type float0 for outputs that have none.
    given = [
        _conjugate(dy) if has_gradients(dy.dtype) else np.zeros(dy.shape, jax.dtypes.float0)
        for dy in dys
    ]
    dxs = operation.__dict__[PULLBACK](tuple(given))
    return tuple(None if dx.dtype == jax.dtypes.float0 else _conjugate(dx) for dx in dxs)


def _conjugate(x: CTensor) -> CTensor:
    return x.conj() if is_complex(x.dtype) else x


def as_gradient(dx: CTensor, dtype: DType) -> CTensor:
    """A gradient in the type of the input that it is for; of a real input, the real part."""
    if is_complex(dx.dtype) and not is_complex(dtype):
        dx = dx.real
    return dx.astype(dtype)
