"""Primitives of jax that select, write, sort and accumulate along axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from singa.device import is_float
from singa.sonnx.forms.tracing import LONGEST_LOOP, NoOperator, primitive
from singa.sonnx.forms.writer import Value, Writer


def _number(w: Writer, number: int) -> Value:
    return w.constant(np.int64(number))


def _arange(w: Writer, count: int) -> Value:
    """0, 1, ... as int64; the count may depend on the size of a batch."""
    y = w.add("Range", _number(w, 0), _number(w, count), _number(w, 1))
    return Value(y, (count,), np.int64)


def _along(w: Writer, x: Value, axes: Sequence[int], rank: int) -> Value:
    """The axes of ``x`` at these places among ``rank`` axes, the others of size 1."""
    shape = [1] * rank
    for axis, size in zip(axes, x.shape, strict=True):
        shape[axis] = size
    return w.reshape(x, shape)


class _Places:
    """The flat index in an array of each element of its parts.

    Attributes:
        flat: int64, of the parts' shape; where a part is not inside it is at the nearest place.
        inside: whether the part is inside, of a shape that broadcasts; None if all are.
    """

    def __init__(
        self, w: Writer, shape: Sequence[int], starts: Value, part: Sequence[int],
        rank: int, batch_axes: Sequence[int], offset_axes: dict[int, int],
        start_map: Sequence[int], batching: dict[int, int], clips: bool,
    ) -> None:  # fmt: skip
        self._w = w
        self.inside: Value | None = None
        total: Value | None = None
        sizes = math.prod(shape)
        for axis, size in enumerate(shape):
            sizes = math.prod(shape[axis + 1 :])
            terms = []
            if axis in start_map:
                start = self._start(starts, [*start_map].index(axis))
                start = _along(w, start, batch_axes, rank)
                terms.append(self._bounded(start, size - part[axis], clips))
            if axis in offset_axes and part[axis] > 1:
                terms.append(_along(w, _arange(w, part[axis]), [offset_axes[axis]], rank))
            if axis in batching:
                place = batch_axes[batching[axis]]
                terms.append(_along(w, _arange(w, size), [place], rank))
            for term in terms:
                scaled = w.add("Mul", term, _number(w, sizes)) if sizes != 1 else term
                total = scaled if total is None else w.add("Add", total, scaled)
        if total is None:
            total = w.constant(np.zeros([1] * rank, np.int64))
        self.flat = total

    def _start(self, starts: Value, number: int) -> Value:
        """One component of the starts, which are along the last axis."""
        row = self._w.add("Gather", starts, _number(self._w, number), axis=starts.ndim - 1)
        return Value(row, starts.shape[:-1], np.int64)

    def _bounded(self, start: Value, most: int, clips: bool) -> Value:
        w = self._w
        bounded = w.add("Max", w.add("Min", start, _number(w, most)), _number(w, 0))
        if not clips:
            is_inside = w.add("Equal", start, bounded)
            self.inside = is_inside if self.inside is None else w.add("And", self.inside, is_inside)
        return bounded


def _mode(mode: Any) -> str:
    return str(getattr(mode, "name", mode)).lower()


@primitive("gather")
def _gather(
    w: Writer, x: Value, starts: Value, *, out: Any, dimension_numbers: Any, slice_sizes: Any,
    mode: Any, fill_value: Any, **_: Any,
) -> Any:  # fmt: skip
    d = dimension_numbers
    rank = len(out.shape)
    batch_axes = [i for i in range(rank) if i not in d.offset_dims]
    removed = (*d.collapsed_slice_dims, *d.operand_batching_dims)
    windows = [i for i in range(x.ndim) if i not in removed]
    starts = w.cast(starts, np.int64)
    fills = "fill" in _mode(mode)
    if _is_take(x, d, slice_sizes) and not fills:
        return _take(w, x, starts, d, out)
    places = _Places(
        w, x.shape, starts, slice_sizes, rank, batch_axes,
        dict(zip(windows, d.offset_dims, strict=True)), d.start_index_map,
        dict(zip(d.operand_batching_dims, d.start_indices_batching_dims, strict=True)), not fills,
    )  # fmt: skip
    flat = w.expand(Value(places.flat, (), np.int64), out.shape)
    y = w.add("Gather", w.reshape(x, (math.prod(x.shape),)), flat, axis=0, like=out)
    if places.inside is None:
        return y
    missing = _fill_value(fill_value, out.dtype)
    return w.add("Where", places.inside, y, w.constant(np.asarray(missing, out.dtype)))


def _fill_value(given: Any, dtype: Any) -> Any:
    if given is not None:
        return given
    if is_float(dtype):
        return np.nan
    if np.dtype(dtype).kind == "b":
        return True
    info = np.iinfo(dtype)
    return info.min if info.min else info.max


def _is_take(x: Value, d: Any, slice_sizes: Any) -> bool:
    """Whether whole slices along one axis are taken, in the place of this axis."""
    if len(d.start_index_map) != 1 or d.operand_batching_dims:
        return False
    axis = d.start_index_map[0]
    others = [i for i in range(x.ndim) if i != axis]
    is_whole = all(slice_sizes[i] == x.shape[i] for i in others) and slice_sizes[axis] == 1
    before = [i for i in d.offset_dims if i < axis]
    return is_whole and d.collapsed_slice_dims == (axis,) and before == [*range(axis)]


def _take(w: Writer, x: Value, starts: Value, d: Any, out: Any) -> Any:
    axis = d.start_index_map[0]
    after = x.ndim - axis - 1
    if tuple(d.offset_dims[axis:]) != tuple(range(len(out.shape) - after, len(out.shape))):
        raise NoOperator("a gather whose slices are not at the end")
    bound = w.add("Max", w.add("Min", starts, _number(w, x.shape[axis] - 1)), _number(w, 0))
    index = w.reshape(Value(bound, starts.shape, np.int64), starts.shape[:-1])
    return w.add("Gather", x, index, axis=axis)


_REDUCTIONS = {
    "scatter": None, "scatter-add": "add", "scatter-mul": "mul", "scatter_mul": "mul",
    "scatter_add": "add", "scatter_min": "min", "scatter_max": "max", "scatter-min": "min",
    "scatter-max": "max",
}  # fmt: skip


def _scatter(reduction: str | None) -> Callable[..., Any]:
    def write(
        w: Writer, x: Value, starts: Value, updates: Value, *, out: Any, dimension_numbers: Any,
        mode: Any, **_: Any,
    ) -> Any:  # fmt: skip
        d = dimension_numbers
        rank = updates.ndim
        batch_axes = [i for i in range(rank) if i not in d.update_window_dims]
        removed = (*d.inserted_window_dims, *d.operand_batching_dims)
        windows = [i for i in range(x.ndim) if i not in removed]
        part = [1] * x.ndim
        for axis, place in zip(windows, d.update_window_dims, strict=True):
            part[axis] = updates.shape[place]
        clips = _mode(mode) == "clip"
        places = _Places(
            w, x.shape, w.cast(starts, np.int64), part, rank, batch_axes,
            dict(zip(windows, d.update_window_dims, strict=True)), d.scatter_dims_to_operand_dims,
            dict(zip(d.operand_batching_dims, d.scatter_indices_batching_dims, strict=True)), clips,
        )  # fmt: skip
        size, count = math.prod(x.shape), math.prod(updates.shape)
        flat = w.expand(Value(places.flat, (), np.int64), updates.shape)
        row = w.reshape(x, (size,))
        if places.inside is not None:  # what is outside is written to one more element
            flat = w.add("Where", places.inside, flat, _number(w, size))
            extra = w.constant(np.zeros(1, x.dtype))
            row = w.add("Concat", row, extra, axis=0, like=x)
        flat = w.reshape(Value(flat, updates.shape, np.int64), (count,))
        y = w.add(
            "ScatterElements", row, flat, w.reshape(updates, (count,)), axis=0, reduction=reduction
        )
        if places.inside is not None:
            y = w.slice(Value(y, (size + 1,), x.dtype), [0], [size], [0])
        return w.add("Reshape", y, w.constant(list(x.shape), np.int64))

    return write


for _name, _kind in _REDUCTIONS.items():
    primitive(_name)(_scatter(_kind))


@primitive("sort")
def _sort(w: Writer, *xs: Value, out: Any, dimension: int, num_keys: int, **_: Any) -> Any:
    if num_keys != 1:
        raise NoOperator("a sort by several keys")
    key = xs[0]
    count = w.constant([key.shape[dimension]], np.int64)
    values, places = w.add_several("TopK", 2, key, count, axis=dimension, largest=0, sorted=1)
    others = [w.add("GatherElements", x, places, axis=dimension) for x in xs[1:]]
    return [values, *others]


@primitive("top_k")
def _top_k(w: Writer, x: Value, *, out: Any, k: int, **_: Any) -> Any:
    values, places = w.add_several("TopK", 2, x, w.constant([k], np.int64), axis=x.ndim - 1)
    return [values, w.cast(Value(places, out.shape, np.int64), np.int32)]


def _accumulated(kind: str) -> Callable[..., Any]:
    def write(w: Writer, x: Value, *, out: Any, axis: int, reverse: bool, **_: Any) -> Any:
        count = x.shape[axis]
        if count > LONGEST_LOOP:
            raise NoOperator(f"{kind} of each of {count} prefixes")
        rows: list[str] = []
        last: Value | None = None
        for i in reversed(range(count)) if reverse else range(count):
            row = Value(w.slice(x, [i], [i + 1], [axis]), (), x.dtype)
            last = row if last is None else _both(w, kind, last, row, axis)
            rows.append(last)
        return w.add("Concat", *(reversed(rows) if reverse else rows), axis=axis) if rows else x

    return write


def _both(w: Writer, kind: str, a: Value, b: Value, axis: int) -> Value:
    if kind != "ReduceLogSumExp":
        return w.add(kind, a, b)
    joined = w.add("Concat", a, b, axis=axis)
    rank = axis + 1  # the axes after it do not matter
    return w.reduce(kind, Value(joined, (1,) * rank, b.dtype), [axis], True)


primitive("cumlogsumexp")(_accumulated("ReduceLogSumExp"))
primitive("cummax")(_accumulated("Max"))
primitive("cummin")(_accumulated("Min"))
primitive("cumprod")(_accumulated("Mul"))
