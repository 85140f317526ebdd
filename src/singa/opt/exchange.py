"""What ranks exchange in a step, in ``jax.numpy``: gradients and parameters, packed.

A message costs time however small it is. So small arrays travel together, as one: a *group*.
These are functions for :meth:`singa.distributed.Communicator.run`, made once for each plan.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TypeAlias

import jax
import jax.numpy as jnp

from singa.device import CTensor, DType
from singa.distributed import AXIS

Groups: TypeAlias = tuple[tuple[int, ...], ...]
"""Which arrays travel together, by their numbers."""


def grouped(arrays: Sequence[CTensor], threshold: int, most: int) -> Groups:
    """Arrays of more than ``threshold`` elements alone, the others together.

    Args:
        arrays: what is to travel.
        threshold: in elements.
        most: no group of several has more elements than this.
    """
    groups: list[list[int]] = []
    open_groups: dict[DType, tuple[list[int], int]] = {}  # with how many elements each has
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
    return jnp.concatenate([arrays[i].ravel() for i in group])


def _unpack(flat: CTensor, group: Sequence[int], arrays: list[CTensor]) -> None:
    """Put the parts of ``flat`` in the places of those arrays that it was made of."""
    start = 0
    for i in group:
        end = start + arrays[i].size
        arrays[i] = flat[start:end].reshape(arrays[i].shape)
        start = end


@cache
def summed(groups: Groups, short: DType | None = None) -> Callable[[list[CTensor]], list[CTensor]]:
    """The sums of arrays over all ranks; they travel in the type ``short``, if there is one."""

    def run(arrays: list[CTensor]) -> list[CTensor]:
        sums = list(arrays)
        for group in groups:
            flat = _packed(arrays, group)
            total = jax.lax.psum(flat if short is None else flat.astype(short), AXIS)
            _unpack(total.astype(flat.dtype), group, sums)
        return sums

    return run


@cache
def averaged(
    groups: Groups, short: DType | None = None, most: float | None = None
) -> Callable[[list[CTensor]], list[CTensor]]:
    """The means of gradients over all ranks.

    Args:
        groups: which travel together.
        short: the type in which they travel, if not their own.
        most: elements are limited to between minus and plus this before.
    """

    def run(grads: list[CTensor]) -> list[CTensor]:
        # Divided before they are added up, for the sum might not fit into a short type.
        parts = [g if most is None else jnp.clip(g, -most, most) for g in grads]
        ranks = jax.lax.psum(1, AXIS)
        return summed(groups, short)([g / jnp.asarray(ranks, g.dtype) for g in parts])

    return run


@cache
def partly_averaged(groups: Groups) -> Callable[[list[CTensor], CTensor], list[CTensor]]:
    """The same arrays, but those of one group averaged over all ranks: of group ``turn``."""

    def run(arrays: list[CTensor], turn: CTensor) -> list[CTensor]:
        branches = [partial(average, group) for group in groups]
        return list(jax.lax.switch(turn % len(groups), branches, arrays))

    def average(group: tuple[int, ...], arrays: list[CTensor]) -> list[CTensor]:
        means = averaged((tuple(range(len(group))),))([arrays[i] for i in group])
        new = dict(zip(group, means, strict=True))
        return [new.get(i, array) for i, array in enumerate(arrays)]

    return run


@cache
def sparsified(
    groups: Groups, share: float, is_top: bool
) -> Callable[[list[CTensor], list[CTensor]], tuple[list[CTensor], list[CTensor]]]:
    """The sums over all ranks of the large elements only, and what is left of each array.

    Args:
        groups: which arrays are looked at, and travel, together.
        share: the part of the elements that is sent, the largest ones, if ``is_top``. Otherwise
            elements are sent whose absolute value is at least this.
        is_top: then so many values and their places travel. Otherwise nobody knows how many there
            will be, and arrays of the full size travel, mostly of zeros.
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


@cache
def sparsified_together(
    count: int, share: float, is_top: bool
) -> Callable[[list[CTensor], CTensor], tuple[list[CTensor], CTensor]]:
    """The same of so many arrays as one group, with what is left in one array of one axis."""
    group = tuple(range(count))

    def run(arrays: list[CTensor], left_before: CTensor) -> tuple[list[CTensor], CTensor]:
        parts = list(arrays)
        _unpack(left_before, group, parts)
        sums, left = sparsified((group,), share, is_top)(arrays, parts)
        return sums, _packed(left, group)

    return run
