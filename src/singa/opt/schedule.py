"""Schedules: hyper-parameters that depend on the number of the step.

``composition.py`` has those that are made of others.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.exact import copied, exact_or_same, known_by
from singa.core.guard import Watched, guard_of, own, running
from singa.core.tensor import Tensor, wrap
from singa.core.watching import outside_capture
from singa.device import CTensor, DType, float32
from singa.errors import ArgumentError, DTypeError
from singa.tape.arrays_only import arrays_only
from singa.tape.kernel import named

MOST_FORMULAS = 1024
"""The number of formulas that are kept."""


class DecayScheduler(Watched):
    """A hyper-parameter as a function of the step.

    A subclass defines ``value``, a formula in ``jax.numpy`` of the step and of attributes; or
    ``__call__``, in arithmetic of Tensors.

    Args:
        init_value: the value at the start.

    Example:
        >>> class InverseDecay(opt.DecayScheduler):
        ...     def value(self, step):
        ...         return self.init_value / (1 + step)
        >>> [InverseDecay(1.0)(Tensor(data=step)).item() for step in (0, 1, 3)]
        [1.0, 0.5, 0.25]
    """

    def __init__(self, init_value: float) -> None:
        self.init_value = init_value

    def __call__(self, step: Tensor) -> Tensor:
        """The value at ``step``, an int32 Tensor of shape () that is 0 in the first step."""
        return wrap(_formula_of(self)(step.data), step.device)

    def value(self, step: CTensor) -> CTensor:
        """The value at ``step``, a float32 array of shape ()."""
        raise NotImplementedError(f"{type(self).__name__} does not say its value at a step")

    def __repr__(self) -> str:
        inside = ", ".join(
            f"{name}={value!r}" for name, value in vars(self).items() if name[0] != "_"
        )
        return f"{type(self).__name__}({inside})"


Number: TypeAlias = float | DecayScheduler
"""A hyper-parameter's value: the same in every step, or a schedule."""


class _Formula:
    """A schedule's ``value``, compiled.

    Attributes:
        guard: of what it reads besides the schedule's attributes; None if nothing could change.
    """

    def __init__(self, kind: Any, attributes: dict[str, Any]) -> None:
        schedule: DecayScheduler = kind.__new__(kind)
        # On a copy, because a schedule's attributes may be assigned later.
        own(schedule).update({name: copied(value) for name, value in attributes.items()})
        self.guard = guard = guard_of(kind, own(schedule), ("value",))
        what = f"{kind.__name__}: the formulas of value"

        def formula(step: CTensor) -> CTensor:
            with running(guard), arrays_only(what, "Define __call__ instead"):
                return schedule.value(step.astype(float32))

        self.compiled: Callable[[CTensor], CTensor] = jax.jit(named(formula, kind.__name__))


_formulas: dict[Hashable, _Formula] = {}


def _formula_of(schedule: DecayScheduler) -> Callable[[CTensor], CTensor]:
    """The formula of a schedule in its present state; equal schedules share one."""
    kind, attributes = type(schedule), vars(schedule)
    key = (kind, kind.value, known_by(attributes, exact_or_same))
    found = _formulas.get(key)
    if found is None or (found.guard is not None and not found.guard.holds_here()):
        if len(_formulas) >= MOST_FORMULAS:
            _formulas.clear()
        found = _formulas[key] = _Formula(kind, attributes)
    return found.compiled


# -- formulas -----------------------------------------------------------------------------------


