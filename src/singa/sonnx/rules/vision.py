"""Parts of images: sampled at points, pooled from boxes, chosen among boxes."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.sonnx.rules.rule import Call, formula, looked_at, rule
from singa.sonnx.rules.windows import geometry

Known = np.ndarray[Any, Any]


@rule("GridSample")
def _grid_sample(call: Call, x: Tensor, grid: Tensor) -> Tensor:
    mode = call("mode", "linear")
    return formula(
        _sampled_on_grid, x, grid,
        mode={"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode),
        padding=call("padding_mode", "zeros"), corners=bool(call("align_corners", 0)),
    )  # fmt: skip


def _sampled_on_grid(x: CTensor, grid: CTensor, mode: str, padding: str, corners: bool) -> CTensor:
    """x: (N, C, *space), grid: (N, *result, axes), whose last axis begins with the last one."""
    space = x.shape[2:]
    ends = [(0.0, n - 1.0) if corners else (-0.5, n - 0.5) for n in space]
    places = []
    for axis, (size, (low, high)) in enumerate(zip(space, ends, strict=True)):
        point = grid[..., len(space) - 1 - axis].astype(jnp.promote_types(grid.dtype, jnp.float32))
        place = (point + 1) / 2 * (size - 1) if corners else ((point + 1) * size - 1) / 2
        if mode == "nearest":
            place = jnp.rint(place)
        outside = (place < low) | (place > high)
        if padding == "border" and mode != "cubic":  # whose pixels are moved, one by one
            place = jnp.where(outside, jnp.clip(place, 0, size - 1), place)
        elif padding == "reflection":
            place = jnp.where(outside, _reflected(place, low, high), place)
        places.append(place)

    def sampled(image: CTensor, *places: CTensor) -> CTensor:
        return _sampled(image, places, mode, padding, ends)

    return jax.vmap(sampled)(x, *places)


def _reflected(place: CTensor, low: float, high: float) -> CTensor:
    """The place, reflected at the ends until it is between them."""
    span = high - low
    if span <= 0:
        return jnp.zeros_like(place)
    along = jnp.mod(place - low, 2 * span)
    return jnp.where(along > span, 2 * span - along, along) + low


def _sampled(
    image: CTensor,
    places: Sequence[CTensor],
    mode: str,
    padding: str,
    ends: Sequence[tuple[float, float]] = (),
) -> CTensor:
    """The values of an image (C, *space) at places, an array for each axis: (C, *result)."""
    taps = [[(pixel, factor) for pixel, factor in _taps(place, mode)] for place in places]
    total: Any = 0.0
    for chosen in itertools.product(*taps):
        factor: Any = 1.0
        indices = []
        for axis, (pixel, part) in enumerate(chosen):
            size = image.shape[1 + axis]
            if padding == "zeros":
                part = jnp.where((pixel >= 0) & (pixel < size), part, 0)
            elif padding == "reflection":
                pixel = _reflected(pixel, *ends[axis])
            indices.append(jnp.clip(jnp.nan_to_num(pixel), 0, size - 1).astype(jnp.int32))
            factor = factor * part
        found = image[(slice(None), *indices)]
        total = total + jnp.where(factor == 0, 0, found * factor)
    return total.astype(image.dtype)


def _taps(place: CTensor, mode: str) -> list[tuple[CTensor, CTensor]]:
    """The pixels along an axis that a place lies between, and their weights."""
    if mode == "nearest":
        return [(place, jnp.ones_like(place))]
    first = jnp.floor(place)
    part = place - first
    if mode == "linear":
        return [(first, 1 - part), (first + 1, part)]
    a = -0.75

    def inner(t: CTensor) -> CTensor:
        return ((a + 2) * t - (a + 3)) * t * t + 1

    def outer(t: CTensor) -> CTensor:
        return ((a * t - 5 * a) * t + 8 * a) * t - 4 * a

    return [
        (first - 1, outer(part + 1)), (first, inner(part)),
        (first + 1, inner(1 - part)), (first + 2, outer(2 - part)),
    ]  # fmt: skip


@rule("DeformConv")
def _deform_conv(
    call: Call, x: Tensor, w: Tensor, offset: Tensor, b: Any = None, mask: Any = None
) -> Tensor:
    strides, dilations, pads = geometry(call, x.shape[2:], w.shape[2:])
    given = [x, w, offset] if mask is None else [x, w, offset, mask]
    y = formula(
        _deformed, *given, strides=strides, dilations=dilations, pads=pads,
        groups=call("group", 1), parts=call("offset_group", 1),
    )  # fmt: skip
    return y if b is None else y + op.reshape(b, (-1, *[1] * (x.ndim - 2)))


def _deformed(
    x: CTensor, w: CTensor, offset: CTensor, mask: CTensor | None = None, *, strides: Any,
    dilations: Any, pads: Any, groups: int, parts: int,
) -> CTensor:  # fmt: skip
    """A convolution (Dai et al., 2017) whose window's pixels are moved by the offsets."""
    rank, window, results = x.ndim - 2, w.shape[2:], offset.shape[2:]
    count = int(np.prod(window))
    batch, channels = x.shape[:2]
    moved = offset.reshape(batch, parts, count, rank, *results)
    taps = np.stack(np.meshgrid(*map(np.arange, window), indexing="ij")).reshape(rank, count)
    places = []
    for axis in range(rank):
        begin = np.arange(results[axis]) * strides[axis] - pads[axis][0]
        begin = begin.reshape([-1 if i == axis else 1 for i in range(rank)])
        at = taps[axis].reshape(-1, *[1] * rank) * dilations[axis] + begin
        places.append(moved[:, :, :, axis] + jnp.asarray(at, x.dtype))

    def sampled(image: CTensor, *places: CTensor) -> CTensor:
        return _sampled(image, places, "linear", "zeros")

    images = x.reshape(batch, parts, channels // parts, *x.shape[2:])
    found = jax.vmap(jax.vmap(sampled))(images, *places)  # batch, parts, channels, count, *results
    if mask is not None:
        found = found * mask.reshape(batch, parts, 1, count, *results)
    found = found.reshape(batch, groups, channels // groups, count, *results)
    kernel = w.reshape(groups, -1, channels // groups, count)
    y = jnp.einsum("bgck...,gock->bgo...", found, kernel, precision=jax.lax.Precision.HIGHEST)
    return y.reshape(batch, -1, *results)


@rule("RoiAlign")
def _roi_align(call: Call, x: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
    half = call("coordinate_transformation_mode", "half_pixel") == "half_pixel"
    half = half and call.version >= 16
    scale, ratio = call("spatial_scale", 1.0), call("sampling_ratio", 0)
    shape = (call("output_height", 1), call("output_width", 1))
    most: tuple[int, ...] = (ratio, ratio)
    if not ratio:  # how many samples depends on the boxes
        known = looked_at(boxes, "RoiAlign").astype(np.float32).reshape(-1, 4) * np.float32(scale)
        sizes = known[:, [3, 2]] - known[:, [1, 0]]
        sizes = sizes if half else np.maximum(sizes, 1)
        most = tuple(
            max(1, int(np.ceil(sizes[:, i] / n).max(initial=1))) for i, n in enumerate(shape)
        )
    return formula(
        _aligned, x, boxes, images, shape=shape, scale=scale, half=half, most=most,
        adaptive=not ratio, largest=call("mode", "avg") == "max",
    )  # fmt: skip


def _aligned(
    x: CTensor, boxes: CTensor, images: CTensor, shape: Any, scale: float, half: bool, most: Any,
    adaptive: bool, largest: bool,
) -> CTensor:  # fmt: skip
    shift = 0.5 if half else 0.0
    boxes = boxes * jnp.asarray(scale, boxes.dtype) - jnp.asarray(shift, boxes.dtype)
    axes = []
    for i in range(2):
        begin, end = boxes[:, 1 - i], boxes[:, 3 - i]
        length = end - begin if half else jnp.maximum(end - begin, 1)
        axes.append(_samples(begin, length, x.shape[2 + i], shape[i], most[i], adaptive))
    if largest:
        return _largest_sample(x[images], axes, most)
    matrices = []
    for (taps, here), size in zip(axes, x.shape[2:], strict=True):
        numbers = jnp.arange(size)
        first, second = (
            jnp.where(pixel[..., None] == numbers, part[..., None], 0) for pixel, part in taps
        )
        each = first + second
        matrices.append(each.sum(2) / here.sum(2)[..., None])  # boxes, result, size
    return jnp.einsum(
        "rchw,rih,rjw->rcij", x[images], *matrices,
        precision=jax.lax.Precision.HIGHEST,
    ).astype(x.dtype)  # fmt: skip


def _samples(
    begin: CTensor, length: CTensor, size: int, result: int, most: int, adaptive: bool
) -> tuple[list[tuple[CTensor, CTensor]], CTensor]:
    """Samples along an axis, (boxes, result, most): two pixels with weights, and which count."""
    step = length / result
    count = jnp.clip(jnp.ceil(step), 1, most) if adaptive else jnp.full_like(step, most)
    number = jnp.arange(most, dtype=begin.dtype)
    cell = jnp.arange(result, dtype=begin.dtype)[:, None]
    each = (step / count)[:, None, None]
    place = begin[:, None, None] + cell * step[:, None, None] + (number + 0.5) * each
    here = jnp.broadcast_to(number < count[:, None, None], place.shape)
    counts = here & (place >= -1) & (place <= size)
    place = jnp.clip(place, 0, size - 1)
    first = jnp.floor(place)
    part = place - first
    second = jnp.minimum(first + 1, size - 1)
    taps = [(first, 1 - part), (second, part)]
    return [(p.astype(jnp.int32), jnp.where(counts, f, 0)) for p, f in taps], here


def _largest_sample(x: CTensor, axes: Any, most: Any) -> CTensor:
    """The largest of all weighted pixels, which is what ONNX's mode max means."""
    (rows, row_here), (columns, column_here) = axes
    here = row_here[:, :, :, None, None] & column_here[:, None, None]
    values = []
    for (row, above), (column, left) in itertools.product(rows, columns):
        pixels = jax.vmap(lambda image, r, c: image[:, r][..., c])(x, row, column)
        factor = above[:, :, :, None, None] * left[:, None, None]
        values.append(pixels * factor[:, None])
    found = functools.reduce(jnp.maximum, values)
    return jnp.where(here[:, None], found, -jnp.inf).max((3, 5)).astype(x.dtype)


@rule("MaxRoiPool")
def _max_roi_pool(call: Call, x: Tensor, boxes: Tensor) -> Tensor:
    return formula(
        _pooled_boxes, x, boxes, shape=tuple(call("pooled_shape")),
        scale=call("spatial_scale", 1.0),
    )  # fmt: skip


def _pooled_boxes(x: CTensor, boxes: CTensor, shape: Any, scale: float) -> CTensor:
    def inside(begin: CTensor, end: CTensor, count: int, size: int) -> CTensor:
        """Which pixels along an axis are in each of the parts of a box."""
        begin, end = (jnp.floor(each * scale + 0.5) for each in (begin, end))
        step = jnp.maximum(end - begin + 1, 1) / count
        number = jnp.arange(count)
        first = jnp.clip(jnp.floor(number * step) + begin, 0, size)[:, None]
        last = jnp.clip(jnp.ceil((number + 1) * step) + begin, 0, size)[:, None]
        pixels = jnp.arange(size)
        return (pixels >= first) & (pixels < last)

    def pooled(box: CTensor) -> CTensor:
        image = x[box[0].astype(jnp.int32)]
        rows = inside(box[2], box[4], shape[0], x.shape[2])
        columns = inside(box[1], box[3], shape[1], x.shape[3])
        least = jnp.asarray(-jnp.inf, x.dtype)
        most = jnp.where(rows[:, :, None], image[:, None], least).max(2)
        most = jnp.where(columns[None, None], most[:, :, None], least).max(3)
        return jnp.where(rows.any(1)[:, None] & columns.any(1), most, 0)

    return jax.lax.map(pooled, boxes)


@rule("NonMaxSuppression", known=(0, 1, 2, 3, 4))
def _non_max_suppression(
    call: Call, boxes: Known, scores: Known, most: Any = None, overlap: Any = None,
    least: Any = None,
) -> Known:  # fmt: skip
    limit = 0 if most is None else int(most.reshape(-1)[0])
    threshold = 0.0 if overlap is None else float(overlap.reshape(-1)[0])
    corners = _corners(boxes, bool(call("center_point_box", 0)))
    found = []
    for image, number in np.ndindex(*scores.shape[:2]):
        score = scores[image, number]
        order = np.argsort(-score, kind="stable")
        if least is not None:
            order = order[score[order] > least.reshape(-1)[0]]
        for chosen in _apart(corners[image], order, limit, threshold):
            found.append((image, number, chosen))
    return np.array(found, np.int64).reshape(-1, 3)


def _corners(boxes: Known, centred: bool) -> Known:
    """The least and the largest place of each box along both axes."""
    if centred:
        x, y, width, height = np.moveaxis(boxes, -1, 0)
        return np.stack([y - height / 2, x - width / 2, y + height / 2, x + width / 2], -1)
    a, b = boxes[..., :2], boxes[..., 2:]
    return np.concatenate([np.minimum(a, b), np.maximum(a, b)], -1)


def _apart(boxes: Known, order: Known, limit: int, threshold: float) -> list[int]:
    """The boxes in this order, without those that lie over one before."""
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    chosen: list[int] = []
    while len(order) and len(chosen) < limit:
        first, order = order[0], order[1:]
        chosen.append(int(first))
        sides = np.minimum(boxes[first, 2:], boxes[order, 2:]) - np.maximum(
            boxes[first, :2], boxes[order, :2]
        )
        common = np.maximum(sides, 0).prod(1)
        whole = areas[first] + areas[order] - common
        covered = np.divide(common, whole, out=np.zeros_like(common), where=whole > 0)
        order = order[covered <= threshold]
    return chosen
