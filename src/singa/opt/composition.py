"""Schedules that are made of others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, wrap
from singa.device import CTensor, float32
from singa.errors import ArgumentError
from singa.opt.schedule import DecayScheduler, Number, as_schedule, check_rising, check_steps


class LinearWarmup(DecayScheduler):
    """Linear up to the first value of another schedule, and then that schedule.

    Args:
        after: a schedule, whose steps are counted from the end of the warm-up; or a number.
        steps: the length of the warm-up.
        init_value: the value at step 0.

    Example:
        >>> lr = opt.LinearWarmup(opt.StepDecay(1.0, step_size=2, gamma=0.5), steps=4)
        >>> [lr(Tensor(data=step)).item() for step in range(9)]
        [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, after: Number, steps: int, init_value: float = 0.0) -> None:
        super().__init__(init_value)
        self.after = as_schedule("LinearWarmup", "after", after, float32)
        self.steps = check_steps(self, "steps", steps)

    def __call__(self, step: Tensor) -> Tensor:
        after = self.after(_since(step, self.steps))  # its first value during the warm-up
        return wrap(_ramp(step.data, self.init_value, after.data, self.steps), step.device)


class Sequential(DecayScheduler):
    """Schedules one after the other; the steps of each are counted from its beginning.

    Numbers give a piecewise constant schedule: ``Sequential([0.1, 0.01, 0.001], [1000, 2000])``.

    Args:
        schedules: schedules or numbers.
        boundaries: the steps at which the second and all further ones begin.

    Raises:
        ArgumentError: the boundaries do not increase, or are not one fewer than the schedules.

    Example:
        >>> lr = opt.Sequential([1.0, 0.5, opt.PolynomialDecay(0.25, 2)], boundaries=[2, 4])
        >>> [lr(Tensor(data=step)).item() for step in range(7)]
        [1.0, 1.0, 0.5, 0.5, 0.25, 0.125, 0.0]
    """

    def __init__(self, schedules: Sequence[Number], boundaries: Sequence[int]) -> None:
        self.schedules = tuple(
            as_schedule("Sequential", f"schedule {i}", schedule, float32)
            for i, schedule in enumerate(schedules)
        )
        self.boundaries = check_rising(self, "boundaries", boundaries)
        if len(self.schedules) != len(self.boundaries) + 1:
            raise ArgumentError(
                f"Sequential: {len(self.schedules)} schedules need one boundary fewer, "
                f"got {len(self.boundaries)}"
            )
        super().__init__(self.schedules[0].init_value)

    def __call__(self, step: Tensor) -> Tensor:
        starts = (0, *self.boundaries)
        values = [
            schedule(_since(step, start)).data
            for schedule, start in zip(self.schedules, starts, strict=True)
        ]
        return wrap(_latest(step.data, starts, values), step.device)


class PerEpoch(DecayScheduler):
    """A schedule that counts epochs: its value changes when an epoch begins.

    Args:
        schedule: a schedule, whose steps are taken for epochs.
        steps_per_epoch: the number of steps in an epoch, ``len(loader)``; with
            :func:`singa.train.fit`, samples // batch size.

    Example:
        >>> lr = opt.PerEpoch(opt.StepDecay(1.0, step_size=2, gamma=0.5), steps_per_epoch=3)
        >>> [lr(Tensor(data=step)).item() for step in (0, 5, 6, 11, 12)]  # two epochs each
        [1.0, 1.0, 0.5, 0.5, 0.25]
    """

    def __init__(self, schedule: Number, steps_per_epoch: int) -> None:
        self.schedule = as_schedule("PerEpoch", "schedule", schedule, float32)
        self.steps_per_epoch = check_steps(self, "steps_per_epoch", steps_per_epoch)
        super().__init__(self.schedule.init_value)

    def __call__(self, step: Tensor) -> Tensor:
        return self.schedule(wrap(_epoch(step.data, self.steps_per_epoch), step.device))


def _since(step: Tensor, start: int) -> Tensor:
    return wrap(_elapsed(step.data, start), step.device)


@jax.jit
def _elapsed(step: CTensor, start: int) -> CTensor:
    return jnp.maximum(step - start, 0)


@jax.jit
def _epoch(step: CTensor, steps_per_epoch: int) -> CTensor:
    return (step // steps_per_epoch).astype(step.dtype)


@jax.jit
def _ramp(step: CTensor, start: float, end: CTensor, steps: int) -> CTensor:
    return start + (end - start) * jnp.minimum(step.astype(end.dtype) / steps, 1)


@partial(jax.jit, static_argnums=1)
def _latest(step: CTensor, starts: tuple[int, ...], values: list[CTensor]) -> CTensor:
    value = values[0]
    for start, later in zip(starts[1:], values[1:], strict=True):
        value = jnp.where(step >= start, later, value)
    return value
