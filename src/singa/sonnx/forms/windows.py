"""Convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer


def _ends(padding: Any) -> list[int]:
    """ONNX's order: all those before, then all those after."""
    return [int(before) for before, _ in padding] + [int(after) for _, after in padding]


@form(op.Convolution, op.Convolution2d, of=("stride", "padding", "dilation", "groups"))
def _convolution(w: Writer, operation: Any, *xs: Value) -> str:
    return _filtered(w, "Conv", operation, xs)


@form(op.ConvolutionTranspose, of=("stride", "padding", "dilation", "groups", "output_padding"))
def _convolution_transpose(w: Writer, operation: Any, *xs: Value) -> str:
    more = list(operation.output_padding)
    return _filtered(w, "ConvTranspose", operation, xs, output_padding=more)


def _filtered(w: Writer, kind: str, operation: Any, xs: Sequence[Value], **more: Any) -> str:
    if len({x.dtype for x in xs}) != 1 or min(_ends(operation.padding)) < 0:
        raise Unfit("the inputs are of several types, or the padding is negative")
    return w.add(
        kind, *xs, kernel_shape=list(xs[1].shape[2:]), strides=list(operation.stride),
        pads=_ends(operation.padding), dilations=list(operation.dilation),
        group=int(operation.groups), **more,
    )  # fmt: skip


def _pads(operation: Any, x: Value) -> list[int]:
    """The pads, with what ``ceil_mode`` adds for this size of images."""
    asked = operation.copy()
    asked.outputs(jax.ShapeDtypeStruct(x.shape, x.dtype))
    return _ends(asked.pads)


@form(
    op.MaxPooling,
    op.MaxPooling2d,
    of=("window", "stride", "padding", "ceil_mode", "dilation", "return_indices"),
)
def _max_pooling(w: Writer, operation: Any, x: Value) -> Any:
    attributes = {
        "kernel_shape": list(operation.window),
        "strides": list(operation.stride),
        "pads": _pads(operation, x),
        "dilations": list(operation.dilation),
    }
    if operation.return_indices:
        raise Unfit("the indices of ONNX count over the whole batch")
    if max(attributes["pads"]) >= min(operation.window):
        raise Unfit("runtimes refuse as much padding")
    return w.add("MaxPool", x, **attributes)


@form(
    op.AveragePooling,
    op.AveragePooling2d,
    of=("window", "stride", "padding", "ceil_mode", "dilation", "count_include_pad", "divisor"),
)
def _average_pooling(w: Writer, operation: Any, x: Value) -> Any:
    if operation.divisor is not None:
        raise Unfit("ONNX has no divisor")
    pads = _pads(operation, x)
    if operation.count_include_pad and pads != _ends(operation.padding):
        raise Unfit("what ceil_mode adds is no padding that counts")
    return w.add(
        "AveragePool", x, kernel_shape=list(operation.window), strides=list(operation.stride),
        pads=pads, count_include_pad=int(operation.count_include_pad),
    )  # fmt: skip


@form(op.GlobalAveragePool, of=("data_format",))
def _global_average(w: Writer, operation: Any, x: Value) -> Any:
    if operation.data_format != "channels_first":
        raise Unfit("the channels are last")
    return w.add("GlobalAveragePool", x)


@form(op.AdaptiveAveragePooling, of=("size",))
def _adaptive_average(w: Writer, operation: Any, x: Value) -> Any:
    return _adaptive(w, operation, x, "AveragePool", "GlobalAveragePool")


@form(op.AdaptiveMaxPooling, of=("size",))
def _adaptive_max(w: Writer, operation: Any, x: Value) -> Any:
    return _adaptive(w, operation, x, "MaxPool", "GlobalMaxPool")


def _adaptive(w: Writer, operation: Any, x: Value, kind: str, of_all: str) -> Any:
    space = x.shape[2:]
    if all(size == 1 for size in operation.size):
        return w.add(of_all, x)
    if any(size % count for size, count in zip(space, operation.size, strict=True)):
        raise Unfit("the windows are not of one size")
    steps = [size // count for size, count in zip(space, operation.size, strict=True)]
    return w.add(kind, x, kernel_shape=steps, strides=steps)


@form(op.Resize, of=("size", "mode"))
def _resize(w: Writer, operation: Any, x: Value) -> Any:
    if operation.mode == "nearest":
        raise Unfit("runtimes round its places in several ways")
    sizes = w.constant([*x.shape[:2], *operation.size], np.int64)
    return w.add(
        "Resize", x, None, None, sizes, mode="linear", coordinate_transformation_mode="half_pixel"
    )
