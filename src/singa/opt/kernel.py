"""An optimizer's update of parameters, compiled once per rule and hyper-parameters.

Optimizers of one class with equal fields share the compiled code: a new one, as in a search for the
best learning rate, is not compiled again. What else the rule reads is guarded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol, TypeAlias
from weakref import WeakValueDictionary

import jax
import jax.numpy as jnp

from singa.core.exact import copied, exact_or_same, known_by
from singa.core.guard import guard_of, own, running
from singa.device import CTensor, int32
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
from singa.tape.arrays_only import arrays_only
from singa.tape.kernel import named, table
from singa.tape.table import Tracing

METHODS = ("rule", "init")
"""The methods of a subclass of Optimizer that are compiled."""

Layout: TypeAlias = tuple[tuple[str, int], ...]
"""One parameter's hyper-parameters: their names, and their indices among all values of a step."""

_INSTEAD = "Keep it in the state, which init makes; or make it a Hyperparameter, if it is a number"


class Updates(Protocol):
    """What a kernel needs of an optimizer; see :class:`singa.opt.Optimizer`."""

    accumulate: int
    maximize: bool

    @property
    def rule(
        self,
    ) -> Callable[[CTensor, CTensor, State, Values, CTensor], tuple[CTensor, State]]: ...
    def init(self, p: CTensor, on: Collection[str]) -> State: ...
    def check(self) -> None: ...
    def fields(self) -> dict[str, Any]: ...
    def _initial(self, p: CTensor, on: Collection[str]) -> State: ...


class Misfit(Exception):
    """The state of the parameter of this number was made for another shape or data type."""

    def __init__(self, number: int) -> None:
        self.number = number


class Rule:
    """The part of an optimizer that is compiled: its ``rule`` and ``init``, and what these read.

    Optimizers share a Rule as long as their methods compute the same.

    Args:
        optimizer: the optimizer in its present state.
        fields: the attributes that these methods read.
        identity: the hash of the rule's key.

    Attributes:
        optimizer: a copy that has these fields only.
        guard: of what else these methods read; None if they read nothing that could change.
    """

    __slots__ = ("__weakref__", "guard", "identity", "optimizer")

    def __init__(self, optimizer: Updates, fields: dict[str, Any], identity: int) -> None:
        kind = type(optimizer)
        self.identity = identity
        self.optimizer = object.__new__(kind)
        own(self.optimizer).update({name: copied(value) for name, value in fields.items()})
        self.guard = guard_of(kind, own(self.optimizer), METHODS)

    @contextmanager
    def running(self) -> Iterator[None]:
        """A block in which these methods run."""
        what = f"{type(self.optimizer).__name__}: rule and init"
        with running(self.guard), arrays_only(what, _INSTEAD):
            yield


class UpdateKernel:
    """The compiled update of parameters in one step, or in a part of one.

    Args:
        rule: of one parameter.
        layouts: of each parameter.
        slots: of each parameter's state, the names.
        is_whole: whether these parameters are all that the step updates.
        identity: the hash of the kernel's key.

    Attributes:
        update: the compiled function; returns ``{tracing: results}``. States are lists without
            names, because jax takes longer for dicts: half as long again for momentum.
        tracings: all that were made.
    """

    __slots__ = ("__weakref__", "tracings", "update")

    def __init__(
        self,
        rule: Rule,
        layouts: tuple[Layout, ...],
        slots: tuple[tuple[str, ...], ...],
        is_whole: bool,
        identity: int,
    ) -> None:
        tracings: list[Tracing] = []
        self.tracings = tracings
        optimizer = rule.optimizer
        micro_batches = optimizer.accumulate

        def run(
            params: list[CTensor],
            grads: list[CTensor],
            state: list[CTensor],
            values: list[CTensor],
            pages: list[CTensor],
            rows: CTensor,
            parts: list[CTensor],
            counters: list[CTensor],
            is_open: CTensor | None,
            scaling: list[CTensor],
            is_good: CTensor | None,
        ) -> dict[Tracing, list[CTensor]]:
            left = iter(state)
            states = [{name: next(left) for name in names} for names in slots]
            with rule.running():
                _expect_fitting(optimizer, params, states, layouts)
            tracing = Tracing()
            avals = tuple(map(jax.typeof, (*params, *grads)))
            table.traced(tracings, tracing, hash((identity, avals)))
            hypers = [Values({name: values[i] for name, i in layout}) for layout in layouts]
            turns = jnp.concatenate([*pages, jnp.zeros((1, 2), int32)])[rows]
            is_new = True if is_open is None else begins(counters[0], is_open, turns[0])
            number, is_last, new_counters = count(counters, is_new, micro_batches)
            place = number, is_last
            if scaling and is_good is None:
                grads = unscaled(grads, scaling[0])
                is_good = are_finite(grads)
            if optimizer.maximize:
                grads = [-grad for grad in grads]
            with rule.running():
                new_params, new_states = update(
                    optimizer.rule, micro_batches, params, grads, states, hypers, turns, *place
                )
            new_pages = [
                count_turns(page, part, number, is_last)
                for page, part in zip(pages, parts, strict=True)
            ]
            new = new_params, new_states, new_pages, new_counters
            if is_good is not None:
                new = unless_overflown(is_good, new, (params, states, pages, counters))
                scaling = rescaled(is_good, scaling)
            new_params, new_states, new_pages, new_counters = new
            new_state = [
                new[name] for names, new in zip(slots, new_states, strict=True) for name in names
            ]
            # The step is open now, even if it was skipped: then its end is not counted as a step.
            is_open = jnp.ones((), bool)
            return {
                tracing: [*new_params, *new_state, *new_pages, *new_counters, *scaling, is_open]
            }

        self.update = jax.jit(named(run, f"{type(optimizer).__name__}_update"))

    def __call__(self, *inputs: Any) -> list[CTensor]:
        """The new parameters, states, pages, counters, scaling, and whether the step is open."""
        [(tracing, results)] = self.update(*inputs).items()
        if tracing.used != table.clock:
            table.use(tracing)
        return results


def rule_of(optimizer: Updates) -> Rule:
    """The rule of an optimizer in its present state."""
    kind, fields = type(optimizer), optimizer.fields()
    key = (kind, kind.rule, kind.init, known_by(fields, exact_or_same))
    rule = _rules.get(key)
    if rule is None or (rule.guard is not None and not rule.guard.holds_here()):
        rule = _rules[key] = Rule(optimizer, fields, hash(key))
    return rule


_rules: WeakValueDictionary[Any, Rule] = WeakValueDictionary()


def kernel_of(
    optimizer: Updates,
    layouts: tuple[Layout, ...],
    slots: tuple[tuple[str, ...], ...],
    is_whole: bool,
) -> UpdateKernel:
    """The kernel for the rule of an optimizer in its present state."""
    rule = rule_of(optimizer)
    key = (rule, layouts, slots, is_whole)
    kernel = table.kernels.get(key)
    if kernel is None:
        optimizer.check()
        identity = hash((rule.identity, *key[1:]))
        kernel = table.kernels[key] = UpdateKernel(*key, identity)
    return kernel


def _expect_fitting(
    optimizer: Updates,
    params: list[CTensor],
    states: list[State],
    layouts: tuple[Layout, ...],
) -> None:
    # Runs while a kernel is traced: it costs nothing as long as shapes do not change.
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
