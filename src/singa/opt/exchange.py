"""The exchange of gradients and parameters between ranks, in ``jax.numpy``.

Every message takes time, even a small one. So small arrays are packed and sent together: a *group*.
These are functions for :meth:`singa.distributed.Communicator.run`, made once for each plan.

If a step's loss was scaled, their argument ``scaling`` is a list with the scale; else it is empty.
They return gradients that are not scaled, and whether those of all ranks were finite (None if the
loss was not scaled).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import TypeAlias

import jax
import jax.numpy as jnp

from singa.device import CTensor, DType
from singa.distributed import AXIS
from singa.opt.step import are_finite, unless_overflown, unscaled

Groups: TypeAlias = tuple[tuple[int, ...], ...]
"""Which arrays are sent together, by their numbers."""

WORTH_PACKING = 131_072
"""The most elements of an array that is packed: to copy more takes longer than a message."""


def grouped(arrays: Sequence[CTensor], threshold: int, most: int) -> Groups:
    """Groups: each array of more than ``threshold`` elements alone, the others together.

    Args:
        arrays: the arrays to send.
        threshold: in elements.
        most: a group of several arrays has at most this many elements.
    """
    groups: list[list[int]] = []
    open_groups: dict[DType, tuple[list[int], int]] = {}  # with the number of elements of each
    for i, array in enumerate(arrays):
        if array.size > threshold:
            groups.append([i])
            continue
        group, size = open_groups.get(array.dtype, ([], 0))
        if not group or size + array.size > most:
            group, size = [], 0
            groups.append(group)
        group.append(i)
        open_groups[array.dtype] = group, size + array.size
    return tuple(map(tuple, groups))


def _packed(arrays: Sequence[CTensor], group: Sequence[int]) -> CTensor:
    """The arrays of a group as one flat array.

    They are written into it one after the other. XLA on CPUs computes the elements of a
    concatenation one by one, in a program for several threads, and looks up for each from where it
    comes: 130 ms for 7 MB.
    """
    if len(group) == 1:
        return arrays[group[0]].ravel()
    flat = jnp.zeros(sum(arrays[i].size for i in group), arrays[group[0]].dtype)
    start = 0
    for i in group:
        flat = jax.lax.dynamic_update_slice(flat, arrays[i].ravel(), (start,))
        start += arrays[i].size
    return flat


def _unpack(flat: CTensor, group: Sequence[int], arrays: list[CTensor]) -> None:
    """Replace the arrays of a group by their parts of ``flat``."""
    start = 0
    for i in group:
        end = start + arrays[i].size
        arrays[i] = flat[start:end].reshape(arrays[i].shape)
        start = end


@lru_cache(maxsize=256)
def summed(groups: Groups, short: DType | None = None) -> Callable[[list[CTensor]], list[CTensor]]:
    """The sums of arrays over all ranks; they are sent in the type ``short``, if it is given.

    Large arrays are sent alone in any case, which changes no sums.
    """

    def run(arrays: list[CTensor]) -> list[CTensor]:
        sums = list(arrays)
        large = [[i] for group in groups for i in group if arrays[i].size > WORTH_PACKING]
        small = [[i for i in group if arrays[i].size <= WORTH_PACKING] for group in groups]
        for group in filter(None, (*large, *small)):
            flat = _packed(arrays, group)
            total = jax.lax.psum(flat if short is None else flat.astype(short), AXIS)
            _unpack(total.astype(flat.dtype), group, sums)
        return sums

    return run


@lru_cache(maxsize=256)
def averaged(
    groups: Groups, short: DType | None = None, most: float | None = None
) -> Callable[..., tuple[list[CTensor], CTensor | None]]:
    """The means of gradients over all ranks.

    Args:
        groups: which are sent together.
        short: the type in which they are sent, if not their own.
        most: elements are clipped to between minus and plus this before.
    """

    def run(grads: list[CTensor], scaling: list[CTensor]) -> tuple[list[CTensor], CTensor | None]:
        # Divide before the sum, because the sum might overflow in a short type. Keep the loss
        # scale until after the sum, because small gradients would become 0 in a short type.
        ranks = jax.lax.psum(1, AXIS)
        parts = [clipped(g, scaling) / jnp.asarray(ranks, g.dtype) for g in grads]
        means = summed(groups, short)(parts)
        if not scaling:
            return means, None
        means = unscaled(means, scaling[0])
        return means, are_finite(means)  # if one rank's are not finite, the sums are not either

    def clipped(grad: CTensor, scaling: list[CTensor]) -> CTensor:
        if most is None:
            return grad
        if not scaling:
            return jnp.clip(grad, -most, most)
        limit = (most * scaling[0]).astype(grad.dtype)
        # Keep values that are not finite, because all ranks have to see them.
        return jnp.where(jnp.isfinite(grad), jnp.clip(grad, -limit, limit), grad)

    return run


def agreed(grads: list[CTensor], scaling: list[CTensor]) -> tuple[list[CTensor], CTensor | None]:
    """This rank's own gradients, and whether those of all ranks are finite."""
    if not scaling:
        return grads, None
    return unscaled(grads, scaling[0]), _are_finite_everywhere(grads)


