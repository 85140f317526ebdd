"""Comparisons, logic, bits, and choices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.sonnx.rules.rule import Call, formula, rule

_OF_TWO: dict[str, Callable[..., Tensor]] = {
    "And": lambda a, b: op.And()(a, b)[0], "Equal": op.equal, "Greater": op.greater,
    "GreaterOrEqual": op.greater_equal, "Less": op.less, "LessOrEqual": op.less_equal,
    "Or": lambda a, b: op.Or()(a, b)[0], "Xor": lambda a, b: op.Xor()(a, b)[0],
}  # fmt: skip
_OF_BITS: dict[str, Callable[..., object]] = {
    "BitwiseAnd": jnp.bitwise_and, "BitwiseOr": jnp.bitwise_or, "BitwiseXor": jnp.bitwise_xor,
    "BitwiseNot": jnp.bitwise_not,
}  # fmt: skip


def _register(kind: str, function: Callable[..., Tensor]) -> None:
    @rule(kind, fixed=(0, 1))
    def compared(call: Call, *xs: Any) -> Any:
        if any(isinstance(x, np.ndarray) for x in xs):  # strings, which can only be equal
            return np.equal(*xs).astype(bool)
        return op.cast(function(*xs), np.bool_)


def _register_bits(kind: str, function: Callable[..., object]) -> None:
    rule(kind)(lambda call, *xs: formula(function, *xs))


for _kind, _function in _OF_TWO.items():
    _register(_kind, _function)
for _kind, _bits in _OF_BITS.items():
    _register_bits(_kind, _bits)


@rule("Not")
def _not(call: Call, x: Tensor) -> Tensor:
    return formula(jnp.logical_not, x)


@rule("BitShift")
def _bit_shift(call: Call, x: Tensor, by: Tensor) -> Tensor:
    return formula(jnp.left_shift if call("direction") == "LEFT" else jnp.right_shift, x, by)


@rule("Where")
def _where(call: Call, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return op.where(x, y, condition)


@rule("IsNaN", fixed=(0,))
def _is_nan(call: Call, x: Tensor) -> Tensor:
    return formula(jnp.isnan, x)


@rule("IsInf", fixed=(0,))
def _is_inf(call: Call, x: Tensor) -> Tensor:
    negative, positive = call("detect_negative", 1), call("detect_positive", 1)
    return formula(_infinite, x, negative=bool(negative), positive=bool(positive))


def _infinite(x: jnp.ndarray, negative: bool, positive: bool) -> jnp.ndarray:
    return (jnp.isposinf(x) & positive) | (jnp.isneginf(x) & negative)
