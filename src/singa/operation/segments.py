"""Segments: the elements with the same id are combined, such as the nodes of one graph.

Ids are integers in any order; those that are no segment's are ignored.
"""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import ArrayLike, Tensor, as_tensor
from singa.device import CTensor, has_gradients
from singa.errors import ArgumentError, BoundsError, CaptureError, ShapeError
from singa.operation import checks
from singa.operation.places import written_rows
from singa.operation.scattering import neutral
from singa.tape import Operation, wide, widened

__all__ = [
    "SegmentMax", "SegmentMean", "SegmentMin", "SegmentSum", "bincount", "segment_max",
    "segment_mean", "segment_min", "segment_sum",
]  # fmt: skip


class _Segments(Operation):
    """y[k] = what is combined of all x[i] with ids[i] = k; ids that are none are ignored."""

    def __init__(self, count: int) -> None:
        super().__init__()
        if checks.integer(f"{self.name}: count", count) < 0:
            raise ArgumentError(f"{self.name}: count must be 0 or more, got {count!r}")
        self.count = int(count)

    def of_ids(self, x: CTensor, ids: CTensor) -> CTensor:
        """The ids as int32, those out of bounds as ``count``."""
        ids = checks.integer_input(self, "the ids", ids)
        checks.rank(self, "the ids", ids, 1, "(N,)")
        if not x.ndim or len(x) != len(ids):
            raise ShapeError(
                f"{self.name}: the input must be (N, ...) for ids (N,), got shapes {x.shape} and "
                f"{ids.shape}"
            )
        self.ids = jnp.where((ids < 0) | (ids > self.count), self.count, ids).astype(np.int32)
        return self.ids

    def added(self, x: CTensor) -> CTensor:
        """The sums of ``x`` over the segments."""
        return written_rows(jnp.zeros((self.count, *x.shape[1:]), x.dtype), self.ids, x, "add")

    def of_segment(self, y: CTensor) -> CTensor:
        """For each x[i], the element of its segment; 0 if there is none."""
        if not self.count:  # jax takes none of none
            return jnp.zeros((len(self.ids), *y.shape[1:]), y.dtype)
        return y.at[self.ids].get(mode="fill", fill_value=0)


class SegmentSum(_Segments):
    """y[k] = the sum of all x[i] with ids[i] = k."""

    complex_numbers = "own"

    def forward(self, x: CTensor, ids: CTensor) -> CTensor:
        self.of_ids(x, ids)
        dtype = wide(x.dtype)
        return self.added(x.astype(dtype)).astype(x.dtype if has_gradients(x.dtype) else dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor, None]:
        return self.of_segment(dy), None


class SegmentMean(_Segments):
    """y[k] = the mean of all x[i] with ids[i] = k; 0 if there is none."""

    complex_numbers = "own"

    def forward(self, x: CTensor, ids: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.of_ids(x, ids)
        return self.divided(self.added(widened(x))).astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor, None]:
        return self.of_segment(self.divided(dy)), None

    def divided(self, y: CTensor) -> CTensor:
        """``y`` divided by the numbers of elements."""
        size = jnp.maximum(self.added(jnp.ones(self.ids.shape, np.int32)), 1)
        return y / size.astype(y.dtype).reshape(-1, *[1] * (y.ndim - 1))


class _SegmentExtreme(_Segments):
    reduce: ClassVar[str]

    def forward(self, x: CTensor, ids: CTensor) -> CTensor:
        checks.no_bools(self, "x.as_type(int32) makes numbers of them", x)
        self.of_ids(x, ids)
        empty = jnp.full((self.count, *x.shape[1:]), neutral(self.reduce, x.dtype), x.dtype)
        y = written_rows(empty, self.ids, x, "max" if self.reduce == "amax" else "min")
        size = self.added(jnp.ones(self.ids.shape, np.int32))
        self.x, self.y = x, jnp.where(size.reshape(-1, *[1] * (y.ndim - 1)) == 0, 0, y)
        return self.y

    def backward(self, dy: CTensor) -> tuple[CTensor, None]:
        hits = self.x == self.of_segment(self.y)
        share = dy / jnp.maximum(self.added(hits.astype(np.int32)), 1).astype(dy.dtype)
        return jnp.where(hits, self.of_segment(share), 0), None


