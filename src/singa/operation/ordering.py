"""Sorted and extreme values, and their indices. Indices are int32 and have no gradients."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor, is_float
from singa.engine import native
from singa.engine.native import ordering as kernels
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.places import written_along
from singa.tape import Operation

__all__ = [
    "ArgMax", "ArgMin", "SearchSorted", "Sort", "TopK", "Unique", "argmax", "argmin", "argsort",
    "searchsorted", "sort", "topk", "unique",
]  # fmt: skip


class _ArgExtreme(Operation):
    extreme: ClassVar[Callable[..., CTensor]]

    def __init__(
        self, axis: int = 0, keepdims: bool = True, select_last_index: bool = False
    ) -> None:
        super().__init__()
        self.axis, self.keepdims = checks.integer(f"{self.name}: axis", axis), bool(keepdims)
        self.select_last_index = bool(select_last_index)

    def forward(self, x: CTensor) -> CTensor:
        axis = checks.axis(self, self.axis, x.ndim)
        size = x.shape[axis]
        if not size:
            raise ShapeError(f"{self.name}: there is nothing along axis {axis} of {x.shape}")
        # Two passes that XLA vectorizes; its own search handles one element at a time.
        hit = x == type(self).extreme(x, axis, keepdims=True)
        if is_float(x.dtype):
            hit |= jnp.isnan(x)  # then the extreme is NaN, and equals nothing
        places = jax.lax.broadcasted_iota(np.int32, x.shape, axis)
        if self.select_last_index:
            return jnp.where(hit, places, -1).max(axis, keepdims=self.keepdims)
        return jnp.where(hit, places, size).min(axis, keepdims=self.keepdims)

    def backward(self, dy: CTensor) -> None:
        return None


class ArgMax(_ArgExtreme):
    """y = the index of the largest along an axis; if there are several, the first or the last."""

    extreme = staticmethod(jnp.max)


class ArgMin(_ArgExtreme):
    """y = the index of the smallest along an axis; if there are several, the first or the last."""

    extreme = staticmethod(jnp.min)


class Sort(Operation):
    """The sorted values along an axis, and the index of each; equal values keep their order.

    NaN is treated as the largest value.
    """

    def __init__(self, axis: int = -1, descending: bool = False) -> None:
        super().__init__()
        self.axis, self.descending = checks.integer(f"{self.name}: axis", axis), bool(descending)

    def forward(self, x: CTensor) -> tuple[CTensor, CTensor]:
        return self.first(x, x.shape[checks.axis(self, self.axis, x.ndim)])

    def first(self, x: CTensor, count: int) -> tuple[CTensor, CTensor]:
        """The first ``count`` along the axis, and their indices."""
        self.from_shape = x.shape
        rows = sorted_rows(jnp.moveaxis(x, self.axis, -1), count, self.descending)
        y, self.order = (jnp.moveaxis(each, -1, self.axis) for each in rows)
        return y, self.order

    def backward(self, dy: CTensor, _: CTensor) -> CTensor:
        axis, zeros = self.axis % dy.ndim, jnp.zeros(self.from_shape, dy.dtype)
        return written_along(zeros, self.order, dy, axis, "set", is_unique=True)


def sorted_rows(x: CTensor, count: int, descending: bool = False) -> tuple[CTensor, CTensor]:
    """The first ``count`` of each sorted row (..., length), and their indices: int32.

    NaN is treated as the largest value, and equal values keep their order.
    """
    formula = partial(_sorted_rows, count=count, descending=descending)
    if count and kernels.supported(x):
        kernel = partial(kernels.sort, count=count, descending=descending)
        y, order = native.run(kernel, formula, x)
        return y, order
    return formula(x)


def _sorted_rows(x: CTensor, count: int, descending: bool) -> tuple[CTensor, CTensor]:
    if descending and count < x.shape[-1]:  # which XLA knows a way of its own for
        _, order = jax.lax.top_k(_ranked(x), count)
        return jnp.take_along_axis(x, order, -1, mode="clip"), order
    rows = x, jax.lax.broadcasted_iota(np.int32, x.shape, x.ndim - 1)
    if descending:
        # Sort the reversed axis, so that equal values keep their order after the last reversal.
        rows = jax.lax.rev(rows[0], (x.ndim - 1,)), jax.lax.rev(rows[1], (x.ndim - 1,))
    y, order = jax.lax.sort(rows, num_keys=1)
    if descending:
        y, order = jax.lax.rev(y, (x.ndim - 1,)), jax.lax.rev(order, (x.ndim - 1,))
    return y[..., :count], order[..., :count]


class TopK(Sort):
    """The k largest (or smallest) along an axis, sorted, and their indices (ONNX TopK).

    The order is that of :class:`Sort`: NaN is the largest, and equal values keep their order.
    """

    def __init__(self, k: int, axis: int = -1, largest: bool = True) -> None:
        super().__init__(axis, largest)
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 0:
            raise ArgumentError(f"{self.name}: k must be an integer of at least 0, got {k!r}")
        self.k = int(k)

    def forward(self, x: CTensor) -> tuple[CTensor, CTensor]:
        axis = checks.axis(self, self.axis, x.ndim)
        if self.k > x.shape[axis]:
            raise ShapeError(f"{self.name}: k is {self.k}, axis {axis} of size {x.shape[axis]}")
        return self.first(x, self.k)


def _ranked(x: CTensor) -> CTensor:
    """``x`` with equal zeros and equal NaNs, because XLA's search distinguishes their signs."""
    if not is_float(x.dtype):
        return x
    return jnp.where(jnp.isnan(x), jnp.nan, jnp.where(x == 0, 0, x)).astype(x.dtype)


