"""Statistics over axes: variances, quantiles, sums without NaN, histograms.

Reduced axes are removed by default.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.recorded import Axes
from singa.core.tensor import Tensor
from singa.device import CTensor, float64, has_gradients
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.choosing import masked_fill
from singa.operation.logic import _not, isnan
from singa.operation.numerics import direction
from singa.operation.ordering import searched_rows, sorted_rows
from singa.operation.reduction import Reduction, reduce_mean, reduce_sum
from singa.operation.shaping import cast
from singa.tape import Operation

__all__ = [
    "Histogram", "Quantile", "Std", "Var", "histogram", "median", "nanmean", "nansum", "quantile",
    "std", "var", "var_mean",
]  # fmt: skip


class Var(Reduction):
    """y = sum((x - mean) ** 2) / (count - ddof) over some axes."""

    def __init__(self, axes: Axes = None, keepdims: bool = False, ddof: int = 0) -> None:
        super().__init__(axes, keepdims)
        self.ddof = checks.integer(f"{self.name}: ddof", ddof)

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x = x
        return x.var(self.reduces(x), keepdims=self.keepdims, ddof=self.ddof)

    def backward(self, dy: CTensor) -> CTensor:
        error = self.x - self.x.mean(self.reduced, keepdims=True)
        # As in NumPy there is no variance of too few elements, and so no gradient: NaN.
        degrees = self.count() - self.ddof
        return self.expand(dy) * error * (2 / degrees if degrees > 0 else math.nan)


class Std(Var):
    """y = the square root of the variance over some axes; its gradient is 0 where y is 0."""

    def forward(self, x: CTensor) -> CTensor:
        checks.float_input(self, "its input", x)
        self.x, axes = x, self.reduces(x)
        _, length = direction(x - x.mean(axes, keepdims=True), axes)
        y = length * self.factor()
        return y if self.keepdims else y.squeeze(axes)

    def backward(self, dy: CTensor) -> CTensor:
        error = self.x - self.x.mean(self.reduced, keepdims=True)
        return self.expand(dy) * direction(error, self.reduced)[0] * self.factor()

    def factor(self) -> float:
        """The factor of the norm of all errors."""
        degrees = self.count() - self.ddof
        return 1 / math.sqrt(degrees) if degrees > 0 else math.nan


class Quantile(Reduction):
    """y = the q-quantile over some axes: between the two sorted elements nearest to q (count - 1).

    These two get the gradient, by their shares. With several q, they are y's first axis.
    """

    def __init__(
        self,
        q: float | Sequence[float],
        axes: Axes = None,
        keepdims: bool = False,
        interpolation: str = "linear",
    ) -> None:
        super().__init__(axes, keepdims)
        single = np.ndim(q) == 0 if isinstance(q, (Sequence, np.ndarray)) else True
        several = [q] if single else list(q)  # type: ignore[arg-type]
        self.single = single
        self.q = tuple(checks.number(f"{self.name}: q", each) for each in several)
        if not self.q or not all(0 <= each <= 1 for each in self.q):
            raise ArgumentError(f"{self.name}: q: shares from 0 to 1 are expected, got {q!r}")
        if interpolation not in _INTERPOLATIONS:
            raise ArgumentError(
                f"{self.name}: interpolation must be one of {', '.join(_INTERPOLATIONS)}, got "
                f"{interpolation!r}"
            )
        self.interpolation = interpolation

    def forward(self, x: CTensor) -> CTensor:
        dtype = checks.as_float(self, "its input", x).dtype  # integers are sorted as they are
        axes = self.reduces(x)
        if not self.count():
            raise ShapeError(f"{self.name}: there is nothing along axes {axes} of {x.shape}")
        rows = self.as_rows(x)
        rows, order = sorted_rows(rows, rows.shape[-1])
        low, high, shares = self.neighbours()
        self.low, self.high = order[..., low], order[..., high]
        rows = rows.astype(dtype)
        share = jnp.asarray(shares, dtype)
        # An infinite neighbour without a share does not count.
        y = jnp.where(share == 1, 0, rows[..., low] * (1 - share))
        y += jnp.where(share == 0, 0, rows[..., high] * share)
        y = jnp.where(jnp.isnan(rows[..., -1:]), jnp.nan, y)  # NaN is sorted to the end
        y = jnp.moveaxis(y, -1, 0)
        if self.keepdims:
            y = jnp.expand_dims(y, tuple(axis + 1 for axis in axes))
        return y[0] if self.single else y

    def backward(self, dy: CTensor) -> CTensor:
        if self.single:
            dy = dy[None]
        if self.keepdims:
            dy = dy.squeeze(tuple(axis + 1 for axis in self.reduced))
        dy = jnp.moveaxis(dy, 0, -1)
        share = jnp.asarray(self.neighbours()[2], dy.dtype)
        kept = dy.shape[:-1]
        grid = [jax.lax.broadcasted_iota(np.int32, dy.shape, axis) for axis in range(len(kept))]
        rows = jnp.zeros((*kept, self.count()), dy.dtype)
        for places, part in ((self.low, dy * (1 - share)), (self.high, dy * share)):
            rows = rows.at[(*grid, places)].add(part, mode="promise_in_bounds")
        return self.of_rows(rows)

    def neighbours(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each q the places of the two elements next to it, and the share of the second."""
        place = np.array(self.q) * (self.count() - 1)
        low, high = np.floor(place).astype(np.int32), np.ceil(place).astype(np.int32)
        share = _INTERPOLATIONS[self.interpolation](place, low)
        return low, high, share


