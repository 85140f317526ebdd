"""The update of parameters around an optimizer's rule, in ``jax.numpy``.

Gradients are summed over micro-batches, clipped and given to the rule; the new parameters are
added to their moving averages. All of it is one compiled function of all parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from singa.device import CTensor, is_complex
from singa.operation.numerics import scale_for
from singa.opt.hyperparameter import Values
from singa.tape.precision import wide, widened

State: TypeAlias = dict[str, CTensor]
Rule: TypeAlias = Callable[[CTensor, CTensor, State, Values, CTensor], tuple[CTensor, State]]

SUM, AVERAGE, TURN = "gradient_sum", "average", "turn"
"""The slots of a parameter that do not belong to the rule. A turn is int32 (2,): how many updates
the parameter has had, and the number of the step, from 1, in which it last had a gradient."""

HAS_GRADIENT, MAY_HAVE_HAD_ONE = 2, 1
"""The part of a parameter in a micro-batch: it has a gradient in this one; or it may have had one
in an earlier micro-batch of the step."""

FIRST_SCALE, GOOD_STEPS = 2.0**15, 2000
"""The initial loss scale, and the number of steps without overflow in a row that double it."""


def begins(steps: CTensor, is_open: CTensor, turn: CTensor) -> CTensor:
    """Whether the update of a parameter with this turn begins a step: bool ()."""
    return ~is_open | (turn[1] == steps)


@jax.jit
def present_step(steps: CTensor, is_open: CTensor, page: CTensor, row: CTensor) -> CTensor:
    """The number, from 0, of the step to which the update of one parameter belongs: int32 ()."""
    return steps - 1 + begins(steps, is_open, page[row[0]])


@jax.jit
def ended(counters: list[CTensor], is_open: CTensor) -> tuple[CTensor, CTensor]:
    """The number of steps after the open step has ended; and False, because none is open then.

    If no step is open, this is counted as a step, except between two micro-batches of a step.
    """
    steps, *micro = counters
    counts = ~is_open & (micro[0] == 0) if micro else ~is_open
    return steps + counts, jnp.zeros((), bool)


def count(
    counters: list[CTensor], begins: CTensor | bool, micro_batches: int
) -> tuple[CTensor, CTensor | bool, list[CTensor]]:
    """Count the step and the micro-batch of an update.

    Args:
        counters: how many steps have begun; and, if there are several micro-batches in a step,
            how many of them have begun in the present step: int32 ().
        begins: whether a micro-batch begins with this update, and has to be counted.
        micro_batches: the number of micro-batches in a step.

    Returns:
        The number of the step, from 1; whether this is its last micro-batch; the new counters.
    """
    if micro_batches == 1:
        number = counters[0] + jnp.asarray(begins, jnp.int32)
        return number, True, [number]
    steps, micro = counters
    is_last = micro + 1 >= micro_batches
    return steps + 1, is_last, [steps + is_last, jnp.where(is_last, 0, micro + 1)]


def update(
    rule: Rule,
    micro_batches: int,
    params: Sequence[CTensor],
    grads: Sequence[CTensor],
    states: Sequence[State],
    hypers: Sequence[Values],
    turns: CTensor,
    number: CTensor,
    is_last: CTensor | bool,
) -> tuple[list[CTensor], list[State]]:
    """The new parameters and states after one micro-batch.

    The last micro-batch updates all parameters that had a gradient in any of the step's
    micro-batches.

    Args:
        rule: of one parameter.
        micro_batches: the number of micro-batches in a step.
        params: first those with a gradient, then, if there are micro-batches, all others.
        grads: of those with a gradient.
        states, hypers: of each parameter.
        turns: of each parameter, int32 (parameters, 2).
        number: of the step, from 1.
        is_last: whether this is its last micro-batch.
    """
    updates, had_one = turns[:, 0], turns[:, 1] == number

    def finish(grads: list[CTensor]) -> tuple[list[CTensor], list[State]]:
        new_params, new_states = [], []
        for i, grad in enumerate(clip(grads, hypers) if grads else []):
            old = params[i], states[i]
            new = _update_one(rule, params[i], grad, states[i], hypers[i], updates[i])
            if i >= len(parts):
                new = jax.tree.map(partial(jnp.where, had_one[i]), new, old)
            new_params.append(new[0])
            new_states.append(new[1])
        return new_params, new_states

    def add_up(sums: list[CTensor]) -> tuple[list[CTensor], list[State]]:
        return list(params), [s | {SUM: g} for s, g in zip(states, sums, strict=True)]

    parts = [g.astype(wide(p.dtype)) for p, g in zip(params, grads, strict=False)]
    if micro_batches == 1:
        return finish(parts)
    # A sum that another step has left is not a part of this step's sum.
    sums = [jnp.where(had_one[i], state[SUM], 0) for i, state in enumerate(states)]
    for i, part in enumerate(parts):
        sums[i] += part / micro_batches
    return jax.lax.cond(is_last, finish, add_up, sums)


def count_turns(
    turns: CTensor, parts: CTensor, number: CTensor, is_last: CTensor | bool
) -> CTensor:
    """The turns after one micro-batch, of all parameters: int32 (rows, 2).

    Args:
        turns: before it.
        parts: of each, :data:`HAS_GRADIENT`, :data:`MAY_HAVE_HAD_ONE` or 0 in this micro-batch.
        number, is_last: see :func:`update`; ``True`` if each step has one micro-batch.
    """
    has_grad = (parts == HAS_GRADIENT)[:, None]
    takes_part = has_grad
    if is_last is not True:  # there are several micro-batches
        takes_part |= (parts == MAY_HAVE_HAD_ONE)[:, None] & (turns[:, 1:] == number)
    # Element by element, so that XLA computes it in place.
    updates, last = turns + (takes_part & is_last), jnp.where(has_grad, number, turns)
    return jnp.where(jnp.arange(2) == 0, updates, last)


def _update_one(
    rule: Rule, param: CTensor, grad: CTensor, state: State, hyper: Values, step: CTensor
) -> tuple[CTensor, State]:
    own = {slot: value for slot, value in state.items() if slot not in (SUM, AVERAGE)}
    p, new = rule(param.astype(grad.dtype), grad, own, hyper, step)
    if AVERAGE in state:
        decay = hyper["ema_decay"]
        new = new | {AVERAGE: decay * state[AVERAGE] + (1 - decay) * p}
    if SUM in state:
        new = new | {SUM: jnp.zeros_like(state[SUM])}
    return p.astype(param.dtype), {slot: new[slot].astype(old.dtype) for slot, old in state.items()}


def unscaled(grads: Sequence[CTensor], scale: CTensor) -> list[CTensor]:
    """The gradients of the loss, from those of the loss times the scale."""
    return [widened(grad) / scale for grad in grads]


def are_finite(arrays: Sequence[CTensor]) -> CTensor:
    """Whether all elements of all arrays are finite: bool ()."""
    return jnp.stack([jnp.isfinite(a).all() for a in arrays] or [jnp.ones((), bool)]).all()


def unless_overflown(is_good: CTensor, new: Any, before: Any) -> Any:
    """``new`` if all gradients are finite, else ``before``."""
    return jax.tree.map(partial(jnp.where, is_good), new, before)


def rescaled(is_good: CTensor, scaling: list[CTensor]) -> list[CTensor]:
    """The new loss scale, and the new number of steps without overflow in a row."""
    scale, good = scaling
    good = jnp.where(is_good, good + 1, 0)
    is_long = good >= GOOD_STEPS
    scale = jnp.where(is_good, jnp.where(is_long, scale * 2, scale), jnp.maximum(scale / 2, 1))
    return [scale, jnp.where(is_long, 0, good)]


def _squares(x: CTensor) -> CTensor:
    return jnp.square(jnp.abs(x) if is_complex(x.dtype) else x)


def clip(grads: Sequence[CTensor], hypers: Sequence[Values]) -> list[CTensor]:
    """Clip gradients: each element to ``clip_value``, then the norm of all to ``clip_norm``.

    If an element is NaN, the norm is NaN, and so are all results. If an element is infinite, it
    becomes NaN, and the finite ones become 0: as in PyTorch's ``clip_grad_norm_``.
    """
    grads = [
        jnp.clip(grad, -hyper["clip_value"], hyper["clip_value"]) if "clip_value" in hyper else grad
        for grad, hyper in zip(grads, hypers, strict=True)
    ]
    if "clip_norm" not in hypers[0]:
        return grads
    most = hypers[0]["clip_norm"]
    scale = scale_for(jnp.stack([jnp.max(jnp.abs(grad), initial=0) for grad in grads]).max())
    scaled = [grad / scale for grad in grads]
    norm = jnp.sqrt(sum(jnp.sum(_squares(grad)) for grad in scaled))
    is_short = norm <= most / scale
    return [
        jnp.where(is_short, grad, unit * (most / norm))
        for grad, unit in zip(grads, scaled, strict=True)
    ]
