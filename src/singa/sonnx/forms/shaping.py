"""Shapes, joining and splitting, and selection."""

from __future__ import annotations

from typing import Any

import numpy as np

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer


@form(op.Flatten, of=("axis",))
def _flatten(w: Writer, operation: Any, x: Value) -> str:
    return w.add("Flatten", x, axis=int(operation.axis))


@form(op.Unsqueeze, of=("axes",))
def _unsqueeze(w: Writer, operation: Any, x: Value) -> str:
    rank = x.ndim + len(operation.axes)
    axes = sorted(int(axis) % rank for axis in operation.axes)
    return w.add("Unsqueeze", x, w.constant(axes, np.int64))


@form(op.Squeeze, of=("axes",))
def _squeeze(w: Writer, operation: Any, x: Value) -> str:
    axes = operation.axes or [axis for axis, size in enumerate(x.shape) if size == 1]
    if not axes:
        return w.add("Identity", x)
    return w.add("Squeeze", x, w.constant([int(axis) % x.ndim for axis in axes], np.int64))


@form(op.Transpose, of=("axes",))
def _transpose(w: Writer, operation: Any, x: Value) -> str:
    axes = operation.axes
    order = [*reversed(range(x.ndim))] if axes is None else [axis % x.ndim for axis in axes]
    return w.add("Transpose", x, perm=[*map(int, order)])


@form(op.Cast, of=("to",))
def _cast(w: Writer, operation: Any, x: Value) -> str:
    return w.cast(x, operation.to)


@form(op.Concat, of=("axis",))
def _concat(w: Writer, operation: Any, *xs: Value) -> str:
    if len({x.dtype for x in xs}) != 1:
        raise Unfit("the inputs are of several types")
    return w.add("Concat", *xs, axis=int(operation.axis))


@form(op.Split, of=("axis", "parts", "count"))
def _split(w: Writer, operation: Any, x: Value) -> list[Value]:
    axis = operation.axis % x.ndim
    count = len(operation.parts) if operation.parts else int(operation.count)
    parts = operation.parts or (x.shape[axis] // count,) * count
    return w.add_several("Split", count, x, w.constant([*parts], np.int64), axis=int(axis))


@form(op.Tile, of=("repeats",))
def _tile(w: Writer, operation: Any, x: Value) -> str:
    repeats = [*map(int, operation.repeats)]
    rank = max(len(repeats), x.ndim)
    x = w.reshape(x, (1,) * (rank - x.ndim) + x.shape)
    return w.add("Tile", x, w.constant([1] * (rank - len(repeats)) + repeats, np.int64))


@form(op.Slice, of=("starts", "ends", "axes", "steps"))
def _slice(w: Writer, operation: Any, x: Value) -> str:
    axes = [int(axis) % x.ndim for axis in operation.axes]
    return w.slice(x, operation.starts, operation.ends, axes, operation.steps)


@form(op.Pad, of=("mode", "pads", "constant"))
def _pad(w: Writer, operation: Any, x: Value) -> str:
    if min(operation.pads, default=0) < 0 or operation.mode == "wrap":
        raise Unfit("elements are removed, or wrapped around")
    pads = w.constant([*operation.pads], np.int64)
    if operation.mode == "constant":
        value = w.constant(np.asarray(operation.constant, x.dtype))
        return w.add("Pad", x, pads, value)
    return w.add("Pad", x, pads, mode=operation.mode)
