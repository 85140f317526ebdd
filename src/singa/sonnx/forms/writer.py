"""Writes nodes: what the form of an operation has in its hands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class Newer(Exception):
    """An operator, or its use with these types, is only in a newer set of operators.

    Attributes:
        version: of that set; None if there is none.
    """

    def __init__(self, kind: str, version: int | None) -> None:
        super().__init__(
            f"the operator {kind} "
            + ("is not for these types" if version is None else f"needs opset {version}")
        )
        self.version = version


class Unfit(Exception):
    """A form does not hold for this configuration or these types."""


class Value(str):
    """The name of a value in the graph, with its shape and type as far as they are known."""

    __slots__ = ("dtype", "shape")

    shape: Shape
    dtype: Any  # None if it is not known

    def __new__(cls, name: str, shape: Shape = (), dtype: Any = None) -> Value:
        made = super().__new__(cls, name)
        made.shape = tuple(shape)
        made.dtype = None if dtype is None else np.dtype(dtype)
        return made

    @property
    def ndim(self) -> int:
        return len(self.shape)


@dataclass
class Written:
    """One node."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class Writer:
    """The nodes and the constants of a graph that is being written.

    Attributes:
        opset: the version of the set of operators.
        open_sizes: whether sizes may be of a batch whose size is open.
        training: whether the graph is for training.
        momenta: of running averages, by the name of the running mean.
        taken: names that are not free: those of inputs, outputs and parameters.
    """

    def __init__(self, opset: int, open_sizes: bool = False, training: bool = False) -> None:
        self.opset, self.open_sizes, self.training = opset, open_sizes, training
        self.nodes: list[Written] = []
        self.constants: dict[str, Array] = {}
        self._counts: dict[str, int] = {}
        self.taken: set[str] = set()
        self.momenta: dict[str, float] = {}

    def mark(self) -> tuple[int, int]:
        """The present end, for :meth:`back_to`."""
        return len(self.nodes), len(self.constants)

    def back_to(self, mark: tuple[int, int]) -> None:
        """Remove what was written since :meth:`mark`."""
        del self.nodes[mark[0] :]
        for name in [*self.constants][mark[1] :]:
            del self.constants[name]

    def name(self, stem: str) -> str:
        """A name that nothing has yet."""
        while True:
            number = self._counts[stem] = self._counts.get(stem, -1) + 1
            if f"{stem}_{number}" not in self.taken:
                return f"{stem}_{number}"

    def constant(self, value: Any, dtype: Any = None) -> Value:
        """A constant; a list of Python integers becomes int64, as shapes and axes are."""
        if dtype is None and not hasattr(value, "dtype"):
            array = np.asarray(value)
            dtype = np.int64 if array.dtype.kind in "iu" or not array.size else np.float32
        array = np.asarray(value, dtype)
        made = Value(self.name("constant"), array.shape, array.dtype)
        self.constants[made] = array
        return made

    def add(self, kind: str, *inputs: str | None, like: Any = None, **attributes: Any) -> Value:
        """Write a node with one output.

        Args:
            kind: the operator.
            inputs: the values that it takes; None for an optional one that is left out.
            like: what has the output's shape and dtype, if that matters later.
            attributes: of the node; those that are None are left out.

        Raises:
            Newer: this set of operators does not have it, or not with these types.
        """
        made = self.add_several(kind, 1, *inputs, **attributes)[0]
        return made if like is None else Value(made, like.shape, like.dtype)

    def add_several(
        self, kind: str, count: int, *inputs: str | None, **attributes: Any
    ) -> list[Value]:
        """Write a node with several outputs: :meth:`add`."""
        given = {key: value for key, value in attributes.items() if value is not None}
        left = [*inputs]
        while left and left[-1] is None:
            left.pop()
        types = [each.dtype if isinstance(each, Value) else None for each in left]
        self._check(kind, types, given, count)
        outputs = [Value(self.name(kind.lower())) for _ in range(count)]
        names = ["" if each is None else str(each) for each in left]
        self.nodes.append(Written(kind, names, [str(each) for each in outputs], given))
        return outputs

    def _check(self, kind: str, types: list[Any], attributes: dict[str, Any], count: int) -> None:
        if has(kind, self.opset, tuple(types), tuple(sorted(attributes)), count):
            return
        newer = range(self.opset + 1, onnx.defs.onnx_opset_version() + 1)
        for version in newer:
            if has(kind, version, tuple(types), tuple(sorted(attributes)), count):
                raise Newer(kind, version)
        raise Newer(kind, None)

    # -- nodes whose inputs have moved between the sets of operators --------------------------

    def cast(self, x: Value, dtype: Any) -> Value:
        """The same values in a data type."""
        if x.dtype == np.dtype(dtype):
            return x
        to = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        return Value(self.add("Cast", x, to=to), x.shape, dtype)

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The same elements in another shape."""
        if tuple(shape) == x.shape:
            return x
        y = self.add("Reshape", x, self.constant(list(shape), np.int64))
        return Value(y, tuple(shape), x.dtype)

    def expand(self, x: Value, shape: Sequence[int]) -> Value:
        """Broadcast to a shape."""
        if tuple(shape) == x.shape:
            return x
        y = self.add("Expand", x, self.constant(list(shape), np.int64))
        return Value(y, tuple(shape), x.dtype)

    def transpose(self, x: Value, order: Sequence[int]) -> Value:
        """The axes in another order."""
        if list(order) == [*range(x.ndim)]:
            return x
        shape = tuple(x.shape[i] for i in order)
        return Value(self.add("Transpose", x, perm=[*map(int, order)]), shape, x.dtype)

    def slice(
        self,
        x: Value,
        starts: Sequence[int],
        ends: Sequence[int],
        axes: Sequence[int],
        steps: Sequence[int] | None = None,
    ) -> Value:
        """A part of the input."""
        lists = [starts, ends, axes] + ([] if steps is None else [steps])
        y = self.add("Slice", x, *[self.constant(list(map(int, each)), np.int64) for each in lists])
        return Value(y, (), x.dtype)

    def reduce(self, kind: str, x: Value, axes: Sequence[int], keepdims: bool) -> Value:
        """A reduction over some axes, which are an attribute or an input."""
        axes = [int(axis) for axis in axes]
        shape = tuple(
            1 if axis in axes else size
            for axis, size in enumerate(x.shape)
            if keepdims or axis not in axes
        )
        keep = int(keepdims)
        if not axes:
            return x
        if kind == "ReduceSum" or self.opset >= 18:
            y = self.add(kind, x, self.constant(axes, np.int64), keepdims=keep)
        else:
            y = self.add(kind, x, axes=axes, keepdims=keep)
        return Value(y, shape, x.dtype)


@cache
def has(
    kind: str, version: int, types: tuple[Any, ...], attributes: tuple[str, ...], count: int
) -> bool:
    """Whether a set of operators has this one, with these attributes and types of inputs."""
    try:
        schema: Any = onnx.defs.get_schema(kind, version, "")
    except onnx.defs.SchemaError:
        return False
    if schema.deprecated or not set(attributes) <= set(schema.attributes):
        return False
    if not schema.min_input <= len(types) <= schema.max_input or count > schema.max_output:
        return False
    allowed = {each.type_param_str: each.allowed_type_strs for each in schema.type_constraints}
    for i, dtype in enumerate(types):
        declared = schema.inputs[min(i, len(schema.inputs) - 1)].type_str
        if dtype is not None and declared in allowed and type_name(dtype) not in allowed[declared]:
            return False
    return True


def type_name(dtype: np.dtype[Any]) -> str:
    """ONNX's name of the type of Tensors of a data type."""
    name = {"float32": "float", "float64": "double", "bfloat16": "bfloat16"}
    return f"tensor({name.get(dtype.name, dtype.name)})"
