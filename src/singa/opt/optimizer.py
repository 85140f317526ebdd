"""Optimizer: what all optimizers share. An algorithm is one method, ``rule``, in a subclass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from singa._tensor import Tensor, wrap
from singa.device import CTensor, Device, float16, float32, int32
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.opt.hyperparameter import Declared, Group, Hyperparameter, Values, is_on
from singa.opt.schedule import DecayScheduler, Number
from singa.opt.state import Kind, ParameterStates, check_fits
from singa.opt.step import (
    AVERAGE,
    FIRST_SCALE,
    SUM,
    State,
    count,
    unless_overflown,
    unscaled,
    update,
    wide,
)  # fmt: skip
from singa.tape.backward import backward
from singa.tape.kernel import named
from singa.guard import Cache, Guard
from singa.watching import UPDATE, calling, local, outside_capture

Layout: TypeAlias = tuple[tuple[str, int], ...]
"""One parameter's hyper-parameters: their names, and their places among all values of a step."""

Plan: TypeAlias = tuple[list[DecayScheduler], list[dict[str, Tensor]], Callable[..., Any]]
"""The schedules of a step, each parameter's state, and the compiled update."""


class Optimizer(Declared):
    """Base of the optimizers.

    A subclass declares its fields as a dataclass does, and its constructor takes them in that
    order: hyper-parameters (``momentum: Hyperparameter = Hyperparameter(0.9)``), and plain ones
    (``nesterov: bool = False``) that the rule depends on. It defines ``rule``, and ``init`` if it
    keeps something for each parameter. The state is kept by parameter, not by its name, in
    Tensors: so it is captured and saved like all others. It is float32 for parameters of half
    precision, and rules compute in that.

    Three ways to the same numbers:

    - ``optimizer(loss)``: the backward pass, then all parameters in one compiled call.
    - ``for p, g in autograd.backward(loss): optimizer.update(p, g)``. A step begins when a
      parameter comes round again.
    - the same with ``optimizer.apply(name, p, g)`` and ``optimizer.step()`` at the end.

    Hyper-parameters are numbers of at least 0, or schedules. Where 0 would have no effect, it
    means that the term is not there at all.

    Args:
        lr: the learning rate.
        dtype: the data type of the hyper-parameters' values.
        clip_value: the elements of gradients are limited to between minus and plus this. 0: not.
        clip_norm: all gradients together are scaled down to this length, if they are longer
            (Pascanu et al., 2013). After ``clip_value``. Needs all gradients at once, so that
            ``update`` and ``apply`` refuse it. 0: not.
        accumulate: so many calls, each with the loss of a micro-batch, make one step, which is
            with the mean of their gradients. Schedules see steps.
        ema_decay: average = ema_decay * average + (1 - ema_decay) * p is kept for each parameter,
            from its first value on, for :meth:`averaged`. 0: not.

    Attributes:
        step_counter: how many steps have begun: an int32 Tensor of shape (). With micro-batches,
            how many have begun their last one.
        micro_step: how many micro-batches of the present step have begun: an int32 Tensor.
        loss_scale: what ``optimizer(loss)`` multiplies the loss with in mixed precision of float16,
            so that small gradients do not vanish: a float32 Tensor. A step whose gradients are not
            all finite is left out, and halves it; 2,000 good ones in a row double it.
        good_steps: how many there were in a row: an int32 Tensor.

    Raises:
        ArgumentError: a number outside of its range.
        DTypeError: neither a number nor a schedule.

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
    dtype: Any = float32

    _options = ("clip_value", "clip_norm", "ema_decay", "accumulate")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.step_counter = Tensor((), dtype=int32, requires_grad=False)
        self.micro_step = Tensor((), dtype=int32, requires_grad=False)
        self.loss_scale = Tensor(data=FIRST_SCALE, dtype=float32, requires_grad=False)
        self.good_steps = Tensor((), dtype=int32, requires_grad=False)
        self._is_scaled = False  # the last step's loss was
        self._groups: tuple[Group, ...] = ()
        self._state = ParameterStates(self._initial, self.plain_values)
        self._updated = Cache()  # the parameters that had their turn in this step
        self._forget()

    def _forget(self) -> None:
        """What was compiled is compiled anew when it is next needed."""
        self._plans = Cache()  # by parameters, a Guard and a Plan
        self._kernels = Cache()

    def __getstate__(self) -> dict[str, Any]:
        return {n: v for n, v in vars(self).items() if n not in ("_plans", "_kernels")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    # -- what a subclass says -----------------------------------------------------------------

    def init(self, p: CTensor, on: Collection[str]) -> State:
        """The arrays to keep for one parameter, as they are before its first update.

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
            state: the arrays of ``init``, as they are now.
            hyper: the hyper-parameters' values, as arrays of shape (). Those that are constantly
                0 are not in it, but give 0.0.
            step: the number of the step, from 0: int32 ().

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

    def __call__(self, loss: Tensor) -> None:
        """Walk back from ``loss`` and update every parameter that it depends on."""
        self._update_all(self._backward(loss), self._is_scaled)

    def _backward(self, loss: Tensor) -> list[tuple[Tensor, Tensor]]:
        """The parameters that ``loss`` depends on, with their gradients.

        In mixed precision of float16 these are of the loss times its scale, and ``_is_scaled``.
        """
        self._is_scaled = local.precision == float16
        start = None
        if self._is_scaled:
            scale, _ = self._on(loss.device, [self.loss_scale, self.good_steps])
            start = wrap(jnp.broadcast_to(scale.data, loss.shape), loss.device)
            start = start.as_type(loss.dtype)
        found = backward(loss, start)
        return [(tensor, grad) for tensor, grad in found if tensor.creator is None]

    def schedules(self) -> dict[str, DecayScheduler]:
        """The hyper-parameters by name.

        Example:
            >>> opt.SGD(0.5).schedules()["lr"]
            Constant(init_value=0.5)
        """
        return {name: getattr(self, name) for name in self._hyperparameters}

    def call(self, loss: Tensor) -> None:
        """``optimizer(loss)``, in SINGA's words."""
        self(loss)

    def backward_and_update(self, loss: Tensor) -> None:
        """``optimizer(loss)``, in SINGA's older words."""
        self(loss)

    def update_all(self, pairs: Iterable[tuple[Tensor, Tensor]]) -> None:
        """A whole step: update parameters with their gradients, in one compiled call.

        Raises:
            DTypeError, ShapeError: see :meth:`update`.
            ArgumentError: a parameter that is there twice.

        Example:
            >>> p = Tensor(data=[3.0], stores_grad=True)
            >>> autograd.training = True
            >>> opt.SGD(0.25, clip_norm=1.0).update_all(autograd.backward(p * p))
            >>> p.to_numpy()
            array([2.75], dtype=float32)
        """
        self._update_all(list(pairs))

    def _update_all(self, pairs: list[tuple[Tensor, Tensor]], is_scaled: bool = False) -> None:
        for param, grad in pairs:
            self._check(param, grad)
        if len({param for param, _ in pairs}) != len(pairs):
            raise ArgumentError(f"{type(self).__name__}.update_all: a parameter is there twice")
        self.step()
        self._apply(pairs, is_scaled)

    def update(self, param: Tensor, grad: Tensor) -> None:
        """Update one parameter. A new step begins with the first one that had its turn already.

        Raises:
            DTypeError: one of them is not a Tensor.
            ShapeError: the gradient is not of the parameter's shape.
            ArgumentError: the optimizer has a clip_norm.

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
        if is_on(self.clip_norm):
            raise ArgumentError(
                f"{type(self).__name__}.update: clip_norm needs all gradients of the step at once; "
                "use optimizer(loss), or optimizer.update_all(autograd.backward(loss))"
            )
        if param in self._updated:
            self.step()
        self._apply([(param, grad)])

    def apply(self, name: str, value: Tensor, grad: Tensor) -> None:
        """``update(value, grad)``, in SINGA's words; the name is not needed.

        Example:
            >>> p = Tensor(data=[3.0], stores_grad=True)
            >>> sgd = opt.SGD(0.25)
            >>> sgd.apply("p", p, Tensor(data=[6.0]))
            >>> sgd.step()
            >>> p.to_numpy()
            array([1.5], dtype=float32)
        """
        self.update(value, grad)

    def step(self) -> None:
        """End the step. Needed only if not every parameter is updated in every step.

        Example:
            >>> a, b = Tensor((1,), stores_grad=True), Tensor((1,), stores_grad=True)
            >>> sgd = opt.SGD(0.1)
            >>> for p in (a, b):
            ...     sgd.update(p, Tensor((1,)))
            ...     sgd.step()
            >>> sgd.step_counter.item()
            2
        """
        self._updated.clear()

    def add_group(
        self, params: Iterable[Tensor] | Callable[[str], bool], **hyperparameters: Number
    ) -> None:
        """Give some parameters hyper-parameters of their own.

        ::

            sgd.add_group(lambda name: name.endswith(".b"), weight_decay=0)
            sgd.add_group(model.head.get_params().values(), lr=0.5)

        For a parameter in several groups, what the last one says of each hyper-parameter holds.

        Args:
            params: the parameters, or a function that tells by its name whether one belongs.
            hyperparameters: all but ``clip_norm``, which is about all parameters together.

        Raises:
            ArgumentError: no such hyper-parameter, or a number outside of its range.
            DTypeError: neither parameters nor a function; neither numbers nor schedules.

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

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """A block in which the parameters hold their moving averages, to evaluate or save them.

        ::

            with optimizer.averaged():
                model.eval()
                predictions = model(x)

        At its end they are what they were before; whatever was assigned to them is lost.

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

    # -- the compiled step --------------------------------------------------------------------

    def _check(self, param: Tensor, grad: Tensor) -> None:
        if not isinstance(param, Tensor) or not isinstance(grad, Tensor):
            raise DTypeError(
                f"{type(self).__name__}.update: two Tensors are expected, got "
                f"{type(param).__name__} and {type(grad).__name__}"
            )
        if param.shape != grad.shape:
            raise ShapeError(
                f"{type(self).__name__}.update: the parameter is of shape {param.shape}, "
                f"its gradient of {grad.shape}"
            )

    def _apply(self, pairs: Sequence[tuple[Tensor, Tensor]], is_scaled: bool = False) -> None:
        if not pairs:
            return
        params = [param for param, _ in pairs]
        counters = self._counters(params[0].device)
        # The first update of a step also counts it, in the same compiled call.
        begins = not self._updated
        step = self.step_counter if begins else self._present_step(counters)
        schedules, states, kernel = self._plan(params, begins)
        scaling = [self.loss_scale, self.good_steps] if is_scaled else []
        inputs = (
            [param.data for param in params],
            [grad.data for _, grad in pairs],
            [{slot: tensor.data for slot, tensor in state.items()} for state in states],
            [schedule(step).data for schedule in schedules],
            [counter.data for counter in counters],
            [tensor.data for tensor in scaling],
        )
        with calling(UPDATE, self):
            new_params, new_states, new_counters, new_scaling = kernel(*inputs)
        changed = (*params, *counters, *scaling)
        for tensor, value in zip(changed, (*new_params, *new_counters, *new_scaling), strict=True):
            tensor.assign(value)
        for state, values in zip(states, new_states, strict=True):
            for slot, tensor in state.items():
                tensor.assign(values[slot])
        self._updated.update(dict.fromkeys(params))

    def _counters(self, device: Device) -> list[Tensor]:
        return self._on(device, [self.step_counter, self.micro_step][: 1 + (self.accumulate > 1)])

    def _on(self, device: Device, tensors: list[Tensor]) -> list[Tensor]:
        for tensor in tensors:
            if tensor.device is not device:
                with outside_capture():
                    tensor.to_device(device)
        return tensors

    def _present_step(self, counters: list[Tensor]) -> Tensor:
        data = [counter.data for counter in counters]
        step, _, _ = count(data, begins=False, micro_batches=self.accumulate)
        return wrap(step, counters[0].device)

    def _plan(self, params: Sequence[Tensor], begins: bool) -> Plan:
        """What is needed to update these parameters: it is the same until something is changed."""
        key = (begins, *params)
        guard, plan = self._plans.get(key, (None, None))
        if plan is None or guard is None or not guard.holds():
            with Guard() as guard:
                schedules, layouts = self._layouts(params)
                kernel = self._kernel(layouts, begins)
                states = [
                    self._state.of(param, _names(layout))
                    for param, layout in zip(params, layouts, strict=True)
                ]
            plan = schedules, states, kernel
            self._plans[key] = guard, plan
        elif local.guard is not None:
            local.guard.include(guard)
        return plan

    def _layouts(self, params: Sequence[Tensor]) -> tuple[list[DecayScheduler], tuple[Layout, ...]]:
        """The schedules that are on, and for each parameter the names and places of its own."""
        places: dict[DecayScheduler, int] = {}
        known: dict[tuple[Group, ...], Layout] = {}
        layouts = []
        for param in params:
            groups = tuple([group for group in self._groups if param in group])
            if groups not in known:
                schedules = self.schedules()
                for group in groups:
                    schedules |= group.schedules
                known[groups] = tuple(
                    (name, places.setdefault(schedule, len(places)))
                    for name, schedule in schedules.items()
                    if is_on(schedule)
                )
            layouts.append(known[groups])
        return list(places), tuple(layouts)

    def _kernel(self, layouts: tuple[Layout, ...], begins: bool) -> Callable[..., Any]:
        key = (layouts, begins, self.plain_values())
        if key not in self._kernels:
            self.check()
            micro_batches = self.accumulate

            def run(
                params: list[CTensor],
                grads: list[CTensor],
                states: list[State],
                values: list[CTensor],
                counters: list[CTensor],
                scaling: list[CTensor],
            ) -> Any:
                hypers = [Values({name: values[i] for name, i in layout}) for layout in layouts]
                step, is_last, new_counters = count(counters, begins, micro_batches)
                grads = unscaled(grads, scaling)
                new = update(self.rule, micro_batches, params, grads, states, hypers, step, is_last)
                before = params, states, counters
                return unless_overflown(grads, (*new, new_counters), before, scaling)

            self._kernels[key] = jax.jit(named(run, f"{type(self).__name__}_update"))
        return self._kernels[key]

    # -- its state ----------------------------------------------------------------------------

    def _initial(self, p: CTensor, on: Collection[str]) -> State:
        p = p.astype(wide(p.dtype))
        state = dict(self.init(p, on))
        if self.accumulate > 1:
            state[SUM] = jnp.zeros_like(p)
        if "ema_decay" in on:
            state[AVERAGE] = p
        return state

    def state_kinds(self, names: Mapping[Tensor, str]) -> dict[str, Kind]:
        """The shapes and types of all that :meth:`set_states` takes, by name.

        Example:
            >>> w = Tensor((3, 2), stores_grad=True)
            >>> opt.SGD(0.1, momentum=0.9).state_kinds({w: "fc.W"})["fc.W:momentum"]
            ((3, 2), dtype('float32'))
        """
        own = self._counters_by_name() | self._scaling_by_name()
        kinds: dict[str, Kind] = {name: ((), tensor.dtype) for name, tensor in own.items()}
        for param, name, on in self._named(names):
            for slot, aval in self._state.slots(param, on).items():
                kinds[f"{name}:{slot}"] = aval.shape, aval.dtype
        return kinds

    def _named(self, names: Mapping[Tensor, str]) -> Iterator[tuple[Tensor, str, tuple[str, ...]]]:
        """Parameters, what they are called, and the names of their hyper-parameters that are on."""
        _, layouts = self._layouts(list(names))
        for (param, name), layout in zip(names.items(), layouts, strict=True):
            yield param, name, _names(layout)

    def _counters_by_name(self) -> dict[str, Tensor]:
        counters = {"step_counter": self.step_counter}
        if self.accumulate > 1:
            counters["micro_step"] = self.micro_step
        return counters

    def _scaling_by_name(self) -> dict[str, Tensor]:
        return {"loss_scale": self.loss_scale, "good_steps": self.good_steps}

    def get_states(self, names: Mapping[Tensor, str] | None = None) -> dict[str, Tensor]:
        """All of its Tensors by name: ``step_counter``, and ``parameter:slot``.

        With ``loss_scale`` and ``good_steps`` if the last step had a scaled loss.

        Args:
            names: what the parameters are called; their place in the order of their first update
                if not given. The state of a parameter that is not named is left out.

        Example:
            >>> w = Tensor((3, 2), stores_grad=True)
            >>> adam = opt.Adam()
            >>> adam.update(w, Tensor((3, 2)))
            >>> list(adam.get_states({w: "fc.W"}))
            ['step_counter', 'fc.W:mean', 'fc.W:variance']
        """
        names = self._numbered() if names is None else names
        states = self._counters_by_name() | (self._scaling_by_name() if self._is_scaled else {})
        for param, state in self._state.items():
            if param in names:
                states |= {f"{names[param]}:{slot}": tensor for slot, tensor in state.items()}
        return states

    def set_states(
        self,
        states: Mapping[str, Tensor | np.ndarray[Any, Any]],
        names: Mapping[Tensor, str] | None = None,
    ) -> None:
        """Take over what :meth:`get_states` returned. What is not named there starts anew.

        Raises:
            ShapeError: a name that belongs to no parameter, or an array of another shape.
            DTypeError: an array of another kind of numbers.

        Example:
            >>> w = Tensor((2,), stores_grad=True)
            >>> old, new = opt.SGD(0.1, momentum=0.9), opt.SGD(0.1, momentum=0.9)
            >>> old.update(w, Tensor(data=[1.0, 2.0]))
            >>> new.set_states(old.get_states({w: "w"}), {w: "w"})
            >>> new.get_states({w: "w"})["w:momentum"].to_numpy()
            array([1., 2.], dtype=float32)
        """
        names = self._numbered() if names is None else names
        kinds = self.state_kinds(names)
        for key, value in states.items():
            check_fits(f"{type(self).__name__}: {key!r}", value, kinds.get(key))
        self.step()
        self._state.clear()
        for key, counter in self._counters_by_name().items():
            counter.copy_from_numpy(np.asarray(states.get(key, 0)))
        self._is_scaled = "loss_scale" in states
        self.loss_scale.copy_from_numpy(np.asarray(states.get("loss_scale", FIRST_SCALE)))
        self.good_steps.copy_from_numpy(np.asarray(states.get("good_steps", 0)))
        for param, name, on in self._named(names):
            slots = self._state.slots(param, on)
            given = {slot: states[key] for slot in slots if (key := f"{name}:{slot}") in states}
            for slot, value in given.items():
                self._state.of(param, on)[slot].copy_from_numpy(np.asarray(value))

    def _numbered(self) -> dict[Tensor, str]:
        return {param: str(i) for i, param in enumerate(self._state)}


def _names(layout: Layout) -> tuple[str, ...]:
    return tuple([name for name, _ in layout])
