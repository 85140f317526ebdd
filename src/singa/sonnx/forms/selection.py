"""Selection by indices, and by size.

For an index out of bounds, which ONNX does not allow, runtimes raise an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer


def _index(w: Writer, x: Value) -> Value:
    """Indices as a type that ONNX takes."""
    if x.dtype is None or x.dtype.kind not in "iu":
        raise Unfit("the indices are no integers")
    return x if x.dtype in (np.int32, np.int64) else w.cast(x, np.int64)


@form(op.Embedding, of=("padding_idx", "scale_grad_by_freq"))  # both of gradients
def _embedding(w: Writer, operation: Any, x: Value, table: Value) -> str:
    return w.add("Gather", table, _index(w, x), axis=0)


@form(op.Gather, of=("axis",))
def _gather(w: Writer, operation: Any, x: Value, indices: Value) -> str:
    return w.add("Gather", x, _index(w, indices), axis=int(operation.axis))


@form(op.GatherElements, of=("axis",))
def _gather_elements(w: Writer, operation: Any, x: Value, indices: Value) -> str:
    axis = int(operation.axis) % x.ndim
    for i, (size, wanted) in enumerate(zip(x.shape, indices.shape, strict=True)):
        if i != axis and size != wanted:
            raise Unfit("the indices broadcast")
    return w.add("GatherElements", x, _index(w, indices), axis=axis)


@form(op.GetItem, of=("pattern",))
def _get_item(w: Writer, operation: Any, x: Value, *arrays: Value) -> str:
    pattern = list(operation.pattern)
    used = sum(part is not None and part is not Ellipsis for part in pattern)
    rest = [(None, None, None)] * (x.ndim - used)
    place = pattern.index(Ellipsis) if Ellipsis in pattern else len(pattern)
    pattern[place : place + 1] = rest
    if len(arrays) > 1:
        raise Unfit("several indices are taken together")
    axes = [part for part in pattern if part is not None]
    y = _sliced(w, x, axes)
    removed = None
    for axis, part in enumerate(axes):
        if not isinstance(part, tuple):
            index = _index(w, arrays[0])
            y, removed = Value(w.add("Gather", y, index, axis=axis), (), x.dtype), axis
    if None not in pattern:
        return y
    if removed is not None and arrays[0].ndim:
        raise Unfit("new axes beside an array of indices")
    kept = [part for part in pattern if part is None or isinstance(part, tuple)]
    new = [i for i, part in enumerate(kept) if part is None]
    return w.add("Unsqueeze", y, w.constant(new, np.int64))


def _sliced(w: Writer, x: Value, axes: list[Any]) -> Value:
    cut, bounds = [], []
    for axis, part in enumerate(axes):
        if isinstance(part, tuple) and part != (None, None, None):
            start, stop, step = slice(*part).indices(x.shape[axis])
            if step < 0 and stop < 0:
                stop = -(2**31)
            elif part[1] is None:
                stop = 2**31 - 1
            elif part[1] < 0:
                stop = part[1]
            cut.append(axis)
            bounds.append((start, stop, step))
    if not cut:
        return x
    starts, ends, steps = zip(*bounds, strict=True)
    return Value(w.slice(x, starts, ends, cut, steps), (), x.dtype)


@form(op.ArgMax, op.ArgMin, of=("axis", "keepdims", "select_last_index"))
def _place(w: Writer, operation: Any, x: Value) -> str:
    y = w.add(
        type(operation).__name__, x, axis=int(operation.axis), keepdims=int(operation.keepdims),
        select_last_index=int(operation.select_last_index),
    )  # fmt: skip
    return w.cast(Value(y, (), np.int64), np.int32)


@form(op.TopK, of=("axis", "descending", "k"))
def _top_k(w: Writer, operation: Any, x: Value) -> list[Value]:
    count = w.constant([operation.k], np.int64)
    axis, largest = int(operation.axis), int(operation.descending)
    values, places = w.add_several("TopK", 2, x, count, axis=axis, largest=largest)
    return [values, w.cast(Value(places, (), np.int64), np.int32)]
