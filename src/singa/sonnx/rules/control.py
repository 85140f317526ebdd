"""Branches, loops, sequences and optional values.

A condition that is known beforehand, or that can be looked at, decides in Python. In a compiled
step, where it cannot, branches and loops are jax's, see ``flow.py``. What does not fit there is
computed as far as it can be: both branches of an If, of which one is chosen; loops are unrolled.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.errors import CaptureError, FormatError, ShapeError
from singa.sonnx.bounds import MOST_STEPS
from singa.sonnx.graph import Graph
from singa.sonnx.rules import flow
from singa.sonnx.rules.rule import Call, rule, tensors

Known = np.ndarray[Any, Any]


def _is_hidden(x: Any) -> bool:
    """Whether a value can not be looked at: one that is computed in a compiled step."""
    return isinstance(x, Tensor) and local.capture is not None


def _truth(x: Any) -> bool:
    if _is_hidden(x):
        raise CaptureError(
            "a compiled step cannot look at the condition of a Loop; run the model eagerly: "
            "model.graph(False)"
        )
    return bool(np.asarray(x.to_numpy() if isinstance(x, Tensor) else x).reshape(-1)[0])


@rule("If", follows=False)
def _if(call: Call, condition: Any) -> tuple[Any, ...]:
    then, other = call("then_branch"), call("else_branch")
    if not _is_hidden(condition):
        return tuple(call.run(then if _truth(condition) else other))
    if (ys := flow.branches(call, condition, then, other)) is not None:
        return tuple(ys)
    return tuple(
        _chosen(condition, a, b) for a, b in zip(call.run(then), call.run(other), strict=True)
    )


def _chosen(condition: Tensor, a: Any, b: Any) -> Tensor:
    if isinstance(a, list) or isinstance(b, list) or a is None or b is None:
        raise CaptureError("If: in a compiled step both branches have to give tensors")
    a, b = tensors(a, b)
    if a.shape != b.shape:
        raise ShapeError(
            f"If: in a compiled step both branches must give the same shapes, got {a.shape} and "
            f"{b.shape}; run the model eagerly: model.graph(False)"
        )
    return op.where(a, b, op.reshape(condition, ()))


@rule("Loop", known=(0,), follows=False)
def _loop(call: Call, most: Known | None = None, going: Any = None, *carried: Any) -> Any:
    body: Graph = call("body")
    state, steps = list(carried), None if most is None else int(most.reshape(-1)[0])
    outputs: list[list[Any]] = [[] for _ in range(len(body.outputs) - 1 - len(state))]
    if steps is not None and steps > MOST_STEPS and going is None:
        raise FormatError(f"Loop: {steps} steps are more than {MOST_STEPS}")
    number = 0
    condition: Any = np.array(True) if going is None else going
    if local.capture is not None:
        ys = flow.loop(call, steps, condition, state)
        if ys is not None:
            return tuple(ys)
    while (steps is None or number < steps) and _truth(condition):
        condition, *results = call.step(body, np.array(number, np.int64), condition, *state)
        state = results[: len(state)]
        for found, y in zip(outputs, results[len(state) :], strict=True):
            found.append(y)
        number += 1
        if number > MOST_STEPS:
            raise FormatError(f"Loop: it goes on after {MOST_STEPS} steps")
    empty = [each.shape for each in body.outputs[1 + len(state) :]]
    dtypes = [each.dtype for each in body.outputs[1 + len(state) :]]
    return (*state, *map(_stacked, outputs, empty, dtypes))


def _stacked(ys: list[Any], shape: Any, dtype: Any) -> Any:
    if ys:
        return op.stack(tensors(*ys), 0)
    sizes = [size if isinstance(size, int) else 0 for size in shape or ()]
    return np.zeros((0, *sizes), dtype or np.float32)


@rule("Scan", since=9, follows=False)
def _scan(call: Call, *xs: Any) -> Any:
    body: Graph = call("body")
    count = call("num_scan_inputs")
    state, scanned = list(xs[: len(xs) - count]), [*tensors(*xs[len(xs) - count :])]
    axes = call("scan_input_axes") or [0] * count
    backwards = call("scan_input_directions") or [0] * count
    outputs: list[list[Any]] = [[] for _ in range(len(body.outputs) - len(state))]
    out_axes = call("scan_output_axes") or [0] * len(outputs)
    reverse = call("scan_output_directions") or [0] * len(outputs)
    if local.capture is not None:
        ways_in = [*zip(axes, map(bool, backwards), strict=True)]
        ways_out = [*zip(out_axes, map(bool, reverse), strict=True)]
        ends = flow.scan(call, state, scanned, ways_in, ways_out)
        if ends is not None:
            return tuple(ends)
    rows = []
    for x, axis, is_backwards in zip(scanned, axes, backwards, strict=True):
        parts = op.unstack(x, axis)
        rows.append(parts[::-1] if is_backwards else parts)
    for inputs in zip(*rows, strict=True):
        results = call.step(body, *state, *inputs)
        state = results[: len(state)]
        for found, y in zip(outputs, results[len(state) :], strict=True):
            found.append(y)
    stacked = [
        op.stack(tensors(*(ys[::-1] if back else ys)), axis)
        for ys, axis, back in zip(outputs, out_axes, reverse, strict=True)
    ]
    return (*state, *stacked)


@rule("Scan", since=8, known=(0,), follows=False)
def _scan_of_batches(call: Call, lengths: Known | None, *xs: Any) -> Any:
    """Each sample is scanned for itself; what comes after its end is 0."""
    body: Graph = call("body")
    count, xs = call("num_scan_inputs"), tensors(*xs)
    states, scanned = xs[: len(xs) - count], xs[len(xs) - count :]
    backwards = call("directions") or [0] * count
    steps = scanned[0].shape[1]
    samples = []
    for number in range(scanned[0].shape[0]):
        length = steps if lengths is None else int(lengths.reshape(-1)[number])
        state = [_at_place(x, number) for x in states]
        rows = [op.unstack(_at_place(x, number), 0)[:length] for x in scanned]
        rows = [row[::-1] if back else row for row, back in zip(rows, backwards, strict=True)]
        outputs: list[list[Any]] = []
        for inputs in zip(*rows, strict=True):
            results = call.step(body, *state, *inputs)
            state = results[: len(state)]
            outputs.append([*tensors(*results[len(state) :])])
        ends = [op.stack(ys, 0) for ys in zip(*outputs, strict=True)]
        ends = [op.pad(y, "constant", _after(y, steps - length)) for y in ends]
        samples.append([*tensors(*state), *ends])
    return tuple(op.stack(each, 0) for each in zip(*samples, strict=True))


def _at_place(x: Tensor, number: int) -> Tensor:
    return op.squeeze(op.slice(x, [number], [number + 1], [0]), 0)


def _after(x: Tensor, more: int) -> list[int]:
    """The padding of so many rows after the last one."""
    return [*[0] * x.ndim, more, *[0] * (x.ndim - 1)]


def _number(x: Known) -> int:
    return int(x.reshape(-1)[0])


@rule("SequenceConstruct", follows=False)
def _sequence(call: Call, *xs: Any) -> list[Any]:
    return list(xs)


@rule("SequenceEmpty", follows=False)
def _no_sequence(call: Call) -> list[Any]:
    return []


@rule("SequenceAt", known=(1,))
def _at(call: Call, xs: list[Any], place: Known) -> Any:
    return xs[_number(place)]


@rule("SequenceInsert", known=(2,), follows=False)
def _insert(call: Call, xs: list[Any], x: Any, place: Known | None = None) -> list[Any]:
    number = len(xs) if place is None else _number(place)
    number += len(xs) if number < 0 else 0
    return [*xs[:number], x, *xs[number:]]


@rule("SequenceErase", known=(1,))
def _erase(call: Call, xs: list[Any], place: Known | None = None) -> list[Any]:
    number = (-1 if place is None else _number(place)) % len(xs)
    return [*xs[:number], *xs[number + 1 :]]


@rule("SequenceLength")
def _length(call: Call, xs: list[Any]) -> Known:
    return np.array(len(xs), np.int64)


@rule("ConcatFromSequence")
def _concat(call: Call, xs: list[Any]) -> Tensor:
    axis = call("axis")
    return (op.stack if call("new_axis", 0) else op.cat)(tensors(*xs), axis)


@rule("SplitToSequence", known=(1,), follows=False)
def _split(call: Call, x: Tensor, parts: Known | None = None) -> list[Any]:
    axis, (x,) = call("axis", 0), tensors(x)
    size = x.shape[axis]
    if parts is None:
        rows = list(op.split(x, axis, [1] * size))
        return rows if call("keepdims", 1) else [op.squeeze(row, axis) for row in rows]
    if parts.ndim:
        return list(op.split(x, axis, parts.tolist()))
    each = _number(parts)
    sizes = [each] * (size // each) + ([size % each] if size % each else [])
    return list(op.split(x, axis, sizes))


@rule("Optional", follows=False)
def _optional(call: Call, x: Any = None) -> Any:
    return x


@rule("OptionalGetElement", follows=False)
def _get(call: Call, x: Any) -> Any:
    if x is None:
        raise FormatError("OptionalGetElement: the optional value is not there")
    return x


@rule("OptionalHasElement", follows=False)
def _has(call: Call, x: Any = None) -> Known:
    return np.array(x is not None)
