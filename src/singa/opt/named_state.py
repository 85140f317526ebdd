"""An optimizer's state by name: for checkpoints, and for code that moves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from singa.core.tensor import Tensor
from singa.device import int32
from singa.opt.assigned import AssignedNumbers
from singa.opt.state import Kind, check_fits
from singa.opt.step import FIRST_SCALE, TURN


class NamedState(AssignedNumbers):
    """The part of an optimizer that returns and sets its state, by name."""

    _at_first: ClassVar[dict[str, float]] = {
        "step_counter": 0,
        "micro_step": 0,
        "is_open": False,
        "loss_scale": FIRST_SCALE,
        "good_steps": 0,
    }
    """The Tensors that belong to no parameter, and their values before the first step."""

    def state_kinds(self, names: Mapping[Tensor, str]) -> dict[str, Kind]:
        """The shapes and types of everything that :meth:`set_states` takes, by name.

        Example:
            >>> w = Tensor((3, 2), stores_grad=True)
            >>> opt.SGD(0.1, momentum=0.9).state_kinds({w: "fc.W"})["fc.W:momentum"]
            ((3, 2), dtype('float32'))
        """
        kinds: dict[str, Kind] = {n: ((), t.dtype) for n, t in self._own_states().items()}
        for param, name, on in self._named(names):
            for slot, aval in self._state.slots(param, on).items():
                kinds[f"{name}:{slot}"] = aval.shape, aval.dtype
            kinds[f"{name}:{TURN}"] = (2,), int32
        return kinds | self._assigned_kinds()

    def _own_states(self) -> dict[str, Tensor]:
        """The Tensors that belong to no parameter."""
        return {name: getattr(self, name) for name in self._at_first}

    def tensors(self) -> list[Tensor]:
        """All Tensors of the state, as they are stored: many parameters' turns share a Tensor.

        Example:
            >>> w = Tensor((3, 2), stores_grad=True)
            >>> adam = opt.Adam()
            >>> adam.update(w, Tensor((3, 2)))
            >>> [t.shape for t in adam.tensors() if t.shape]
            [(64, 2), (3, 2), (3, 2)]
        """
        slots = [tensor for state in self._state.values() for tensor in state.values()]
        return [*self._own_states().values(), *self._state.pages, *slots]

    def get_states(self, names: Mapping[Tensor, str] | None = None) -> dict[str, Tensor]:
        """All Tensors of the state by name: the optimizer's attributes, and ``parameter:slot``.

        ``parameter:turn`` is int32 (2,): the number of updates that the parameter has had, and the
        number of the step, from 1, in which it last had a gradient. ``hyperparameters/lr`` is there
        only if that number was assigned since the first step: float64 (2,), the number at that
        step and the present one.

        Args:
            names: the names of the parameters. If not given, they are numbered in the order of
                their first update. The state of a parameter that has no name is left out.

        Example:
            >>> w = Tensor((3, 2), stores_grad=True)
            >>> adam = opt.Adam()
            >>> adam.update(w, Tensor((3, 2)))
            >>> states = adam.get_states({w: "fc.W"})
            >>> [name for name in states if ":" in name]
            ['fc.W:mean', 'fc.W:variance', 'fc.W:turn']
            >>> states["step_counter"].item(), states["fc.W:turn"].to_numpy()
            (1, array([1, 1], dtype=int32))
        """
        names = self._numbered() if names is None else names
        states = self._own_states()
        known = [param for param in self._state if param in names]
        for param, turn in zip(known, self._state.turns(known), strict=True):
            kept = self._state[param] | {TURN: turn}
            states |= {f"{names[param]}:{slot}": tensor for slot, tensor in kept.items()}
        return states | self._assigned_states()

    def set_states(
        self,
        states: Mapping[str, Tensor | np.ndarray[Any, Any]],
        names: Mapping[Tensor, str] | None = None,
    ) -> None:
        """Set the state to what :meth:`get_states` returned. State that is missing starts anew.

        If the turns are missing, as in files of older versions, every parameter that has state
        counts as updated in every step. A hyper-parameter gets the number that was assigned to it,
        if it began with the same number here.

        Raises:
            ShapeError: a name belongs to no parameter, or an array has another shape.
            DTypeError: an array has another kind of numbers.

        Example:
            >>> w = Tensor((2,), stores_grad=True)
            >>> old, new = opt.SGD(0.1, momentum=0.9), opt.SGD(0.1, momentum=0.9)
            >>> old.update(w, Tensor(data=[1.0, 2.0]))
            >>> new.set_states(old.get_states({w: "w"}), {w: "w"})
            >>> new.get_states({w: "w"})["w:momentum"].to_numpy()
            array([1., 2.], dtype=float32)
        """
        states = {
            key: value if hasattr(value, "shape") else np.asarray(value)
            for key, value in states.items()
        }  # SINGA's step counter is a number
        by_number = names is None
        names = self._numbered() if names is None else names
        self._set_assigned(states)  # first: a momentum that is not 0 any more has a slot
        kinds = self.state_kinds(names)
        for key, value in states.items():
            if by_number and key not in kinds and key.endswith(f":{TURN}"):
                continue  # the parameter is not known yet: it has not been updated here
            check_fits(f"{type(self).__name__}: {key!r}", value, kinds.get(key))
        self._state.clear()
        for key, tensor in self._own_states().items():
            tensor.copy_from_numpy(np.asarray(states.get(key, self._at_first[key])))
        turns: dict[Tensor, Any] = {}
        is_old = "is_open" not in states
        for param, name, on in self._named(names):
            slots = self._state.slots(param, on)
            given = {slot: states[key] for slot in slots if (key := f"{name}:{slot}") in states}
            turn: Any = states.get(f"{name}:{TURN}")
            if is_old and (given or not slots):
                turn = self._turn_of_all()
            if given or turn is not None:
                kept = self._state.of(param, on)
                for slot, value in given.items():
                    kept[slot].copy_from_numpy(np.asarray(value))
            if turn is not None:
                turns[param] = turn
        self._state.set_turns(turns)

    def _turn_of_all(self) -> tuple[int, int]:
        """The turn of a parameter that had a gradient in every step, and in every micro-batch."""
        steps = int(self.step_counter.to_numpy())
        return steps, steps + bool(self.micro_step.to_numpy())

    def _numbered(self) -> dict[Tensor, str]:
        return {param: str(i) for i, param in enumerate(self._state)}
