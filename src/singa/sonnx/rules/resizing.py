"""Resize and Upsample: one matrix of weights for each axis, made beforehand with NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor, is_float
from singa.errors import FormatError
from singa.sonnx.rules.rule import Call, formula, rule

Known = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scheme:
    """How places in the result become places in the image, and weights of its pixels."""

    mode: str = "nearest"
    places: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False


@dataclass(frozen=True)
class Along:
    """One axis: its size before and after, how many times longer, and the part that is seen."""

    size: int
    result: int
    scale: float
    start: float = 0.0
    end: float = 1.0

    def places(self, mode: str) -> Known:
        """The place of each pixel of the result in the image; pixel i is at i."""
        x = np.arange(self.result, dtype=np.float32)
        scale = np.float32(self.scale)
        last = np.float32(self.size - 1)
        if mode == "align_corners":
            return x * last / np.float32(self.result - 1) if self.result > 1 else 0 * x
        if mode == "asymmetric":
            return x / scale
        if mode == "tf_half_pixel_for_nn":
            return (x + np.float32(0.5)) / scale
        if mode == "tf_crop_and_resize":
            start, end = np.float32(self.start), np.float32(self.end)
            if self.result == 1:
                return 0 * x + (start + end) * last / 2
            return start * last + x * (end - start) * last / np.float32(self.result - 1)
        if mode == "pytorch_half_pixel" and self.result == 1:
            return 0 * x
        if mode not in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
            raise FormatError(f"Resize: there are no places {mode!r}")
        found = (x + np.float32(0.5)) / scale - np.float32(0.5)
        if mode == "half_pixel_symmetric":
            part = np.float32(self.result / (self.scale * self.size))
            found = found + np.float32(self.size / 2) * (1 - part)
        return found


def nearest(along: Along, scheme: Scheme) -> Known:
    """The number of the pixel for each place of the result."""
    x = along.places(scheme.places)
    found = {
        "round_prefer_floor": lambda: np.ceil(x - np.float32(0.5)),
        "round_prefer_ceil": lambda: np.floor(x + np.float32(0.5)),
        "floor": lambda: np.floor(x),
        "ceil": lambda: np.ceil(x),
        "simple": lambda: np.ceil(x) if along.scale < 1 else np.floor(x),
    }[scheme.rounding]()
    return np.clip(found, 0, along.size - 1).astype(np.int32)


def weights(along: Along, scheme: Scheme) -> Known:
    """A matrix: the weight of each pixel (columns) in each place of the result (rows)."""
    x = along.places(scheme.places).astype(np.float64)[:, None]
    narrow = min(along.scale, 1.0) if scheme.antialias else 1.0
    reach = 2 if scheme.mode == "cubic" else 1
    span = int(np.ceil(reach / narrow))
    pixels = np.floor(x) + np.arange(1 - span, span + 1)
    far = np.abs(pixels - x) * narrow
    each = _cubic(far, scheme.cubic) if reach == 2 else np.clip(1 - far, 0, None)
    if scheme.exclude_outside:
        each = np.where((pixels >= 0) & (pixels < along.size), each, 0)
    if scheme.exclude_outside or scheme.antialias:
        each = each / each.sum(1, keepdims=True)
    matrix = np.zeros((along.result, along.size))
    columns = np.clip(pixels, 0, along.size - 1).astype(np.int64)
    np.add.at(matrix, (np.arange(along.result)[:, None], columns), each)
    return matrix


def _cubic(far: Known, a: float) -> Known:
    """Keys' cubic (1981) at these distances."""
    inner = ((a + 2) * far - (a + 3)) * far * far + 1
    outer = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a
    return np.where(far <= 1, inner, np.where(far < 2, outer, 0))


