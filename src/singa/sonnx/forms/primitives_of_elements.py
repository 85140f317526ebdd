"""Primitives of jax in operators of ONNX: arithmetic, shapes, sums and products."""

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
def _atan2(w: Writer, a: Value, b: Value, *, out: Any, **_: Any) -> Any:
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


# -- shapes ---------------------------------------------------------------------------------------


@primitive("reshape")
def _reshape(w: Writer, x: Value, *, out: Any, **_: Any) -> Any:
    return w.reshape(x, out.shape)


primitive("squeeze", "expand_dims")(_reshape)


@primitive("broadcast_in_dim")
def _broadcast(w: Writer, x: Value, *, out: Any, shape: Any, broadcast_dimensions: Any, **_: Any
) -> Any:  # fmt: skip
    sizes = [1] * len(shape)
    for axis, size in zip(broadcast_dimensions, x.shape, strict=True):
        sizes[axis] = size
    return w.expand(w.reshape(x, sizes), shape)


@primitive("transpose")
def _transpose(w: Writer, x: Value, *, out: Any, permutation: Any, **_: Any) -> Any:
    return w.transpose(x, permutation)


@primitive("concatenate")
def _concatenate(w: Writer, *xs: Value, out: Any, dimension: int, **_: Any) -> Any:
    return w.add("Concat", *xs, axis=dimension)


@primitive("stack")
def _stack(w: Writer, *xs: Value, out: Any, axis: int, **_: Any) -> Any:
    axis %= len(out.shape)
    shape = [1 if i == axis else size for i, size in enumerate(out.shape)]
    return w.add("Concat", *[w.reshape(x, shape) for x in xs], axis=axis)


@primitive("unstack")
def _unstack(w: Writer, x: Value, *, out: Any, axis: int, **_: Any) -> Any:
    axis %= x.ndim
    return [w.add("Gather", x, w.constant(np.int64(i)), axis=axis) for i in range(x.shape[axis])]


@primitive("tile")
def _tile(w: Writer, x: Value, *, out: Any, reps: Any, **_: Any) -> Any:
    counts = [*reps]
    rank = len(out.shape)
    x = w.reshape(x, (1,) * (rank - x.ndim) + x.shape)
    return w.add("Tile", x, w.constant([1] * (rank - len(counts)) + counts, np.int64))


@primitive("slice")
def _slice(
    w: Writer, x: Value, *, out: Any, start_indices: Any, limit_indices: Any, strides: Any, **_: Any
) -> Any:
    steps = strides or (1,) * x.ndim
    cut = [
        axis
        for axis, size in enumerate(x.shape)
        if (start_indices[axis], limit_indices[axis], steps[axis]) != (0, size, 1)
    ]
    if not cut:
        return x
    starts, ends = [start_indices[i] for i in cut], [limit_indices[i] for i in cut]
    return w.slice(x, starts, ends, cut, [steps[i] for i in cut])


@primitive("split")
def _split(w: Writer, x: Value, *, out: Any, sizes: Any, axis: int, **_: Any) -> Any:
    parts = w.constant(list(sizes), np.int64)
    return w.add_several("Split", len(sizes), x, parts, axis=axis)


@primitive("dynamic_slice")
def _dynamic_slice(
    w: Writer, x: Value, *starts: Value, out: Any, slice_sizes: Any, **_: Any
) -> Any:
    places = [w.reshape(w.cast(start, np.int64), (1,)) for start in starts]
    first = w.add("Concat", *places, axis=0)
    last = [size - taken for size, taken in zip(x.shape, slice_sizes, strict=True)]
    zeros = w.constant([0] * x.ndim, np.int64)
    first = w.add("Min", w.add("Max", first, zeros), w.constant(last, np.int64))
    end = w.add("Add", first, w.constant(list(slice_sizes), np.int64))
    return w.add("Slice", x, first, end, w.constant([*range(x.ndim)], np.int64))


@primitive("rev")
def _rev(w: Writer, x: Value, *, out: Any, dimensions: Any, **_: Any) -> Any:
    count, least = len(dimensions), -(2**31)
    return w.slice(x, [-1] * count, [least] * count, list(dimensions), [-1] * count)


@primitive("pad")
def _pad(w: Writer, x: Value, value: Value, *, out: Any, padding_config: Any, **_: Any) -> Any:
    before, after = [each[0] for each in padding_config], [each[1] for each in padding_config]
    sizes = [*x.shape]
    for axis, (_, _, gap) in enumerate(padding_config):
        if not gap or sizes[axis] < 2:
            continue
        # Each element is followed by the gap; what follows the last one is cut off again.
        count = sizes[axis]
        apart = [*sizes[: axis + 1], 1, *sizes[axis + 1 :]]
        ends = [0] * (2 * len(apart))
        ends[len(apart) + axis + 1] = gap
        spread = w.add("Pad", w.reshape(x, apart), w.constant(ends, np.int64), value)
        sizes[axis] = count * (gap + 1)
        x = w.reshape(Value(spread, (), x.dtype), sizes)
        sizes[axis] -= gap
        x = Value(w.slice(x, [0], [sizes[axis]], [axis]), tuple(sizes), x.dtype)
    if not any((*before, *after)):
        return x
    return w.add("Pad", x, w.constant([*before, *after], np.int64), value)


@primitive("iota")
def _iota(w: Writer, *, out: Any, shape: Any, dimension: int, **_: Any) -> Any:
    bounds = [w.constant(np.int64(each)) for each in (0, shape[dimension], 1)]
    row = Value(w.add("Range", *bounds), (shape[dimension],), np.int64)
    sizes = [1] * len(shape)
    sizes[dimension] = shape[dimension]
    return w.expand(w.reshape(w.cast(row, out.dtype), sizes), shape)


