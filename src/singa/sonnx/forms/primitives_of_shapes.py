"""Primitives of jax in operators of ONNX: shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from singa.sonnx.forms.tracing import primitive
from singa.sonnx.forms.writer import Value, Writer


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
        split = [*sizes[: axis + 1], 1, *sizes[axis + 1 :]]
        ends = [0] * (2 * len(split))
        ends[len(split) + axis + 1] = gap
        spread = w.add("Pad", w.reshape(x, split), w.constant(ends, np.int64), value)
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
