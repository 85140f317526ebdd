"""Pooling over windows whose sizes follow from the size of the result."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.engine.fusion import apart
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.checks import Sizes
from singa.operation.windows import LETTERS
from singa.tape import Operation, wide, widened

__all__ = [
    "AdaptiveAveragePooling", "AdaptiveMaxPooling", "GlobalAveragePool", "adaptive_avg_pool",
    "adaptive_max_pool", "globalaveragepool",
]  # fmt: skip


class _AdaptivePooling(Operation):
    """Windows whose size is chosen for a given size of the result; neighbours may share an element.

    The i-th of n windows over an axis of size s is from floor(i s / n) up to ceil((i + 1) s / n).
    The spatial axes are pooled one after the other.
    """

    whole_from = 2

    def __init__(self, size: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "the input", x)
        checks.rank(self, "the input", x, 2 + len(self.size), f"(N, C, {LETTERS[len(self.size)]})")
        if 0 in x.shape[2:]:
            raise ShapeError(f"{self.name}: there is nothing to pool in shape {x.shape}")
        self.stages = [self.stage(x)]
        for axis, count in enumerate(self.size, 2):
            x = apart(partial(self.pooled, axis=axis, count=count), x)
            self.stages.append(self.stage(x))
        return x

    def backward(self, dy: CTensor) -> CTensor:
        dy = widened(dy)
        for axis in reversed(range(2, 2 + len(self.size))):
            x, y = self.stages[axis - 2 : axis]
            dy = apart(partial(self.pooled_gradient, axis=axis, x=x, y=y), dy)
        return dy

    def pooled(self, x: CTensor, axis: int, count: int) -> CTensor:
        raise NotImplementedError

    def stage(self, x: CTensor) -> Any:
        """The values that backward needs of the input, and of each axis' result."""
        raise NotImplementedError

    def pooled_gradient(self, dy: CTensor, axis: int, x: Any, y: Any) -> CTensor:
        raise NotImplementedError


class AdaptiveAveragePooling(_AdaptivePooling):
    """y = the means of windows whose size is chosen for the size of the result."""

    def pooled(self, x: CTensor, axis: int, count: int) -> CTensor:
        inside, seen = _windows(x, axis, *_ends(x.shape[axis], count))
        total = jnp.where(inside, seen, 0).sum(axis + 1, dtype=wide(x.dtype))
        return (total / _sizes(total, axis, x.shape[axis], count)).astype(x.dtype)

    def stage(self, x: CTensor) -> tuple[int, ...]:
        return x.shape

    def pooled_gradient(
        self, dy: CTensor, axis: int, x: tuple[int, ...], y: tuple[int, ...]
    ) -> CTensor:
        share = dy / _sizes(dy, axis, x[axis], y[axis])
        inside, of_each = _windows(share, axis, *_ends(y[axis], x[axis]))
        return jnp.where(inside, of_each, 0).sum(axis + 1)


class AdaptiveMaxPooling(_AdaptivePooling):
    """y = the largest elements of such windows. Equal ones share the gradient."""

    def pooled(self, x: CTensor, axis: int, count: int) -> CTensor:
        # In a shorter window the last element is repeated.
        return _windows(x, axis, *_ends(x.shape[axis], count))[1].max(axis + 1)

    def stage(self, x: CTensor) -> CTensor:
        return x

    def pooled_gradient(self, dy: CTensor, axis: int, x: CTensor, y: CTensor) -> CTensor:
        inside, seen = _windows(x, axis, *_ends(x.shape[axis], y.shape[axis]))
        largest = inside & (seen == jnp.expand_dims(y, axis + 1))
        share = apart(jnp.divide, dy, largest.sum(axis + 1, dtype=dy.dtype))
        ends = _ends(y.shape[axis], x.shape[axis])
        inside, of_each = _windows(share, axis, *ends)
        largest = inside & (_windows(y, axis, *ends)[1] == jnp.expand_dims(x, axis + 1))
        return jnp.where(largest, of_each, 0).sum(axis + 1)