@rule("Resize", since=11, known=(1, 2, 3))
def _resize(
    call: Call, x: Tensor, roi: Any = None, scales: Any = None, sizes: Any = None
) -> Tensor:
    scheme = Scheme(
        call("mode", "nearest"),
        call("coordinate_transformation_mode", "half_pixel"),
        call("nearest_mode", "round_prefer_floor"),
        call("cubic_coeff_a", -0.75),
        bool(call("antialias", 0)),
        bool(call("exclude_outside", 0)),
    )
    axes = [axis % x.ndim for axis in call("axes") or range(x.ndim)]
    crops = scheme.places == "tf_crop_and_resize"
    parts = [(0.0, 1.0)] * len(axes)
    if crops and roi is not None and roi.size:
        parts = list(zip(roi[: len(axes)].tolist(), roi[len(axes) :].tolist(), strict=True))
    given = [x.shape[axis] for axis in axes]
    if scales is not None and scales.size:
        factors = scales.astype(np.float32)
        # Of the whole image: ONNX's text says of the part, but no implementation does that.
        results = [
            int(np.floor(np.float32(size) * factor))
            for size, factor in zip(given, factors, strict=True)
        ]
        times = factors.tolist()
    elif sizes is not None and sizes.size:
        times, results = _of_sizes(call("keep_aspect_ratio_policy", "stretch"), given, sizes)
    else:
        raise FormatError("Resize: scales or sizes must be given")
    alongs = {
        axis: Along(size, result, scale, start, end)
        for axis, size, result, scale, (start, end) in zip(
            axes, given, results, times, parts, strict=True
        )
    }
    return _resized(x, alongs, scheme, call("extrapolation_value", 0.0))


def _of_sizes(policy: str, given: list[int], sizes: Known) -> tuple[list[float], list[int]]:
    scales = [float(size / old) for size, old in zip(sizes.tolist(), given, strict=True)]
    if policy == "stretch":
        return scales, sizes.tolist()
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [scale] * len(given), [int(np.floor(scale * old + 0.5)) for old in given]


@rule("Resize", "Upsample", since=9, known=(1,))
def _upsample(call: Call, x: Tensor, scales: Known) -> Tensor:
    return _scaled(call, x, scales)


@rule("Upsample")
def _upsample_of_attribute(call: Call, x: Tensor) -> Tensor:
    return _scaled(call, x, np.array(call("scales"), np.float32))


def _scaled(call: Call, x: Tensor, scales: Known) -> Tensor:
    mode = call("mode", "nearest")
    scheme = Scheme("linear" if mode == "bilinear" else mode, "asymmetric", "simple")
    alongs = {
        axis: Along(size, int(np.floor(size * scale)), float(scale))
        for axis, (size, scale) in enumerate(zip(x.shape, scales, strict=True))
    }
    return _resized(x, alongs, scheme, 0.0)


def _resized(x: Tensor, alongs: dict[int, Along], scheme: Scheme, beyond: float) -> Tensor:
    crops = scheme.places == "tf_crop_and_resize"
    changed = {
        axis: along for axis, along in alongs.items()
        if along.size != along.result or along.scale != 1 or crops
    }  # fmt: skip
    y = x
    if scheme.mode == "nearest":
        for axis, along in changed.items():
            y = op.gather(y, axis, _constant(nearest(along, scheme), x))
    elif changed:
        matrices = [weights(along, scheme) for along in changed.values()]
        dtype = x.dtype if is_float(x.dtype) else np.dtype(np.float32)
        y = formula(
            _products, x, *[_constant(each.astype(dtype), x) for each in matrices],
            axes=tuple(changed),
        )  # fmt: skip
    if crops:
        y = _filled(y, changed, scheme, beyond)
    return op.identity(x) if y is x else y


def _products(x: CTensor, *matrices: CTensor, axes: tuple[int, ...]) -> CTensor:
    """The axes multiplied by these matrices; the sums are those of the matrices' type."""
    y = x.astype(matrices[0].dtype)
    for axis, matrix in zip(axes, matrices, strict=True):
        y = jnp.tensordot(y, matrix, ((axis,), (1,)), precision=jax.lax.Precision.HIGHEST)
        y = jnp.moveaxis(y, -1, axis)
    if jnp.issubdtype(x.dtype, jnp.integer):
        ends = jnp.iinfo(x.dtype)
        y = jnp.clip(y, ends.min, ends.max)
    return y.astype(x.dtype)


def _filled(y: Tensor, alongs: dict[int, Along], scheme: Scheme, beyond: float) -> Tensor:
    """The result of a crop, with a value of its own where it is not in the image."""
    outside = np.zeros([1] * y.ndim, bool)
    for axis, along in alongs.items():
        x = along.places(scheme.places)
        around = [-1 if i == axis else 1 for i in range(y.ndim)]
        outside = outside | ((x < 0) | (x > along.size - 1)).reshape(around)
    if not outside.any():
        return y
    number = _constant(np.asarray(beyond).astype(y.dtype), y)
    return op.where(number, y, _constant(np.broadcast_to(outside, y.shape), y))


def _constant(array: Known, like: Tensor) -> Tensor:
    return Tensor(data=array, device=like.device, requires_grad=False)
