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

MOST_STEPS = 10_000
"""No loop goes on for longer."""

MOST_STEPS_IN_ALL = 100_000
"""All loops of one run of a model together, loops in loops too, take no more steps."""

WIDEST = 2**16
"""No window is wider, and no step of one is."""

Attributes = Mapping[str, Any]


class Steps:
    """Counts the steps of all loops in one run of a model."""

    def __init__(self) -> None:
        self._count = 0

    def add(self, node: Node) -> None:
        """Count one more.

        Raises:
            FormatError: there are too many.
        """
        self._count += 1
        if self._count > MOST_STEPS_IN_ALL:
            raise FormatError(f"{node}: all loops together take over {MOST_STEPS_IN_ALL} steps")


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
    if node.kind in _OF_WINDOWS:
        for name in _WIDTHS & node.attributes.keys():
            widest = np.abs(np.atleast_1d(node.attributes[name]).astype(np.float64)).max(initial=0)
            if widest > WIDEST:
                raise FormatError(f"{node}: {name} of {widest:.3g} is more than {WIDEST}")


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
    return _product(getattr(x, "shape", ()))


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
