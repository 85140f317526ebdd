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

    With ``nesterov``, m is the mean after the same gradient was added once more. If the state has
    the largest variance so far, it is divided by the root of that one (AMSGrad).
    """
    t = step.astype(g.dtype) + 1
    beta_1, beta_2 = hyper["beta_1"], hyper["beta_2"]
    m = beta_1 * state["mean"] + (1 - beta_1) * g
    v = beta_2 * state["variance"] + (1 - beta_2) * g * g
    corrected = m / (1 - beta_1**t)
    if nesterov:
        corrected = beta_1 * m / (1 - beta_1 ** (t + 1)) + (1 - beta_1) * g / (1 - beta_1**t)
    state = {**state, "mean": m, "variance": v}
    if "largest_variance" in state:
        v = state["largest_variance"] = jnp.maximum(state["largest_variance"], v)
    return corrected / (jnp.sqrt(v / (1 - beta_2**t)) + hyper["epsilon"]), state


class Adam(Optimizer):
    """Adaptive moment estimation (Kingma and Ba, 2015).

    With gradient g, parameter p, buffers m and v (initially 0), in step t = 1, 2, ...::

        g = g + weight_decay * p
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g ** 2
        p = p - lr * (m / (1 - beta_1 ** t)) / (sqrt(v / (1 - beta_2 ** t)) + epsilon)

    With ``amsgrad`` the last line has the largest v so far, element by element, in place of v
    (Reddi et al., 2018).

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
    amsgrad: bool = False

    _options = ("amsgrad", *Optimizer._options)  # after SINGA's arguments

    def init(self, p: CTensor, on: Collection[str]) -> State:
        slots = ["mean", "variance", *(["largest_variance"] if self.amsgrad else [])]
        return {slot: jnp.zeros_like(p) for slot in slots}

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


class Adamax(Optimizer):
    """Adam with the largest gradient in place of the mean square (Kingma and Ba, 2015).

    With gradient g, parameter p, buffers m and u (initially 0), in step t = 1, 2, ...::

        g = g + weight_decay * p
        m = beta_1 * m + (1 - beta_1) * g
        u = max(beta_2 * u, abs(g) + epsilon)
        p = p - lr * m / (1 - beta_1 ** t) / u

    :class:`Optimizer` has the other arguments.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> opt.Adamax(0.5).update(p, Tensor(data=[7.0, -0.1]))
        >>> p.to_numpy()
        array([0.5, 2.5], dtype=float32)
    """

    lr: Hyperparameter = Hyperparameter(0.002)
    beta_1: Hyperparameter = Hyperparameter(0.9, below=1)
    beta_2: Hyperparameter = Hyperparameter(0.999, below=1)
    epsilon: Hyperparameter = Hyperparameter(1e-8)
    weight_decay: Hyperparameter = Hyperparameter(0.0)

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return {"mean": jnp.zeros_like(p), "largest": jnp.zeros_like(p)}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        g, beta_1 = decayed(p, g, hyper), hyper["beta_1"]
        m = beta_1 * state["mean"] + (1 - beta_1) * g
        u = jnp.maximum(hyper["beta_2"] * state["largest"], jnp.abs(g) + hyper["epsilon"])
        t = step.astype(g.dtype) + 1
        # Without epsilon, elements whose gradients were all 0 stay where they are.
        direction = jnp.where(u == 0, 0, m / u)
        return p - hyper["lr"] / (1 - beta_1**t) * direction, {"mean": m, "largest": u}


class RAdam(Adam):
    """Adam whose first steps are not divided by a root that few squares make up (Liu et al., 2020).

    With Adam's m and v, and r the number of squares that v averages, in step t = 1, 2, ...::

        longest = 2 / (1 - beta_2) - 1
        r = longest - 2 * t * beta_2 ** t / (1 - beta_2 ** t)
        scale = sqrt((r - 4) * (r - 2) * longest / ((longest - 4) * (longest - 2) * r))
        u = m / (1 - beta_1 ** t)
        p = p - lr * (u * scale / (sqrt(v / (1 - beta_2 ** t)) + epsilon) if r > 5 else u)

    All else is as in :class:`Adam`.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> opt.RAdam(0.5).update(p, Tensor(data=[1.0, -2.0]))
        >>> p.to_numpy()
        array([0.5, 3. ], dtype=float32)
    """

    lr: Hyperparameter = Hyperparameter(0.001)

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        direction, state = moments(decayed(p, g, hyper), state, hyper, step)
        t = step.astype(p.dtype) + 1
        mean = state["mean"] / (1 - hyper["beta_1"] ** t)
        # 1 - beta_2 ** t, without the cancellation of numbers near 1.
        missing = -jnp.expm1(t * jnp.log1p(hyper["beta_2"] - 1))
        longest = 2 / (1 - hyper["beta_2"]) - 1
        r = longest - 2 * t * (1 - missing) / missing
        scale = (r - 4) * (r - 2) * longest / ((longest - 4) * (longest - 2) * r)
        direction = jnp.where(r > 5, direction * jnp.sqrt(jnp.maximum(scale, 0)), mean)
        return p - hyper["lr"] * direction, state
