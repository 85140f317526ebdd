from __future__ import annotations

from typing import Any

from singa.device import CTensor, float32
from singa.errors import ArgumentError
from singa.opt.optimizer import Hyperparameter, Optimizer
from singa.opt.schedule import DecayScheduler


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak, 1964; Sutskever et al., 2013).

    With gradient g, parameter p and buffer v (at first 0):

        g = g + weight_decay * p
        v = momentum * v + (1 - dampening) * g
        p = p - lr * (g + momentum * v if nesterov else v)

    Each of the four numbers may be a schedule.

    Raises:
        ArgumentError: a negative number, or nesterov without momentum or with dampening.
    """

    momentum = Hyperparameter()
    dampening = Hyperparameter()
    weight_decay = Hyperparameter()

    def __init__(
        self,
        lr: float | DecayScheduler = 0.1,
        momentum: float | DecayScheduler = 0.0,
        dampening: float | DecayScheduler = 0.0,
        weight_decay: float | DecayScheduler = 0.0,
        nesterov: bool = False,
        dtype: Any = float32,
    ) -> None:
        super().__init__(lr, dtype)
        self.momentum = momentum
        self.dampening = dampening
        self.weight_decay = weight_decay
        self.nesterov = bool(nesterov)
        if nesterov and (not self.is_on("momentum") or self.is_on("dampening")):
            raise ArgumentError("SGD: nesterov needs a momentum and no dampening")

    def config(self) -> tuple[Any, ...]:
        return (self.nesterov,)

    def slots(self) -> tuple[str, ...]:
        return ("momentum",) if self.is_on("momentum") else ()

    def rule(
        self,
        p: CTensor,
        g: CTensor,
        state: dict[str, CTensor],
        hyper: dict[str, CTensor],
        step: CTensor,
    ) -> tuple[CTensor, dict[str, CTensor]]:
        if "weight_decay" in hyper:
            g = g + hyper["weight_decay"] * p
        if "momentum" in hyper:
            fresh = (1 - hyper["dampening"]) * g if "dampening" in hyper else g
            v = hyper["momentum"] * state["momentum"] + fresh
            state = {"momentum": v}
            g = g + hyper["momentum"] * v if self.nesterov else v
        if "lr" in hyper:
            p = p - hyper["lr"] * g
        return p, state
