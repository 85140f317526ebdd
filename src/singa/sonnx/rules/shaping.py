"""Shapes: what is the shape, another shape, other axes, parts and joins."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import FormatError
from singa.sonnx.rules.rule import Call, formula, rule

Known = np.ndarray[Any, Any]


@rule("Constant")
def _constant(call: Call) -> Known:
    for name, dtype in (("value_float", np.float32), ("value_floats", np.float32),
                        ("value_int", np.int64), ("value_ints", np.int64),
                        ("value_string", np.object_), ("value_strings", np.object_)):  # fmt: skip
        if (given := call(name)) is not None:
            return np.array(given, dtype)
    value = call("value")
    return np.asarray(value if value is not None else call("sparse_value"))


@rule("Shape", fixed=(0,))
def _shape(call: Call, x: Tensor) -> Known:
    return np.array(x.shape[slice(call("start", 0), call("end"))], np.int64)


@rule("Size", fixed=(0,))
def _size(call: Call, x: Tensor) -> Known:
    return np.array(x.size(), np.int64)


@rule("Reshape", known=(1,))
def _reshape(call: Call, x: Tensor, shape: Known) -> Tensor:
    sizes = shape.tolist()
    if not call("allowzero", 0):
        sizes = [x.shape[i] if size == 0 else size for i, size in enumerate(sizes)]
    if 0 in sizes:  # an empty one
        return formula(_reshaped, x, shape=tuple(sizes))
    return op.reshape(x, sizes)


def _reshaped(x: CTensor, shape: tuple[int, ...]) -> CTensor:
    return x.reshape(shape)


@rule("Flatten")
def _flatten(call: Call, x: Tensor) -> Tensor:
    axis = call("axis", 1)
    axis += x.ndim if axis < 0 else 0
    return (
        op.reshape(x, (int(np.prod(x.shape[:axis], dtype=np.int64)), -1))
        if x.size()
        else (op.reshape(x, (int(np.prod(x.shape[:axis])), int(np.prod(x.shape[axis:])))))
    )


@rule("Transpose")
def _transpose(call: Call, x: Tensor) -> Tensor:
    return op.transpose(x, call("perm", [*range(x.ndim)][::-1]))


@rule("Squeeze", since=13, known=(1,))
def _squeeze(call: Call, x: Tensor, axes: Known | None = None) -> Tensor:
    return op.squeeze(x, () if axes is None else axes.tolist())


@rule("Squeeze")
def _squeeze_of_attribute(call: Call, x: Tensor) -> Tensor:
    return op.squeeze(x, call("axes", ()))


@rule("Unsqueeze", since=13, known=(1,))
def _unsqueeze(call: Call, x: Tensor, axes: Known) -> Tensor:
    return op.unsqueeze(x, axes.reshape(-1).tolist())


@rule("Unsqueeze")
def _unsqueeze_of_attribute(call: Call, x: Tensor) -> Tensor:
    return op.unsqueeze(x, call("axes"))


@rule("Expand", known=(1,))
def _expand(call: Call, x: Tensor, shape: Known) -> Tensor:
    return op.expand(x, np.broadcast_shapes(x.shape, tuple(shape.tolist())))


@rule("Tile", known=(1,))
def _tile(call: Call, x: Tensor, repeats: Known) -> Tensor:
    return op.tile(x, repeats.tolist())


@rule("Concat")
def _concat(call: Call, *xs: Tensor) -> Tensor:
    return op.cat(xs, call("axis"))


@rule("Split", since=13, known=(1,))
def _split(call: Call, x: Tensor, parts: Known | None = None) -> tuple[Tensor, ...]:
    return _parts(call, x, None if parts is None else parts.tolist())


@rule("Split")
def _split_of_attribute(call: Call, x: Tensor) -> tuple[Tensor, ...]:
    return _parts(call, x, call("split"))


def _parts(call: Call, x: Tensor, parts: list[int] | None) -> tuple[Tensor, ...]:
    axis = call("axis", 0)
    if parts is None:
        count = call("num_outputs") or len(call.node.outputs)
        if count != len(call.node.outputs):
            raise FormatError(f"Split: {count} parts for {len(call.node.outputs)} outputs")
        size = -(-x.shape[axis] // count)
        parts = [size] * (count - 1)
        parts.append(x.shape[axis] - sum(parts))
    return op.split(x, axis, parts)


@rule("Slice", since=10, known=(1, 2, 3, 4))
def _slice(call: Call, x: Tensor, starts: Known, ends: Known, axes: Known | None = None,
           steps: Known | None = None) -> Tensor:  # fmt: skip
    return op.slice(
        x,
        starts.tolist(),
        ends.tolist(),
        None if axes is None else axes.tolist(),
        None if steps is None else steps.tolist(),
    )


@rule("Slice")
def _slice_of_attributes(call: Call, x: Tensor) -> Tensor:
    return op.slice(x, call("starts"), call("ends"), call("axes"))


@rule("ConstantOfShape", known=(0,))
def _constant_of_shape(call: Call, shape: Known) -> Known:
    value = call("value")
    value = np.zeros(1, np.float32) if value is None else value
    return np.full(tuple(shape.tolist()), value.reshape(-1)[0], value.dtype)


@rule("Range", known=(0, 1, 2))
def _range(call: Call, start: Known, limit: Known, delta: Known) -> Known:
    return np.arange(start.item(), limit.item(), delta.item()).astype(start.dtype)


@rule("EyeLike", fixed=(0,))
def _eye_like(call: Call, x: Tensor) -> Known:
    kind = call("dtype")
    dtype = x.dtype if kind is None else onnx.helper.tensor_dtype_to_np_dtype(kind)
    return np.eye(x.shape[0], x.shape[1], k=call("k", 0)).astype(dtype)


@rule("DepthToSpace")
def _depth_to_space(call: Call, x: Tensor) -> Tensor:
    return op.depth_to_space(x, call("blocksize"), call("mode", "DCR"))


@rule("SpaceToDepth")
def _space_to_depth(call: Call, x: Tensor) -> Tensor:
    return op.space_to_depth(x, call("blocksize"), call("mode", "DCR"))
