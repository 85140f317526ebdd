"""What happens to a step's gradients around an optimizer's rule, in ``jax.numpy``.

Gradients are added up over micro-batches, clipped, put through the rule, and the new parameters go
into their moving averages. All of it is one compiled function of all parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from singa.device import CTensor, DType, float32
from singa.opt.hyperparameter import Values

State: TypeAlias = dict[str, CTensor]
Rule: TypeAlias = Callable[[CTensor, CTensor, State, Values, CTensor], tuple[CTensor, State]]

SUM, AVERAGE = "gradient_sum", "average"
"""The slots that are not the rule's."""

FIRST_SCALE, GOOD_STEPS = 2.0**15, 2000
"""The loss scale at first, and how many good steps in a row double it."""


def wide(dtype: DType) -> DType:
    """The type to compute in: half precision would lose small steps, and squares of gradients."""
    return jnp.promote_types(dtype, float32)


@partial(jax.jit, static_argnames=("begins", "micro_batches"))
def count(
    counters: list[CTensor], begins: bool, micro_batches: int
) -> tuple[CTensor, CTensor | bool, list[CTensor]]:
    """Where in the training an update is.

    Args:
        counters: how many steps have begun, and, if there are several micro-batches in a step,
            how many of them in the present one: int32 ().
        begins: whether a micro-batch begins with this update, and is to be counted.
        micro_batches: how many of them make a step.

    Returns:
        The number of the step, from 0; whether this is its last micro-batch; the new counters.
    """
    if micro_batches == 1:
        [steps] = counters
        step = steps if begins else steps - 1
        return step, True, [step + 1]
    steps, micro = counters
    if begins:
        is_last = micro + 1 >= micro_batches
        return steps, is_last, [steps + is_last, jnp.where(is_last, 0, micro + 1)]
    is_last = micro == 0
    return steps - is_last, is_last, [steps, micro]


def update(
    rule: Rule,
    micro_batches: int,
    params: Sequence[CTensor],
    grads: Sequence[CTensor],
    states: Sequence[State],
    hypers: Sequence[Values],
    step: CTensor,
    is_last: CTensor | bool,
) -> tuple[list[CTensor], list[State]]:
    """The new parameters and states after one micro-batch."""

    def finish(grads: list[CTensor]) -> tuple[list[CTensor], list[State]]:
        new = [
            _update_one(rule, *of_one, step)
            for of_one in zip(params, clip(grads, hypers), states, hypers, strict=True)
        ]
        return [param for param, _ in new], [state for _, state in new]

    def add_up(sums: list[CTensor]) -> tuple[list[CTensor], list[State]]:
        return list(params), [s | {SUM: g} for s, g in zip(states, sums, strict=True)]

    grads = [grad.astype(wide(param.dtype)) for param, grad in zip(params, grads, strict=True)]
    if micro_batches == 1:
        return finish(grads)
    sums = [state[SUM] + grad / micro_batches for state, grad in zip(states, grads, strict=True)]
    return jax.lax.cond(is_last, finish, add_up, sums)


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


def unscaled(grads: list[CTensor], scaling: list[CTensor]) -> list[CTensor]:
    """The gradients of the loss, from those of the loss times the scale, if there is one."""
    return [grad.astype(wide(grad.dtype)) / scaling[0] for grad in grads] if scaling else grads


def unless_overflown(grads: list[CTensor], new: Any, before: Any, scaling: list[CTensor]) -> Any:
    """What is new if all gradients are finite, else what was before; and the new scaling.

    Args:
        grads: the gradients of the loss.
        new, before: parameters, states, counters.
        scaling: the scale and the number of good steps; empty if losses are not scaled.
    """
    if not scaling:
        return *new, scaling
    scale, good = scaling
    is_good = jnp.stack([jnp.isfinite(grad).all() for grad in grads]).all()
    good = jnp.where(is_good, good + 1, 0)
    is_long = good >= GOOD_STEPS
    scale = jnp.where(is_good, jnp.where(is_long, scale * 2, scale), jnp.maximum(scale / 2, 1))
    kept = jax.tree.map(lambda a, b: jnp.where(is_good, a, b), tuple(new), tuple(before))
    return *kept, [scale, jnp.where(is_long, 0, good)]


def clip(grads: Sequence[CTensor], hypers: Sequence[Values]) -> list[CTensor]:
    """Gradients whose elements are at most ``clip_value``, and all together ``clip_norm`` long."""
    grads = [
        jnp.clip(grad, -hyper["clip_value"], hyper["clip_value"]) if "clip_value" in hyper else grad
        for grad, hyper in zip(grads, hypers, strict=True)
    ]
    if "clip_norm" not in hypers[0]:
        return grads
    most = hypers[0]["clip_norm"]
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(grad)) for grad in grads))
    return [jnp.where(norm > most, grad * (most / norm), grad) for grad in grads]
