"""Metric: the base of all metrics."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from singa.core.tensor import Tensor, TensorLike
from singa.core.watching import outside_capture
from singa.device import CTensor, Device, get_default_device
from singa.errors import ArgumentError
from singa.tape import Operation, training

Array = Any
"""A NumPy array or a CTensor: the formulas are written for both."""

M = TypeVar("M", bound="Metric")

MIN, MAX = "min", "max"


@dataclass(frozen=True, eq=False)
class Metric:
    """Base of the metrics: two formulas, and the numbers that have been counted so far.

    A subclass is a dataclass of its options, and defines ``counts``, ``result``, and ``zeros``
    unless it counts two integers. ``xp`` is ``numpy`` or ``jax.numpy``.

    Attributes:
        best: whether its least value is best, ``"min"``, or its greatest, ``"max"``. It decides
            which epoch of a training is the best. It is ``"min"`` for errors, and by default.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True, eq=False)
        ... class Within(metric.Metric):
        ...     best = "max"
        ...     tolerance: float = 0.5
        ...     def counts(self, xp, prediction, target):
        ...         near = abs(prediction - target) <= self.tolerance
        ...         return near.sum(), xp.asarray(near.size)
        ...     def result(self, xp, right, number):
        ...         return right / number
        >>> Within().update([1.0, 2.0], [1.25, 3.0]).value
        0.5
    """

    best: ClassVar[str] = MIN
    states: list[Tensor] = field(init=False, repr=False, default_factory=list)

    def zeros(self) -> tuple[npt.NDArray[Any], ...]:
        """The initial counts."""
        return np.zeros((), np.int64), np.zeros((), np.int64)

    def counts(self, xp: Any, prediction: Array, target: Array) -> tuple[Array, ...]:
        """The counts of these predictions, which are added to the state."""
        raise NotImplementedError(f"{type(self).__name__} has no counts")

    def result(self, xp: Any, *counts: Array) -> Array:
        """The metric, float64, of these counts."""
        raise NotImplementedError(f"{type(self).__name__} has no result")

    def update(self: M, prediction: TensorLike, target: TensorLike) -> M:
        """Add these predictions to the counts.

        Raises:
            ShapeError: the shapes do not fit each other, or this metric.

        Example:
            >>> accuracy = metric.Accuracy()
            >>> for classes, targets in (([0, 1], [0, 1]), ([1, 1], [0, 1])):
            ...     _ = accuracy.update(Tensor(data=classes), Tensor(data=targets))
            >>> accuracy.value
            0.75
        """
        if isinstance(prediction, Tensor):
            states = self.states_on(prediction.device)
            new = _run(_Update(self), prediction, _like(target, prediction), *states)
            added = [state.data for state in new]
        else:
            counts = self.counts(np, np.asarray(prediction), np.asarray(target))
            states = self.states_on(get_default_device())
            added = [s.data + np.asarray(n) for s, n in zip(states, counts, strict=True)]
        Tensor.assign_all(states, added)
        return self

    def compute(self) -> Tensor:
        """The metric of all predictions so far: float64, and nan if there are none.

        Example:
            >>> metric.MeanSquaredError().update([1.0, 3.0], [1.0, 1.0]).compute()
            Tensor(2., shape=(), dtype=float64, device=cpu)
        """
        return _run(_Compute(self), *self.states_on(get_default_device()))[0]

    @property
    def value(self) -> Any:
        """The metric as a Python number, or as a NumPy array. This waits for the device.

        Example:
            >>> metric.MeanSquaredError().update([1.0, 3.0], [1.0, 1.0]).value
            2.0
        """
        value = self.compute().to_numpy()
        return value if value.ndim else value.item()

    def reset(self) -> None:
        """Set the counts to their initial values.

        Example:
            >>> accuracy = metric.Accuracy().update([0, 1], [0, 0])
            >>> accuracy.reset()
            >>> accuracy.update([1], [1]).value
            1.0
        """
        for state in self.states:
            state.set_value(0)

    def merge(self: M, other: M) -> M:
        """Add the counts of ``other``.

        Raises:
            ArgumentError: it is another metric, or has other options.

        Example:
            >>> one = metric.Accuracy().update([0, 1], [0, 1])
            >>> other = metric.Accuracy().update([1, 1], [0, 1])
            >>> one.merge(other).value
            0.75
        """
        if type(other) is not type(self) or other.options != self.options:
            raise ArgumentError(f"merge: {self} cannot take in {other}")
        if other.states:
            mine = self.states_on(other.states[0].device)
            for state, more in zip(mine, other.states, strict=True):
                state.assign(state.data + more.clone().to_device(state.device).data)
        return self

    def __call__(self, prediction: TensorLike, target: TensorLike) -> Any:
        """The metric of these predictions alone: a Tensor, or for arrays NumPy's number or array.

        The counts so far are not used, and they do not change.
        """
        if isinstance(prediction, Tensor):
            return _run(_Once(self), prediction, _like(target, prediction))[0]
        counts = self.counts(np, np.asarray(prediction), np.asarray(target))
        return self.result(np, *counts)[()]

    def states_on(self, device: Device) -> list[Tensor]:
        """The numbers that have been counted: ``states``, made there if there are none yet.

        Example:
            >>> [state.item() for state in metric.Accuracy().states_on(device.create_cpu_device())]
            [0, 0]
        """
        if not self.states:
            with outside_capture():
                self.states[:] = [
                    Tensor(data=zero, device=device, requires_grad=False) for zero in self.zeros()
                ]
        return self.states

    @property
    def options(self) -> tuple[Any, ...]:
        """The arguments that make another metric like this one."""
        return tuple(getattr(self, option.name) for option in fields(self) if option.init)


# -- on devices -----------------------------------------------------------------------------------


class _Part(Operation):
    """A part of a metric, compiled once for all metrics with the same options."""

    def __init__(self, metric: Metric) -> None:
        super().__init__(type(metric).__name__)
        self.kind = type(metric)
        self.options = metric.options

    @property
    def metric(self) -> Metric:
        return self.kind(*self.options)


class _Update(_Part):
    def forward(self, prediction: CTensor, target: CTensor, *states: CTensor) -> Any:
        counts = self.metric.counts(jnp, prediction, target)
        return tuple(state + count for state, count in zip(states, counts, strict=True))


class _Compute(_Part):
    def forward(self, *states: CTensor) -> CTensor:
        result: CTensor = self.metric.result(jnp, *states)
        return result


class _Once(_Part):
    def forward(self, prediction: CTensor, target: CTensor) -> CTensor:
        metric = self.metric
        result: CTensor = metric.result(jnp, *metric.counts(jnp, prediction, target))
        return result


def _run(operation: Operation, *tensors: Tensor) -> tuple[Tensor, ...]:
    with training(False):  # metrics have no gradients
        return operation(*tensors)


def _like(target: TensorLike, prediction: Tensor) -> Tensor:
    """The target as a Tensor, on the device of the predictions."""
    if isinstance(target, Tensor):
        return target
    return Tensor(data=target, device=prediction.device, requires_grad=False)