class Constant(DecayScheduler):
    """The same value at every step, stored in a Tensor: another value needs no recompilation.

    Example:
        >>> [opt.Constant(0.5)(Tensor(data=step)).item() for step in (0, 10)]
        [0.5, 0.5]
    """

    _value: Tensor
    _is_own = False  # whether it was made for one optimizer's hyper-parameter, and is not shared

    def __init__(self, init_value: float, dtype: DType = float32) -> None:
        super().__init__(init_value)
        self._is_on = float(init_value) != 0
        self._dtype = dtype

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if name != "_value":
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            # It is made when it is first read, as the Tensors of an optimizer are.
            with outside_capture():
                self._value = Tensor((), dtype=self._dtype, requires_grad=False)
                self._value.set_value(self.init_value)
            return self._value

    @property
    def is_on(self) -> bool:
        """Whether it is not 0. If it is 0, an optimizer's rule leaves out a term."""
        return self._is_on

    def __call__(self, step: Tensor) -> Tensor:
        if self._value.device is not step.device:
            with outside_capture():
                self._value.to_device(step.device)
        return self._value

    def set(self, value: float) -> None:
        """Change the value, from the next step on.

        Example:
            >>> lr = opt.Constant(0.5)
            >>> lr.set(0.25)
            >>> lr(Tensor(data=0)).item()
            0.25
        """
        # Assignments notify the steps that have read the attribute. Most have read only the Tensor
        # and ``is_on``.
        self.init_value = value
        if (value != 0) != self._is_on:
            self._is_on = value != 0
        self._value.set_value(value)


class ExponentialDecay(DecayScheduler):
    """init_value * decay_rate ** (step / decay_steps).

    Args:
        init_value: the value at step 0.
        decay_steps: the number of steps in which it is multiplied once by ``decay_rate``.
        decay_rate: the factor.
        staircase: whether it changes only every ``decay_steps`` steps.

    Example:
        >>> lr = opt.ExponentialDecay(1.0, decay_steps=10, decay_rate=0.25)
        >>> [lr(Tensor(data=step)).item() for step in (0, 5, 10, 20)]
        [1.0, 0.5, 0.25, 0.0625]
        >>> jumps = opt.ExponentialDecay(1.0, 10, 0.25, staircase=True)
        >>> [jumps(Tensor(data=step)).item() for step in (0, 5, 10, 20)]
        [1.0, 1.0, 0.25, 0.0625]
    """

    def __init__(
        self, init_value: float, decay_steps: int, decay_rate: float, staircase: bool = False
    ) -> None:
        super().__init__(init_value)
        self.decay_steps = check_steps(self, "decay_steps", decay_steps)
        self.decay_rate = decay_rate
        self.staircase = staircase

    def value(self, step: CTensor) -> CTensor:
        times = step / self.decay_steps
        if self.staircase:
            times = jnp.floor(times)
        return self.init_value * self.decay_rate**times


class StepDecay(ExponentialDecay):
    """init_value * gamma ** (step // step_size): multiplied by ``gamma`` every ``step_size`` steps.

    Example:
        >>> lr = opt.StepDecay(1.0, step_size=10, gamma=0.5)
        >>> [lr(Tensor(data=step)).item() for step in (0, 9, 10, 20)]
        [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, init_value: float, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(
            init_value, check_steps(self, "step_size", step_size), gamma, staircase=True
        )


class MultiStep(DecayScheduler):
    """init_value, multiplied by ``gamma`` at each of the steps in ``milestones``.

    Raises:
        ArgumentError: the milestones do not increase.

    Example:
        >>> lr = opt.MultiStep(1.0, milestones=[10, 15], gamma=0.5)
        >>> [lr(Tensor(data=step)).item() for step in (0, 9, 10, 15)]
        [1.0, 1.0, 0.5, 0.25]
    """

    def __init__(self, init_value: float, milestones: Sequence[int], gamma: float = 0.1) -> None:
        super().__init__(init_value)
        self.milestones = check_rising(self, "milestones", milestones)
        self.gamma = gamma

    def value(self, step: CTensor) -> CTensor:
        passed = jnp.sum(step >= jnp.asarray(self.milestones, float32), dtype=float32)
        return self.init_value * self.gamma**passed


class PolynomialDecay(DecayScheduler):
    """From init_value to end_value in ``decay_steps`` steps; linear if ``power`` is 1.

    (init_value - end_value) * (1 - step / decay_steps) ** power + end_value

    Example:
        >>> lr = opt.PolynomialDecay(1.0, decay_steps=4)
        >>> [lr(Tensor(data=step)).item() for step in range(6)]
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    def __init__(
        self, init_value: float, decay_steps: int, end_value: float = 0.0, power: float = 1.0
    ) -> None:
        super().__init__(init_value)
        self.decay_steps = check_steps(self, "decay_steps", decay_steps)
        self.end_value = end_value
        self.power = power

    def value(self, step: CTensor) -> CTensor:
        left = 1 - jnp.minimum(step / self.decay_steps, 1)
        return (self.init_value - self.end_value) * left**self.power + self.end_value