_INTERPOLATIONS = {
    "linear": lambda place, low: place - low,
    "lower": lambda place, low: np.zeros_like(place),
    "higher": lambda place, low: np.ones_like(place),
    "midpoint": lambda place, low: np.full_like(place, 0.5),
    "nearest": lambda place, low: np.rint(place) - low,
}
"""The share of the higher neighbour."""


class Histogram(Operation):
    """How many elements are in each of so many bins of equal width, and the edges of the bins.

    A bin has its left edge, and the last one its right edge too; what is outside does not count.
    Without a range it is that of the finite elements.
    """

    numbers = ("low", "high")

    def __init__(self, bins: int, low: float | None = None, high: float | None = None) -> None:
        super().__init__()
        if checks.integer(f"{self.name}: bins", bins) < 1:
            raise ArgumentError(f"{self.name}: bins must be 1 or more, got {bins!r}")
        self.bins = int(bins)
        self.low = None if low is None else checks.number(f"{self.name}: range", low)
        self.high = None if high is None else checks.number(f"{self.name}: range", high)
        if not all(math.isfinite(bound) for bound in (self.low or 0, self.high or 0)):
            raise ArgumentError(f"{self.name}: range must be finite, got {low!r} to {high!r}")

    def forward(self, x: CTensor) -> tuple[CTensor, CTensor]:
        dtype = checks.as_float(self, "its input", x).dtype
        # Integers of 32 bits are not all float32.
        exact = x.dtype.kind in "iu" and x.dtype.itemsize > 2
        x = x.astype(float64 if exact else dtype).ravel()
        if self.low is None or self.high is None:
            if not x.size:
                raise ShapeError(f"{self.name}: without elements there is no range; give one")
            is_finite = jnp.isfinite(x)
            low = jnp.where(is_finite, x, jnp.inf).min()
            high = jnp.where(is_finite, x, -jnp.inf).max()
            low, high = (jnp.where(is_finite.any(), bound, 0) for bound in (low, high))
        else:
            low, high = (jnp.asarray(bound, x.dtype) for bound in (self.low, self.high))
        same = low == high
        low, high = jnp.where(same, low - 0.5, low), jnp.where(same, high + 0.5, high)
        share = jnp.asarray(np.linspace(0, 1, self.bins + 1), x.dtype)
        edges = low * (1 - share) + high * share
        places = searched_rows(edges[None], x[None], right=True)[0] - 1
        places = jnp.where(x == edges[-1], self.bins - 1, places)
        places = jnp.where((x < edges[0]) | jnp.isnan(x), self.bins, places)  # nowhere
        counts = jnp.zeros(self.bins, np.int32).at[places].add(1, mode="drop")
        return counts, edges.astype(dtype)

    def backward(self, *dys: CTensor) -> None:
        return None


