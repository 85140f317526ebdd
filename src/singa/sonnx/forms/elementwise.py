"""Arithmetic, activations, logic and comparisons."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.sonnx.forms.form import Form, form
from singa.sonnx.forms.primitives_of_elements import atan2
from singa.sonnx.forms.writer import Unfit, Value, Writer


def _float(x: Value) -> None:
    if x.dtype is None or not jnp.issubdtype(x.dtype, jnp.floating):
        raise Unfit("it is written for floats")


def _same(kind: str) -> Form:
    def write(w: Writer, operation: Any, x: Value) -> str:
        _float(x)
        return w.add(kind, x)

    return write


for _class, _kind in {
    op.ReLU: "Relu", op.Sigmoid: "Sigmoid", op.Tanh: "Tanh",
    op.SoftSign: "Softsign", op.Mish: "Mish", op.HardSwish: "HardSwish", op.Abs: "Abs",
    op.Negative: "Neg", op.Sign: "Sign", op.Exp: "Exp", op.Log: "Log", op.Sqrt: "Sqrt",
    op.Reciprocal: "Reciprocal", op.Erf: "Erf", op.Ceil: "Ceil", op.Floor: "Floor",
    op.Sin: "Sin", op.Cos: "Cos", op.Tan: "Tan", op.Asin: "Asin",
    op.Acos: "Acos", op.Atan: "Atan", op.Sinh: "Sinh", op.Cosh: "Cosh", op.Asinh: "Asinh",
    op.Acosh: "Acosh", op.Atanh: "Atanh", op.IsNaN: "IsNaN",
}.items():  # fmt: skip
    form(_class)(_same(_kind))


@form(op.SoftPlus, of=("beta", "threshold"))
def _softplus(w: Writer, operation: Any, x: Value) -> str:
    if (operation.beta, operation.threshold) != (1, np.inf):
        raise Unfit("ONNX has neither a beta nor a threshold")
    _float(x)
    return w.add("Softplus", x)


@form(op.Rounde, of=("decimals",))
def _round(w: Writer, operation: Any, x: Value) -> str:
    if operation.decimals:
        raise Unfit("ONNX rounds to whole numbers")
    _float(x)
    return w.add("Round", x)


@form(op.Identity)
def _identity(w: Writer, operation: Any, x: Value) -> str:
    return x


def _promoted(w: Writer, *xs: Value) -> list[Value]:
    dtype = np.dtype(jnp.result_type(*[x.dtype for x in xs]))
    return [w.cast(x, dtype) for x in xs]


def _arithmetic(kind: str) -> Form:
    def write(w: Writer, operation: Any, *xs: Value) -> str:
        xs = tuple(_promoted(w, *xs))
        if xs[0].dtype == np.bool_:
            raise Unfit("it is written for numbers")
        return w.add(kind, *xs)

    return write


for _class, _kind in {
    op.Add: "Add", op.Sub: "Sub", op.Mul: "Mul", op.Sum: "Sum", op.Max: "Max", op.Min: "Min",
    op.Less: "Less", op.LessOrEqual: "LessOrEqual", op.Greater: "Greater",
    op.GreaterOrEqual: "GreaterOrEqual", op.Equal: "Equal",
}.items():  # fmt: skip
    form(_class)(_arithmetic(_kind))


@form(op.Pow)
def _pow(w: Writer, operation: Any, a: Value, b: Value) -> str:
    a, b = _promoted(w, a, b)
    if a.dtype.kind in "iu" and not (b in w.constants and (w.constants[b] >= 0).all()):
        raise Unfit("integers have no negative powers")
    return w.add("Pow", a, b)


@form(op.Div, op.Mean)
def _of_floats(w: Writer, operation: Any, *xs: Value) -> str:
    xs = tuple(_promoted(w, *xs))
    _float(xs[0])
    return w.add(type(operation).__name__, *xs)


@form(op.Where)
def _where(w: Writer, operation: Any, a: Value, b: Value, condition: Value) -> str:
    return w.add("Where", w.cast(condition, np.bool_), *_promoted(w, a, b))


def _logic(kind: str) -> Form:
    def write(w: Writer, operation: Any, *xs: Value) -> str:
        return w.add(kind, *[w.cast(x, np.bool_) for x in xs])

    return write


for _class, _kind in {op.And: "And", op.Or: "Or", op.Xor: "Xor", op.Not: "Not"}.items():
    form(_class)(_logic(_kind))


@form(op.SoftMax, op.LogSoftmax, of=("axis",))
def _softmax(w: Writer, operation: Any, x: Value) -> str:
    kind = "Softmax" if isinstance(operation, op.SoftMax) else "LogSoftmax"
    return w.add(kind, x, axis=int(operation.axis))


@form(op.LeakyRelu, of=("a",))
def _leaky_relu(w: Writer, operation: Any, x: Value) -> str:
    return w.add("LeakyRelu", x, alpha=float(operation.a))


@form(op.Elu, of=("alpha",))
def _elu(w: Writer, operation: Any, x: Value) -> str:
    return w.add("Elu", x, alpha=float(operation.alpha))


@form(op.SeLU, of=("alpha", "gamma"))
def _selu(w: Writer, operation: Any, x: Value) -> str:
    return w.add("Selu", x, alpha=float(operation.alpha), gamma=float(operation.gamma))


@form(op.HardSigmoid, of=("alpha", "gamma"))
def _hard_sigmoid(w: Writer, operation: Any, x: Value) -> str:
    return w.add("HardSigmoid", x, alpha=float(operation.alpha), beta=float(operation.gamma))


@form(op.PRelu)
def _prelu(w: Writer, operation: Any, x: Value, slope: Value) -> str:
    if x.shape != np.broadcast_shapes(x.shape, slope.shape):
        raise Unfit("the slope is larger than the input")
    return w.add("PRelu", *_promoted(w, x, slope))


@form(op.Gelu, of=("approximate",))
def _gelu(w: Writer, operation: Any, x: Value) -> str:
    return w.add("Gelu", x, approximate=operation.approximate)


@form(op.SiLU)
def _silu(w: Writer, operation: Any, x: Value) -> str:
    return w.add("Mul", x, w.add("Sigmoid", x))


@form(op.ReLU6)
def _relu6(w: Writer, operation: Any, x: Value) -> str:
    return _clipped(w, x, 0.0, 6.0)


@form(op.Clip, op.HardTanh, of=("low", "high"))
def _clip(w: Writer, operation: Any, x: Value) -> str:
    return _clipped(w, x, operation.low, operation.high)


def _clipped(w: Writer, x: Value, low: float, high: float) -> str:
    if not low <= high:
        raise Unfit("the bounds are not in order")
    bounds = [
        None if np.isinf(bound) else w.constant(np.asarray(bound, x.dtype)) for bound in (low, high)
    ]
    return w.add("Clip", x, *bounds)


@form(op.Atan2)
def _atan2(w: Writer, operation: Any, a: Value, b: Value) -> str:
    _float(a)
    if a.dtype != b.dtype:
        raise Unfit("the inputs are of several types")
    angle: str = atan2(w, a, b, out=Value("", np.broadcast_shapes(a.shape, b.shape), a.dtype))
    return angle
