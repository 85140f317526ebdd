"""L-BFGS: steps by an estimate of the curvature, for losses of the whole dataset."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.journal import Journal
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import CTensor, int32
from singa.errors import ArgumentError, CaptureError
from singa.opt.compiled import Pairs
from singa.opt.hyperparameter import Hyperparameter, is_on
from singa.opt.line_search import Point, strong_wolfe
from singa.opt.optimizer import Optimizer
from singa.opt.step import State
from singa.tape import enable_grad

_LEAST_CURVATURE = 1e-10
"""Of a step from which something is learned, as in PyTorch."""


class _Counted:
    """The Tensors that L-BFGS keeps besides those of each optimizer."""

    iterations: Tensor
    evaluations: Tensor
    pairs: Tensor
    last_size: Tensor
    scale: Tensor


class LBFGS(Optimizer, _Counted):
    """Quasi-Newton steps by the last changes of the gradient (Liu and Nocedal, 1989).

    It computes the loss several times in a step, so that a step gets a function that does so::

        lbfgs = opt.LBFGS(line_search_fn="strong_wolfe")
        for _ in range(5):
            loss = lbfgs.step(lambda: autograd.mse_loss(net(x), t))

    It is for losses of the whole dataset, without random numbers: the differences of gradients
    must be those of one function. Iterates and defaults are those of PyTorch. A step runs eagerly:
    how many losses it computes depends on their values.

    Args:
        lr: the step's size, or the first one that a line search tries.
        max_iter: the number of directions in a call of :meth:`step`.
        max_eval: after how many losses a call ends; 1.25 ``max_iter`` if None.
        tolerance_grad: the largest element of a gradient at which a call ends.
        tolerance_change: the change of the loss, or of each element of the parameters, at which it
            ends.
        history_size: how many changes of the gradient are kept. They take 2 ``history_size`` times
            the memory of the parameters, from the start on.
        line_search_fn: ``"strong_wolfe"``, or None for steps of size ``lr``.
        maximize: make the loss larger.

    The other arguments of :class:`Optimizer` are refused, and so are groups.

    Attributes:
        iterations: the number of directions so far: an int32 Tensor.
        evaluations: the number of losses so far: an int32 Tensor.
        pairs: the number of changes that are kept at present: an int32 Tensor.
        last_size: the size of the last step, as a factor of its direction: a float64 Tensor.
        scale: of the first estimate of the inverse Hessian: a float64 Tensor.

    Raises:
        ArgumentError: another line search, a number outside of its range, or an option that it
            does not have.

    Example:
        >>> p = Tensor(data=[-1.0, 1.0], stores_grad=True)
        >>> lbfgs = opt.LBFGS(line_search_fn="strong_wolfe")
        >>> def rosenbrock():
        ...     return 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2
        >>> for _ in range(3):
        ...     loss = lbfgs.step(rosenbrock)
        >>> p.to_numpy().round(3), lbfgs.step_counter.item()
        (array([1., 1.], dtype=float32), 3)
    """

    lr: Hyperparameter = Hyperparameter(1.0)
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history_size: int = 100
    line_search_fn: str | None = None

    _at_first: ClassVar[dict[str, float]] = Optimizer._at_first | {
        "iterations": 0, "evaluations": 0, "pairs": 0, "last_size": np.float64(0),
        "scale": np.float64(1),
    }  # fmt: skip

    def check(self) -> None:
        super().check()
        if self.line_search_fn not in (None, "strong_wolfe"):
            raise ArgumentError(
                f"LBFGS: line_search_fn must be None or 'strong_wolfe', got {self.line_search_fn!r}"
            )
        for name, least in (("max_iter", 1), ("history_size", 1), ("max_eval", 1)):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < least):
                raise ArgumentError(f"LBFGS: {name} must be an integer from {least}, got {value!r}")
        for name in ("clip_value", "clip_norm", "ema_decay"):
            if is_on(getattr(self, name)):
                raise ArgumentError(f"LBFGS: it has no {name}")
        if self.accumulate != 1:
            raise ArgumentError("LBFGS: it has no micro-batches (accumulate); its closure may")

    def init(self, p: CTensor, on: Collection[str]) -> State:
        many = jnp.zeros((self.history_size, *p.shape), p.dtype)
        one = jnp.zeros_like(p)
        return {"direction": one, "gradient": one, "steps": many, "changes": many}

    def _apply(
        self,
        pairs: Pairs,
        is_whole: bool,
        is_scaled: bool = False,
        is_good: CTensor | None = None,
    ) -> None:
        raise ArgumentError(
            "LBFGS: it needs the loss at several points: optimizer.step(closure), where closure() "
            "computes and returns it"
        )

    def add_group(
        self, params: Iterable[Tensor] | Callable[[str], bool], **hyperparameters: Any
    ) -> None:
        """Groups are refused: the parameters are one vector.

        Raises:
            ArgumentError: always.

        Example:
            >>> opt.LBFGS().add_group([], lr=0.1)
            Traceback (most recent call last):
                ...
            singa.errors.ArgumentError: LBFGS: it has no groups, its parameters are one vector
        """
        raise ArgumentError("LBFGS: it has no groups, its parameters are one vector")

    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor:  # type: ignore[override]
        """Make at most ``max_iter`` steps of the parameters that the loss depends on.

        Args:
            closure: computes the loss of the present parameters, and returns it. It need not run a
                backward pass. Operations are recorded in it, also if ``autograd.training`` is off.

        Returns:
            The loss before the step.

        Raises:
            ArgumentError: there is no closure, or the precision is float16.
            CaptureError: it is called in a compiled step.
            GradientError: the loss is not a scalar, or depends on no parameter.

        If it fails, no Tensor has changed.

        Example:
            >>> p = Tensor(data=[3.0], stores_grad=True)
            >>> lbfgs = opt.LBFGS(line_search_fn="strong_wolfe")
            >>> lbfgs.step(lambda: (p - 1.0) ** 2).item(), p.to_numpy().round(4)
            (4.0, array([1.], dtype=float32))
        """
        if closure is None:
            raise ArgumentError("LBFGS.step: a closure is expected, which computes the loss")
        if local.capture is not None:
            raise CaptureError(
                "LBFGS: how many losses its step computes depends on their values, which a "
                "compiled step does not know; run it eagerly, with use_graph=False"
            )
        self.check()
        if local.still:
            return closure()
        with Journal():
            problem = _Problem(self, closure)
            loss, gradient = problem.evaluate()
            if _largest(gradient) > self.tolerance_grad:
                self._minimize(problem, loss, gradient)
            _add(self.evaluations, problem.evaluations)
            super().step()
            return problem.first

    def _minimize(self, problem: _Problem, loss: float, gradient: CTensor) -> None:
        lr = float(self.lr_value.item())
        most = self.max_iter * 5 // 4 if self.max_eval is None else self.max_eval
        memory = _Memory(self, problem)
        for iteration in range(1, self.max_iter + 1):
            direction = memory.direction(gradient)
            t = lr
            if memory.iterations == 1:
                t *= min(1.0, 1 / float(jnp.abs(gradient).sum()))
            memory.size = t
            slope, before = float(jnp.vdot(gradient, direction)), loss
            if slope > -self.tolerance_change:
                break
            if self.line_search_fn is not None:
                start = Point(0.0, loss, gradient, slope)
                t, loss, gradient, _ = strong_wolfe(
                    problem.along(direction), start, t, _largest(direction),
                    self.tolerance_change, most - problem.evaluations,
                )  # fmt: skip
                memory.size = t
            problem.move(t * direction)
            if self.line_search_fn is None:
                if iteration == self.max_iter:
                    break
                loss, gradient = problem.evaluate()
            if (
                problem.evaluations >= most
                or _largest(gradient) <= self.tolerance_grad
                or abs(t) * _largest(direction) <= self.tolerance_change
                or abs(loss - before) < self.tolerance_change
            ):
                break
        memory.keep(self, problem)


class _Problem:
    """The loss as a function of all parameters, which are one vector."""

    def __init__(self, optimizer: LBFGS, closure: Callable[[], Tensor]) -> None:
        self._optimizer, self._closure = optimizer, closure
        self.evaluations = 0
        self.params: list[Tensor] = []
        self.first: Tensor

    def evaluate(self) -> tuple[float, CTensor]:
        """The loss and its gradient at the present parameters."""
        with enable_grad():
            loss = self._closure()
            pairs, is_scaled = self._optimizer._backward(loss)
        if is_scaled:
            raise ArgumentError("LBFGS: losses of the precision float16 are too inexact for it")
        found = {param: grad.data for param, grad in pairs}
        if not self.evaluations:
            self.params, self.first = list(found), loss
            self._optimizer._device_of(self.params)
            self._x = _flat([param.data for param in self.params])
        self.evaluations += 1
        gradient = _flat([found.get(p, jnp.zeros(p.shape, p.dtype)) for p in self.params])
        sign = -1 if self._optimizer.maximize else 1
        return sign * float(loss.item()), sign * gradient

    def along(self, direction: CTensor) -> Callable[[float], Point]:
        """The function that computes a point in this direction; it does not move the problem."""
        start = self._x

        def at(t: float) -> Point:
            self._assign(start + t * direction)
            loss, gradient = self.evaluate()
            loss = loss if math.isfinite(loss) else math.inf  # too far
            return Point(t, loss, gradient, float(jnp.vdot(gradient, direction)))

        return at

    def move(self, by: CTensor) -> None:
        """Move the parameters."""
        self._x = self._x + by
        self._assign(self._x)

    def _assign(self, x: CTensor) -> None:
        for param, value in zip(self.params, self.split(x), strict=True):
            param.assign(value.astype(param.dtype))

    def split(self, x: CTensor) -> list[CTensor]:
        """The parameters' parts of a vector, or of several along a first axis."""
        parts, end = [], 0
        for param in self.params:
            begin, end = end, end + param.size()
            parts.append(x[..., begin:end].reshape(*x.shape[:-1], *param.shape))
        return parts


