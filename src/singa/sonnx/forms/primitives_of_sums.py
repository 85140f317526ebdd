"""Primitives of jax in operators of ONNX: reductions, products and convolutions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from singa.sonnx.forms.tracing import NoOperator, primitive
from singa.sonnx.forms.writer import Value, Writer


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
        y = w.add("Pad", x, w.constant(pads, np.int64), w.constant(0, x.dtype))
        x = Value(y, padded, x.dtype)
    for axis, (size, step) in enumerate(zip(window_dimensions, window_strides, strict=True)):
        if (size, step) == (1, 1):
            continue
        last = (out.shape[axis] - 1) * step + 1
        views = [w.slice(x, [i], [i + last], [axis], [step]) for i in range(size)]
        shape = (*x.shape[:axis], out.shape[axis], *x.shape[axis + 1 :])
        x = Value(w.add("Sum", *views), shape, x.dtype)
    return x


@primitive("reduce_window_max")
def _window_max(
    w: Writer, x: Value, *, out: Any, window_dimensions: Any, window_strides: Any, padding: Any,
    base_dilation: Any, window_dilation: Any, **_: Any,
) -> Any:  # fmt: skip
    is_of_space = {*window_dimensions[:2], *window_strides[:2]} == {1} and x.ndim > 2
    ends = [int(each[side]) for side in (0, 1) for each in padding[2:]]
    if {*base_dilation} != {1} or not is_of_space or any(map(any, padding[:2])):
        raise NoOperator("the largest of windows that are not those of images")
    if min(ends) < 0 or max(ends) >= min(window_dimensions[2:]):
        raise NoOperator("the largest of windows with as much padding")
    sizes, steps, gaps = (
        [int(each) for each in given[2:]]
        for given in (window_dimensions, window_strides, window_dilation)
    )
    return w.add("MaxPool", x, kernel_shape=sizes, strides=steps, dilations=gaps, pads=ends)


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
