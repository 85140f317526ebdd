"""Bounds on what a file may ask for, which are checked before memory is taken."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from singa.errors import FormatError
from singa.sonnx.graph import Node

MOST_ELEMENTS = 2**28
"""No operator makes a larger result out of numbers alone."""

MOST_GROWTH = 256
"""No product of axes, and no result of several nodes, makes so many times more elements."""

MOST_STEPS = 10_000
"""No loop goes on for longer."""

MOST_STEPS_IN_ALL = 100_000
"""All loops of one run of a model together, loops in loops too, take no more steps."""

WIDEST = 2**16
"""No window is wider, and no step of one is."""

Attributes = Mapping[str, Any]


class Budget:
    """What one run of a model, with all graphs inside of it, may use.

    Args:
        values: what the run begins with.
        most: how many steps its loops may take together; :data:`MOST_STEPS_IN_ALL` if not given.
    """

    def __init__(self, values: Mapping[str, Any], most: int | None = None) -> None:
        self._values = values
        self.steps_left = MOST_STEPS_IN_ALL if most is None else most

    def take_step(self, node: Node, count: int = 1) -> None:
        """Count a step of a loop, or several.

        Raises:
            FormatError: there are too many.
        """
        self.steps_left -= count
        if self.steps_left < 0:
            raise FormatError(f"{node}: all loops together take over {MOST_STEPS_IN_ALL} steps")

    def check_result(self, node: Node, size: float) -> None:
        """Refuse results that grow from node to node.

        Raises:
            FormatError: one has too many elements for what the run has begun with.
        """
        if size > MOST_ELEMENTS:
            check_growth(node, size, sum(map(_elements, self._values.values())))


def check_sizes(node: Node, xs: Sequence[Any]) -> None:
    """Refuse a node whose numbers ask for a result that is too large.

    Args:
        node: the node.
        xs: its inputs; those that decide about the shape are arrays.

    Raises:
        FormatError: it asks for too much.
    """
    count = _SIZES.get(node.kind)
    if count is not None and not node.domain:
        size = count(node.attributes, xs)
        if not size <= MOST_ELEMENTS:
            raise FormatError(f"{node}: {size:.3g} elements are more than {MOST_ELEMENTS}")
    if node.kind in _OF_SEVERAL and not node.domain:
        given = [x for x in xs if hasattr(x, "shape")]
        check_growth(node, _OF_SEVERAL[node.kind](given), sum(map(_elements, given)))
    if node.kind in _OF_WINDOWS:
        for name in _WIDTHS & node.attributes.keys():
            widest = np.abs(np.atleast_1d(node.attributes[name]).astype(np.float64)).max(initial=0)
            if widest > WIDEST:
                raise FormatError(f"{node}: {name} of {widest:.3g} is more than {WIDEST}")


def check_growth(node: Node, size: float, given: float) -> None:
    """Refuse a result of so many elements, out of so many that were given.

    Raises:
        FormatError: it is large, and they are few.
    """
    if size > MOST_ELEMENTS and size > MOST_GROWTH * given:
        raise FormatError(f"{node}: {size:.3g} elements out of {given:.3g} are too many")


_OF_WINDOWS = {
    "AveragePool", "Col2Im", "Conv", "ConvInteger", "ConvTranspose", "DeformConv", "FusedConv",
    "GlobalLpPool", "LRN", "LpPool", "MaxPool", "MaxRoiPool", "MaxUnpool", "QLinearConv",
    "RoiAlign", "SpaceToDepth", "DepthToSpace",
}  # fmt: skip
_WIDTHS = {
    "kernel_shape", "strides", "dilations", "pads", "output_padding", "output_shape", "size",
    "pooled_shape", "output_height", "output_width", "sampling_ratio", "blocksize", "group",
}  # fmt: skip


def _product(numbers: Any) -> float:
    return math.prod(max(float(each), 0.0) for each in np.ravel(numbers))


def _elements(x: Any) -> float:
    return sum(map(_elements, x)) if isinstance(x, list) else _product(getattr(x, "shape", ()))


def _of_range(_: Attributes, xs: Sequence[Any]) -> float:
    start, end, step = (float(np.ravel(x)[0]) for x in xs[:3])
    return (end - start) / step if step else 0.0


def _of_pads(attributes: Attributes, xs: Sequence[Any]) -> float:
    x, pads = xs[0], np.ravel(xs[1] if len(xs) > 1 else attributes.get("pads", ()))
    half = len(pads) // 2
    axes = np.ravel(xs[3]).tolist() if len(xs) > 3 and xs[3] is not None else range(half)
    sizes = [float(size) for size in x.shape]
    for axis, before, after in zip(axes, pads[:half], pads[half:], strict=False):
        if axis < len(sizes):
            sizes[int(axis)] += float(before) + float(after)
    return _product(sizes)


def _of_resize(attributes: Attributes, xs: Sequence[Any]) -> float:
    sizes = xs[3] if len(xs) > 3 else None
    if sizes is not None and np.size(sizes):
        rest = len(xs[0].shape) - np.size(sizes)  # axes that are not named stay
        return _product(sizes) * (_elements(xs[0]) if rest > 0 else 1.0)
    number = 2 if len(xs) > 2 else 1
    scales = xs[number] if len(xs) > number else attributes.get("scales", ())
    return _elements(xs[0]) * _product([] if scales is None else scales)


def _of_shape(_: Attributes, xs: Sequence[Any]) -> float:
    return _product(xs[0])


_SIZES: dict[str, Callable[[Attributes, Sequence[Any]], float]] = {
    "ConstantOfShape": _of_shape,
    "Expand": lambda _, xs: _product(xs[1]),
    "MaxUnpool": lambda _, xs: _product(xs[2]) if len(xs) > 2 and xs[2] is not None else 0,
    "OneHot": lambda _, xs: _elements(xs[0]) * _product(xs[1]),
    "Pad": _of_pads,
    "RandomNormal": lambda attributes, _: _product(attributes.get("shape", ())),
    "RandomUniform": lambda attributes, _: _product(attributes.get("shape", ())),
    "Multinomial": lambda attributes, xs: _elements(xs[0]) * attributes.get("sample_size", 1),
    "Range": _of_range,
    "Resize": _of_resize,
    "Upsample": _of_resize,
    "Tile": lambda _, xs: _elements(xs[0]) * _product(xs[1]),
    "DFT": lambda _, xs: _product(xs[1]) if len(xs) > 1 and xs[1] is not None else 0,
    "MelWeightMatrix": lambda _, xs: _product(xs[0]) * _product(xs[1]),
    "Col2Im": lambda _, xs: _product(xs[1]),
}


def _of_broadcast(xs: Sequence[Any]) -> float:
    """The size of what arrays are broadcast to, if they can be."""
    rank = max((len(x.shape) for x in xs), default=0)
    padded = [(*[1] * (rank - len(x.shape)), *x.shape) for x in xs]
    return _product([max(sizes) for sizes in zip(*padded, strict=True)])


def _of_matmul(xs: Sequence[Any]) -> float:
    if len(xs) != 2 or min(len(x.shape) for x in xs) < 2:
        return 0.0
    rank = max(len(x.shape) for x in xs)
    batch = [(*[1] * (rank - len(x.shape)), *x.shape[:-2]) for x in xs]
    sizes = [max(each) for each in zip(*batch, strict=True)]
    return _product([*sizes, xs[0].shape[-2], xs[1].shape[-1]])


_OF_SEVERAL: dict[str, Callable[[Sequence[Any]], float]] = {
    **dict.fromkeys(
        ("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max",
         "Mean", "Min", "Mod", "Mul", "Or", "PRelu", "Pow", "Sub", "Sum", "Where", "Xor"),
        _of_broadcast,
    ),
    "MatMul": _of_matmul,
}  # fmt: skip
"""How many elements results have that may be much larger than all inputs together."""
