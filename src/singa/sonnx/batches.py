"""Compares what was written in several runs: what depends on the inputs, and on the batch's size.

A model is run with several inputs. What its operations compute is in the nodes; all else has to be
the same in each run, or to follow from the size of the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx

from singa.device import is_float
from singa.errors import FormatError
from singa.sonnx.forms.writer import Array
from singa.sonnx.forms.writer import Written as Node
from singa.sonnx.writing import Written

BATCH = "batch_size"


def compare(runs: Sequence[Written]) -> None:
    """Raise an error if the runs differ in anything but constants.

    Raises:
        FormatError: they do.
    """
    first = runs[0]
    for other in runs[1:]:
        for a, b in zip(first.writer.nodes, other.writer.nodes, strict=False):
            if not _same_node(a, b):
                raise FormatError(
                    f"the model computes something else for other inputs: {a.kind} of "
                    f"{', '.join(a.inputs)} with {a.attributes}, or {b.kind} of "
                    f"{', '.join(b.inputs)} with {b.attributes}"
                )
        if len(first.writer.nodes) != len(other.writer.nodes) or first.outputs != other.outputs:
            raise FormatError("the model computes something else for other inputs")


def _same_node(a: Node, b: Node) -> bool:
    return (a.kind, a.inputs, a.outputs, a.attributes) == (
        b.kind, b.inputs, b.outputs, b.attributes,
    )  # fmt: skip


def settle(runs: Sequence[Written], sizes: Sequence[int], batch_of: str) -> None:
    """Make the constants of the first run hold for all inputs.

    Args:
        runs: of the same model with several inputs.
        sizes: of the batch in each run.
        batch_of: the input whose first axis is the batch.

    Raises:
        FormatError: a constant depends on the inputs' values, or on the batch's size in a way that
            cannot be written.
    """
    compare(runs)
    first = runs[0]
    users: dict[str, list[Node]] = {}
    for node in first.writer.nodes:
        for name in node.inputs:
            users.setdefault(name, []).append(node)
    made = _Computed(batch_of)
    known: dict[Any, str] = {}
    renamed: dict[str, str] = {}
    used = users.keys() | set(first.outputs.values())
    for name, array in [*first.writer.constants.items()]:
        if name not in used:  # a key for random numbers that are not drawn
            continue
        arrays = [run.writer.constants[name] for run in runs]
        if all(_equal(array, other) for other in arrays[1:]):
            continue
        kinds = [node.kind for node in users.get(name, [])]
        if len(set(sizes)) == 1:
            raise FormatError(_frozen(name, kinds))
        if _is_open_shape(users.get(name, []), name, arrays):
            first.writer.constants[name] = np.where(array == arrays[1], array, -1)
            continue
        key = tuple((each.dtype, each.shape, each.tobytes()) for each in arrays)
        if key in known:
            renamed[name] = known[key]
        elif not made.write(name, arrays, sizes):
            raise FormatError(
                f"{_frozen(name, kinds)}, or on the size of the batch in a way that ONNX cannot "
                "compute"
            )
        known.setdefault(key, name)
        del first.writer.constants[name]
    for node in first.writer.nodes:
        node.inputs = [renamed.get(each, each) for each in node.inputs]
    for output, value in first.outputs.items():
        first.outputs[output] = renamed.get(value, value)
    first.writer.nodes[:0] = made.nodes
    first.writer.constants.update(made.constants)


def _frozen(name: str, kinds: Sequence[str]) -> str:
    used = ", ".join(Counter(kinds)) or "an output"
    return (
        f"a constant ({name}, for {used}) depends on the values of the inputs, or is random: no "
        "operation has computed it"
    )


def _equal(a: Array, b: Array) -> bool:
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def _filled_like(array: Array) -> Array:
    return np.full_like(array, array.reshape(-1)[0])


def _is_open_shape(users: Sequence[Node], name: str, arrays: Sequence[Array]) -> bool:
    """Whether it is the shape of Reshapes in which one size may be left open."""
    if not all(node.kind == "Reshape" and node.inputs[1] == name for node in users):
        return False
    if len({array.shape for array in arrays}) != 1:
        return False
    varies = np.any([array != arrays[0] for array in arrays[1:]], axis=0)
    return int(varies.sum()) == 1 and 0 not in arrays[0]


class _Computed:
    """Nodes that compute constants from the size of the batch."""

    def __init__(self, batch_of: str) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, Array] = {}
        self._batch_of = batch_of

    def write(self, name: str, arrays: Sequence[Array], sizes: Sequence[int]) -> bool:
        """Write nodes for a constant; false if it does not follow from the size."""
        if len({array.shape for array in arrays}) == 1:
            return self._linear(name, arrays, sizes) or self._inverse(name, arrays, sizes)
        shapes = [np.asarray(array.shape, np.int64) for array in arrays]
        if len({len(shape) for shape in shapes}) != 1:
            return False
        values = {value.tobytes() for array in arrays for value in array.reshape(-1)[:1]}
        filled = all(array.size and _equal(array, _filled_like(array)) for array in arrays)
        shape = f"{name}_shape"
        if not filled or len(values) != 1 or not self._linear(shape, shapes, sizes):
            return False
        value = f"{name}_value"
        self.constants[value] = arrays[0].reshape(-1)[0]
        self.nodes.append(Node("Expand", [value, shape], [name], {}))
        return True

    def _linear(self, name: str, arrays: Sequence[Array], sizes: Sequence[int]) -> bool:
        """Nodes for ``base + slope * batch size``, if each run's constant is that."""
        dtype = arrays[0].dtype
        if dtype.kind not in "iu" and not is_float(dtype):
            return False
        wide = [array.astype(np.float64) for array in arrays]
        slope = (wide[1] - wide[0]) / (sizes[1] - sizes[0])
        base = wide[0] - slope * sizes[0]
        fits = all(
            (base + slope * size == array).all() for size, array in zip(sizes, wide, strict=True)
        )
        if not fits or (slope != np.round(slope)).any():
            return False
        self._start()
        by, plus, product = f"{name}_by", f"{name}_plus", f"{name}_product"
        self.constants[by] = slope.astype(np.int64)
        self.constants[plus] = base.astype(dtype)
        self.nodes.append(Node("Mul", [BATCH, by], [product], {}))
        if dtype != np.int64:
            to = onnx.helper.np_dtype_to_tensor_dtype(dtype)
            self.nodes.append(Node("Cast", [product], [f"{product}_cast"], {"to": to}))
            product = f"{product}_cast"
        self.nodes.append(Node("Add", [product, plus], [name], {}))
        return True

    def _inverse(self, name: str, arrays: Sequence[Array], sizes: Sequence[int]) -> bool:
        """Nodes for one divided by such a constant, as in a mean over the batch."""
        if not is_float(arrays[0].dtype) or any((array == 0).any() for array in arrays):
            return False
        inverse = [np.round(1 / array.astype(np.float64)).astype(array.dtype) for array in arrays]
        if any((inv == 0).any() for inv in inverse):
            return False
        if any((1 / inv != array).any() for inv, array in zip(inverse, arrays, strict=True)):
            return False
        if not self._linear(f"{name}_inverse", inverse, sizes):
            return False
        self.nodes.append(Node("Reciprocal", [f"{name}_inverse"], [name], {}))
        return True

    def _start(self) -> None:
        if not self.nodes:
            self.constants[f"{BATCH}_axis"] = np.asarray(0, np.int64)
            self.nodes.append(Node("Shape", [self._batch_of], [f"{BATCH}_shape"], {}))
            self.nodes.append(Node("Gather", [f"{BATCH}_shape", f"{BATCH}_axis"], [BATCH], {}))
