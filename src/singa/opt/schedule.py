"""Schedules: hyper-parameters that depend on the number of the step."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from singa.device import CTensor, DType, float32
from singa.errors import ArgumentError, DTypeError
from singa.tensor import Tensor, wrap
from singa.watching import Structural, outside_capture


class DecayScheduler(Structural):
    """A hyper-parameter as a function of the step; subclasses define ``__call__``.

    Args:
        init_value: the value that it starts from.
    """

    def __init__(self, init_value: float) -> None:
        self.init_value = init_value

    def __call__(self, step: Tensor) -> Tensor:
        """The value at ``step``, an int32 Tensor of shape () that is 0 in the first step."""
        raise NotImplementedError(f"{type(self).__name__} does not say its value at a step")

    def __repr__(self) -> str:
        inside = ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if name[0] != "_"
        )
        return f"{type(self).__name__}({inside})"


class Constant(DecayScheduler):
    """The same value at every step, kept in a Tensor: assigning another recompiles nothing."""

    def __init__(self, init_value: float, dtype: DType = float32) -> None:
        super().__init__(init_value)
        self._value = Tensor((), dtype=dtype, requires_grad=False).set_value(init_value)

    def __call__(self, step: Tensor) -> Tensor:
        if self._value.device is not step.device:
            with outside_capture():
                self._value.to_device(step.device)
        return self._value

    def set(self, value: float) -> None:
        """Change the value, from the next step on."""
        object.__setattr__(self, "init_value", value)
        self._value.set_value(value)


class ExponentialDecay(DecayScheduler):
    """init_value * decay_rate ** (step / decay_steps).

    Args:
        init_value: the value at step 0.
        decay_steps: after so many steps it has been multiplied once by ``decay_rate``.
        decay_rate: the factor.
        staircase: whether it falls in jumps, every ``decay_steps`` steps.
    """

    def __init__(
        self, init_value: float, decay_steps: int, decay_rate: float, staircase: bool = False
    ) -> None:
        super().__init__(init_value)
        if decay_steps <= 0:
            raise ArgumentError(f"ExponentialDecay: decay_steps must be > 0, got {decay_steps}")
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase

    def __call__(self, step: Tensor) -> Tensor:
        value = _exponential(
            step.data, self.init_value, self.decay_steps, self.decay_rate, self.staircase
        )
        return wrap(value, step.device)


@partial(jax.jit, static_argnums=(1, 2, 3, 4))
def _exponential(
    step: CTensor, init_value: float, decay_steps: int, decay_rate: float, staircase: bool
) -> CTensor:
    times = step.astype(float32) / decay_steps
    if staircase:
        times = jnp.floor(times)
    return init_value * decay_rate**times


def as_schedule(owner: str, name: str, value: Any, dtype: DType) -> DecayScheduler:
    """``value`` if it is a schedule, else a constant one. Numbers must not be negative."""
    if isinstance(value, DecayScheduler):
        return value
    return Constant(as_number(owner, name, value), dtype)


def as_number(owner: str, name: str, value: Any) -> float:
    """``value`` as a number of at least 0."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DTypeError(
            f"{owner}: {name} must be a number or a DecayScheduler, got {value!r}"
        ) from None
    if not number >= 0:
        raise ArgumentError(f"{owner}: {name} must be at least 0, got {value!r}")
    return number
