"""Adding up, or combining otherwise, what is for the same place.

Indices in lists and NumPy arrays are checked. Those in a Tensor are not: what is out of bounds is
clamped.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import ArrayLike, Tensor, TensorLike, as_tensor
from singa.device import CTensor, has_gradients, is_float
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.operation import checks
from singa.operation.cumulative import running
from singa.operation.indexing import as_indices
from singa.operation.places import written_along
from singa.operation.selection import Along, bounded_along, places_along
from singa.tape import Operation, wide

__all__ = [
    "IndexAdd", "MaskedScatter", "ScatterAdd", "ScatterReduce", "index_add", "masked_scatter",
    "scatter_add", "scatter_reduce",
]  # fmt: skip


class ScatterAdd(Along):
    """y = x, with updates[i][j] added to y[indices[i][j]][j] for axis 0, and so on."""

    complex_numbers = "own"

    def forward(self, x: CTensor, indices: CTensor, updates: CTensor) -> CTensor:
        self.found = _found(self, x, indices, updates)
        dtype = wide(x.dtype)  # as there may be many updates for one element
        places, axis = bounded_along(self, x.shape, indices)
        y = written_along(x.astype(dtype), places, updates.astype(dtype), axis, "add")
        return y.astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor, None, CTensor]:
        return dy, None, dy.at[self.found].get(mode="clip")


class ScatterReduce(Along):
    """y = x, with updates combined: ``sum``, ``prod``, ``mean``, ``amax`` or ``amin``.

    Without ``include_self`` an element that gets updates is combined from these alone. Ties of
    amax and amin share the gradient equally.
    """

    def __init__(self, axis: int, reduce: str, include_self: bool = True) -> None:
        super().__init__(axis)
        if reduce not in ("sum", "prod", "mean", "amax", "amin"):
            raise ArgumentError(
                f"{self.name}: reduce must be 'sum', 'prod', 'mean', 'amax' or 'amin', got "
                f"{reduce!r}"
            )
        self.reduce, self.include_self = reduce, bool(include_self)

    def forward(self, x: CTensor, indices: CTensor, updates: CTensor) -> CTensor:
        if self.reduce == "mean":
            checks.float_input(self, "the input of a mean", x)
        self.found = _found(self, x, indices, updates)
        dtype = wide(x.dtype)
        x_type, x, updates = x.dtype, x.astype(dtype), updates.astype(dtype)
        count = jnp.zeros(x.shape, np.int32).at[self.found].add(1, mode="clip")
        # Whether x's own element takes part; else there is what changes no result in its place.
        self.own = (count == 0) | self.include_self
        self.count = count + self.own
        own = jnp.where(self.own, x, jnp.asarray(neutral(self.reduce, dtype), dtype))
        at = own.at[self.found]
        self.x, self.updates = x, updates
        if self.reduce == "prod":
            y = at.multiply(updates, mode="clip")
        elif self.reduce in ("amax", "amin"):
            y = (at.max if self.reduce == "amax" else at.min)(updates, mode="clip")
        else:
            y = at.add(updates, mode="clip")
        self.y = y / self.count.astype(dtype) if self.reduce == "mean" else y
        return self.y.astype(x_type)

    def backward(self, dy: CTensor) -> tuple[CTensor, None, CTensor]:
        dy = dy.astype(self.x.dtype)
        if self.reduce in ("sum", "mean"):
            if self.reduce == "mean":
                dy = dy / self.count.astype(dy.dtype)
            return jnp.where(self.own, dy, 0), None, self.at(dy)
        if self.reduce == "prod":
            zeros = self.added((self.x == 0), (self.updates == 0))
            own = jnp.where(self.own & (self.x != 0), self.x, 1)
            factors = jnp.where(self.updates == 0, 1, self.updates)
            rest = self.product(own, factors)
            dx = dy * _of_others(self.x, rest, zeros)
            dupdates = self.at(dy) * _of_others(self.updates, self.at(rest), self.at(zeros))
            return jnp.where(self.own, dx, 0), None, dupdates
        hits, hits_of_updates = self.x == self.y, self.updates == self.at(self.y)
        share = dy / jnp.maximum(self.added(hits, hits_of_updates), 1).astype(dy.dtype)
        dx = jnp.where(self.own & hits, share, 0)
        return dx, None, jnp.where(hits_of_updates, self.at(share), 0)

    def product(self, own: CTensor, factors: CTensor) -> CTensor:
        """The product of numbers that are not 0. Its derivative is that of sums of logarithms.

        jax has no derivative of a product over indices that are not unique.
        """
        fixed, fixed_factors = jax.lax.stop_gradient((own, factors))
        exact = fixed.at[self.found].multiply(fixed_factors, mode="clip")
        log = jnp.log(jnp.abs(own)).at[self.found].add(jnp.log(jnp.abs(factors)), mode="clip")
        # The logarithm's change times the product; its value is 0.
        change = exact * (log - jax.lax.stop_gradient(log))
        return exact + jnp.where(jnp.isfinite(exact), change, 0)

    def at(self, x: CTensor) -> CTensor:
        """The element of ``x`` that each update is for."""
        return x.at[self.found].get(mode="clip")

    def added(self, own: CTensor, of_updates: CTensor) -> CTensor:
        """How often something holds for an element: for its own and for its updates."""
        count = (self.own & own).astype(np.int32)
        return count.at[self.found].add(of_updates.astype(np.int32), mode="clip")


def neutral(reduce: str, dtype: np.dtype) -> float:
    """What changes no result of this way to reduce."""
    if reduce not in ("amax", "amin"):
        return 1 if reduce == "prod" else 0
    if is_float(dtype):
        return -np.inf if reduce == "amax" else np.inf
    return np.iinfo(dtype).min if reduce == "amax" else np.iinfo(dtype).max


def _of_others(x: CTensor, rest: CTensor, zeros: CTensor) -> CTensor:
    """The product of all others, from that of all that are not 0, and how many are 0."""
    one_zero = jnp.where((zeros == 1) & (x == 0), rest, 0)
    return jnp.where(zeros == 0, rest / jnp.where(x == 0, 1, x), one_zero)


def _found(
    operation: Along, x: CTensor, indices: CTensor, updates: CTensor
) -> tuple[CTensor | np.ndarray, ...]:
    _expect_fitting(operation, x, updates)
    if updates.shape != indices.shape:
        raise ShapeError(
            f"{operation.name}: updates of shape {updates.shape} for indices of {indices.shape}"
        )
    return places_along(operation, x.shape, indices)


def _expect_fitting(operation: Operation, x: CTensor, updates: CTensor) -> None:
    """Updates are cut off if they are floats for integers, or complex for real numbers."""
    checks.fits_into(operation, "the updates", updates.dtype, x.dtype)
    if is_float(updates.dtype) and not has_gradients(x.dtype):
        raise DTypeError(
            f"{operation.name}: updates of type {updates.dtype} do not fit into {x.dtype}; convert "
            "one of them by as_type"
        )


class IndexAdd(Along):
    """y = x, with alpha updates[i] added to y[indices[i]] for axis 0, and so on."""

    complex_numbers = "own"
    numbers = ("alpha",)

    def __init__(self, axis: int, alpha: float = 1.0) -> None:
        super().__init__(axis)
        self.alpha = checks.number(f"{self.name}: alpha", alpha)
        self.is_whole = float(self.alpha).is_integer()

    def forward(self, x: CTensor, indices: CTensor, updates: CTensor) -> CTensor:
        axis = checks.axis(self, self.axis, x.ndim)
        _expect_fitting(self, x, updates)
        checks.rank(self, "the indices", indices, 1, "(number of updates,)")
        wanted = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
        if updates.shape != wanted:
            raise ShapeError(f"{self.name}: updates must be {wanted}, got shape {updates.shape}")
        places = checks.indices(self, "the indices", indices, x.shape[axis])
        self.index = (*(slice(None),) * axis, places)
        dtype = wide(x.dtype)
        if not has_gradients(x.dtype) and not self.is_whole:
            raise ArgumentError(f"{self.name}: alpha is no integer, but x is of type {x.dtype}")
        updates = (updates.astype(dtype) * self.alpha).astype(dtype)
        return x.astype(dtype).at[self.index].add(updates, mode="clip").astype(x.dtype)

    def backward(self, dy: CTensor) -> tuple[CTensor, None, CTensor]:
        return dy, None, dy.at[self.index].get(mode="clip") * self.alpha


class MaskedScatter(Operation):
    """y = x, but the elements of the source, one after the other, where the mask holds."""

    def forward(self, x: CTensor, mask: CTensor, source: CTensor) -> CTensor:
        checks.broadcasts_to(self, "the input's", mask, x.shape)
        _expect_fitting(self, x, source)
        self.mask = jnp.broadcast_to(mask.astype(bool), x.shape)
        self.source_shape = source.shape
        number = running(self.mask.ravel().astype(np.int32), 0, "sum") - 1
        self.places = jnp.where(self.mask, number.reshape(x.shape), source.size)
        elements = source.ravel().astype(x.dtype)
        if not elements.size:  # jax takes none of none
            elements, self.places = jnp.zeros(1, x.dtype), self.places + 1
        taken = elements.at[self.places].get(mode="fill")
        return jnp.where(self.mask, taken, x)

    def backward(self, dy: CTensor) -> tuple[CTensor, None, CTensor]:
        size = int(np.prod(self.source_shape))
        dsource = jnp.zeros(size, dy.dtype).at[self.places].add(dy, mode="drop")
        return jnp.where(self.mask, 0, dy), None, dsource.reshape(self.source_shape)


def scatter_add(x: Tensor, axis: int, indices: Tensor | ArrayLike, updates: TensorLike) -> Tensor:
    """``x`` with ``updates`` added to the elements at ``indices`` along ``axis``.

    Args:
        x: any shape.
        axis: the axis that the indices are for.
        indices: integers, with the same number of axes; only ``axis`` may be longer than in ``x``.
        updates: of the shape of ``indices``; several for one element are all added.

    Returns:
        A new Tensor of the shape of ``x``.

    Example:
        >>> autograd.scatter_add(tensor.zeros(3), 0, [2, 0, 2], Tensor(data=[1.0, 2.0, 3.0]))
        Tensor([2., 0., 4.], shape=(3,), dtype=float32, device=cpu)
    """
    return _scattered(ScatterAdd(axis), x, indices, updates)


def scatter_reduce(
    x: Tensor,
    axis: int,
    indices: Tensor | ArrayLike,
    updates: TensorLike,
    reduce: str,
    include_self: bool = True,
) -> Tensor:
    """``x`` with ``updates`` combined with the elements at ``indices`` along ``axis``.

    Args:
        x: any shape.
        axis: the axis that the indices are for.
        indices: integers, with the same number of axes; only ``axis`` may be longer than in ``x``.
        updates: of the shape of ``indices``.
        reduce: ``"sum"``, ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
        include_self: whether the element of ``x`` is one of those that are combined; if not, it is
            replaced where there are updates.

    Returns:
        A new Tensor of the shape of ``x``.

    Example:
        >>> x, updates = tensor.ones(3), Tensor(data=[4.0, 2.0, 6.0])
        >>> autograd.scatter_reduce(x, 0, [2, 0, 2], updates, "mean", include_self=False)
        Tensor([2., 1., 5.], shape=(3,), dtype=float32, device=cpu)
    """
    return _scattered(ScatterReduce(axis, reduce, include_self), x, indices, updates)


def index_add(
    x: Tensor, axis: int, indices: Tensor | ArrayLike, updates: TensorLike, alpha: float = 1.0
) -> Tensor:
    """``x`` with ``alpha * updates`` added to its slices at ``indices`` along ``axis``.

    Args:
        x: (..., size, ...).
        axis: the axis of the slices.
        indices: (count,), integers.
        updates: (..., count, ...): a slice for each index; several for one place are all added.
        alpha: a factor of the updates.

    Returns:
        A new Tensor of the shape of ``x``.

    Example:
        >>> autograd.index_add(tensor.zeros((2, 2)), 0, [1, 1], tensor.ones((2, 2)))
        Tensor([[0., 0.],
                [2., 2.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return _scattered(IndexAdd(axis, alpha), x, indices, updates)


def _scattered(
    operation: Along, x: Tensor, indices: Tensor | ArrayLike, updates: TensorLike
) -> Tensor:
    at = checks.axis(operation, operation.axis, x.ndim())
    places = as_indices(operation.name, x, indices, at)
    return operation(x, places, as_tensor(updates, x))[0]


def masked_scatter(x: Tensor, mask: TensorLike, source: TensorLike) -> Tensor:
    """``x`` with the elements of ``source``, in their order, in the places where ``mask`` holds.

    Args:
        x: any shape.
        mask: bools, of a shape that broadcasts to that of ``x``.
        source: any shape. If it has too few elements, NaN is in the remaining places (of integers
            the smallest or the largest one); what it has too many is not used.

    Returns:
        A new Tensor of the shape of ``x``.

    Example:
        >>> x = tensor.zeros(4)
        >>> autograd.masked_scatter(x, [True, False, True, False], [1.0, 2.0])
        Tensor([1., 0., 2., 0.], shape=(4,), dtype=float32, device=cpu)
    """
    return MaskedScatter()(x, as_tensor(mask, x), as_tensor(source, x))[0]
