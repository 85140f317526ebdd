"""An optimizer's update of parameters, compiled once per class, fields and hyper-parameters.

Optimizers of one class with equal fields share what is compiled: a new one, as in a search for the
best learning rate, costs no compilation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from functools import partial
from typing import Any, Protocol, TypeAlias

import jax
import jax.numpy as jnp

from singa.device import CTensor, int32
from singa.exact import exact
from singa.guard import own
from singa.opt.hyperparameter import Values
from singa.opt.step import (
    State,
    are_finite,
    begins,
    count,
    count_turns,
    rescaled,
    unless_overflown,
    unscaled,
    update,
)
from singa.tape.kernel import named, table
from singa.tape.table import Tracing

Layout: TypeAlias = tuple[tuple[str, int], ...]
"""One parameter's hyper-parameters: their names, and their places among all values of a step."""


class Updates(Protocol):
    """What a kernel wants of an optimizer; see there."""

    accumulate: int
    rule: Callable[[CTensor, CTensor, State, Values, CTensor], tuple[CTensor, State]]

    def init(self, p: CTensor, on: Collection[str]) -> State: ...
    def check(self) -> None: ...
    def fields(self) -> dict[str, Any]: ...
    def _initial(self, p: CTensor, on: Collection[str]) -> State: ...


class Misfit(Exception):
    """The state of the parameter of this number was made for another shape or data type."""

    def __init__(self, number: int) -> None:
        self.number = number


class Kernel:
    """The compiled update of parameters in one step, or in a part of one.

    Args:
        optimizer: one that has its fields only.
        layouts: of each parameter.
        is_whole: whether the parameters are all that the step updates.
        identity: the hash of what it is known by.

    Attributes:
        update: to ``{tracing: results}``.
        tracings: all that were made.
    """

    __slots__ = ("__weakref__", "tracings", "update")

    def __init__(
        self, optimizer: Updates, layouts: tuple[Layout, ...], is_whole: bool, identity: int
    ) -> None:
        tracings: list[Tracing] = []
        self.tracings = tracings
        micro_batches = optimizer.accumulate

        def run(
            params: list[CTensor],
            grads: list[CTensor],
            states: list[State],
            values: list[CTensor],
            pages: list[CTensor],
            rows: CTensor,
            parts: list[CTensor],
            counters: list[CTensor],
            is_open: CTensor | None,
            scaling: list[CTensor],
            is_good: CTensor | None,
        ) -> dict[Tracing, Any]:
            _expect_fitting(optimizer, params, states, layouts)
            tracing = Tracing()
            avals = tuple(map(jax.typeof, (*params, *grads)))
            table.traced(tracings, tracing, hash((identity, avals)))
            hypers = [Values({name: values[i] for name, i in layout}) for layout in layouts]
            turns = jnp.concatenate([*pages, jnp.zeros((1, 2), int32)])[rows]
            is_new = True if is_open is None else begins(counters[0], is_open, turns[0])
            number, is_last, new_counters = count(counters, is_new, micro_batches)
            if scaling and is_good is None:
                grads = unscaled(grads, scaling[0])
                is_good = are_finite(grads)
            rule = optimizer.rule
            new_params, new_states = update(
                rule, micro_batches, params, grads, states, hypers, turns, number, is_last
            )
            new_pages = [
                count_turns(page, part, number, is_last)
                for page, part in zip(pages, parts, strict=True)
            ]
            new = new_params, new_states, new_pages, new_counters
            if is_good is not None:
                new = unless_overflown(is_good, new, (params, states, pages, counters))
                scaling = rescaled(is_good, scaling)
            # Left out or not, this step has been: what ends it is no step by itself.
            return {tracing: (*new, scaling, jnp.ones((), bool))}

        self.update = jax.jit(named(run, f"{type(optimizer).__name__}_update"))

    def __call__(self, *inputs: Any) -> Any:
        """The new parameters, states, pages, counters, scaling, and whether the step is open."""
        [(tracing, results)] = self.update(*inputs).items()
        if tracing.used != table.clock:
            table.use(tracing)
        return results


def kernel_of(optimizer: Updates, layouts: tuple[Layout, ...], is_whole: bool) -> Kernel:
    """The kernel for an optimizer's fields, as they are now."""
    kind, fields = type(optimizer), optimizer.fields()
    values = tuple([(name, _exact(value)) for name, value in fields.items()])
    key = (kind, kind.rule, kind.init, layouts, is_whole, values)
    kernel = table.kernels.get(key)
    if kernel is None:
        optimizer.check()
        bare = object.__new__(kind)
        own(bare).update(fields)
        kernel = table.kernels[key] = Kernel(bare, layouts, is_whole, hash(key))
    return kernel


def _exact(value: Any) -> Hashable:
    try:
        return exact(value)
    except TypeError:  # it has no value to be known by; the kernel keeps it alive
        return type(value), id(value)


def _expect_fitting(
    optimizer: Updates,
    params: list[CTensor],
    states: list[State],
    layouts: tuple[Layout, ...],
) -> None:
    # Runs while a kernel is traced: it costs nothing where shapes stay what they were.
    known: dict[Any, State] = {}
    for number, (param, state) in enumerate(zip(params, states, strict=True)):
        names = names_of(layouts[number])
        key = names, param.shape, param.dtype
        if key not in known:
            known[key] = jax.eval_shape(partial(optimizer._initial, on=names), param)
        for slot, wanted in known[key].items():
            if (state[slot].shape, state[slot].dtype) != (wanted.shape, wanted.dtype):
                raise Misfit(number)


def names_of(layout: Layout) -> tuple[str, ...]:
    """The names of the hyper-parameters that are on."""
    return tuple([name for name, _ in layout])