def var(x: Tensor, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The variance over ``axis`` (all if None): squared errors, divided by count - ``ddof``.

    The axis is removed from the shape, unless ``keepdims``.

    Example:
        >>> autograd.var(Tensor(data=[[1.0, 3.0], [2.0, 6.0]]), 1)
        Tensor([1., 4.], shape=(2,), dtype=float32, device=cpu)
    """
    return Var(axis, keepdims, ddof)(x)[0]


def std(x: Tensor, axis: Axes = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
    """The standard deviation over ``axis`` (all if None); its gradient is 0 where it is 0.

    The axis is removed from the shape, unless ``keepdims``. ``ddof`` is that of :func:`var`.

    Example:
        >>> autograd.std(Tensor(data=[[1.0, 3.0], [2.0, 6.0]]), 1)
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return Std(axis, keepdims, ddof)(x)[0]


def var_mean(
    x: Tensor, axis: Axes = None, keepdims: bool = False, ddof: int = 0
) -> tuple[Tensor, Tensor]:
    """The variance and the mean over ``axis`` (all if None), as :func:`var` and ``mean`` give them.

    The axis is removed from both shapes, unless ``keepdims``.

    Example:
        >>> variance, mean = autograd.var_mean(Tensor(data=[[1.0, 3.0], [2.0, 6.0]]), 1)
        >>> variance.tolist(), mean.tolist()
        ([1.0, 4.0], [2.0, 4.0])
    """
    return var(x, axis, keepdims, ddof), reduce_mean(x, axis, keepdims)


def quantile(
    x: Tensor,
    q: float | Sequence[float],
    axis: Axes = None,
    keepdims: bool = False,
    interpolation: str = "linear",
) -> Tensor:
    """The value below which a share ``q`` of the elements over ``axis`` is (all if None).

    Args:
        x: any shape, of a float type.
        q: from 0 to 1; or several, which are then the first axis of the result.
        axis: one or more axes, which are removed from the shape, unless ``keepdims``.
        keepdims: keep them with size 1.
        interpolation: what is between two elements: ``linear``, or their ``midpoint``, or the
            ``lower``, the ``higher`` or the ``nearest`` one.

    Returns:
        NaN where an element is NaN.

    Raises:
        ArgumentError: ``q`` is not from 0 to 1, or there is no such interpolation.
        ShapeError: there are no elements.

    Example:
        >>> autograd.quantile(Tensor(data=[[1.0, 2.0, 4.0], [3.0, 5.0, 9.0]]), 0.75, axis=1)
        Tensor([3., 7.], shape=(2,), dtype=float32, device=cpu)
    """
    return Quantile(q, axis, keepdims, interpolation)(x)[0]


def median(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The middle of the sorted elements over ``axis`` (all if None); as in NumPy.

    If there is an even number of them it is the mean of the two in the middle (in PyTorch the lower
    of the two), which share the gradient. The axis is removed from the shape, unless ``keepdims``.
    That of integers is float32.

    Example:
        >>> autograd.median(Tensor(data=[[1.0, 2.0, 9.0], [5.0, 3.0, 4.0]]), axis=1)
        Tensor([2., 4.], shape=(2,), dtype=float32, device=cpu)
    """
    return Quantile(0.5, axis, keepdims)(x)[0]


def nansum(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The sum over ``axis`` (all if None) of what is not NaN, which gets no gradient.

    The axis is removed from the shape, unless ``keepdims``.

    Example:
        >>> autograd.nansum(Tensor(data=[[1.0, np.nan], [2.0, 3.0]]), 1)
        Tensor([1., 5.], shape=(2,), dtype=float32, device=cpu)
    """
    return reduce_sum(masked_fill(x, isnan(x), 0) if has_gradients(x.dtype) else x, axis, keepdims)


def nanmean(x: Tensor, axis: Axes = None, keepdims: bool = False) -> Tensor:
    """The mean over ``axis`` (all if None) of what is not NaN, which gets no gradient.

    The axis is removed from the shape, unless ``keepdims``. It is NaN if all elements are.

    Example:
        >>> autograd.nanmean(Tensor(data=[[1.0, np.nan], [2.0, 3.0]]), 1)
        Tensor([1. , 2.5], shape=(2,), dtype=float32, device=cpu)
    """
    if not has_gradients(x.dtype):
        return reduce_mean(x, axis, keepdims)
    count = reduce_sum(_not(isnan(x)), axis, keepdims)
    return nansum(x, axis, keepdims) / cast(count, x.dtype)


def histogram(
    x: Tensor, bins: int = 10, range: tuple[float, float] | None = None
) -> tuple[Tensor, Tensor]:
    """How many elements are in each of ``bins`` intervals of equal width, and their edges.

    Args:
        x: any shape.
        bins: the number of intervals.
        range: the first and the last edge; the smallest and the largest element if None. What is
            outside does not count, and neither does NaN.

    Returns:
        The counts (bins,), int32, and the edges (bins + 1,), both without gradients. An element on
        an edge is in the interval at its right; on the last edge, in the last one. The edges for
        integers are float32, but counted with float64.

    Raises:
        ArgumentError: ``bins`` is below 1, or ``range`` is not two numbers in order.

    Example:
        >>> counts, edges = autograd.histogram(Tensor(data=[0.0, 1.0, 1.5, 4.0]), 2)
        >>> counts.tolist(), edges.tolist()
        ([3, 1], [0.0, 2.0, 4.0])
    """
    if range is None:
        return Histogram(bins)(x)  # type: ignore[return-value]
    try:
        low, high = (checks.number("histogram: range", bound) for bound in range)
    except (TypeError, ValueError):
        low, high = 1.0, 0.0
    if not low <= high:
        raise ArgumentError(f"histogram: range is two numbers in order, got {range!r}")
    return Histogram(bins, low, high)(x)  # type: ignore[return-value]
