"""Optimizer: what all optimizers share. An algorithm is one method, ``rule``, in a subclass."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from singa.device import CTensor, as_dtype, float32, int32
from singa.errors import DTypeError, ShapeError
from singa.opt.schedule import Constant, DecayScheduler, as_number, as_schedule
from singa.tape import backward
from singa.tape.kernel import named
from singa.tensor import Tensor
from singa.watching import Structural, outside_capture, structure


class Hyperparameter:
    """An attribute of an optimizer that is a number or a schedule.

    Assigning a number to one that was a number changes a value, and recompiles nothing. Only
    between zero and not zero, where a term appears or disappears, does the step change.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, optimizer: Optimizer | None, owner: type) -> Any:
        return self if optimizer is None else optimizer.__dict__[self.name]

    def __set__(self, optimizer: Optimizer, value: float | DecayScheduler) -> None:
        owner = type(optimizer).__name__
        old = optimizer.__dict__.get(self.name)
        if isinstance(old, Constant) and not isinstance(value, DecayScheduler):
            number = as_number(owner, self.name, value)
            if (number == 0) != (old.init_value == 0):
                structure.changed()
            old.set(number)
        else:
            optimizer.__dict__[self.name] = as_schedule(owner, self.name, value, optimizer.dtype)
            structure.changed()


