"""Adam and its variants: the mean of gradients, divided by the root of the mean of their squares.

Both means are moving averages.
"""

from __future__ import annotations

from collections.abc import Collection

import jax.numpy as jnp

from singa.device import CTensor
from singa.operation.numerics import length
from singa.opt.hyperparameter import Hyperparameter, Values
from singa.opt.optimizer import Optimizer
from singa.opt.sgd import decayed
from singa.opt.step import State


def moments(
    g: CTensor, state: State, hyper: Values, step: CTensor, nesterov: bool = False
) -> tuple[CTensor, State]:
    """Adam's direction, m / (sqrt(v) + epsilon), both corrected for their initial value 0.

    With ``nesterov``, m is the mean after the same gradient was added once more.
    """
    t = step.astype(g.dtype) + 1
    beta_1, beta_2 = hyper["beta_1"], hyper["beta_2"]
    m = beta_1 * state["mean"] + (1 - beta_1) * g
    v = beta_2 * state["variance"] + (1 - beta_2) * g * g
    corrected = m / (1 - beta_1**t)
    if nesterov:
        corrected = beta_1 * m / (1 - beta_1 ** (t + 1)) + (1 - beta_1) * g / (1 - beta_1**t)
    direction = corrected / (jnp.sqrt(v / (1 - beta_2**t)) + hyper["epsilon"])
    return direction, {"mean": m, "variance": v}


class Adam(Optimizer):
    """Adaptive moment estimation (Kingma and Ba, 2015).

    With gradient g, parameter p, buffers m and v (initially 0), in step t = 1, 2, ...::

        g = g + weight_decay * p
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g ** 2
        p = p - lr * (m / (1 - beta_1 ** t)) / (sqrt(v / (1 - beta_2 ** t)) + epsilon)

    Each of the numbers may be a schedule. :class:`Optimizer` has the other arguments.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> opt.Adam(0.5).update(p, Tensor(data=[7.0, -0.1]))  # the first step is lr * sign(g)
        >>> p.to_numpy()
        array([0.5, 2.5], dtype=float32)
    """

    beta_1: Hyperparameter = Hyperparameter(0.9, below=1)
    beta_2: Hyperparameter = Hyperparameter(0.999, below=1)
    epsilon: Hyperparameter = Hyperparameter(1e-8)
    weight_decay: Hyperparameter = Hyperparameter(0.0)

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return {"mean": jnp.zeros_like(p), "variance": jnp.zeros_like(p)}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        direction, state = moments(decayed(p, g, hyper), state, hyper, step)
        return p - hyper["lr"] * direction, state


class NAdam(Adam):
    """Adam with Nesterov's momentum (Dozat, 2016): m is computed one step ahead.

    ::

        m' = beta_1 * m / (1 - beta_1 ** (t + 1)) + (1 - beta_1) * g / (1 - beta_1 ** t)
        p = p - lr * m' / (sqrt(v / (1 - beta_2 ** t)) + epsilon)

    All else is as in :class:`Adam`.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> opt.NAdam(0.5).update(p, Tensor(data=[7.0, 0.0]))
        >>> p.to_numpy()
        array([0.2632, 2.    ], dtype=float32)
    """

    lr: Hyperparameter = Hyperparameter(0.002)

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        direction, state = moments(decayed(p, g, hyper), state, hyper, step, nesterov=True)
        return p - hyper["lr"] * direction, state


class AdamW(Adam):
    """Adam whose weight decay is not a part of the gradient (Loshchilov and Hutter, 2019).

    ::

        p = p - lr * (m / (1 - beta_1 ** t) / (sqrt(v / (1 - beta_2 ** t)) + epsilon)
                      + weight_decay * p)

    All else is as in :class:`Adam`.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> opt.AdamW(0.5, weight_decay=0.1).update(p, Tensor(data=[7.0, 0.0]))
        >>> p.to_numpy()  # 1 - 0.5 * (1 + 0.1 * 1), 2 - 0.5 * (0 + 0.1 * 2)
        array([0.45, 1.9 ], dtype=float32)
    """

    lr: Hyperparameter = Hyperparameter(0.001)
    weight_decay: Hyperparameter = Hyperparameter(0.01)

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        direction, state = moments(g, state, hyper, step)
        return p - hyper["lr"] * self._fitted(p, decayed(p, direction, hyper)), state

    def _fitted(self, p: CTensor, direction: CTensor) -> CTensor:
        """The direction, scaled to the length of the step."""
        return direction


class LAMB(AdamW):
    """AdamW for large batches: a step as long as the parameter is, times lr (You et al., 2020).

    ::

        u = m / (1 - beta_1 ** t) / (sqrt(v / (1 - beta_2 ** t)) + epsilon) + weight_decay * p
        p = p - lr * norm(p) / norm(u) * u

    Where either norm is 0 the step is ``lr * u``. All else is as in :class:`Adam`.

    Example:
        >>> p = Tensor(data=[3.0, 4.0], stores_grad=True)
        >>> opt.LAMB(0.5, weight_decay=0).update(p, Tensor(data=[7.0, 0.0]))
        >>> p.to_numpy()  # a step of 0.5 * norm(p)
        array([0.5, 4. ], dtype=float32)
    """

    epsilon: Hyperparameter = Hyperparameter(1e-6)

    def _fitted(self, p: CTensor, direction: CTensor) -> CTensor:
        norms = length(p), length(direction)
        is_there = (norms[0] > 0) & (norms[1] > 0)
        return direction * jnp.where(is_there, norms[0] / norms[1], 1)
