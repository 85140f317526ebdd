"""What an optimizer keeps for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
import numpy as np

from singa._arrays import converts
from singa._tensor import Tensor
from singa.device import CTensor, DType
from singa.errors import DTypeError, ShapeError
from singa.opt.step import State
from singa.guard import ABSENT, Watched, changed
from singa.watching import local, outside_capture

Kind: TypeAlias = tuple[tuple[int, ...], DType]
"""The shape and the data type of an array."""


class ParameterStates(dict[Tensor, dict[str, Tensor]], Watched):
    """The Tensors of each parameter by the names of their slots, made when they are first needed.

    Args:
        initial: the first values of one parameter's arrays, from its own and from the names of
            the hyper-parameters that are on.
        config: what else ``initial`` depends on, hashable.
    """

    def __init__(
        self, initial: Callable[[CTensor, tuple[str, ...]], State], config: Callable[[], Any]
    ) -> None:
        self._initial = initial
        self._config = config
        self._slots: dict[Any, Mapping[str, jax.ShapeDtypeStruct]] = {}

    def as_read(self, name: Any) -> Any:
        """What is kept for a parameter; or an attribute."""
        return super().as_read(name) if isinstance(name, str) else self.get(name, ABSENT)

    def clear(self) -> None:
        """Forget what is kept."""
        params = list(self)
        super().clear()
        for param in params:
            changed(self, param)

    def slots(self, param: Tensor, on: tuple[str, ...]) -> Mapping[str, jax.ShapeDtypeStruct]:
        """What is to be kept for a parameter: the slots, with their shapes and types."""
        aval = jax.ShapeDtypeStruct(param.shape, param.dtype)
        key = (on, aval, self._config())
        if key not in self._slots:
            self._slots[key] = jax.eval_shape(lambda p: self._initial(p, on), aval)
        return self._slots[key]

    def of(self, param: Tensor, on: tuple[str, ...]) -> dict[str, Tensor]:
        """The Tensors of those slots."""
        if local.guard is not None:
            local.guard.note(self, param)
        slots, state = self.slots(param, on), self.get(param, {})
        if not slots.keys() <= state.keys():
            with outside_capture():  # they are made once, with real values
                made = {
                    slot: Tensor(data=value, device=param.device, requires_grad=False)
                    for slot, value in self._initial(param.data, on).items()
                }
                state = self[param] = made | state
        return {slot: state[slot] for slot in slots}


def check_fits(what: str, value: Tensor | np.ndarray[Any, Any], kind: Kind | None) -> None:
    """Raise if an array does not fit into a slot; ``what`` says which, ``kind`` is None if none."""
    if kind is None:
        raise ShapeError(f"{what} belongs to no parameter here")
    shape, dtype = kind
    if tuple(value.shape) != shape:
        raise ShapeError(f"{what} is of shape {tuple(value.shape)}, {shape} is expected")
    if value.dtype != dtype and not converts(value.dtype, dtype):
        raise DTypeError(f"{what}: {value.dtype} values do not fit into {dtype}")