# -- sums and products ----------------------------------------------------------------------------


def _reduction(kind: str, of_bools: str | None = None) -> Callable[..., Any]:
    def write(w: Writer, x: Value, *, out: Any, axes: Any, **_: Any) -> Any:
        if x.dtype == np.bool_:
            if of_bools is None:
                raise NoOperator(f"{kind} of bools")
            y = w.reduce(of_bools, w.cast(x, np.int32), axes, False)
            return w.cast(Value(y, out.shape, np.int32), np.bool_)
        return w.reduce(kind, x, axes, False)

    return write


for _name, _kind, _of_bools in (
    ("reduce_sum", "ReduceSum", None), ("reduce_prod", "ReduceProd", None),
    ("reduce_max", "ReduceMax", "ReduceMax"), ("reduce_min", "ReduceMin", "ReduceMin"),
    ("reduce_and", "ReduceMin", "ReduceMin"), ("reduce_or", "ReduceMax", "ReduceMax"),
):  # fmt: skip
    primitive(_name)(_reduction(_kind, _of_bools))


@primitive("reduce_window_sum")
def _window_sum(
    w: Writer, x: Value, *, out: Any, window_dimensions: Any, window_strides: Any, padding: Any,
    base_dilation: Any, window_dilation: Any, **_: Any,
) -> Any:  # fmt: skip
    if {*base_dilation, *window_dilation} != {1}:
        raise NoOperator("sums of windows with gaps")
    pads = [each[0] for each in padding] + [each[1] for each in padding]
    if any(pads):
        padded = tuple(size + sum(each) for size, each in zip(x.shape, padding, strict=True))
        y = w.add("Pad", x, w.constant(pads, np.int64), _scalar(w, 0, x))
        x = Value(y, padded, x.dtype)
    for axis, (size, step) in enumerate(zip(window_dimensions, window_strides, strict=True)):
        if (size, step) == (1, 1):
            continue
        last = (out.shape[axis] - 1) * step + 1
        views = [w.slice(x, [i], [i + last], [axis], [step]) for i in range(size)]
        shape = (*x.shape[:axis], out.shape[axis], *x.shape[axis + 1 :])
        x = Value(w.add("Sum", *views), shape, x.dtype)
    return x


def _place(kind: str) -> Callable[..., Any]:
    def write(w: Writer, x: Value, *, out: Any, axes: Any, index_dtype: Any, **_: Any) -> Any:
        if x.dtype == np.bool_:
            x = w.cast(x, np.int32)
        y = w.add(kind, x, axis=int(axes[0]), keepdims=0)
        return w.cast(Value(y, out.shape, np.int64), index_dtype)

    return write


primitive("argmax")(_place("ArgMax"))
primitive("argmin")(_place("ArgMin"))


@primitive("cumsum")
def _cumsum(w: Writer, x: Value, *, out: Any, axis: int, reverse: bool, **_: Any) -> Any:
    return w.add("CumSum", x, w.constant(np.int64(axis)), reverse=int(reverse))


@primitive("dot_general")
def _dot_general(w: Writer, a: Value, b: Value, *, out: Any, dimension_numbers: Any, **_: Any
) -> Any:  # fmt: skip
    (a_sum, b_sum), (a_batch, b_batch) = dimension_numbers
    rest_a = [i for i in range(a.ndim) if i not in (*a_sum, *a_batch)]
    rest_b = [i for i in range(b.ndim) if i not in (*b_sum, *b_batch)]
    batch = [a.shape[i] for i in a_batch]
    rows, columns = [a.shape[i] for i in rest_a], [b.shape[i] for i in rest_b]
    inner = math.prod(a.shape[i] for i in a_sum)
    left = w.transpose(a, [*a_batch, *rest_a, *a_sum])
    right = w.transpose(b, [*b_batch, *b_sum, *rest_b])
    if len(rest_b) == 1 and len(b_sum) == 1 and not batch and len(rest_a) > 0:
        return _product(w, w.reshape(left, [*rows, inner]), right, out)
    left = w.reshape(left, [*batch, math.prod(rows), inner])
    right = w.reshape(right, [*batch, inner, math.prod(columns)])
    y = _product(w, left, right, out)
    return w.reshape(Value(y, (*batch, math.prod(rows), math.prod(columns)), out.dtype), out.shape)


def _product(w: Writer, a: Value, b: Value, out: Any) -> Value:
    wanted = np.dtype(out.dtype)
    return w.add("MatMul", w.cast(a, wanted), w.cast(b, wanted))


@primitive("conv_general_dilated")
def _convolution(
    w: Writer, x: Value, filters: Value, *, out: Any, window_strides: Any, padding: Any,
    lhs_dilation: Any, rhs_dilation: Any, dimension_numbers: Any, feature_group_count: int,
    batch_group_count: int, **_: Any,
) -> Any:  # fmt: skip
    if batch_group_count != 1 or any(step != 1 for step in lhs_dilation):
        raise NoOperator("a convolution of spread images")
    image, kernel, result = dimension_numbers
    x = w.transpose(x, image)
    filters = w.transpose(filters, kernel)
    pads = [before for before, _ in padding] + [after for _, after in padding]
    if min(pads, default=0) < 0:
        raise NoOperator("a convolution with negative padding")
    y = w.add(
        "Conv", x, filters, strides=list(window_strides), pads=pads, dilations=list(rhs_dilation),
        group=feature_group_count,
    )  # fmt: skip
    order = np.argsort(result)
    shape = tuple(out.shape[i] for i in result)
    return w.transpose(Value(y, shape, out.dtype), [int(i) for i in order])
