"""The state that an optimizer keeps for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self, TypeAlias

import jax
import numpy as np
from jax.extend.core import Literal

from singa.core.arrays import converts, filled, move
from singa.core.guard import ABSENT, Cache, Watched, changed, own
from singa.core.tensor import Tensor, wrap
from singa.core.watching import local, outside_capture
from singa.device import CTensor, Device, DType, int32
from singa.distributed.spreading import follow
from singa.errors import CaptureError, DTypeError, ShapeError
from singa.opt.step import AVERAGE, SUM, TURN, State

Kind: TypeAlias = tuple[tuple[int, ...], DType]
"""The shape and the data type of an array."""


RESIDUAL = "residual"
"""The part of a parameter's gradients that a rank has not sent yet."""

SHARED = frozenset({SUM, AVERAGE, TURN, RESIDUAL})
"""The slots that do not depend on the algorithm."""

PAGE = 64
"""The number of parameters whose turns are in one Tensor. One Tensor for each parameter would make
every step slower. And XLA on CPUs runs a program on one thread, which is faster, if none of its
arrays has more than 512 bytes."""


KNOWN = "known parameters"
"""The name that a guard notes if a plan depends on which parameters are known."""


class ParameterStates(dict[Tensor, dict[str, Tensor]], Watched):
    """The Tensors of each parameter by the names of their slots, made when they are first needed.

    It has each parameter's turn (:data:`singa.opt.step.TURN`) too, a row of one of ``pages``.

    Args:
        initial: gives the initial arrays of one parameter, from its value and the names of the
            hyper-parameters that are on.
        config: gives a hashable value of all else that ``initial`` depends on; called whenever it
            may have changed.

    Attributes:
        pages: the turns of the parameters in the order of their first update: int32
            (:data:`PAGE`, 2) each.
    """

    _by_id: Cache  # the parameters; each copy has its own

    def __init__(
        self, initial: Callable[[CTensor, tuple[str, ...]], State], config: Callable[[], Any]
    ) -> None:
        self._initial = initial
        self._config = config
        self._starts = Cache()  # for each kind of parameter, its _Start
        self._rows = Cache()  # by parameter
        self.pages: list[Tensor] = []

    def __new__(cls, *_: Any) -> Self:
        states = super().__new__(cls)
        own(states)["_by_id"] = Cache()  # __setitem__ fills it, when a copy is made too
        return states

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in own(self).items() if name != "_by_id"}

    def __setitem__(self, param: Tensor, state: dict[str, Tensor]) -> None:
        self._by_id[id(param)] = param
        super().__setitem__(param, state)
        for name in (id(param), KNOWN):
            changed(self, name)

    def as_read(self, name: Any) -> Any:
        """The state of a parameter, by its ``id``; the known parameters; or an attribute."""
        if name == KNOWN:
            return tuple(map(id, self))
        if isinstance(name, str):
            return super().as_read(name)
        return self.get(self._by_id[name], ABSENT) if name in self._by_id else ABSENT

    def known(self) -> list[Tensor]:
        """The parameters that have a state."""
        if local.guard is not None:
            local.guard.note(self, KNOWN)
        return list(self)

    def clear(self) -> None:
        """Forget all parameters."""
        params = [*self._by_id]
        super().clear()
        self._rows, self._by_id = Cache(), Cache()
        self.pages = []
        for name in (*params, KNOWN):
            changed(self, name)

    def slots(self, param: Any, on: tuple[str, ...]) -> Mapping[str, jax.ShapeDtypeStruct]:
        """The slots of a parameter, with their shapes and types."""
        return self._start(param, on).slots

    def _start(self, param: Any, on: tuple[str, ...]) -> _Start:
        aval = jax.ShapeDtypeStruct(param.shape, param.dtype)
        key = (on, aval, self._config())
        if key not in self._starts:
            self._starts[key] = _Start(lambda p: self._initial(p, on), aval)
        return self._starts[key]

    def of(self, param: Tensor, on: tuple[str, ...]) -> dict[str, Tensor]:
        """The Tensors of a parameter's slots, on its device."""
        return self.of_all([(param, on)])[0]

    def of_all(self, kinds: Sequence[tuple[Tensor, tuple[str, ...]]]) -> list[dict[str, Tensor]]:
        """:meth:`of` of several parameters; those without a state get it in one block."""
        starts = [self._start(param, on) for param, on in kinds]
        waiting = [
            (param, on, start)
            for (param, on), start in zip(kinds, starts, strict=True)
            if param not in self or not start.slots.keys() <= self[param].keys()
        ]
        for param, _, start in waiting:
            if start.depends_on_value:
                _expect_known_value(param)
        if waiting:
            with outside_capture():  # made once, with real values
                for param, on, start in waiting:
                    self._make(param, on, start)
        return [self._found(param, start) for (param, _), start in zip(kinds, starts, strict=True)]

    def _make(self, param: Tensor, on: tuple[str, ...], start: _Start) -> None:
        before = self.get(param, {})
        if param not in self:
            self._add_row(param)
        made = start.filled(param.device) if start.slots.keys() - before.keys() else {}
        if made is None:
            initial = self._initial(param.data, on)
            made = {slot: move(value, param.device) for slot, value in initial.items()}
        new = {slot: wrap(value, param.device) for slot, value in made.items()}
        self[param] = new | before

    def _found(self, param: Tensor, start: _Start) -> dict[str, Tensor]:
        if local.guard is not None:
            local.guard.note(self, id(param))
        state = self[param]
        found = {slot: _following(state[slot], param) for slot in start.slots}
        if local.guard is not None:  # the parameter may change its device, be updated, and return
            for tensor in found.values():
                local.guard.note(tensor, "device")
        return found

    def _add_row(self, param: Tensor) -> None:
        row = self._rows[param] = len(self._rows)
        if row % PAGE == 0:
            name = f"turns.{len(self.pages)}"
            self.pages.append(
                Tensor((PAGE, 2), param.device, int32, requires_grad=False, name=name)
            )

    def rows(self, params: Sequence[Tensor]) -> tuple[list[Tensor], np.ndarray[Any, Any]]:
        """The pages with the turns of parameters, and the parameters' rows in them, concatenated.

        Args:
            params: known parameters; see :meth:`of`.
        """
        rows = [self._rows[param] for param in params]
        used = sorted({row // PAGE for row in rows})
        places = [used.index(row // PAGE) * PAGE + row % PAGE for row in rows]
        return [self.pages[number] for number in used], np.array(places, np.int32)

    def turns(self, params: Sequence[Tensor]) -> list[Tensor]:
        """Copies of the turns of known parameters: int32 (2,) each."""
        if not params:
            return []
        pages, rows = self.rows(params)
        device = pages[0].device
        arrays = [placed(page, device).data for page in pages]
        turns = [_row(arrays[row // PAGE], row % PAGE) for row in rows]
        return [wrap(turn, device) for turn in turns]

    def set_turns(self, turns: Mapping[Tensor, Any]) -> None:
        """Set the turns of known parameters."""
        if not turns:
            return
        pages, rows = self.rows(list(turns))
        values = np.concatenate([page.to_numpy() for page in pages])
        values[rows] = [np.asarray(turn) for turn in turns.values()]
        for page, part in zip(pages, np.split(values, len(pages)), strict=True):
            page.copy_from_numpy(part)


class _Start:
    """How the state of parameters of one kind begins.

    Args:
        initial: gives the initial arrays of a parameter, by slot.
        aval: the shape and type of such a parameter.

    Attributes:
        slots: the shapes and types of its slots.
        depends_on_value: whether they begin with what depends on the parameter's value.
    """

    def __init__(self, initial: Callable[[CTensor], State], aval: jax.ShapeDtypeStruct) -> None:
        closed, self.slots = jax.make_jaxpr(initial, return_shape=True)(aval)
        jaxpr = closed.jaxpr
        used = [*jaxpr.outvars, *(var for eqn in jaxpr.eqns for var in eqn.invars)]
        self.depends_on_value = any(var is jaxpr.invars[0] for var in used)
        numbers = {
            eqn.outvars[0]: eqn.invars[0].val
            for eqn in jaxpr.eqns
            if eqn.primitive is jax.lax.broadcast_in_dim_p and isinstance(eqn.invars[0], Literal)
        }
        # By slot; None if one does not begin with the same number everywhere.
        self._numbers: dict[str, Any] | None = None
        if all(not isinstance(var, Literal) and var in numbers for var in jaxpr.outvars):
            values = [numbers[var] for var in jaxpr.outvars]
            self._numbers = jax.tree.unflatten(jax.tree.structure(self.slots), values)

    def filled(self, device: Device) -> State | None:
        """New initial arrays, if each is one number everywhere, as most are; else None."""
        if self._numbers is None:
            return None
        return {
            slot: filled(aval.shape, self._numbers[slot], aval.dtype, device.home)
            for slot, aval in self.slots.items()
        }


def _expect_known_value(param: Tensor) -> None:
    """Raise if a compiled step has assigned a parameter from whose value its state begins."""
    if local.capture is not None and local.capture.has_assigned(param):
        raise CaptureError(
            f"the state of the parameter {param.name or ''} begins with its value, which this "
            "compiled step assigns before the first update. Assign it outside of the step, or "
            "run the first step eagerly, with model.graph(False)"
        )


@jax.jit
def _row(page: CTensor, row: CTensor) -> CTensor:
    """One row. A program that gives all of them takes seconds to compile if they are many."""
    return page[row]


def placed(tensor: Tensor, device: Device) -> Tensor:
    """The same Tensor, on this device."""
    if tensor.device is not device:
        with outside_capture():
            tensor.to_device(device)
    return tensor


def _following(state: Tensor, param: Tensor) -> Tensor:
    """The same Tensor on the parameter's device, and spread over a mesh as the parameter is."""
    state = placed(state, param.device)
    if param.device.mesh is not None:
        with outside_capture():
            follow(state, param)
    return state


def check_fits(what: str, value: Tensor | np.ndarray[Any, Any], kind: Kind | None) -> None:
    """Raise if an array does not fit into a slot.

    Args:
        what: the array's name, for messages.
        value: the array.
        kind: of the slot; None if there is no such slot.
    """
    if kind is None:
        raise ShapeError(f"{what} belongs to no parameter here")
    shape, dtype = kind
    if tuple(value.shape) != shape:
        raise ShapeError(f"{what} is of shape {tuple(value.shape)}, {shape} is expected")
    if value.dtype != dtype and not converts(value.dtype, dtype):
        raise DTypeError(f"{what}: {value.dtype} values do not fit into {dtype}")
