"""Functions of single elements: arithmetic, powers, rounding, trigonometry, activations."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import is_float
from singa.sonnx.rules.rule import Call, formula, held, rule
from singa.sonnx.rules.types import truncated

_OF_ONE: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": op.abs, "Acos": op.acos, "Acosh": op.acosh, "Asin": op.asin, "Asinh": op.asinh,
    "Atan": op.atan, "Atanh": op.atanh, "Ceil": op.ceil, "Cos": op.cos, "Cosh": op.cosh,
    "Erf": op.erf, "Exp": op.exp, "Floor": op.floor, "HardSwish": op.hardswish, "Log": op.log,
    "Mish": op.mish, "Neg": op.negative, "Reciprocal": op.reciprocal, "Round": op.rounde,
    "Sigmoid": op.sigmoid, "Sign": op.sign, "Sin": op.sin, "Sinh": op.sinh,
    "Softplus": op.softplus, "Softsign": op.softsign, "Sqrt": op.sqrt, "Tan": op.tan,
    "Tanh": op.tanh,
}  # fmt: skip


def _register(kind: str, function: Callable[..., Tensor]) -> None:
    rule(kind)(lambda call, *xs: function(*xs))


for _kind, _function in _OF_ONE.items():
    _register(_kind, _function)


@rule("Identity")
def _identity(call: Call, x: Any) -> Any:
    return op.identity(x) if isinstance(x, Tensor) else x


@rule("Relu")
def _relu(call: Call, x: Tensor) -> Tensor:
    return op.relu(x) if is_float(x.dtype) else formula(jnp.maximum, x, _like(0, x))


@rule("Add", "Sum")
def _add(call: Call, *xs: Tensor) -> Tensor:
    return reduce(op.add, xs)


@rule("Sub")
def _sub(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return op.sub(a, b)


@rule("Mul")
def _mul(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return op.mul(a, b)


@rule("Div")
def _div(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return op.div(a, b) if is_float(a.dtype) else formula(jax.lax.div, *_broadcast(a, b))


@rule("Mean")
def _mean(call: Call, *xs: Tensor) -> Tensor:
    return op.div(reduce(op.add, xs), _like(len(xs), xs[0]))


@rule("Max")
def _max(call: Call, *xs: Tensor) -> Tensor:
    return reduce(op.maximum, xs)


@rule("Min")
def _min(call: Call, *xs: Tensor) -> Tensor:
    return reduce(op.minimum, xs)


@rule("Mod")
def _mod(call: Call, a: Tensor, b: Tensor) -> Tensor:
    return op.fmod(a, b) if call("fmod", 0) else op.remainder(a, b)


@rule("Pow")
def _pow(call: Call, a: Tensor, b: Tensor) -> Tensor:
    if not is_float(a.dtype) and is_float(b.dtype):
        power = op.pow(op.cast(a, b.dtype), b)
        return formula(truncated, power, to=np.dtype(a.dtype).name)
    return op.pow(a, op.cast(b, a.dtype))


@rule("Clip", since=11, fixed=(1, 2))
def _clip(call: Call, x: Tensor, least: Tensor | None = None, most: Tensor | None = None) -> Tensor:
    if least is not None:
        x = op.maximum(x, least)
    return x if most is None else op.minimum(x, most)


@rule("Clip")
def _clip_of_attributes(call: Call, x: Tensor) -> Tensor:
    return op.clip(x, call("min"), call("max"))


@rule("LeakyRelu")
def _leaky_relu(call: Call, x: Tensor) -> Tensor:
    return op.leakyrelu(x, call("alpha", 0.01))


@rule("PRelu")
def _prelu(call: Call, x: Tensor, slope: Tensor) -> Tensor:
    return op.where(x, x * slope, x >= _like(0, x))


@rule("Elu")
def _elu(call: Call, x: Tensor) -> Tensor:
    return op.elu(x, call("alpha", 1.0))


@rule("Celu")
def _celu(call: Call, x: Tensor) -> Tensor:
    return op.celu(x, call("alpha", 1.0))


@rule("Selu")
def _selu(call: Call, x: Tensor) -> Tensor:
    return op.selu(
        x, call("alpha", 1.67326319217681884765625), call("gamma", 1.05070102214813232421875)
    )


@rule("HardSigmoid")
def _hard_sigmoid(call: Call, x: Tensor) -> Tensor:
    return op.hardsigmoid(x, call("alpha", 0.2), call("beta", 0.5))


@rule("Gelu")
def _gelu(call: Call, x: Tensor) -> Tensor:
    return op.gelu(x, call("approximate", "none"))


@rule("Swish", since=24)
def _swish(call: Call, x: Tensor) -> Tensor:
    return x * op.sigmoid(x * _like(call("alpha", 1.0), x))


@rule("ThresholdedRelu")
def _thresholded_relu(call: Call, x: Tensor) -> Tensor:
    return op.where(x, _like(0, x), x > _like(call("alpha", 1.0), x))


@rule("Shrink")
def _shrink(call: Call, x: Tensor) -> Tensor:
    bias, lambd = call("bias", 0.0), call("lambd", 0.5)
    low, high = op.add(x, _like(bias, x)), op.sub(x, _like(bias, x))
    inner = op.where(low, _like(0, x), x < _like(-lambd, x))
    return op.where(high, inner, x > _like(lambd, x))


@rule("Softmax", since=13)
def _softmax(call: Call, x: Tensor) -> Tensor:
    return op.softmax(x, call("axis", -1))


@rule("LogSoftmax", since=13)
def _log_softmax(call: Call, x: Tensor) -> Tensor:
    return op.log_softmax(x, call("axis", -1))


@rule("Hardmax", since=13)
def _hardmax(call: Call, x: Tensor) -> Tensor:
    axis = call("axis", -1) % x.ndim
    return op.cast(op.onehot(axis, op.argmax(x, axis), x.shape[axis]), x.dtype)


@rule("Softmax")
def _softmax_of_rows(call: Call, x: Tensor) -> Tensor:
    return _of_rows(call, x, lambda rows: op.softmax(rows, 1))


@rule("LogSoftmax")
def _log_softmax_of_rows(call: Call, x: Tensor) -> Tensor:
    return _of_rows(call, x, lambda rows: op.log_softmax(rows, 1))


@rule("Hardmax")
def _hardmax_of_rows(call: Call, x: Tensor) -> Tensor:
    return _of_rows(call, x, lambda r: op.cast(op.onehot(1, op.argmax(r, 1), r.shape[1]), r.dtype))


def _of_rows(call: Call, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Before version 13 all axes from this one on were one."""
    return op.reshape(function(op.flatten(x, call("axis", 1) % x.ndim)), x.shape)


@rule("CumSum", known=(1,))
def _cumsum(call: Call, x: Tensor, axis: Any) -> Tensor:
    exclusive, reverse = bool(call("exclusive", 0)), bool(call("reverse", 0))
    return op.cumsum(x, int(axis.reshape(-1)[0]), exclusive, reverse)


@rule("CumProd", known=(1,))
def _cumprod(call: Call, x: Tensor, axis: Any) -> Tensor:
    number = int(axis.reshape(-1)[0]) % x.ndim
    y = op.flip(x, number) if call("reverse", 0) else x
    if call("exclusive", 0):
        rest, _ = op.split(y, number, [x.shape[number] - 1, 1])
        first = np.ones([1 if i == number else size for i, size in enumerate(x.shape)], x.dtype)
        y = op.cat((held(first, x.device), rest), number)
    y = op.cast(op.cumprod(y, number), x.dtype)
    return op.flip(y, number) if call("reverse", 0) else y


def _like(number: float, x: Tensor) -> Tensor:
    """A number as a Tensor of the same type."""
    return held(np.asarray(number).astype(x.dtype), x.device)


def _broadcast(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    shape = np.broadcast_shapes(a.shape, b.shape)
    return op.expand(a, shape), op.expand(b, shape)