class SearchSorted(Operation):
    """y = how many elements of a sorted sequence are below each value, or not above it.

    A sequence is a vector, or the last axis, if there is one for each row of values.
    """

    def __init__(self, right: bool = False) -> None:
        super().__init__()
        self.right = bool(right)

    def forward(self, x: CTensor, values: CTensor) -> CTensor:
        if not x.ndim or (x.ndim > 1 and x.shape[:-1] != values.shape[:-1]):
            raise ShapeError(
                f"{self.name}: sequences of shape {x.shape} for values of {values.shape}: one is "
                "needed, or one for each row of values"
            )
        if not x.size:
            return jnp.zeros(values.shape, np.int32)
        dtype = jnp.promote_types(x.dtype, values.dtype)
        rows = x.astype(dtype).reshape(-1, x.shape[-1]), values.astype(dtype)
        rows = rows[0], rows[1].reshape(len(rows[0]), -1)
        return searched_rows(*rows, right=self.right).reshape(values.shape)

    def backward(self, dy: CTensor) -> tuple[None, None]:
        return None, None


def searched_rows(x: CTensor, values: CTensor, right: bool) -> CTensor:
    """How many of a sorted row are below each value, or not above it: int32.

    Rows (rows, length), which are not empty, and as many of values (rows, count), of one type.
    """

    def formula(x: CTensor, values: CTensor) -> CTensor:
        search = partial(jnp.searchsorted, side="right" if right else "left")
        return jax.vmap(search)(x, values).astype(np.int32)

    if kernels.supported(x, values):
        found: CTensor = native.run(partial(kernels.search, right=right), formula, x, values)
        return found
    return formula(x, values)


class Unique(Operation):
    """The different values in order, for each element the number of its value, and the counts.

    How many there are depends on the values, so this works eagerly only.
    """

    traceable = False

    def __init__(self, axis: int | None = None) -> None:
        super().__init__()
        self.axis = None if axis is None else checks.integer(f"{self.name}: axis", axis)

    def forward(self, x: CTensor) -> tuple[CTensor, CTensor, CTensor]:
        axis = None if self.axis is None else checks.axis(self, self.axis, x.ndim)
        values, places, counts = np.unique(
            np.asarray(x), return_inverse=True, return_counts=True, axis=axis
        )
        places = places.reshape(x.shape if axis is None else -1)
        return (
            jnp.asarray(values, x.dtype, device=x.device),
            jnp.asarray(places, np.int32, device=x.device),
            jnp.asarray(counts, np.int32, device=x.device),
        )

    def backward(self, *dys: CTensor) -> None:
        return None


