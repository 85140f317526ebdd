"""Primitives of jax in operators of ONNX: functions of single elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from singa.device import is_float
from singa.sonnx.forms.tracing import NoOperator, primitive
from singa.sonnx.forms.writer import Value, Writer

_SAME = {
    "abs": "Abs", "ceil": "Ceil", "floor": "Floor", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "tanh": "Tanh", "logistic": "Sigmoid", "sin": "Sin", "cos": "Cos", "tan": "Tan",
    "asin": "Asin", "acos": "Acos", "atan": "Atan", "sinh": "Sinh", "cosh": "Cosh",
    "asinh": "Asinh", "acosh": "Acosh", "atanh": "Atanh", "erf": "Erf", "neg": "Neg",
    "sign": "Sign", "eq": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater",
    "ge": "GreaterOrEqual", "copy": "Identity", "copy_p": "Identity", "stop_gradient": "Identity",
}  # fmt: skip


def _same(kind: str) -> Callable[..., Any]:
    def write(w: Writer, *xs: Value, out: Any, **_: Any) -> Any:
        return w.add(kind, *xs)

    return write


for _name, _kind in _SAME.items():
    primitive(_name)(_same(_kind))

_BITWISE = {"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor", "not": "BitwiseNot"}
_LOGIC = {"and": "And", "or": "Or", "xor": "Xor", "not": "Not"}


def _logic(name: str) -> Callable[..., Any]:
    def write(w: Writer, *xs: Value, out: Any, **_: Any) -> Any:
        return w.add((_LOGIC if out.dtype == np.bool_ else _BITWISE)[name], *xs)

    return write


for _name in _LOGIC:
    primitive(_name)(_logic(_name))


def _arithmetic(kind: str, of_bools: str | None = None) -> Callable[..., Any]:
    def write(w: Writer, *xs: Value, out: Any, **_: Any) -> Any:
        if out.dtype == np.bool_:
            if of_bools is None:
                raise NoOperator(f"{kind} of bools")
            return w.add(of_bools, *xs)
        return w.add(kind, *xs)

    return write


for _name, _kind, _of_bools in (
    ("add", "Add", "Or"), ("add_any", "Add", "Or"), ("sub", "Sub", None), ("mul", "Mul", "And"),
    ("div", "Div", None), ("max", "Max", "Or"), ("min", "Min", "And"),
):  # fmt: skip
    primitive(_name)(_arithmetic(_kind, _of_bools))


def _scalar(w: Writer, number: float, like: Any) -> Value:
    return w.constant(np.asarray(number, like.dtype))


@primitive("ne")
def _ne(w: Writer, a: Value, b: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Not", w.add("Equal", a, b))


@primitive("log1p")
def _log1p(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    # log(1 + x) of a small x: x log(u) / (u - 1) with u = 1 + x rounds like log1p (Goldberg, 1991).
    one = _scalar(w, 1, x)
    u = w.add("Add", one, x, like=x)
    below = w.add("Sub", u, one, like=x)
    is_one = w.add("Equal", below, _scalar(w, 0, x))
    is_infinite = w.add("IsInf", w.cast(u, np.float32))
    log = w.add("Log", u, like=x)
    ratio = w.add("Div", w.add("Mul", x, log, like=x), w.add("Where", is_one, one, below, like=x))
    fine = w.add("Where", is_infinite, log, ratio, like=x)
    return w.add("Where", is_one, x, fine)


@primitive("expm1")
def _expm1(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    # 2 sinh(x / 2) e^(x / 2): without a difference of nearly equal numbers.
    half = w.add("Mul", x, _scalar(w, 0.5, x), like=x)
    product = w.add("Mul", w.add("Sinh", half, like=x), w.add("Exp", half, like=x), like=x)
    small = w.add("Mul", product, _scalar(w, 2, x), like=x)
    large = w.add("Sub", w.add("Exp", x, like=x), _scalar(w, 1, x), like=x)
    is_large = w.add("Greater", w.add("Abs", x, like=x), _scalar(w, 1, x))
    return w.add("Where", is_large, large, small)


@primitive("exp2")
def _exp2(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Pow", _scalar(w, 2, x), x)


@primitive("rsqrt")
def _rsqrt(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Reciprocal", w.add("Sqrt", x, like=x))


@primitive("cbrt")
def _cbrt(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    root = w.add("Pow", w.add("Abs", x, like=x), _scalar(w, 1 / 3, x), like=x)
    return w.add("Mul", w.add("Sign", x, like=x), root)


@primitive("erfc")
def _erfc(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Sub", _scalar(w, 1, x), w.add("Erf", x, like=x))


@primitive("square")
def _square(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Mul", x, x)


@primitive("pow")
def _pow(w: Writer, a: Value, b: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Pow", a, b)


@primitive("integer_pow")
def _integer_pow(w: Writer, x: Value, *, out: Any, y: int, **_: Any) -> Any:
    if y == 2:
        return w.add("Mul", x, x)
    return w.add("Pow", x, _scalar(w, y, x))


@primitive("rem")
def _rem(w: Writer, a: Value, b: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Mod", a, b, fmod=1)


@primitive("round")
def _round(w: Writer, x: Value, *, out: Any, rounding_method: Any, **_: Any) -> Any:
    if int(rounding_method) == 1:
        return w.add("Round", x)
    up = w.add("Floor", w.add("Add", w.add("Abs", x, like=x), _scalar(w, 0.5, x), like=x), like=x)
    return w.add("Mul", w.add("Sign", x, like=x), up)


@primitive("is_finite")
def _is_finite(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Not", w.add("Or", w.add("IsInf", w.cast(x, np.float32)), w.add("IsNaN", x)))


@primitive("select_n")
def _select_n(w: Writer, which: Value, *cases: Value, out: Any, **_: Any) -> Any:
    if which.dtype == np.bool_ and len(cases) == 2 and out.dtype == np.bool_:
        first, second = w.add("And", which, cases[1]), w.add("And", w.add("Not", which), cases[0])
        return w.add("Or", first, second)
    if which.dtype == np.bool_ and len(cases) == 2:
        return w.add("Where", which, cases[1], cases[0])
    y = cases[0]
    for number, case in enumerate(cases[1:], 1):
        is_case = w.add("Equal", which, _scalar(w, number, which))
        y = w.add("Where", is_case, case, y, like=out)
    return y


@primitive("clamp")
def _clamp(w: Writer, low: Value, x: Value, high: Value, *, out: Any, **_: Any) -> Any:
    return w.add("Min", w.add("Max", x, low, like=x), high)


@primitive("atan2")
def atan2(w: Writer, a: Value, b: Value, *, out: Any, **_: Any) -> Any:
    """The angle of a point."""
    zero, half = _scalar(w, 0, a), _scalar(w, math.pi / 2, a)
    is_below = w.add("Less", a, zero)
    on_axis = w.add("Mul", w.add("Sign", a, like=a), half, like=a)
    right = w.add("Atan", w.add("Div", a, b, like=out), like=out)
    turn = w.add("Where", is_below, _scalar(w, -math.pi, a), _scalar(w, math.pi, a), like=a)
    left = w.add("Add", right, turn, like=out)
    aside = w.add("Where", w.add("Less", b, zero), left, right, like=out)
    return w.add("Where", w.add("Equal", b, zero), on_axis, aside)


def _total_order(kind: str) -> Callable[..., Any]:
    """A comparison in which NaN is above all numbers."""

    def write(w: Writer, a: Value, b: Value, *, out: Any, **_: Any) -> Any:
        is_less = w.add(kind, a, b)
        if not is_float(a.dtype):
            return is_less
        is_last = w.add("IsNaN", b)
        if kind == "Less":
            is_last = w.add("And", is_last, w.add("Not", w.add("IsNaN", a)))
        return w.add("Or", is_less, is_last)

    return write


primitive("lt_to")(_total_order("Less"))
primitive("le_to")(_total_order("LessOrEqual"))


@primitive("convert_element_type")
def _convert(w: Writer, x: Value, *, out: Any, new_dtype: Any, **_: Any) -> Any:
    if is_float(x.dtype) and np.dtype(new_dtype).kind in "iu":
        x = w.cast(x, x.dtype)  # the Cast of ONNX truncates as well
    return w.cast(x, new_dtype)


@primitive("reduce_precision")
def _reduce_precision(
    w: Writer, x: Value, *, out: Any, exponent_bits: int, mantissa_bits: int, **_: Any
) -> Any:
    info = jax.numpy.finfo(x.dtype)
    if (exponent_bits, mantissa_bits) == (info.nexp, info.nmant):
        return x
    raise NoOperator("a float type of other sizes")


@primitive("optimization_barrier")
def _barrier(w: Writer, *xs: Value, out: Any, **_: Any) -> Any:
    return list(xs)