class _Memory:
    """What is kept of earlier directions: in Tensors between two calls, here as vectors."""

    def __init__(self, optimizer: LBFGS, problem: _Problem) -> None:
        self._tensors = _slots(optimizer, problem.params)
        self._last, self._gradient = (self._vector(name) for name in ("direction", "gradient"))
        self._steps, self._changes = (
            _rows([each[name].data for each in self._tensors]) for name in ("steps", "changes")
        )
        self.iterations, self._pairs = (
            int(tensor.item()) for tensor in (optimizer.iterations, optimizer.pairs)
        )
        self.size, self._scale = (
            float(tensor.item()) for tensor in (optimizer.last_size, optimizer.scale)
        )

    def _vector(self, name: str) -> CTensor:
        return _flat([each[name].data for each in self._tensors])

    def direction(self, gradient: CTensor) -> CTensor:
        """The next direction, after the last step's change of the gradient was learned."""
        self.iterations += 1
        if self.iterations == 1:
            self._last = -gradient
        else:
            self._learn(self.size * self._last, gradient - self._gradient)
            self._last = _direction(
                gradient, self._steps, self._changes,
                jnp.asarray(self._pairs, int32), jnp.asarray(self._scale, gradient.dtype),
            )  # fmt: skip
        self._gradient = gradient
        return self._last

    def _learn(self, step: CTensor, change: CTensor) -> None:
        curvature = float(jnp.vdot(change, step))
        if not curvature > _LEAST_CURVATURE:
            return
        history = len(self._steps)
        if self._pairs == history:  # the oldest one is forgotten
            self._steps, self._changes = (
                jnp.roll(each, -1, 0) for each in (self._steps, self._changes)
            )
        self._pairs = min(self._pairs + 1, history)
        self._steps = self._steps.at[self._pairs - 1].set(step)
        self._changes = self._changes.at[self._pairs - 1].set(change)
        self._scale = curvature / float(jnp.vdot(change, change))

    def keep(self, optimizer: LBFGS, problem: _Problem) -> None:
        """Write all of it into the optimizer's Tensors."""
        vectors = {
            "direction": self._last, "gradient": self._gradient,
            "steps": self._steps, "changes": self._changes,
        }  # fmt: skip
        for name, vector in vectors.items():
            for slots, value in zip(self._tensors, problem.split(vector), strict=True):
                slots[name].assign(value.astype(slots[name].dtype))
        for tensor, number in (
            (optimizer.iterations, self.iterations),
            (optimizer.pairs, self._pairs),
            (optimizer.last_size, self.size),
            (optimizer.scale, self._scale),
        ):
            tensor.assign(jnp.asarray(number, tensor.dtype))