def _are_finite_everywhere(grads: list[CTensor]) -> CTensor:
    overflown = jnp.logical_not(are_finite(grads)).astype(jnp.int32)
    return jax.lax.psum(overflown, AXIS) == 0


@lru_cache(maxsize=256)
def partly_averaged(groups: Groups) -> Callable[..., tuple[list[CTensor], CTensor]]:
    """The same arrays, but those of group ``turn`` averaged over all ranks; and the next turn.

    If the step is skipped (``is_good`` is false), nothing is averaged and the turn stays the same.
    """

    def run(
        arrays: list[CTensor], turn: CTensor, is_good: CTensor | None
    ) -> tuple[list[CTensor], CTensor]:
        branches = [partial(average, group) for group in groups]
        new = list(jax.lax.switch(turn % len(groups), branches, arrays)), turn + 1
        return new if is_good is None else unless_overflown(is_good, new, (arrays, turn))

    def average(group: tuple[int, ...], arrays: list[CTensor]) -> list[CTensor]:
        means, _ = averaged((tuple(range(len(group))),))([arrays[i] for i in group], [])
        new = dict(zip(group, means, strict=True))
        return [new.get(i, array) for i, array in enumerate(arrays)]

    return run


@lru_cache(maxsize=256)
def sparsely_averaged(
    groups: Groups, share: float, is_top: bool
) -> Callable[..., tuple[list[CTensor], list[CTensor], CTensor | None]]:
    """The means over all ranks of the gradients' large elements only, and the rest of each.

    The rests do not change if the gradients of any rank overflow.

    Args:
        groups, share, is_top: see :func:`sparsified`.
    """

    def run(
        grads: list[CTensor], left_before: list[CTensor], scaling: list[CTensor]
    ) -> tuple[list[CTensor], list[CTensor], CTensor | None]:
        own, is_good = agreed(grads, scaling)
        before = [rest.astype(g.dtype) for g, rest in zip(own, left_before, strict=True)]
        sums, left = sparsified(groups, share, is_top)(own, before)
        means = [total / jnp.asarray(jax.lax.psum(1, AXIS), total.dtype) for total in sums]
        kept = [rest.astype(old.dtype) for rest, old in zip(left, left_before, strict=True)]
        if is_good is not None:
            kept = unless_overflown(is_good, kept, left_before)
        return means, kept, is_good

    return run


@lru_cache(maxsize=256)
def sparsified(
    groups: Groups, share: float, is_top: bool
) -> Callable[[list[CTensor], list[CTensor]], tuple[list[CTensor], list[CTensor]]]:
    """The sums over all ranks of the large elements only, and the rest of each array.

    Args:
        groups: which arrays are taken, and sent, together.
        share: with ``is_top``, the fraction of elements that is sent, the largest ones. Otherwise
            the elements whose absolute value is at least this are sent.
        is_top: if true, that many values and their indices are sent. Otherwise their number is not
            known beforehand, and arrays of the full size are sent, mostly of zeros.
    """

    def run(
        arrays: list[CTensor], left_before: list[CTensor]
    ) -> tuple[list[CTensor], list[CTensor]]:
        sums, left = list(arrays), list(left_before)
        for group in groups:
            flat = _packed(arrays, group) + _packed(left_before, group)
            if is_top:
                count = max(1, round(share * flat.size))
                places = jax.lax.top_k(jnp.abs(flat), count)[1]
                values = jax.lax.all_gather(flat[places], AXIS).ravel()
                everyones = jax.lax.all_gather(places, AXIS).ravel()
                total = jnp.zeros_like(flat).at[everyones].add(values)
                rest = flat.at[places].set(0)
            else:
                sent = jnp.where(jnp.abs(flat) >= share, flat, jnp.zeros_like(flat))
                total, rest = jax.lax.psum(sent, AXIS), flat - sent
            _unpack(total, group, sums)
            _unpack(rest, group, left)
        return sums, left

    return run


@lru_cache(maxsize=256)
def sparsified_together(
    count: int, share: float, is_top: bool
) -> Callable[[list[CTensor], CTensor], tuple[list[CTensor], CTensor]]:
    """:func:`sparsified` for ``count`` arrays as one group, with the rests in one flat array."""
    group = tuple(range(count))

    def run(arrays: list[CTensor], left_before: CTensor) -> tuple[list[CTensor], CTensor]:
        parts = list(arrays)
        _unpack(left_before, group, parts)
        sums, left = sparsified((group,), share, is_top)(arrays, parts)
        return sums, _packed(left, group)

    return run
