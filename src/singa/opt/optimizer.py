"""Optimizer: what all optimizers share. An algorithm is one method, ``rule``, in a subclass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import jax.numpy as jnp
import numpy as np

from singa.core import hints
from singa.core.guard import Cache, own
from singa.core.tensor import Tensor, wrap
from singa.core.watching import local, outside_capture, unless_still
from singa.device import CTensor, float16, float32
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.opt.compiled import Pairs
from singa.opt.hyperparameter import Declared, Group, Hyperparameter, Values, is_on
from singa.opt.kernel import rule_of
from singa.opt.named_state import NamedState
from singa.opt.schedule import DecayScheduler, Number
from singa.opt.state import ParameterStates, placed
from singa.opt.step import AVERAGE, State, ended
from singa.tape.backward import pairs


class Optimizer(NamedState, Declared):
    """Base of the optimizers.

    A subclass declares its fields as a dataclass does, and its constructor takes them in that
    order: hyper-parameters (``momentum: Hyperparameter = Hyperparameter(0.9)``), and plain ones
    (``nesterov: bool = False``) that the rule depends on. It defines ``rule``, and ``init`` if it
    keeps state for each parameter. The state is stored in Tensors, by parameter and not by name,
    so it is captured and saved like all other Tensors. It is float32 for parameters of half
    precision, and rules compute in float32.

    Three ways of using an optimizer give the same numbers:

    - ``optimizer(loss)``: the backward pass, then all parameters in one compiled call.
    - ``for p, g in autograd.backward(loss): optimizer.update(p, g)``. A step begins when a
      parameter is updated again.
    - the same with ``optimizer.apply(name, p, g)`` and ``optimizer.step()`` at the end.

    Steps are counted for the schedules. Updates are counted for each parameter separately: the
    first update of a parameter that was frozen until then counts as its first.

    Hyper-parameters are numbers of at least 0, or schedules. If a term has no effect at 0, a value
    of 0 means that the term is left out.

    Args:
        lr: the learning rate.
        dtype: the data type of the hyper-parameters' values.
        clip_value: gradients' elements are clipped to between minus and plus this. 0 turns it off.
        clip_norm: if the norm of all gradients together is larger than this, they are scaled down
            to it (Pascanu et al., 2013), after ``clip_value``. It needs all gradients at once, so
            ``update`` and ``apply`` refuse it. 0 turns it off.
        accumulate: this many calls, each with the loss of a micro-batch, make one step. The step
            uses the mean of their gradients. The last call updates every parameter that had a
            gradient in any of them. All gradients of a micro-batch are needed at once, so
            ``update`` and ``apply`` refuse it. Schedules count steps, not micro-batches.
        ema_decay: average = ema_decay * average + (1 - ema_decay) * p is computed for each
            parameter, starting from its first value, for :meth:`averaged`. 0 turns it off.
        maximize: make the loss larger: the gradients' signs are changed before the rule.

    Attributes:
        step_counter: the number of steps that have begun: an int32 Tensor of shape (). With
            micro-batches, the number of steps whose last micro-batch has begun.
        micro_step: the number of micro-batches of the present step that have begun: an int32
            Tensor.
        is_open: whether a step has begun that :meth:`step` has not ended: a bool Tensor.
        loss_scale: ``optimizer(loss)`` multiplies the loss by this in mixed precision of float16,
            so that small gradients do not become 0: a float32 Tensor. If the gradients of a step
            are not all finite, the step is skipped, and the scale is halved; 2,000 good steps in a
            row double it.
        complex_numbers: whether the rule is right for complex parameters, whose gradients are the
            derivatives by the real part plus i times those by the imaginary part; an attribute of
            the class. Those of other optimizers are refused.
        good_steps: the number of good steps in a row: an int32 Tensor.

    Raises:
        ArgumentError: a number is outside of its range.
        DTypeError: a value is neither a number nor a schedule.

    Example:
        >>> class SignSGD(opt.Optimizer):
        ...     def rule(self, p, g, state, hyper, step):
        ...         return p - hyper["lr"] * jnp.sign(g), state
        >>> p = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> SignSGD(lr=0.5).update(p, Tensor(data=[7.0, -0.1]))
        >>> p.to_numpy()
        array([0.5, 2.5], dtype=float32)
    """

    lr: Hyperparameter = Hyperparameter(0.1)
    _: KW_ONLY
    clip_value: Hyperparameter = Hyperparameter(0.0)
    clip_norm: Hyperparameter = Hyperparameter(0.0)
    ema_decay: Hyperparameter = Hyperparameter(0.0, below=1)
    accumulate: int = 1
    maximize: bool = False
    dtype: Any = float32

    complex_numbers = False  # without an annotation it is no field

    _options: ClassVar[tuple[str, ...]] = (
        "clip_value",
        "clip_norm",
        "ema_decay",
        "accumulate",
        "maximize",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._groups: tuple[Group, ...] = ()
        self._beginnings = Cache()
        self._state = ParameterStates(self._initial, partial(rule_of, self))
        self._forget()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            # These Tensors are made when they are first read: SINGA's programs make an optimizer
            # before their processes connect, which is only possible before the first Tensor.
            if name not in self._at_first:
                hints.no_attribute(self, name, hints.OPTIMIZER)
            with outside_capture():
                for key, value in self._at_first.items():
                    if key not in own(self):
                        made = Tensor(data=value, dtype=type(value), requires_grad=False)
                        setattr(self, key, made)
            return getattr(self, name)

    # -- what a subclass defines --------------------------------------------------------------

    def init(self, p: CTensor, on: Collection[str]) -> State:
        """The arrays to keep for one parameter, with their values before its first update.

        Args:
            p: the parameter, in float32 if it is of half precision.
            on: the names of the hyper-parameters that are not constantly 0.
        """
        return {}

    def rule(
        self, p: CTensor, g: CTensor, state: State, hyper: Values, step: CTensor
    ) -> tuple[CTensor, State]:
        """One parameter's update, in ``jax.numpy``.

        Args:
            p, g: the parameter and its gradient; in float32 if it is of half precision.
            state: the arrays of ``init``, with their present values.
            hyper: the hyper-parameters' values, as arrays of shape (). Hyper-parameters that are
                constantly 0 are not in it; looking one up gives 0.0.
            step: the number of updates that this parameter has had before: int32 ().

        Returns:
            The new parameter and the new state.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update rule")

    def check(self) -> None:
        super().check()
        if not isinstance(self.accumulate, (int, np.integer)) or self.accumulate < 1:
            raise ArgumentError(
                f"{type(self).__name__}: accumulate must be an integer of at least 1, "
                f"got {self.accumulate!r}"
            )

    # -- how it is used -----------------------------------------------------------------------

    @unless_still
    def __call__(self, loss: Tensor) -> None:
        """Run the backward pass from ``loss``, and update every parameter that it depends on.

        Raises:
            GradientError: nothing was recorded, or the loss is not a scalar.
        """
        pairs, is_scaled = self._backward(loss)
        self._update_all(pairs, is_scaled)

    def _backward(self, loss: Tensor) -> tuple[Pairs, bool]:
        """The parameters that ``loss`` depends on, with their gradients.

        Also whether the loss was multiplied by its scale, as in mixed precision of float16.
        """
        is_scaled = local.precision == float16
        start = None
        if is_scaled and isinstance(loss, Tensor) and loss.size() == 1:
            scale = placed(self.loss_scale, loss.device).data
            start = wrap(jnp.broadcast_to(scale, loss.shape).astype(loss.dtype), loss.device)
        found = pairs(loss, start)
        return [(tensor, grad) for tensor, grad in found if tensor.creator is None], is_scaled

    def schedules(self) -> dict[str, DecayScheduler]:
        """The hyper-parameters by name.

        Example:
            >>> opt.SGD(0.5).schedules()["lr"]
            Constant(init_value=0.5)
        """
        return {name: getattr(self, name) for name in self._hyperparameters}

    def call(self, loss: Tensor) -> None:
        """``optimizer(loss)``, by SINGA's name for it."""
        self(loss)

    def backward_and_update(self, loss: Tensor) -> None:
        """``optimizer(loss)``, by SINGA's older name for it."""
        self(loss)

    @unless_still
    def update_all(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """A whole step: update parameters with their gradients, in one compiled call.

        Raises:
            DTypeError, ShapeError: see :meth:`update`.
            ArgumentError: a parameter is given twice.

        Example:
            >>> p = Tensor(data=[3.0], stores_grad=True)
            >>> autograd.training = True
            >>> opt.SGD(0.25, clip_norm=1.0).update_all(autograd.backward(p * p))
            >>> p.to_numpy()
            array([2.75], dtype=float32)
        """
        self._update_all(list(pairs))

    def _update_all(
        self, pairs: Pairs, is_scaled: bool = False, is_good: CTensor | None = None
    ) -> None:
        """A whole step, or micro-batch.

        Args:
            pairs: the parameters and their gradients.
            is_scaled: whether the loss was scaled.
            is_good: whether all gradients were finite, if they are no longer scaled.
        """
        for param, grad in pairs:
            self._check(param, grad)
        if len({param for param, _ in pairs}) != len(pairs):
            raise ArgumentError(f"{type(self).__name__}.update_all: a parameter is there twice")
        self._apply(pairs, True, is_scaled, is_good)

    @unless_still
    def update(self, param: Tensor, grad: Tensor) -> None:
        """Update one parameter. If this step has updated it already, a new step begins.

        Raises:
            DTypeError: an argument is not a Tensor; or the parameter is complex, and the optimizer
                is not for complex numbers.
            ShapeError: the gradient does not have the parameter's shape, or the parameter's shape
                has changed since its state was made.
            ArgumentError: the optimizer has a clip_norm, or micro-batches.

        Example:
            >>> p = Tensor(data=[3.0], stores_grad=True)
            >>> autograd.training = True
            >>> sgd = opt.SGD(0.25)
            >>> for parameter, gradient in autograd.backward(p * p):
            ...     sgd.update(parameter, gradient)
            >>> p.to_numpy()
            array([1.5], dtype=float32)
        """
        self._check(param, grad)
        self.check()
        for option, needs_all in (
            ("clip_norm", is_on(self.clip_norm)),
            ("accumulate", self.accumulate != 1),
        ):
            if needs_all:
                raise ArgumentError(
                    f"{type(self).__name__}.update: {option} needs all gradients at once; use "
                    "optimizer(loss), or optimizer.update_all(autograd.backward(loss))"
                )
        self._apply([(param, grad)], False)

    def apply(self, name: str, value: Tensor, grad: Tensor) -> None:
        """``update(value, grad)``, by SINGA's name for it; the argument ``name`` is not used.

        Example:
            >>> p = Tensor(data=[3.0], stores_grad=True)
            >>> sgd = opt.SGD(0.25)
            >>> sgd.apply("p", p, Tensor(data=[6.0]))
            >>> sgd.step()
            >>> p.to_numpy()
            array([1.5], dtype=float32)
        """
        self.update(value, grad)

    @unless_still
    def step(self) -> None:
        """End the open step. If no step is open, count one without updates, for the schedules.

        Needed only if not every parameter is updated in every step.

        Example:
            >>> a, b = Tensor((1,), stores_grad=True), Tensor((1,), stores_grad=True)
            >>> sgd = opt.SGD(0.1)
            >>> for p in (a, b):
            ...     sgd.update(p, Tensor((1,)))
            ...     sgd.step()
            >>> sgd.step_counter.item()
            2
            >>> sgd.step()
            >>> sgd.step_counter.item()
            3
        """
        device = self.step_counter.device
        counters, is_open = self._counters(device), placed(self.is_open, device)
        steps, closed = ended([counter.data for counter in counters], is_open.data)
        self.step_counter.assign(steps)
        is_open.assign(closed)

    def add_group(
        self, params: Iterable[Tensor] | Callable[[str], bool], **hyperparameters: Number
    ) -> None:
        """Give some parameters hyper-parameters of their own.

        ::

            sgd.add_group(lambda name: name.endswith(".b"), weight_decay=0)
            sgd.add_group(model.head.get_params().values(), lr=0.5)

        If several groups of a parameter set the same hyper-parameter, the last one is used.

        Args:
            params: the parameters, or a function that takes a parameter's name and returns whether
                it belongs to the group.
            hyperparameters: any except ``clip_norm``, which is for all parameters together.

        Raises:
            ArgumentError: there is no such hyper-parameter, or a number is outside of its range.
            DTypeError: ``params`` is neither parameters nor a function; a value is neither a
                number nor a schedule.

        Example:
            >>> w = Tensor(data=[1.0], stores_grad=True, name="fc.W")
            >>> b = Tensor(data=[1.0], stores_grad=True, name="fc.b")
            >>> sgd = opt.SGD(0.5, weight_decay=0.5)
            >>> sgd.add_group(lambda name: name.endswith(".b"), weight_decay=0)
            >>> for p in (w, b):
            ...     sgd.update(p, Tensor(data=[0.0]))
            >>> w.item(), b.item()
            (0.75, 1.0)
        """
        owner = type(self).__name__
        known = [name for name in self._hyperparameters if name != "clip_norm"]
        schedules: dict[str, DecayScheduler] = {}
        for name, value in hyperparameters.items():
            if name not in known:
                raise ArgumentError(
                    f"{owner}.add_group: {name!r} is none of a group's hyper-parameters, which are "
                    f"{', '.join(known)}"
                )
            schedules[name] = getattr(type(self), name).schedule(self, value)
        self._groups = (*self._groups, Group(f"{owner}.add_group", params, schedules))
        self._note_added()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """A block in which the parameters have their moving averages, to evaluate or save them.

        ::

            with optimizer.averaged():
                model.eval()
                predictions = model(x)

        At its end they get their values from before the block. Values that were assigned to them
        in the block are lost.

        Raises:
            ArgumentError: there are no averages: no ``ema_decay``, or no step yet.

        Example:
            >>> p = Tensor(data=[1.0], stores_grad=True)
            >>> sgd = opt.SGD(0.5, ema_decay=0.5)
            >>> sgd.update(p, Tensor(data=[1.0]))
            >>> with sgd.averaged():
            ...     p.item()
            0.75
            >>> p.item()
            0.5
        """
        averages = {p: state[AVERAGE] for p, state in self._state.items() if AVERAGE in state}
        if not averages:
            raise ArgumentError(
                f"{type(self).__name__}.averaged: there are no averages; they are kept from the "
                "first step on, with ema_decay=0.999 for example"
            )
        before = [param.data for param in averages]
        try:
            for param, average in averages.items():
                param.copy_data(average)
            yield
        finally:
            for param, value in zip(averages, before, strict=True):
                param.data = value

    @property
    def lr_value(self) -> Tensor:
        """The learning rate of the next step.

        Example:
            >>> p = Tensor(data=[1.0], stores_grad=True)
            >>> sgd = opt.SGD(opt.StepDecay(0.5, step_size=1, gamma=0.5))
            >>> sgd.update(p, Tensor(data=[1.0]))
            >>> sgd.lr_value.item()
            0.25
        """
        return self.lr(self.step_counter)

    def _check(self, param: Tensor, grad: Tensor) -> None:
        if not isinstance(param, Tensor) or not isinstance(grad, Tensor):
            raise DTypeError(
                f"{type(self).__name__}.update: two Tensors are expected, got "
                f"{type(param).__name__} and {type(grad).__name__}"
            )
        if param.data.shape != grad.data.shape:
            raise ShapeError(
                f"{type(self).__name__}.update: the parameter is of shape {param.shape}, "
                f"its gradient of {grad.shape}"
            )
