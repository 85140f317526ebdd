"""Rules that divide the gradient by the size of past gradients."""

from __future__ import annotations

from collections.abc import Collection

import jax.numpy as jnp
import numpy as np

from singa.device import CTensor
from singa.opt.hyperparameter import Hyperparameter, Values
from singa.opt.optimizer import Optimizer
from singa.opt.sgd import decayed
from singa.opt.step import State


class RMSProp(Optimizer):
    """Divides gradients by the root of a moving average of squares (Tieleman and Hinton, 2012).

    With gradient g, parameter p and buffer v (initially 0)::

        g = g + weight_decay * p
        v = rho * v + (1 - rho) * g ** 2
        p = p - lr * g / sqrt(v + epsilon)

    Each of the numbers may be a schedule. :class:`Optimizer` has the other arguments.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> opt.RMSProp(0.5, rho=0.75).update(p, Tensor(data=[4.0, 0.0]))
        >>> p.to_numpy()  # 1 - 0.5 * 4 / sqrt(0.25 * 16)
        array([0., 2.], dtype=float32)
    """

    rho: Hyperparameter = Hyperparameter(0.9, below=1)
    epsilon: Hyperparameter = Hyperparameter(1e-8)
    weight_decay: Hyperparameter = Hyperparameter(0.0)

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return {"average_square": jnp.zeros_like(p)}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        g = decayed(p, g, hyper)
        v = hyper["rho"] * state["average_square"] + (1 - hyper["rho"]) * g * g
        return p - hyper["lr"] * g / jnp.sqrt(v + hyper["epsilon"]), {"average_square": v}


class AdaGrad(Optimizer):
    """Divides gradients by the root of the sum of all squares (Duchi et al., 2011).

    With gradient g, parameter p and buffer h (initially 0)::

        g = g + weight_decay * p
        h = h + g ** 2
        p = p - lr * g / sqrt(h + epsilon)

    Each of the numbers may be a schedule. :class:`Optimizer` has the other arguments.

    Example:
        >>> p = Tensor(data=[3.0, 2.0], stores_grad=True)
        >>> adagrad = opt.AdaGrad(1.0)
        >>> for gradient in (4.0, 3.0):
        ...     adagrad.update(p, Tensor(data=[gradient, 0.0]))
        >>> p.to_numpy()  # 3 - 4 / 4 - 3 / 5
        array([1.4, 2. ], dtype=float32)
    """

    epsilon: Hyperparameter = Hyperparameter(1e-8)
    weight_decay: Hyperparameter = Hyperparameter(0.0)

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return {"square_sum": jnp.zeros_like(p)}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        g = decayed(p, g, hyper)
        h = state["square_sum"] + g * g
        return p - hyper["lr"] * g / jnp.sqrt(h + hyper["epsilon"]), {"square_sum": h}


class Adafactor(Optimizer):
    """Averages squares over rows and columns only, to save memory (Shazeer and Stern, 2018).

    With gradient g, parameter p, and v a moving average of g ** 2 + epsilon whose weight in step
    t = 1, 2, ... is 1 - t ** -decay_rate::

        u = g / sqrt(v)
        u = u / max(1, rms(u) / clip_threshold)
        p = p - lr * (max(rms(p), least_scale) * u + weight_decay * p)

    For a parameter with at least two long axes, only the means of v over each of the two longest
    axes are kept: v = row * column / mean(row). This is one matrix for each index along the other
    axes, and mean(row) is over its rows. :class:`Optimizer` has the other arguments.

    Args:
        lr: the step's size relative to the parameter's.
        clip_threshold: 0 for no clipping.
        factored_from: the least length of both axes.

    Example:
        >>> p = Tensor((256, 512), stores_grad=True)
        >>> adafactor = opt.Adafactor()
        >>> adafactor.update(p, Tensor((256, 512)).set_value(1.0))
        >>> {name: t.shape for name, t in adafactor.get_states({p: "W"}).items() if ":" in name}
        {'W:row': (256, 1), 'W:column': (1, 512), 'W:turn': (2,)}
    """

    lr: Hyperparameter = Hyperparameter(0.01)
    decay_rate: Hyperparameter = Hyperparameter(0.8)
    epsilon: Hyperparameter = Hyperparameter(1e-30)
    clip_threshold: Hyperparameter = Hyperparameter(1.0)
    least_scale: Hyperparameter = Hyperparameter(1e-3)
    weight_decay: Hyperparameter = Hyperparameter(0.0)
    factored_from: int = 128

    def _factored(self, p: CTensor) -> tuple[int, int] | None:
        """The axes of rows and of columns, the two longest; None if they are too short."""
        if p.ndim < 2:
            return None
        rows, columns = (int(axis) for axis in np.argsort(p.shape)[-2:])
        return None if p.shape[rows] < self.factored_from else (rows, columns)

    def _means(self, x: CTensor) -> State:
        """The means of an array of the parameter's shape that are kept."""
        axes = self._factored(x)
        if axes is None:
            return {"average_square": x}
        rows, columns = axes
        return {"row": x.mean(columns, keepdims=True), "column": x.mean(rows, keepdims=True)}

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return self._means(jnp.zeros_like(p))

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        beta = 1 - (step.astype(p.dtype) + 1) ** -hyper["decay_rate"]
        squares = self._means(g * g + hyper["epsilon"])
        state = {slot: beta * old + (1 - beta) * squares[slot] for slot, old in state.items()}
        axes = self._factored(p)
        if axes is None:
            u = g / jnp.sqrt(state["average_square"])
        else:
            row, column = state["row"], state["column"]
            # The mean over a matrix is the mean of its rows' means.
            u = g / jnp.sqrt(row / row.mean(axes[0], keepdims=True)) / jnp.sqrt(column)
        if "clip_threshold" in hyper:
            u = u / jnp.maximum(1, _rms(u) / hyper["clip_threshold"])
        scale = jnp.maximum(_rms(p), hyper["least_scale"])
        return p - hyper["lr"] * decayed(p, scale * u, hyper), state


def _rms(x: CTensor) -> CTensor:
    """The root of the mean of squares."""
    return jnp.sqrt(jnp.mean(x * x))