class CosineDecay(DecayScheduler):
    """From init_value to end_value in ``decay_steps`` steps, along half a period of a cosine.

    Loshchilov and Hutter, 2017.

    Example:
        >>> lr = opt.CosineDecay(1.0, decay_steps=4)
        >>> [round(lr(Tensor(data=step)).item(), 3) for step in range(6)]
        [1.0, 0.854, 0.5, 0.146, 0.0, 0.0]
    """

    def __init__(self, init_value: float, decay_steps: int, end_value: float = 0.0) -> None:
        super().__init__(init_value)
        self.decay_steps = check_steps(self, "decay_steps", decay_steps)
        self.end_value = end_value

    def value(self, step: CTensor) -> CTensor:
        return _half_cosine(self.init_value, self.end_value, step / self.decay_steps)


class OneCycle(DecayScheduler):
    """Up to max_value and down to almost 0, along cosines (Smith and Topin, 2018).

    Args:
        max_value: the peak.
        total_steps: the length of the cycle.
        pct_start: the fraction of the cycle in which the value rises.
        div_factor: the first value is ``max_value / div_factor``.
        final_div_factor: the last value is the first value divided by this.

    Example:
        >>> lr = opt.OneCycle(1.0, total_steps=10, pct_start=0.4)
        >>> [round(lr(Tensor(data=step)).item(), 3) for step in (0, 2, 4, 7, 10)]
        [0.04, 0.52, 1.0, 0.5, 0.0]
    """

    def __init__(
        self,
        max_value: float,
        total_steps: int,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        super().__init__(max_value / div_factor)
        if not 0 < pct_start < 1:
            raise ArgumentError(f"OneCycle: pct_start must be between 0 and 1, got {pct_start!r}")
        self.max_value = max_value
        self.total_steps = check_steps(self, "total_steps", total_steps)
        self.pct_start = pct_start
        self.final_value = self.init_value / final_div_factor

    def value(self, step: CTensor) -> CTensor:
        top = max(int(self.pct_start * self.total_steps), 1)
        rising = _half_cosine(self.init_value, self.max_value, step / top)
        fallen = jnp.maximum(step - top, 0) / max(self.total_steps - top, 1)
        falling = _half_cosine(self.max_value, self.final_value, fallen)
        return jnp.where(step < top, rising, falling)


def _half_cosine(start: float, end: float, done: CTensor) -> CTensor:
    """From ``start`` to ``end`` while ``done`` goes from 0 to 1."""
    return end + (start - end) * 0.5 * (1 + jnp.cos(np.pi * jnp.minimum(done, 1)))


# -- checks -------------------------------------------------------------------------------------


def as_schedule(owner: str, name: str, value: Any, dtype: DType) -> DecayScheduler:
    """``value`` if it is a schedule, else a constant one. Numbers must not be negative."""
    if isinstance(value, DecayScheduler):
        _set_own(value, False)
        return value
    made = Constant(as_number(owner, name, value), dtype)
    _set_own(made, True)
    return made


def _set_own(schedule: DecayScheduler, is_own: bool) -> None:
    if isinstance(schedule, Constant) and schedule._is_own != is_own:
        schedule._is_own = is_own


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


def check_steps(schedule: DecayScheduler, name: str, value: int) -> int:
    """``value``, a number of steps above 0."""
    if not value > 0:
        raise ArgumentError(f"{type(schedule).__name__}: {name} must be > 0, got {value}")
    return value


def check_rising(schedule: DecayScheduler, name: str, steps: Sequence[int]) -> tuple[int, ...]:
    """``steps``, which increase."""
    if list(steps) != sorted(set(steps)):
        raise ArgumentError(f"{type(schedule).__name__}: {name} must rise, got {steps}")
    return tuple(steps)