def _ends(size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The windows' starts and ends. Swapped: the first and last window of each element."""
    i = np.arange(count)
    return i * size // count, -(-(i + 1) * size // count)


def _sizes(x: CTensor, axis: int, size: int, count: int) -> CTensor:
    """The sizes of an axis' windows, in a shape that broadcasts with x."""
    start, end = _ends(size, count)
    return jnp.asarray(end - start, x.dtype).reshape(-1, *[1] * (x.ndim - axis - 1))


def _windows(x: CTensor, axis: int, start: np.ndarray, end: np.ndarray) -> tuple[CTensor, CTensor]:
    """The elements of all windows, on a new axis after the windows', and which are inside.

    In a shorter window the last element is repeated; the repetition is not inside.
    """
    at = start[:, None] + np.arange((end - start).max(initial=1))
    inside = jnp.asarray(at < end[:, None]).reshape(*at.shape, *[1] * (x.ndim - axis - 1))
    at = np.minimum(at, end[:, None] - 1).astype(np.int32)
    return inside, jnp.take(x, jnp.asarray(at), axis, mode="clip")


class GlobalAveragePool(Operation):
    """y = the mean over all spatial axes, which are kept with size 1 (ONNX GlobalAveragePool)."""

    def __init__(self, data_format: str = "channels_first") -> None:
        super().__init__()
        # SINGA's own tests leave out an s.
        if data_format not in ("channels_first", "channels_last", "channel_last"):
            raise ArgumentError(
                f"{self.name}: data_format must be 'channels_first' or 'channels_last', "
                f"got {data_format!r}"
            )
        self.data_format = data_format

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "the input", x)
        first = self.data_format == "channels_first"
        axes = tuple(range(2, x.ndim) if first else range(1, x.ndim - 1))
        if not axes:
            shape = "(N, C, ...)" if first else "(N, ..., C)"
            raise ShapeError(f"{self.name}: the input must be {shape}, got shape {x.shape}")
        self.from_shape, self.count = x.shape, math.prod(x.shape[axis] for axis in axes)
        return x.mean(axes, keepdims=True, dtype=wide(x.dtype)).astype(x.dtype)

    def backward(self, dy: CTensor) -> CTensor:
        return jnp.broadcast_to(dy / self.count, self.from_shape)


def adaptive_avg_pool(x: Tensor, size: Sizes) -> Tensor:
    """The means of windows whose size is chosen so that the result has ``size``.

    Args:
        x: (N, C, W), (N, C, H, W) or (N, C, D, H, W).
        size: of the result: one number, or one for each spatial axis. The i-th of n windows over
            s elements is from floor(i s / n) up to ceil((i + 1) s / n).

    Returns:
        Of the shape ``(N, C, *size)``.

    Example:
        >>> autograd.adaptive_avg_pool(Tensor(data=[[[1.0, 2.0, 3.0, 5.0]]]), 2)
        Tensor([[[1.5, 4. ]]], shape=(1, 1, 2), dtype=float32, device=cpu)
    """
    return AdaptiveAveragePooling(_size(x, "adaptive_avg_pool", size))(x)[0]


def adaptive_max_pool(x: Tensor, size: Sizes) -> Tensor:
    """The largest elements of such windows; equal ones share the gradient.

    See :func:`adaptive_avg_pool`.

    Example:
        >>> autograd.adaptive_max_pool(Tensor(data=[[[1.0, 2.0, 3.0, 5.0]]]), 2)
        Tensor([[[2., 5.]]], shape=(1, 1, 2), dtype=float32, device=cpu)
    """
    return AdaptiveMaxPooling(_size(x, "adaptive_max_pool", size))(x)[0]


def globalaveragepool(x: Tensor, data_format: str = "channels_first") -> Tensor:
    """The mean over all spatial axes, which are kept with size 1 (ONNX GlobalAveragePool).

    Args:
        x: (N, C, ...), or (N, ..., C).
        data_format: ``channels_first`` or ``channels_last``.

    Example:
        >>> autograd.globalaveragepool(Tensor(data=[[[[1.0, 3.0], [2.0, 0.0]]]]))
        Tensor([[[[1.5]]]], shape=(1, 1, 1, 1), dtype=float32, device=cpu)
    """
    return GlobalAveragePool(data_format)(x)[0]


def _size(x: Tensor, name: str, size: Sizes) -> tuple[int, ...]:
    rank = x.ndim() - 2
    if rank not in LETTERS:
        raise ShapeError(f"{name}: the input must be (N, C, ...) with 3 to 5 axes, got {x.shape}")
    return checks.each(f"{name}: size", size, rank, 1)