def _slots(optimizer: LBFGS, params: Sequence[Tensor]) -> list[Mapping[str, Tensor]]:
    named = optimizer._named(dict.fromkeys(params, ""))
    return [optimizer._state.of(param, on) for param, _, on in named]


@jax.jit
def _flat(arrays: list[CTensor]) -> CTensor:
    """Arrays as one vector of at least float32."""
    dtype = jnp.result_type(jnp.float32, *arrays)
    return jnp.concatenate([array.ravel().astype(dtype) for array in arrays])


@jax.jit
def _rows(arrays: list[CTensor]) -> CTensor:
    """Arrays as one row for each index of their first axis."""
    dtype = jnp.result_type(jnp.float32, *arrays)
    return jnp.concatenate([array.reshape(len(array), -1).astype(dtype) for array in arrays], 1)


@jax.jit
def _direction(
    gradient: CTensor, steps: CTensor, changes: CTensor, count: CTensor, scale: CTensor
) -> CTensor:
    """Minus the estimated inverse Hessian times the gradient, by the first ``count`` pairs."""

    def away(k: CTensor, carry: tuple[CTensor, CTensor]) -> tuple[CTensor, CTensor]:
        q, alphas = carry
        i = count - 1 - k  # the newest first
        alpha = jnp.vdot(steps[i], q) / jnp.vdot(changes[i], steps[i])
        return q - alpha * changes[i], alphas.at[i].set(alpha)

    def back(i: CTensor, r: CTensor) -> CTensor:
        beta = jnp.vdot(changes[i], r) / jnp.vdot(changes[i], steps[i])
        return r + (alphas[i] - beta) * steps[i]

    none = jnp.zeros(len(steps), gradient.dtype)
    q, alphas = jax.lax.fori_loop(0, count, away, (-gradient, none))
    found: CTensor = jax.lax.fori_loop(0, count, back, q * scale)
    return found


def _largest(vector: CTensor) -> float:
    """The largest absolute value; 0 if there is none."""
    return float(jnp.abs(vector).max(initial=0))


def _add(counter: Tensor, number: int) -> None:
    counter.assign(counter.data + number)
