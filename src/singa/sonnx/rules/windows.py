"""Windows that move over images: convolutions, poolings, and what undoes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import DTYPES, CTensor, is_float
from singa.operation.windows import same_ends
from singa.sonnx.rules.rule import Call, formula, rule

Known = np.ndarray[Any, Any]
Pads = tuple[tuple[int, int], ...]


def geometry(
    call: Call, space: Sequence[int], window: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...], Pads]:
    """The strides, dilations, and the padding before and after each axis."""
    rank = len(space)
    strides = tuple(call("strides") or [1] * rank)
    dilations = tuple(call("dilations") or [1] * rank)
    auto = call("auto_pad", "NOTSET")
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        pads = [0] * (2 * rank) if auto == "VALID" else call("pads") or [0] * (2 * rank)
        return strides, dilations, tuple(zip(pads[:rank], pads[rank:], strict=True))
    sizes = zip(space, window, strides, dilations, strict=True)
    return strides, dilations, tuple(same_ends(auto, *each) for each in sizes)


def _flat(pads: Pads) -> tuple[int, ...]:
    return tuple(pad for both in pads for pad in both)


@rule("Conv")
def conv(call: Call, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """A convolution, which fused operators go on with."""
    strides, dilations, pads = geometry(call, x.shape[2:], w.shape[2:])
    groups, rank = call("group", 1), x.ndim - 2
    if min(_flat(pads), default=0) < 0:  # a negative padding crops
        x = op.slice(x, [-min(a, 0) for a, _ in pads],
                     [n + min(z, 0) for n, (_, z) in zip(x.shape[2:], pads, strict=True)],
                     range(2, x.ndim))  # fmt: skip
        pads = tuple((max(a, 0), max(z, 0)) for a, z in pads)
    if rank in _CONVOLUTIONS:
        return _CONVOLUTIONS[rank](x, w, b, strides, _flat(pads), dilations, groups)
    y = formula(_convolution, x, w, strides=strides, pads=pads, dilations=dilations, groups=groups)
    return y if b is None else y + op.reshape(b, (-1, *[1] * rank))


_CONVOLUTIONS = {1: op.conv1d, 2: op.conv2d, 3: op.conv3d}


def _convolution(
    x: CTensor, w: CTensor, strides: Any, pads: Any, dilations: Any, groups: int
) -> CTensor:
    return jax.lax.conv_general_dilated(
        x, w, strides, pads, rhs_dilation=dilations, feature_group_count=groups
    )


@rule("ConvTranspose")
def _conv_transpose(call: Call, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    rank = x.ndim - 2
    window = w.shape[2:]
    strides = tuple(call("strides") or [1] * rank)
    dilations = tuple(call("dilations") or [1] * rank)
    more = tuple(call("output_padding") or [0] * rank)
    auto = call("auto_pad", "NOTSET")
    wanted = call("output_shape")
    if auto in ("SAME_UPPER", "SAME_LOWER") and wanted is None:
        wanted = [size * step for size, step in zip(x.shape[2:], strides, strict=True)]
    if wanted is None:
        given = [0] * (2 * rank) if auto == "VALID" else call("pads") or [0] * (2 * rank)
        pads = list(zip(given[:rank], given[rank:], strict=True))
    else:
        pads = []
        for i, size in enumerate(wanted[-rank:]):
            whole = strides[i] * (x.shape[2 + i] - 1) + more[i] + (window[i] - 1) * dilations[i] + 1
            total = max(whole - size, 0)
            less = total // 2
            pads.append((less, total - less) if auto != "SAME_LOWER" else (total - less, less))
            if whole < size:
                more = (*more[:i], more[i] + size - whole, *more[i + 1 :])
    y = formula(
        _transposed, x, w, strides=strides, pads=tuple(pads), dilations=dilations, more=more,
        groups=call("group", 1),
    )  # fmt: skip
    return y if b is None else y + op.reshape(b, (-1, *[1] * rank))


def _transposed(
    x: CTensor, w: CTensor, strides: Any, pads: Any, dilations: Any, more: Any, groups: int
) -> CTensor:
    inputs, outputs, *window = w.shape
    w = jnp.flip(w, range(2, w.ndim)).reshape(groups, inputs // groups, outputs, *window)
    w = jnp.moveaxis(w, 2, 1).reshape(groups * outputs, inputs // groups, *window)
    reach = [(size - 1) * gap for size, gap in zip(window, dilations, strict=True)]
    around = [
        (far - before, far - after + extra)
        for far, (before, after), extra in zip(reach, pads, more, strict=True)
    ]
    return jax.lax.conv_general_dilated(
        x, w, [1] * len(window), around, lhs_dilation=strides, rhs_dilation=dilations,
        feature_group_count=groups,
    )  # fmt: skip


@rule("MaxPool")
def max_pool(call: Call, x: Tensor) -> Any:
    """The largest element of each window, and perhaps its place."""
    windows = _windows(call, x)
    if len(call.node.outputs) == 1 and _is_plain(x, windows):
        pads = _flat(windows["pads"])
        return _LARGEST[x.ndim - 2](x, windows["window"], windows["strides"], pads)
    least = -np.inf if is_float(x.dtype) else np.iinfo(x.dtype).min
    y = formula(_reduced, x, reduction="max", start=least, **windows)
    if len(call.node.outputs) < 2 or not call.node.outputs[1]:
        return y
    return y, formula(_places, x, order=call("storage_order", 0), start=least, **windows)


@rule("AveragePool")
def average_pool(call: Call, x: Tensor) -> Tensor:
    """The mean of each window."""
    windows = _windows(call, x)
    if _is_plain(x, windows) and not call("ceil_mode", 0):
        around, counts = _flat(windows["pads"]), bool(call("count_include_pad", 0))
        return _MEANS[x.ndim - 2](x, windows["window"], windows["strides"], around, False, counts)
    counted = np.ones((1, 1, *x.shape[2:]), x.dtype)
    if call("count_include_pad", 0):
        # The padding counts, but not what lies beyond it when sizes are rounded up.
        pads = _padding(call, x)
        counted = np.pad(counted, ((0, 0), (0, 0), *pads), constant_values=1)
        beyond = tuple((0, w[1] - p[1]) for w, p in zip(windows["pads"], pads, strict=True))
        count = _sums(counted, {**windows, "pads": beyond})
    else:
        count = _sums(counted, windows)
    return formula(_reduced, x, reduction="add", start=0, **windows) / Tensor(
        data=count.astype(x.dtype), device=x.device, requires_grad=False
    )


_LARGEST = {1: op.max_pool_1d, 2: op.max_pool_2d, 3: op.max_pool_3d}
_MEANS = {1: op.avg_pool_1d, 2: op.avg_pool_2d, 3: op.avg_pool_3d}


def _is_plain(x: Tensor, windows: dict[str, Any]) -> bool:
    """Whether a pooling of this package, which may have a native kernel, has such windows."""
    pads = zip(windows["pads"], windows["window"], strict=True)
    fits = all(min(both) >= 0 and max(both) < size for both, size in pads)
    is_pooled = x.ndim - 2 in _LARGEST and is_float(x.dtype) and str(x.dtype) in DTYPES
    return is_pooled and fits and max(windows["dilations"]) == 1 and x.size() > 0


def _sums(x: Known, windows: dict[str, Any]) -> Known:
    with jax.ensure_compile_time_eval():
        return np.asarray(_reduced(jnp.asarray(x), reduction="add", start=0, **windows))


@rule("LpPool")
def _lp_pool(call: Call, x: Tensor) -> Tensor:
    p = float(call("p", 2))
    powers = _power(op.abs(x), p)
    y = formula(_reduced, powers, reduction="add", start=0, **_windows(call, x))
    return _power(y, 1 / p)


def _power(x: Tensor, p: float) -> Tensor:
    return op.pow(x, Tensor(data=np.asarray(p, x.dtype), device=x.device, requires_grad=False))


def _padding(call: Call, x: Tensor) -> Pads:
    return geometry(call, x.shape[2:], call("kernel_shape"))[2]


def _windows(call: Call, x: Tensor) -> dict[str, Any]:
    """The windows of a pooling; with rounding up, the padding after each axis is larger."""
    window = tuple(call("kernel_shape"))
    strides, dilations, pads = geometry(call, x.shape[2:], window)
    if call("ceil_mode", 0):
        pads = tuple(map(_rounded_up, x.shape[2:], window, strides, dilations, pads))
    return {"window": window, "strides": strides, "dilations": dilations, "pads": pads}


def _rounded_up(
    size: int, length: int, step: int, gap: int, pads: tuple[int, int]
) -> tuple[int, int]:
    before, after = pads
    reach = gap * (length - 1) + 1
    last = -(-(size + before + after - reach) // step)
    if last * step >= size + before:  # such a window would see padding only
        last -= 1
    return before, max(after, last * step + reach - size - before)


def _reduced(
    x: CTensor, reduction: str, start: float, window: Any, strides: Any, dilations: Any, pads: Any
) -> CTensor:
    return jax.lax.reduce_window(
        x,
        np.asarray(start, x.dtype),  # known to jax, or it finds no derivative
        jax.lax.max if reduction == "max" else jax.lax.add,
        (1, 1, *window),
        (1, 1, *strides),
        ((0, 0), (0, 0), *pads),
        window_dilation=(1, 1, *dilations),
    )


def _places(
    x: CTensor, order: int, start: float, window: Any, strides: Any, dilations: Any, pads: Any
) -> CTensor:
    """Where the largest element of each window is, in the flat input."""
    axes = x.shape if not order else (*x.shape[:2], *x.shape[:1:-1])
    numbers = jnp.arange(x.size, dtype=jnp.int64).reshape(axes)
    if order:
        numbers = numbers.transpose(0, 1, *range(x.ndim - 1, 1, -1))

    def larger(a: Any, b: Any) -> Any:
        first = (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] <= b[1]))
        return jnp.where(first, a[0], b[0]), jnp.where(first, a[1], b[1])

    _, found = jax.lax.reduce_window(
        (x, numbers),
        (jnp.asarray(start, x.dtype), jnp.asarray(np.iinfo(np.int64).max)),
        larger,
        (1, 1, *window),
        (1, 1, *strides),
        ((0, 0), (0, 0), *pads),
        window_dilation=(1, 1, *dilations),
    )
    return found


@rule("GlobalAveragePool")
def _global_average_pool(call: Call, x: Tensor) -> Tensor:
    return op.reduce_mean(x, tuple(range(2, x.ndim)), True)


@rule("GlobalMaxPool")
def _global_max_pool(call: Call, x: Tensor) -> Tensor:
    return op.reduce_max(x, tuple(range(2, x.ndim)), True)


@rule("GlobalLpPool")
def _global_lp_pool(call: Call, x: Tensor) -> Tensor:
    return op.norm(x, float(call("p", 2)), tuple(range(2, x.ndim)), True)


@rule("MaxUnpool", known=(2,))
def _max_unpool(call: Call, x: Tensor, places: Tensor, shape: Known | None = None) -> Tensor:
    window = call("kernel_shape")
    rank = len(window)
    strides = call("strides") or [1] * rank
    pads = call("pads") or [0] * (2 * rank)
    plain = (*x.shape[:2], *[
        (n - 1) * s - a - z + k
        for n, s, k, a, z in zip(
            x.shape[2:], strides, window, pads[:rank], pads[rank:], strict=True
        )
    ])  # fmt: skip
    return formula(
        _unpooled, x, places, plain=plain,
        shape=plain if shape is None else tuple(shape.tolist()),
    )  # fmt: skip


def _unpooled(x: CTensor, places: CTensor, plain: Any, shape: Any) -> CTensor:
    """The places are those in an output of the plain size, which may be a part of this one."""
    flat = jnp.zeros(int(np.prod(plain)), x.dtype).at[places.reshape(-1)].set(x.reshape(-1))
    more = [(0, size - part) for size, part in zip(shape, plain, strict=True)]
    return jnp.pad(flat.reshape(plain), more)


@rule("Col2Im", known=(1, 2))
def _col2im(call: Call, x: Tensor, image: Known, block: Known) -> Tensor:
    rank = len(block)
    pads = call("pads") or [0] * (2 * rank)
    return formula(
        _col2im_of, x, image=tuple(image.tolist()), block=tuple(block.tolist()),
        strides=tuple(call("strides") or [1] * rank),
        dilations=tuple(call("dilations") or [1] * rank),
        pads=tuple(zip(pads[:rank], pads[rank:], strict=True)),
    )  # fmt: skip


def _col2im_of(
    x: CTensor, image: Any, block: Any, strides: Any, dilations: Any, pads: Any
) -> CTensor:
    channels = x.shape[1] // int(np.prod(block))
    like = jax.ShapeDtypeStruct((x.shape[0], channels, *image), x.dtype)

    def columns(y: CTensor) -> CTensor:
        patches = jax.lax.conv_general_dilated_patches(
            y, block, strides, pads, rhs_dilation=dilations
        )
        return patches.reshape(x.shape)

    return jax.linear_transpose(columns, like)(x)[0]
