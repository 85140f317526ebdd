"""How an optimizer updates parameters: all of them, or one, in one compiled call."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np

from singa.core.arrays import from_host
from singa.core.guard import Cache, EagerGuard, names_read, own
from singa.core.tensor import Tensor, wrap
from singa.core.watching import UPDATE, calling, local
from singa.device import CTensor, Device, int32, is_complex
from singa.errors import DeviceError, DTypeError, ShapeError
from singa.opt.hyperparameter import Group, Values, is_on
from singa.opt.kernel import METHODS, Layout, Misfit, UpdateKernel, kernel_of, names_of
from singa.opt.schedule import Constant, DecayScheduler
from singa.opt.state import PAGE, ParameterStates, placed
from singa.opt.step import (
    AVERAGE,
    HAS_GRADIENT,
    MAY_HAVE_HAD_ONE,
    SUM,
    State,
    present_step,
)
from singa.placement import announce
from singa.tape.precision import widened

MOST_PLANS = 1024
"""The number of plans of an optimizer that are kept: one for each set of updated parameters."""

Pairs: TypeAlias = Sequence[tuple[Tensor, Tensor]]
"""Parameters with their gradients."""


class Plan(NamedTuple):
    """What is needed to update a set of parameters. It is reused until something changes.

    Attributes:
        params: first those with a gradient, then others that may have to be updated.
        states: of all parameters, in order: the Tensors of each one's slots.
        pages, rows: where their turns are; see :class:`ParameterStates`.
        parts: for each page, the part of its rows in the update; see
            :func:`singa.opt.step.count_turns`.
        schedules: of all hyper-parameters.
        is_scheduled: whether one of the schedules depends on the step.
        kernel: the compiled update.
    """

    params: list[Tensor]
    states: list[Tensor]
    pages: list[Tensor]
    rows: CTensor
    parts: list[CTensor]
    schedules: list[DecayScheduler]
    is_scheduled: bool
    kernel: UpdateKernel


class CompiledUpdate:
    """Compiles an optimizer's rule, and what comes before and after it, into one call."""

    check: Callable[[], None]
    complex_numbers: bool
    _hyperparameters: ClassVar[tuple[str, ...]]
    _plain: ClassVar[tuple[str, ...]]
    accumulate: int
    maximize: bool
    step_counter: Tensor
    micro_step: Tensor
    loss_scale: Tensor
    good_steps: Tensor
    is_open: Tensor
    init: Callable[[CTensor, Collection[str]], State]
    rule: Callable[[CTensor, CTensor, State, Values, CTensor], tuple[CTensor, State]]
    schedules: Callable[[], dict[str, DecayScheduler]]
    _groups: tuple[Group, ...]
    _note_beginnings: Callable[[], None]
    _state: ParameterStates

    def _forget(self) -> None:
        """Drop the plans; they are made again when they are needed."""
        self._plans = Cache()  # by device and parameters, a Guard and a Plan

    def __getstate__(self) -> dict[str, Any]:
        return {n: v for n, v in vars(self).items() if n != "_plans"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def fields(self) -> dict[str, Any]:
        """The attributes that the rule may read of ``self``, without hyper-parameters."""
        attributes, kind = own(self), type(self)
        names = {*names_read(kind, attributes, METHODS)[0], *self._plain}
        names -= {"_beginnings", "_groups", "_plans", "_state", *self._hyperparameters}
        if local.guard is not None:
            for name in names:
                if name in attributes or hasattr(kind, name):
                    local.guard.attribute(self, name)
        return {name: value for name, value in attributes.items() if name in names}

    def _apply(
        self,
        pairs: Pairs,
        is_whole: bool,
        is_scaled: bool = False,
        is_good: CTensor | None = None,
    ) -> None:
        """Update these parameters; ``is_whole`` says that they are the whole step."""
        params = [param for param, _ in pairs]
        device = self._device_of(params)
        plan = self._plan(device, params, is_whole)
        counters = self._counters(device)
        pages, scaling = self._on(device, plan.pages), [self.loss_scale, self.good_steps]
        scaling = self._on(device, scaling) if is_scaled else []
        is_open = placed(self.is_open, device)
        inputs = (
            Tensor.read_all(plan.params),
            Tensor.read_all([grad for _, grad in pairs]),
            Tensor.read_all(plan.states),
            self._values(plan, is_whole, is_open, pages),
            Tensor.read_all(pages),
            plan.rows,
            plan.parts,
            Tensor.read_all(counters),
            None if is_whole else is_open.data,
            Tensor.read_all(scaling),
            is_good,
        )
        if device.spans_processes:
            announce(f"an update by {type(self).__name__}", inputs[0], device.mesh)
        try:
            with calling(UPDATE, self):
                values = plan.kernel(*inputs)
        except Misfit as misfit:
            raise self._misfit(plan.params[misfit.number]) from None
        changed = [*plan.params, *plan.states, *pages, *counters, *scaling, is_open]
        Tensor.assign_all(changed, values)

    def _values(
        self, plan: Plan, is_whole: bool, is_open: Tensor, pages: list[Tensor]
    ) -> list[CTensor]:
        """The hyper-parameters' values in the step that this update is a part of."""
        step = self.step_counter
        if plan.is_scheduled and not is_whole:
            number = present_step(step.data, is_open.data, pages[0].data, plan.rows)
            step = wrap(number, step.device)
        return [schedule(step).data for schedule in plan.schedules]

    def _misfit(self, param: Tensor) -> ShapeError:
        return ShapeError(
            f"{type(self).__name__}: the state of the parameter {param.name or ''} was made for "
            f"another shape or data type than {param.dtype}{list(param.shape)}; use set_states, or "
            "a new optimizer, to start again"
        )

    def _expect_complex(self, param: Tensor, on: Collection[str]) -> None:
        if not self.complex_numbers or "clip_value" in on:
            what = type(self).__name__ + ("'s clip_value" if self.complex_numbers else "")
            raise DTypeError(
                f"{what} is for real parameters, and {param.name or 'one'} is {param.dtype}: keep "
                "its two parts as a real parameter, and compute with autograd.view_as_complex of it"
            )

    def _device_of(self, params: Sequence[Tensor]) -> Device:
        devices = {param.device for param in params} or {self.step_counter.device}
        if len(devices) > 1:
            raise DeviceError(
                f"{type(self).__name__}: the parameters of one update are on several devices: "
                f"{', '.join(sorted(device.name for device in devices))}"
            )
        return devices.pop()

    def _counters(self, device: Device) -> list[Tensor]:
        return self._on(device, [self.step_counter, self.micro_step][: 1 + (self.accumulate > 1)])

    def _on(self, device: Device, tensors: list[Tensor]) -> list[Tensor]:
        return [placed(tensor, device) for tensor in tensors]

    def _plan(self, device: Device, params: Sequence[Tensor], is_whole: bool) -> Plan:
        """The plan to update these parameters; it is reused until something changes."""
        key = (is_whole, device, *params)
        guard, plan = self._plans.get(key, (None, None))
        if plan is None or not guard.holds():
            with EagerGuard() as guard:
                plan = self._new_plan(device, params, is_whole)
            if len(self._plans) >= MOST_PLANS:
                self._forget()
            self._plans[key] = guard, plan
        elif local.guard is not None:
            local.guard.include(guard)
        return plan

    def _new_plan(self, device: Device, params: Sequence[Tensor], is_whole: bool) -> Plan:
        with_grad = set(params)
        self._note_beginnings()
        if self.accumulate > 1:
            others = [p for p in self._state.known() if p not in with_grad and p.requires_grad]
            params = [*params, *others]
            self._device_of(params)
        schedules, layouts = self._layouts(params)
        for param, layout in zip(params, layouts, strict=True):
            if is_complex(param._data.dtype):
                self._expect_complex(param, names_of(layout))
        states = self._state.of_all(
            [(param, names_of(layout)) for param, layout in zip(params, layouts, strict=True)]
        )
        pages, rows = self._state.rows(params)
        parts = np.zeros(len(pages) * PAGE, np.int32)
        parts[rows] = [HAS_GRADIENT if p in with_grad else MAY_HAVE_HAD_ONE for p in params]
        return Plan(
            list(params),
            [tensor for state in states for tensor in state.values()],
            pages,
            from_host(rows, device, int32),
            [from_host(part, device, int32) for part in parts.reshape(len(pages), PAGE)],
            schedules,
            not all(type(schedule) is Constant for schedule in schedules),
            kernel_of(self, layouts, tuple(map(tuple, states)), is_whole),
        )

    def _layouts(self, params: Sequence[Tensor]) -> tuple[list[DecayScheduler], tuple[Layout, ...]]:
        """The schedules that are on, and for each parameter the names and indices of its own."""
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

    def _initial(self, p: CTensor, on: Collection[str]) -> State:
        p = widened(p)
        state = dict(self.init(p, on))
        if self.accumulate > 1:
            state[SUM] = jnp.zeros_like(p)
        if "ema_decay" in on:
            state[AVERAGE] = p
        return state

    def _named(self, names: Mapping[Tensor, str]) -> Iterator[tuple[Tensor, str, tuple[str, ...]]]:
        """Parameters, their names, and the names of their hyper-parameters that are on."""
        _, layouts = self._layouts(list(names))
        for (param, name), layout in zip(names.items(), layouts, strict=True):
            yield param, name, names_of(layout)
