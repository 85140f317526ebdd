"""Rules that divide the gradient by the size of past gradients."""

from __future__ import annotations

from collections.abc import Collection

import jax.numpy as jnp
import numpy as np

from singa.device import CTensor
from singa.errors import ArgumentError
from singa.opt.hyperparameter import Hyperparameter, Values
from singa.opt.optimizer import Optimizer
from singa.opt.sgd import decayed
from singa.opt.step import State


class RMSProp(Optimizer):
    """Divides gradients by the root of a moving average of squares (Tieleman and Hinton, 2012).

    With gradient g, parameter p and buffer v (initially 0)::

        g = g + weight_decay * p
        v = rho * v + (1 - rho) * g ** 2
        u = g / sqrt(v + epsilon)
        p = p - lr * u

    If ``centered``, v - a ** 2 takes the place of v in the third line, where a is the moving
    average of g: the variance of gradients (Graves, 2013). With ``momentum``, the sum
    b = momentum * b + u takes the place of u in the last line.

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
    momentum: Hyperparameter = Hyperparameter(0.0)
    centered: bool = False

    _options = ("momentum", "centered", *Optimizer._options)  # after SINGA's arguments

    def init(self, p: CTensor, on: Collection[str]) -> State:
        slots = ["average_square", *(["average_gradient"] if self.centered else [])]
        slots += ["momentum"] if "momentum" in on else []
        return {slot: jnp.zeros_like(p) for slot in slots}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        g, rho = decayed(p, g, hyper), hyper["rho"]
        v = rho * state["average_square"] + (1 - rho) * g * g
        new = {"average_square": v}
        if self.centered:
            a = new["average_gradient"] = rho * state["average_gradient"] + (1 - rho) * g
            v = jnp.maximum(v - a * a, 0)  # which rounding may make negative
        if "momentum" not in hyper:
            return p - hyper["lr"] * g / jnp.sqrt(v + hyper["epsilon"]), new
        u = g / jnp.sqrt(v + hyper["epsilon"])
        b = new["momentum"] = hyper["momentum"] * state["momentum"] + u
        return p - hyper["lr"] * b, new


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


class Adadelta(Optimizer):
    """Steps as large as past steps, over the size of past gradients (Zeiler, 2012).

    With gradient g, parameter p, buffers v and u (initially 0)::

        g = g + weight_decay * p
        v = rho * v + (1 - rho) * g ** 2
        d = sqrt(u + epsilon) / sqrt(v + epsilon) * g
        u = rho * u + (1 - rho) * d ** 2
        p = p - lr * d

    :class:`Optimizer` has the other arguments.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> opt.Adadelta(epsilon=0.25).update(p, Tensor(data=[1.0, 0.0]))
        >>> p.to_numpy()  # 1 - sqrt(0.25 / (0.1 + 0.25))
        array([0.1548, 2.    ], dtype=float32)
    """

    lr: Hyperparameter = Hyperparameter(1.0)
    rho: Hyperparameter = Hyperparameter(0.9, below=1)
    epsilon: Hyperparameter = Hyperparameter(1e-6)
    weight_decay: Hyperparameter = Hyperparameter(0.0)

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return {"average_square": jnp.zeros_like(p), "average_step": jnp.zeros_like(p)}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        g, rho, epsilon = decayed(p, g, hyper), hyper["rho"], hyper["epsilon"]
        v = rho * state["average_square"] + (1 - rho) * g * g
        d = jnp.sqrt(state["average_step"] + epsilon) / jnp.sqrt(v + epsilon) * g
        u = rho * state["average_step"] + (1 - rho) * d * d
        return p - hyper["lr"] * d, {"average_square": v, "average_step": u}


class Rprop(Optimizer):
    """Steps of each element's own size, by the signs of gradients (Riedmiller and Braun, 1993).

    A step is larger than the last one if the gradient's sign is the same, smaller if it is the
    opposite. With gradient g, its last value h (initially 0), parameter p, and step sizes s
    (initially lr)::

        s = s * (eta_plus if g * h > 0, eta_minus if g * h < 0, else 1)
        s = clip(s, least_step, most_step), where it has changed
        h = 0 if g * h < 0 else g
        p = p - s * sign(h)

    It is for gradients of the whole dataset. :class:`Optimizer` has the other arguments.

    Example:
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> rprop = opt.Rprop(0.5)
        >>> for _ in range(2):
        ...     rprop.update(p, Tensor(data=[3.0, -0.1]))
        >>> p.to_numpy()  # 1 - 0.5 - 0.5 * 1.2
        array([-0.1,  3.1], dtype=float32)
    """

    lr: Hyperparameter = Hyperparameter(0.01)
    eta_minus: Hyperparameter = Hyperparameter(0.5, below=1)
    eta_plus: Hyperparameter = Hyperparameter(1.2)
    least_step: Hyperparameter = Hyperparameter(1e-6)
    most_step: Hyperparameter = Hyperparameter(50.0)

    def init(self, p: CTensor, on: Collection[str]) -> State:
        return {"step_size": jnp.zeros_like(p), "last_gradient": jnp.zeros_like(p)}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        size = jnp.where(step == 0, hyper["lr"], state["step_size"])
        # The product of the gradients themselves could become 0.
        agrees = jnp.sign(g) * jnp.sign(state["last_gradient"])
        scaled = size * jnp.where(agrees > 0, hyper["eta_plus"], hyper["eta_minus"])
        scaled = jnp.clip(scaled, hyper["least_step"], hyper["most_step"])
        size = jnp.where(agrees == 0, size, scaled)
        h = jnp.where(agrees < 0, 0, g)
        return p - size * jnp.sign(h), {"step_size": size, "last_gradient": h}


class Adafactor(Optimizer):
    """Averages squares over rows and columns only, to save memory (Shazeer and Stern, 2018).

    With gradient g, parameter p, and v a moving average of g ** 2 + epsilon whose weight in step
    t = 1, 2, ... is 1 - t ** -decay_rate::

        u = g / sqrt(v)
        u = u / max(1, rms(u) / clip_threshold)
        p = p - lr * (max(rms(p), least_scale) * u + weight_decay * p)

    With ``beta_1``, the moving average of ``lr * max(rms(p), least_scale) * u`` takes its place.

    For a parameter with at least two long axes, only the means of v over each of the two longest
    axes are kept: v = row * column / mean(row). This is one matrix for each index along the other
    axes, and mean(row) is over its rows. :class:`Optimizer` has the other arguments.

    Args:
        lr: the step's size relative to the parameter's.
        clip_threshold: 0 for no clipping.
        factored_from: the least length of both axes.
        scale_by_parameter: whether steps are relative to the parameter's size; without it the
            factor of u is lr only.
        relative_step: whether the factor of u has min(lr, 1 / sqrt(t)) in place of lr; weight_decay
            has lr in any case, as in PyTorch.
        warmup_init: whether lr grows by 1e-6 in each step until it is 1 / sqrt(t): with
            ``relative_step``, min(1e-6 t, 1 / sqrt(t)).

    Raises:
        ArgumentError: warmup_init without relative_step, or a number outside of its range.

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
    beta_1: Hyperparameter = Hyperparameter(0.0, below=1)
    scale_by_parameter: bool = True
    relative_step: bool = False
    warmup_init: bool = False

    _options = ("relative_step", "warmup_init", *Optimizer._options)

    def check(self) -> None:
        super().check()
        if self.warmup_init and not self.relative_step:
            raise ArgumentError("Adafactor: warmup_init is of the relative step; turn that on too")

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
        mean = {"mean": jnp.zeros_like(p)} if "beta_1" in on else {}
        return self._means(jnp.zeros_like(p)) | mean

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        t = step.astype(p.dtype) + 1
        beta = 1 - t ** -hyper["decay_rate"]
        lr: CTensor | float = hyper["lr"]
        if self.relative_step:
            lr = jnp.minimum(1e-6 * t if self.warmup_init else lr, 1 / jnp.sqrt(t))
        squares, mean = self._means(g * g + hyper["epsilon"]), state.get("mean")
        state = {slot: beta * state[slot] + (1 - beta) * new for slot, new in squares.items()}
        axes = self._factored(p)
        if axes is None:
            u = g / jnp.sqrt(state["average_square"])
        else:
            row, column = state["row"], state["column"]
            # The mean over a matrix is the mean of its rows' means.
            u = g / jnp.sqrt(row / row.mean(axes[0], keepdims=True)) / jnp.sqrt(column)
        if "clip_threshold" in hyper:
            u = u / jnp.maximum(1, _rms(u) / hyper["clip_threshold"])
        if self.scale_by_parameter:
            u = jnp.maximum(_rms(p), hyper["least_scale"]) * u
        if mean is None and not self.relative_step:
            return p - lr * decayed(p, u, hyper), state
        u = lr * u
        if mean is None:
            return p - u - hyper["lr"] * hyper["weight_decay"] * p, state
        mean = hyper["beta_1"] * mean + (1 - hyper["beta_1"]) * u
        return p - mean - hyper["lr"] * hyper["weight_decay"] * p, {**state, "mean": mean}


def _rms(x: CTensor) -> CTensor:
    """The root of the mean of squares."""
    return jnp.sqrt(jnp.mean(x * x))
