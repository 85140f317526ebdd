"""Embeddings: rows of a table at given ids, one by one or combined in bags."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from singa.core.arrays import on_host
from singa.core.tensor import ArrayLike, Tensor, as_tensor
from singa.core.watching import local
from singa.device import CTensor, has_gradients
from singa.errors import ArgumentError, BoundsError, DTypeError
from singa.operation import checks
from singa.operation.choosing import where
from singa.operation.elementwise import mul
from singa.operation.indexing import added, as_indices
from singa.operation.numerics import p_norm
from singa.operation.ordering import searchsorted
from singa.operation.reduction import reduce_max, reduce_mean, reduce_sum
from singa.operation.segments import segment_max, segment_mean, segment_sum
from singa.operation.shaping import reshape, unsqueeze
from singa.tape import Operation, no_grad

__all__ = ["Embedding", "embedding", "embedding_bag"]


class Embedding(Operation):
    """y = the rows of a table at the given ids; for an id that the table does not have, NaN.

    Args:
        padding_idx: the id of a row that gets no gradient, if there is one.
        scale_grad_by_freq: whether a row's gradient is divided by the number of its ids in x.
    """

    complex_numbers = "own"

    def __init__(self, padding_idx: int | None = None, scale_grad_by_freq: bool = False) -> None:
        super().__init__()
        self.padding_idx = None if padding_idx is None else int(padding_idx)
        self.scale_grad_by_freq = bool(scale_grad_by_freq)

    def __call__(self, *xs: Tensor) -> tuple[Tensor, ...]:
        if len(xs) == 2 and all(isinstance(x, Tensor) for x in xs):
            x, table = xs[0], xs[1]._data
            if x._data.dtype.kind in "iu" and table.ndim and table.shape[0]:
                checks.ids(self, "ids", x, table.shape[0], "a table", table.shape)
        return super().__call__(*xs)

    def forward(self, x: CTensor, w: CTensor) -> CTensor:
        self.from_shape, self.ids = w.shape, self.found(x, w)
        if not has_gradients(w.dtype):
            return w.at[self.ids].get(mode="clip")
        return w.at[self.ids].get(mode="fill", fill_value=jnp.nan)

    def found(self, x: CTensor, w: CTensor) -> CTensor:
        """The ids as int32; those that the table does not have are its length."""
        checks.rank(self, "the table", w, 2, "(vocabulary, features)")
        ids = checks.indices(self, "the ids", x, len(w))
        return jnp.where(ids < 0, len(w), ids)

    def backward(self, dy: CTensor) -> tuple[None, CTensor]:
        count, ids = self.from_shape[0], self.ids
        if self.padding_idx is not None:
            ids = jnp.where(ids == self.padding_idx, count, ids)
        dw = added(self.from_shape, (ids,), dy, "drop")
        if self.scale_grad_by_freq:
            times = jnp.zeros(count, jnp.int32).at[ids].add(1, mode="drop")
            dw = dw / jnp.maximum(times, 1)[:, None].astype(dw.dtype)
        return None, dw


class _Shortened(Embedding):
    """The table, in which the rows of the ids are not longer than a norm; without a gradient."""

    def __init__(self, max_norm: float, norm_type: float) -> None:
        super().__init__()
        self.max_norm = checks.number("Embedding: max_norm", max_norm)
        self.norm_type = checks.number("Embedding: norm_type", norm_type)

    def forward(self, x: CTensor, w: CTensor) -> CTensor:
        checks.float_input(self, "the table", w)
        ids = self.found(x, w)
        rows = w.at[ids].get(mode="clip")
        wide = rows.astype(jnp.promote_types(w.dtype, jnp.float32))
        norms = p_norm(wide, self.norm_type, -1)[1]
        # The small number is PyTorch's: rounding must not leave a row longer than it may be.
        shorter = wide * (self.max_norm / (norms + 1e-7))
        rows = jnp.where(norms > self.max_norm, shorter.astype(w.dtype), rows)
        return w.at[ids].set(rows, mode="drop")


def embedding(
    x: Tensor | ArrayLike,
    w: Tensor,
    *,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
) -> Tensor:
    """The rows of ``w`` at the ids ``x``.

    Args:
        x: integers from 0 to vocabulary - 1, of any shape; a Tensor, an array or a list.
        w: (vocabulary, features).
        padding_idx: the id of a row that gets no gradient; counted from the end if negative.
        max_norm: the rows of ``x`` that are longer are first shortened to this norm: in ``w``
            itself, in training and in evaluation, and not recorded.
        norm_type: the p of that norm.
        scale_grad_by_freq: whether a row's gradient is divided by the number of its ids in ``x``.

    Returns:
        (the shape of x, features).

    Raises:
        BoundsError: there is no such id: eagerly, and in a block of ``detect_anomaly``. In other
            compiled steps its row is NaN, and no row gets a gradient of it. Or there is no row
            ``padding_idx``.
        ArgumentError: ``max_norm`` with a table that an operation has computed.

    Example:
        >>> autograd.embedding([2, 0], Tensor(data=[[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]))
        Tensor([[2. , 2.5],
                [0. , 0.5]], shape=(2, 2), dtype=float32, device=cpu)
        >>> w = Tensor(data=[[3.0, 4.0], [6.0, 8.0]])
        >>> _ = autograd.embedding([0], w, max_norm=1.0)
        >>> w.to_numpy()
        array([[0.6, 0.8],
               [6. , 8. ]], dtype=float32)
    """
    operation = Embedding(_padding(w, padding_idx), scale_grad_by_freq)
    if not isinstance(x, Tensor) and np.min(x, initial=0) < 0:
        raise BoundsError(f"{operation.name}: ids are from 0 on, got {np.min(x)}")
    x = as_indices(operation.name, w, x, 0)
    if max_norm is not None:
        _shorten(x, w, max_norm, norm_type)
    return operation(x, w)[0]


def _padding(w: Tensor, padding_idx: int | None) -> int | None:
    """The id of the padding, counted from the start."""
    if padding_idx is None:
        return None
    found, count = checks.integer("Embedding: padding_idx", padding_idx), w.shape[0]
    if not -count <= found < count:
        raise BoundsError(f"Embedding: padding_idx={found} is none of the {count} rows")
    return found % count


def _shorten(x: Tensor, w: Tensor, max_norm: float, norm_type: float) -> None:
    if w.creator is not None:
        raise ArgumentError(
            "Embedding: max_norm changes the table itself, so it must be a parameter, and not the "
            "result of an operation"
        )
    with no_grad():
        w.assign(_Shortened(max_norm, norm_type)(x, w)[0].data)


def embedding_bag(
    x: Tensor | ArrayLike,
    w: Tensor,
    offsets: Tensor | ArrayLike | None = None,
    mode: str = "mean",
    weights: Tensor | None = None,
    *,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    include_last_offset: bool = False,
) -> Tensor:
    """For each bag of indices, the mean, the sum or the largest of these rows of ``w``.

    Args:
        x: (bags, count), integers; or (N,), all bags one after the other.
        w: (vocabulary, features).
        offsets: (bags,), integers: where each bag begins in an ``x`` of one axis.
        mode: ``"mean"``, ``"sum"`` or ``"max"``. An empty bag gives 0.
        weights: of the shape of ``x``: factors of the rows, in mode ``"sum"`` only.
        padding_idx: an id that is left out of all bags; means do not count it.
        max_norm, norm_type, scale_grad_by_freq: see :func:`embedding`.
        include_last_offset: whether ``offsets`` has one more element, the end of the last bag.

    Returns:
        (bags, features).

    Raises:
        ArgumentError: there is no such mode, weights are for another one, or offsets do not go with
            the axes of ``x``.
        BoundsError: there is no such id, see :func:`embedding`; or, eagerly, offsets are not as
            they should be.

    Example:
        >>> w = Tensor(data=[[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]])
        >>> autograd.embedding_bag([2, 0, 1], w, offsets=[0, 2])
        Tensor([[1. , 1.5],
                [1. , 1.5]], shape=(2, 2), dtype=float32, device=cpu)
    """
    if mode not in ("mean", "sum", "max"):
        raise ArgumentError(f"embedding_bag: mode must be 'mean', 'sum' or 'max', got {mode!r}")
    if weights is not None and mode != "sum":
        raise ArgumentError(f"embedding_bag: weights are for mode 'sum', not for {mode!r}")
    rows = embedding(
        x, w, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
        scale_grad_by_freq=scale_grad_by_freq,
    )  # fmt: skip
    if len(rows.shape) != (3 if offsets is None else 2):
        raise ArgumentError(
            "embedding_bag: x is (bags, count) without offsets, or (N,) with them, got shape "
            f"{rows.shape[:-1]} {'without' if offsets is None else 'with'} offsets"
        )
    if weights is not None:
        rows = mul(rows, unsqueeze(weights, -1))
    padding = _padding(w, padding_idx)
    if offsets is None and padding is None:
        if not rows.shape[1]:
            mode = "sum"
        reduce = {"mean": reduce_mean, "sum": reduce_sum, "max": reduce_max}[mode]
        return reduce(rows, 1, keepdims=False)
    bags, ids = _bags(rows, w, offsets, include_last_offset)
    rows = reshape(rows, (ids.size(), rows.shape[-1]))
    if padding is not None:  # these are in no bag
        ids = where(ids, bags, reshape(as_indices("Embedding", w, x, 0), (-1,)) != padding)
    combine = {"mean": segment_mean, "sum": segment_sum, "max": segment_max}[mode]
    return combine(rows, ids, bags)


def _bags(
    rows: Tensor, w: Tensor, offsets: Tensor | ArrayLike | None, include_last: bool
) -> tuple[int, Tensor]:
    """The number of bags, and the bag of each row, (N,)."""
    if offsets is None:
        bags, count = rows.shape[:2]
        return bags, as_tensor(np.repeat(np.arange(bags, dtype=np.int32), count), w)
    offsets = as_tensor(offsets, w)
    _check_offsets(offsets, rows.shape[0])
    if include_last:
        if offsets.size() < 1:
            raise ArgumentError("embedding_bag: include_last_offset needs at least one offset")
        offsets = offsets[:-1]
    places = as_tensor(np.arange(rows.shape[0], dtype=np.int32), w)
    return offsets.size(), searchsorted(offsets, places, right=True) - 1


def _check_offsets(offsets: Tensor, count: int) -> None:
    """Offsets begin with 0 and do not decrease: else an error, eagerly."""
    if offsets.dtype.kind not in "iu":
        raise DTypeError(f"embedding_bag: offsets must be integers, got {offsets.dtype}")
    if local.capture is not None or not offsets.size:
        return
    found = on_host(offsets.data)
    if found[0] != 0 or (np.diff(found) < 0).any() or found[-1] > count:
        raise BoundsError(
            "embedding_bag: offsets must begin with 0, not decrease, and not be above the number "
            f"of indices, {count}; got {found.tolist()[:10]}"
        )
