"""Branches and loops of compiled steps, as one operation each, by jax's control flow.

What does not fit gives None, and is computed in another way: bodies that draw random numbers or
change states, sequences, values whose shapes or types change from step to step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import CTensor, Device, has_gradients, is_complex
from singa.errors import CaptureError, FormatError, GradientError, SingaError
from singa.sonnx.bounds import MOST_STEPS
from singa.sonnx.graph import Graph
from singa.sonnx.rules.rule import Call, held
from singa.tape import Operation, mode, no_grad
from singa.tape.samples import Input, Modes, SampleFunction, may_have_gradient

FEW_STEPS = 8
"""Loops of no more steps are unrolled: XLA then sees all of their operations."""

COUNTER = np.dtype(np.int64)


@dataclass(frozen=True)
class Body:
    """A graph inside a node as a function of arrays.

    Attributes:
        function: from the inputs that are Tensors, then the values of ``outside``, to all outputs.
        outside: the Tensors outside of the graph that it uses.
        ys: the shapes and types of the outputs.
        known: the outputs that are known beforehand; None for the others.
    """

    function: SampleFunction
    outside: list[Tensor]
    ys: list[jax.ShapeDtypeStruct]
    known: list[Any]

    def keeps(self, first: int, xs: Sequence[Tensor]) -> bool:
        """Whether the outputs from ``first`` on have the shapes and types of these Tensors."""
        ys = self.ys[first : first + len(xs)]
        return [(y.shape, y.dtype) for y in ys] == [(x.shape, x.data.dtype) for x in xs]


def _body(call: Call, graph: Graph, xs: Sequence[Any], flags: Sequence[bool], steps: int) -> Body:
    """The body for such inputs.

    Args:
        xs: arrays, if they are known, or else Tensors or shapes with types.
        flags: for each, whether it may have a gradient.
        steps: see :meth:`Call.apart`.
    """
    run, outside = call.apart(graph, steps)
    known_inputs: list[Any] = [x if isinstance(x, np.ndarray) else None for x in xs]
    given = [i for i, x in enumerate(known_inputs) if x is None]
    likes = [_like(x) for x in [*[xs[i] for i in given], *outside]]
    known: list[Any] = []
    device = call.device

    def function(*arguments: Tensor) -> list[Tensor]:
        inputs = [*known_inputs]
        for i, x in zip(given, arguments, strict=False):
            inputs[i] = x
        before = [x.data for x in arguments]
        ys = run(inputs, arguments[len(given) :])
        if any(x.data is not array for x, array in zip(arguments, before, strict=True)):
            raise CaptureError("what changes states is computed otherwise")
        known[:] = [y if isinstance(y, np.ndarray) else None for y in ys]
        return _tensors(ys, device)

    wanted = [flags[i] for i in given] + [*map(may_have_gradient, outside)]
    modes = Modes(device, mode.training, mode.recording, local.precision)
    inputs = [
        Input(None, is_wanted and mode.recording and has_gradients(like.dtype), None)
        for is_wanted, like in zip(wanted, likes, strict=True)
    ]
    made = SampleFunction(function, inputs, [0] * len(graph.outputs), modes)
    ys = jax.eval_shape(made.of_one, *likes)
    if any(is_complex(each.dtype) for each in [*likes, *ys]):
        raise CaptureError("complex numbers have gradients that are the conjugates of jax's")
    return Body(made, outside, ys, [*known])


def _tensors(xs: Sequence[Any], device: Device) -> list[Tensor]:
    """Values as Tensors.

    Raises:
        CaptureError: one is a sequence, an optional value that is not there, or strings.
    """
    for x in xs:
        if not isinstance(x, Tensor) and (not isinstance(x, np.ndarray) or x.dtype.kind in "OSU"):
            raise CaptureError("only numbers are computed by jax's control flow")
    return [x if isinstance(x, Tensor) else held(x, device) for x in xs]


def _like(x: Any) -> jax.ShapeDtypeStruct:
    data = x.data if isinstance(x, Tensor) else x
    return jax.ShapeDtypeStruct(data.shape, data.dtype)


Flow = Callable[..., list[Tensor] | None]


def _if_it_fits(function: Flow) -> Flow:
    """The same function, which gives None also if a body is not for jax's control flow.

    Whatever is wrong with it, the other way of computing it says so.
    """

    @wraps(function)
    def fitting(*args: Any) -> list[Tensor] | None:
        try:
            return function(*args)
        except GradientError:
            raise
        except SingaError:
            return None

    return fitting


class Branches(Operation):
    """One of two graphs: the other one is not computed, and has no gradient."""

    def __init__(self, then: Body, other: Body) -> None:
        super().__init__("If")
        self.then, self.other = then.function, other.function
        self.count = len(then.outside)

    def forward(self, condition: CTensor, *xs: CTensor) -> Any:
        then, other = self.then.with_gradient(), self.other.with_gradient()
        mine, others = xs[: self.count], xs[self.count :]
        return tuple(
            jax.lax.cond(condition.reshape(()), lambda: then(*mine), lambda: other(*others))
        )


@_if_it_fits
def branches(call: Call, condition: Tensor, then: Graph, other: Graph) -> list[Tensor] | None:
    """The outputs of an If whose condition cannot be looked at."""
    bodies = [_body(call, each, [], [], 0) for each in (then, other)]
    first, second = ([(y.shape, y.dtype) for y in body.ys] for body in bodies)
    if first != second or not first:
        return None
    return [*Branches(*bodies)(condition, *bodies[0].outside, *bodies[1].outside)]


class Repeated(Operation):
    """A loop over a known number of steps.

    Args:
        body: from the carried values and a row of each scanned input to the carried values and a
            row of each scanned output. That of a loop also takes the step's number, and also gives
            whether to go on; both come first.
        states: how many values are carried.
        steps: how many there are.
        ways_in, ways_out: for each scanned input and output, its axis of rows, and whether the
            last row comes first.
    """

    def __init__(
        self,
        body: SampleFunction,
        states: int,
        steps: int,
        ways_in: Sequence[tuple[int, bool]],
        ways_out: Sequence[tuple[int, bool]],
        is_loop: bool,
    ) -> None:
        super().__init__("Loop" if is_loop else "Scan")
        self.body, self.states, self.steps, self.is_loop = body, states, steps, is_loop
        self.ways_in, self.ways_out = tuple(ways_in), tuple(ways_out)

    def forward(self, *xs: CTensor) -> Any:
        first, last = self.states, self.states + len(self.ways_in)
        function, outside = self.body.with_gradient(), xs[last:]
        rows = [
            jnp.flip(jnp.moveaxis(x, axis, 0), 0) if is_reversed else jnp.moveaxis(x, axis, 0)
            for x, (axis, is_reversed) in zip(xs[first:last], self.ways_in, strict=True)
        ]

        def step(state: list[CTensor], at: Any) -> tuple[list[CTensor], list[CTensor]]:
            number, row = at
            if self.is_loop:
                _, *ys = function(number, *state, *row, *outside)
            else:
                ys = function(*state, *row, *outside)
            return ys[: self.states], ys[self.states :]

        numbers = jnp.arange(self.steps, dtype=COUNTER)
        state, ys = jax.lax.scan(step, [*xs[:first]], (numbers, rows))
        ends = [
            jnp.moveaxis(jnp.flip(y, 0) if is_reversed else y, 0, axis)
            for y, (axis, is_reversed) in zip(ys, self.ways_out, strict=True)
        ]
        return (*state, *ends)


@_if_it_fits
def scan(
    call: Call,
    state: Sequence[Any],
    scanned: Sequence[Tensor],
    ways_in: Sequence[tuple[int, bool]],
    ways_out: Sequence[tuple[int, bool]],
) -> list[Tensor] | None:
    """The outputs of a Scan of more than a few steps."""
    sizes = {x.shape[axis] for x, (axis, _) in zip(scanned, ways_in, strict=True)}
    if len(sizes) != 1 or (steps := min(sizes)) <= FEW_STEPS:
        return None
    graph, first = call("body"), _tensors(state, call.device)
    rows = [
        jax.ShapeDtypeStruct(np.delete(x.shape, axis).tolist(), x.data.dtype)
        for x, (axis, _) in zip(scanned, ways_in, strict=True)
    ]
    if _stays_known(_body(call, graph, [*state, *rows], _flags(state, scanned), 1), 0, state):
        return None
    body = _body(call, graph, [*first, *rows], _flags(state, scanned), steps)
    if not body.keeps(0, first):
        return None
    made = Repeated(body.function, len(state), steps, ways_in, ways_out, is_loop=False)
    return [*made(*first, *scanned, *body.outside)]


def _flags(state: Sequence[Any], more: Sequence[Tensor] = ()) -> list[bool]:
    """Which inputs may have gradients: what is carried is computed with those that have some."""
    return [True for _ in state] + [*map(may_have_gradient, more)]


def _stays_known(body: Body, first: int, state: Sequence[Any]) -> bool:
    """Whether a carried value is known in each step: shapes may follow from it later."""
    ends = body.known[first : first + len(state)]
    return any(
        isinstance(x, np.ndarray) and y is not None for x, y in zip(state, ends, strict=True)
    )


@_if_it_fits
def loop(call: Call, steps: int | None, going: Any, state: Sequence[Any]) -> list[Tensor] | None:
    """The outputs of a Loop that always goes on, or whose end cannot be looked at.

    Args:
        steps: the largest number of them; None if there is none.
        going: whether to begin.
        state: what is carried.
    """
    graph: Graph = call("body")
    first = _tensors(state, call.device)
    if isinstance(going, np.ndarray):
        if not going.all() or steps == 0:
            return None
        flags = [False, False, *_flags(state)]
        once = _body(call, graph, [np.array(0, COUNTER), going, *state], flags, 1)
        if once.known[0] is not None:
            return None if _stays_known(once, 1, state) else _counted(call, graph, steps, first)
    return _until(call, graph, steps, going, first)


def _counted(
    call: Call, graph: Graph, steps: int | None, state: Sequence[Tensor]
) -> list[Tensor] | None:
    if steps is None or not FEW_STEPS < steps <= MOST_STEPS:
        return None
    xs = [jax.ShapeDtypeStruct((), COUNTER), np.array(True), *state]
    body = _body(call, graph, xs, [False, False, *_flags(state)], steps)
    goes_on = body.known[0]
    if goes_on is None or not goes_on.all() or not body.keeps(1, state):
        return None
    ways_out = [(0, False)] * (len(body.ys) - 1 - len(state))
    made = Repeated(body.function, len(state), steps, (), ways_out, is_loop=True)
    return [*made(*state, *body.outside)]


class Until(Operation):
    """A loop that ends when its condition says so, or after so many steps; without a gradient."""

    def __init__(self, body: SampleFunction, states: int, most: int) -> None:
        super().__init__("Loop")
        self.body, self.states, self.most = body, states, most

    def forward(self, condition: CTensor, *xs: CTensor) -> Any:
        outside = xs[self.states :]

        def goes_on(carried: Any) -> CTensor:
            number, condition, _ = carried
            return condition.reshape(()) & (number < self.most)

        def step(carried: Any) -> Any:
            number, condition, state = carried
            going, *state = self.body.of_one(number, condition, *state, *outside)
            return number + 1, going.reshape(condition.shape), state

        begin = jnp.zeros((), COUNTER), condition, [*xs[: self.states]]
        _, condition, state = jax.lax.while_loop(goes_on, step, begin)
        return (~condition.reshape(()), *state)


def _until(
    call: Call, graph: Graph, steps: int | None, going: Any, state: Sequence[Tensor]
) -> list[Tensor] | None:
    if len(graph.outputs) != 1 + len(state):
        return None  # how many rows the other outputs have would depend on values
    (condition,) = _tensors([going], call.device)
    is_recorded, capture = mode.recording, local.capture
    assert capture is not None  # otherwise the condition could be looked at
    most = MOST_STEPS if steps is None else min(steps, MOST_STEPS)
    with no_grad():
        xs = [jax.ShapeDtypeStruct((), COUNTER), condition, *state]
        body = _body(call, graph, xs, [False for _ in xs], most)
        conditions = body.ys[0], _like(condition)
        if not body.keeps(1, state) or any(x.size != 1 or x.dtype != bool for x in conditions):
            return None
        if is_recorded and any(map(may_have_gradient, (*state, *body.outside))):
            raise GradientError(
                "Loop: in a compiled step there is no gradient of a loop whose end depends on "
                "values; run the model eagerly: model.graph(False)"
            )
        ended, *ys = Until(body.function, len(state), most)(condition, *state, *body.outside)
    if steps is None or steps > MOST_STEPS:
        capture.check(ended.data, lambda: FormatError(f"Loop: it goes on after {MOST_STEPS} steps"))
    return ys