class SegmentMax(_SegmentExtreme):
    """y[k] = the largest x[i] with ids[i] = k; 0 if there is none. Ties share the gradient."""

    reduce = "amax"


class SegmentMin(_SegmentExtreme):
    """y[k] = the smallest x[i] with ids[i] = k; 0 if there is none. Ties share the gradient."""

    reduce = "amin"


def segment_sum(x: Tensor, ids: Tensor | ArrayLike, count: int | None = None) -> Tensor:
    """The sums of those ``x[i]`` that have the same id.

    Args:
        x: (N, ...).
        ids: (N,), integers, in any order; those below 0, or not below ``count``, are ignored.
        count: the number of segments; if None, the largest id + 1, which works only eagerly.

    Returns:
        (count, ...). Integers of less than 32 bits are summed as int32.

    Example:
        >>> autograd.segment_sum(Tensor(data=[1.0, 2.0, 3.0]), [0, 1, 0])
        Tensor([4., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return SegmentSum(_count("segment_sum", ids, count))(x, as_tensor(ids, x))[0]


def segment_mean(x: Tensor, ids: Tensor | ArrayLike, count: int | None = None) -> Tensor:
    """The means of those ``x[i]`` that have the same id; 0 without any.

    The arguments, and the shape of the result, are those of :func:`segment_sum`.

    Example:
        >>> autograd.segment_mean(Tensor(data=[1.0, 2.0, 3.0]), [0, 1, 0])
        Tensor([2., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return SegmentMean(_count("segment_mean", ids, count))(x, as_tensor(ids, x))[0]


def segment_max(x: Tensor, ids: Tensor | ArrayLike, count: int | None = None) -> Tensor:
    """The largest of those ``x[i]`` that have the same id; 0 without any. Ties share the gradient.

    The arguments, and the shape of the result, are those of :func:`segment_sum`.

    Example:
        >>> autograd.segment_max(Tensor(data=[1.0, 2.0, 3.0]), [0, 1, 0])
        Tensor([3., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return SegmentMax(_count("segment_max", ids, count))(x, as_tensor(ids, x))[0]


def segment_min(x: Tensor, ids: Tensor | ArrayLike, count: int | None = None) -> Tensor:
    """The smallest of those ``x[i]`` that have the same id; 0 without any. Ties share the gradient.

    The arguments, and the shape of the result, are those of :func:`segment_sum`.

    Example:
        >>> autograd.segment_min(Tensor(data=[1.0, 2.0, 3.0]), [0, 1, 0])
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return SegmentMin(_count("segment_min", ids, count))(x, as_tensor(ids, x))[0]


def bincount(
    x: Tensor, weights: Tensor | None = None, minlength: int = 0, length: int | None = None
) -> Tensor:
    """How often each number occurs, or the sum of the weights of where it does.

    Args:
        x: (N,), integers of at least 0.
        weights: (N,); gradients flow to them.
        minlength: the least length of the result.
        length: the length of the result, so that it does not depend on values; larger numbers are
            ignored then. If None, it is the largest number + 1, which works only eagerly.

    Returns:
        (length,): int32, or of the type of the weights.

    Raises:
        BoundsError: a number is below 0; with a ``length`` it is ignored instead.

    Example:
        >>> autograd.bincount(Tensor(data=[0, 3, 3]))
        Tensor([1, 0, 0, 2], shape=(4,), dtype=int32, device=cpu)
    """
    least = checks.integer("bincount: minlength", minlength)
    if length is None:
        length = max(_count("bincount", x, None), least)
    if weights is None:
        weights = as_tensor(np.ones(x.shape, np.int32), x)
    return SegmentSum(length)(weights, x)[0]


def _count(name: str, ids: Tensor | ArrayLike, count: int | None) -> int:
    """The number of segments: as given, or from the ids, whose values are read."""
    if count is not None:
        return count
    try:
        numbers = ids.to_numpy() if isinstance(ids, Tensor) else checks.index_array(name, ids)
    except CaptureError:
        raise CaptureError(
            f"{name}: how long the result is depends on values, which a compiled step does not "
            "know; give its length"
        ) from None
    if numbers.size and numbers.min() < 0 and numbers.dtype.kind in "iu":
        raise BoundsError(f"{name}: numbers of at least 0 are expected, got {numbers.min()}")
    return int(numbers.max()) + 1 if numbers.size else 0