def argmax(
    x: Tensor, axis: int = -1, keepdims: bool = False, select_last_index: bool = False
) -> Tensor:
    """The index of the largest along ``axis``, int32; if there are several, the first or the last.

    The axis is removed from the shape, unless ``keepdims``. The method ``x.argmax()`` without an
    axis gives the index in the flattened Tensor.

    Raises:
        ShapeError: the axis is of size 0.

    Example:
        >>> autograd.argmax(Tensor(data=[[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]]))
        Tensor([1, 0], shape=(2,), dtype=int32, device=cpu)
    """
    return ArgMax(axis, keepdims, select_last_index)(x)[0]


def argmin(
    x: Tensor, axis: int = -1, keepdims: bool = False, select_last_index: bool = False
) -> Tensor:
    """The index of the smallest along ``axis``, int32; if there are several, the first or the last.

    The axis is removed from the shape, unless ``keepdims``. The method ``x.argmin()`` without an
    axis gives the index in the flattened Tensor.

    Raises:
        ShapeError: the axis is of size 0.

    Example:
        >>> autograd.argmin(Tensor(data=[[1.0, 3.0, 2.0], [6.0, 5.0, 4.0]]))
        Tensor([0, 2], shape=(2,), dtype=int32, device=cpu)
    """
    return ArgMin(axis, keepdims, select_last_index)(x)[0]


def sort(x: Tensor, axis: int = -1, descending: bool = False) -> Tensor:
    """The sorted values along ``axis``; of x's shape. NaN is treated as the largest value.

    Example:
        >>> autograd.sort(Tensor(data=[3.0, 1.0, 2.0]), descending=True)
        Tensor([3., 2., 1.], shape=(3,), dtype=float32, device=cpu)
    """
    return Sort(axis, descending)(x)[0]


def argsort(x: Tensor, axis: int = -1, descending: bool = False) -> Tensor:
    """The indices, int32, that sort ``x`` along ``axis``; of its shape.

    Equal values keep their order.

    Example:
        >>> autograd.argsort(Tensor(data=[3.0, 1.0, 2.0]))
        Tensor([1, 2, 0], shape=(3,), dtype=int32, device=cpu)
    """
    return Sort(axis, descending)(x)[1]


def topk(x: Tensor, k: int, axis: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The ``k`` largest (or smallest) along ``axis``, sorted, and their indices, int32.

    Both are of x's shape, but of size ``k`` along the axis. NaN is treated as the largest value,
    and equal values keep their order.

    Raises:
        ShapeError: there are fewer than ``k``.

    Example:
        >>> values, indices = autograd.topk(Tensor(data=[3.0, 1.0, 2.0]), 2)
        >>> values, indices.tolist()
        (Tensor([3., 2.], shape=(2,), dtype=float32, device=cpu), [0, 2])
    """
    values, indices = TopK(k, axis, largest)(x)
    return values, indices


def searchsorted(x: Tensor, values: TensorLike, right: bool = False) -> Tensor:
    """Where each value belongs in a sorted sequence: how many of its elements are below the value.

    Args:
        x: (size,), sorted upwards; or (..., size): a sequence for each row of values.
        values: any shape; (..., count) if there are several sequences.
        right: count those that are equal too.

    Returns:
        int32, of the shape of ``values``.

    Example:
        >>> autograd.searchsorted(Tensor(data=[1.0, 3.0, 5.0]), Tensor(data=[3.0, 6.0]))
        Tensor([1, 3], shape=(2,), dtype=int32, device=cpu)
    """
    return SearchSorted(right)(x, as_tensor(values, x))[0]


def unique(
    x: Tensor, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None
) -> Tensor | tuple[Tensor, ...]:
    """The different values of ``x`` in order: (number of them,). It works only eagerly.

    Args:
        x: any shape.
        return_inverse: give also, for each element, the index of its value, in the shape of ``x``.
        return_counts: give also how often each value occurs.
        axis: compare the slices along this axis, instead of the elements; the result has the
            different slices, and the indices are one for each slice.

    Raises:
        CaptureError: it is called in a compiled step, where no shape can depend on values.

    Example:
        >>> autograd.unique(Tensor(data=[3, 1, 3]))
        Tensor([1, 3], shape=(2,), dtype=int32, device=cpu)
    """
    values, places, counts = Unique(axis)(x)
    more = [places] * bool(return_inverse) + [counts] * bool(return_counts)
    return (values, *more) if more else values