class Optimizer(Structural):
    """Base of the optimizers.

    A subclass declares its hyper-parameters as class attributes (``momentum = Hyperparameter()``)
    and defines ``rule``, and ``slots`` if it keeps something for each parameter. The state is
    kept by parameter, not by its name, in Tensors: so it is captured and saved like all others.

    Three ways to the same numbers:

    - ``optimizer(loss)``: the backward pass, then all parameters in one compiled call.
    - ``for p, g in autograd.backward(loss): optimizer.update(p, g)``. A step begins when a
      parameter comes round again.
    - the same with ``optimizer.apply(name, p, g)`` and ``optimizer.step()`` at the end.

    Args:
        lr: the learning rate, a number or a schedule.
        dtype: the data type of the hyper-parameters' values.

    Attributes:
        step_counter: how many steps have begun: an int32 Tensor of shape ().
    """

    lr = Hyperparameter()

    _hyperparameters: tuple[str, ...] = ("lr",)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [name for name, value in vars(cls).items() if isinstance(value, Hyperparameter)]
        cls._hyperparameters = (*cls._hyperparameters, *own)

    def __init__(self, lr: float | DecayScheduler, dtype: Any = float32) -> None:
        self.dtype = as_dtype(dtype)
        self.lr = lr
        self.step_counter = Tensor((), dtype=int32, requires_grad=False)
        self._state: dict[Tensor, dict[str, Tensor]] = {}
        self._updated: set[Tensor] = set()  # the parameters that had their turn in this step
        self._kernels: dict[Any, Callable[..., Any]] = {}

    # -- what a subclass says -----------------------------------------------------------------

    def slots(self) -> tuple[str, ...]:
        """The names of the arrays to keep for each parameter; of its shape, at first 0."""
        return ()

    def rule(
        self,
        p: CTensor,
        g: CTensor,
        state: dict[str, CTensor],
        hyper: dict[str, CTensor],
        step: CTensor,
    ) -> tuple[CTensor, dict[str, CTensor]]:
        """One parameter's update, in ``jax.numpy``.

        Args:
            p, g: the parameter and its gradient.
            state: the arrays named by ``slots``.
            hyper: the values of the hyper-parameters that are not constantly 0.
            step: the number of the step, from 0: int32 ().

        Returns:
            The new parameter and the new state.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update rule")

    def config(self) -> tuple[Any, ...]:
        """Whatever else ``rule`` depends on, hashable."""
        return ()

    def is_on(self, name: str) -> bool:
        """Whether a hyper-parameter is anything but constantly 0."""
        schedule = self.__dict__[name]
        return not isinstance(schedule, Constant) or schedule.init_value != 0

    # -- how it is used -----------------------------------------------------------------------

    def __call__(self, loss: Tensor) -> None:
        """Walk back from ``loss`` and update every parameter that it depends on."""
        pairs = list(backward(loss))
        self.step()
        self._apply(pairs)

    def update(self, param: Tensor, grad: Tensor) -> None:
        """Update one parameter. A new step begins with the first one that had its turn already.

        Raises:
            DTypeError: one of them is not a Tensor.
            ShapeError: the gradient is not of the parameter's shape.
        """
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
        if param in self._updated:
            self.step()
        self._apply([(param, grad)])

    def apply(self, name: str, value: Tensor, grad: Tensor) -> None:
        """``update(value, grad)``, in SINGA's words; the name is not needed."""
        self.update(value, grad)

    def step(self) -> None:
        """End the step. Needed only if not every parameter is updated in every step."""
        self._updated.clear()

    @property
    def lr_value(self) -> Tensor:
        """The learning rate of the next step."""
        return self.lr(self.step_counter)

    def _apply(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        if not pairs:
            return
        device = pairs[0][0].device
        counter = self.step_counter
        if counter.device is not device:
            with outside_capture():
                counter.to_device(device)
        # The first update of a step also counts it, in the same compiled call.
        begins = not self._updated
        step = counter if begins else counter - 1
        params = [param for param, _ in pairs]
        slots = self.slots()
        buffers = [tensor for param in params for tensor in self._state_of(param, slots)]
        on = tuple([name for name in self._hyperparameters if self.is_on(name)])
        new = self._kernel(on, slots, begins)(
            [param.data for param in params],
            [grad.data for _, grad in pairs],
            [buffer.data for buffer in buffers],
            [self.__dict__[name](step).data for name in on],
            counter.data,
        )
        for tensor, value in zip((*params, *buffers, counter), new, strict=True):
            tensor.assign(value)
        self._updated.update(params)

    def _kernel(
        self, on: tuple[str, ...], slots: tuple[str, ...], begins: bool
    ) -> Callable[..., list[CTensor]]:
        key = (on, slots, begins, self.config())
        if key not in self._kernels:

            def update(
                params: list[CTensor],
                grads: list[CTensor],
                buffers: list[CTensor],
                values: list[CTensor],
                counter: CTensor,
            ) -> list[CTensor]:
                hyper = dict(zip(on, values, strict=True))
                step = counter if begins else counter - 1
                new_params, new_buffers = [], []
                for i, (p, g) in enumerate(zip(params, grads, strict=True)):
                    own = buffers[i * len(slots) : (i + 1) * len(slots)]
                    new, state = self.rule(p, g, dict(zip(slots, own, strict=True)), hyper, step)
                    new_params.append(new.astype(p.dtype))
                    new_buffers += [
                        state[slot].astype(old.dtype) for slot, old in zip(slots, own, strict=True)
                    ]
                return [*new_params, *new_buffers, step + 1]

            self._kernels[key] = jax.jit(named(update, f"{type(self).__name__}_update"))
        return self._kernels[key]

    def _state_of(self, param: Tensor, slots: Sequence[str]) -> list[Tensor]:
        state = self._state.setdefault(param, {})
        for slot in slots:
            if slot not in state:
                state[slot] = Tensor(param.shape, param.device, param.dtype, requires_grad=False)
        return [state[slot] for slot in slots]

    # -- its state ----------------------------------------------------------------------------

    def get_states(self, names: Mapping[Tensor, str] | None = None) -> dict[str, Tensor]:
        """All of its Tensors by name: ``step_counter``, and ``parameter:slot``.

        Args:
            names: what the parameters are called; their place in the order of their first update
                if not given. The state of a parameter that is not named is left out.
        """
        if names is None:
            names = {param: str(i) for i, param in enumerate(self._state)}
        states = {"step_counter": self.step_counter}
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
        """
        if names is None:
            names = {param: str(i) for i, param in enumerate(self._state)}
        params = {name: param for param, name in names.items()}
        found: list[tuple[Tensor, str, Any]] = []
        for key, value in states.items():
            if key == "step_counter":
                continue
            name, _, slot = key.rpartition(":")
            if name not in params or slot not in self.slots():
                raise ShapeError(f"{type(self).__name__}: {key!r} belongs to no parameter here")
            if tuple(value.shape) != params[name].shape:
                raise ShapeError(
                    f"{type(self).__name__}: {key!r} is of shape {tuple(value.shape)}, "
                    f"its parameter of {params[name].shape}"
                )
            found.append((params[name], slot, value))
        self.step()
        self._state.clear()
        structure.changed()
        self.step_counter.copy_from_numpy(np.asarray(states.get("step_counter", 0)))
        for param, slot, value in found:
            self._state_of(param, self.slots())
            self._state[param][slot].copy_from_numpy(np.asarray(value))
