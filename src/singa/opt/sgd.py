"""Rules whose step is in the direction of the gradient, or of a moving average of it."""

from __future__ import annotations

from collections.abc import Collection

import jax.numpy as jnp

from singa.device import CTensor
from singa.errors import ArgumentError
from singa.opt.hyperparameter import Hyperparameter, Values, is_on
from singa.opt.optimizer import Optimizer
from singa.opt.step import State


def decayed(p: CTensor, x: CTensor, hyper: Values) -> CTensor:
    """``x`` + weight_decay * p: L2 decay if ``x`` is the gradient, decoupled if it is the step."""
    return x + hyper["weight_decay"] * p if "weight_decay" in hyper else x


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (Polyak, 1964; Sutskever et al., 2013).

    With gradient g, parameter p and buffer v (initially 0)::

        g = g + weight_decay * p
        v = momentum * v + (1 - dampening) * g
        p = p - lr * (g + momentum * v if nesterov else v)

    Each of the four numbers may be a schedule. :class:`Optimizer` has the other arguments.

    Raises:
        ArgumentError: a negative number, or nesterov without momentum or with dampening.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> sgd = opt.SGD(0.5, momentum=0.5)
        >>> for _ in range(2):
        ...     sgd.update(p, Tensor(data=[1.0, 0.0]))
        >>> p.to_numpy()  # 1 - 0.5 * 1 - 0.5 * 1.5
        array([-0.25,  2.  ], dtype=float32)
    """

    momentum: Hyperparameter = Hyperparameter(0.0)
    dampening: Hyperparameter = Hyperparameter(0.0)
    weight_decay: Hyperparameter = Hyperparameter(0.0)
    nesterov: bool = False

    complex_numbers = True

    def check(self) -> None:
        super().check()
        if self.nesterov and (not is_on(self.momentum) or is_on(self.dampening)):
            raise ArgumentError("SGD: nesterov needs a momentum and no dampening")

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return {"momentum": jnp.zeros_like(p)} if "momentum" in on else {}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        g = decayed(p, g, hyper)
        if "momentum" in hyper:
            fresh = (1 - hyper["dampening"]) * g if "dampening" in hyper else g
            v = hyper["momentum"] * state["momentum"] + fresh
            state = {"momentum": v}
            g = g + hyper["momentum"] * v if self.nesterov else v
        return p - hyper["lr"] * g if "lr" in hyper else p, state


class Lion(Optimizer):
    """Steps of one size, along the sign of an average of gradients (Chen et al., 2023).

    With gradient g, parameter p and buffer m (initially 0)::

        p = p - lr * (sign(beta_1 * m + (1 - beta_1) * g) + weight_decay * p)
        m = beta_2 * m + (1 - beta_2) * g

    :class:`Optimizer` has the other arguments.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> opt.Lion(0.5).update(p, Tensor(data=[7.0, -0.1]))
        >>> p.to_numpy()
        array([0.5, 2.5], dtype=float32)
    """

    lr: Hyperparameter = Hyperparameter(1e-4)
    beta_1: Hyperparameter = Hyperparameter(0.9, below=1)
    beta_2: Hyperparameter = Hyperparameter(0.99, below=1)
    weight_decay: Hyperparameter = Hyperparameter(0.0)

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return {"momentum": jnp.zeros_like(p)}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        m, beta_1, beta_2 = state["momentum"], hyper["beta_1"], hyper["beta_2"]
        direction = decayed(p, jnp.sign(beta_1 * m + (1 - beta_1) * g), hyper)
        return p - hyper["lr"] * direction, {"momentum": beta_2 * m + (1 - beta_2) * g}
