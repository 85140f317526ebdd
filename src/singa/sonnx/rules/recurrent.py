"""Recurrent layers: RNN, GRU and LSTM.

With the usual activations, a layer is our own operation. The others, with clipped sums, peepholes
or a reset before the product, are a loop that jax compiles and derives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from singa import operation as op
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import FormatError
from singa.sonnx.rules.quantized import in_bytes
from singa.sonnx.rules.rule import Call, formula, held, rule

Activation: TypeAlias = "tuple[str, float, float]"
"""An activation's name, alpha and beta."""

_ACTIVATIONS: dict[str, Callable[[CTensor, float, float], CTensor]] = {
    "relu": lambda x, a, b: jax.nn.relu(x),
    "tanh": lambda x, a, b: jnp.tanh(x),
    "sigmoid": lambda x, a, b: jax.nn.sigmoid(x),
    "affine": lambda x, a, b: a * x + b,
    "leakyrelu": lambda x, a, b: jnp.where(x >= 0, x, a * x),
    "thresholdedrelu": lambda x, a, b: jnp.where(x >= a, x, 0),
    "scaledtanh": lambda x, a, b: a * jnp.tanh(b * x),
    "hardsigmoid": lambda x, a, b: jnp.clip(a * x + b, 0, 1),
    "elu": lambda x, a, b: jnp.where(x >= 0, x, a * jnp.expm1(jnp.minimum(x, 0))),
    "softsign": lambda x, a, b: x / (1 + jnp.abs(x)),
    "softplus": lambda x, a, b: jax.nn.softplus(x),
}
_ALPHAS = {
    "affine": 1.0, "leakyrelu": 0.01, "thresholdedrelu": 1.0, "scaledtanh": 1.0,
    "hardsigmoid": 0.2, "elu": 1.0,
}  # fmt: skip
_BETAS = {"affine": 0.0, "scaledtanh": 1.0, "hardsigmoid": 0.5}


@rule("RNN", fixed=(5,))
def _rnn(
    call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, h: Any = None
) -> Any:
    def of(
        x: Tensor, reverse: bool, functions: list[Activation], w: Tensor, r: Tensor, b: Any, h: Any
    ) -> tuple[Tensor, ...]:
        name = functions[0][0]
        if name in ("tanh", "relu") and call("clip") is None:
            w_ih, w_hh, b_ih, b_hh = _arranged((0,), w, r, b)
            return op.rnn(
                x, w_ih, w_hh, b_ih, b_hh, h, lengths=lengths, nonlinearity=name, reverse=reverse
            )
        inputs = _complete(x, w, r, b, lengths, h)
        return _looped(call, _rnn_loop, inputs, functions, reverse)

    return _layer(call, x, [w, r, b], [h], ["tanh"], of)


@rule("GRU", fixed=(5,))
def _gru(
    call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, h: Any = None
) -> Any:
    usual = ["sigmoid", "tanh"]
    resets_after = bool(call("linear_before_reset", 0))

    def of(
        x: Tensor, reverse: bool, functions: list[Activation], w: Tensor, r: Tensor, b: Any, h: Any
    ) -> tuple[Tensor, ...]:
        if resets_after and [f[0] for f in functions] == usual and call("clip") is None:
            # From z, r, h to r, z, n.
            w_ih, w_hh, b_ih, b_hh = _arranged((1, 0, 2), w, r, b)
            return op.gru(x, w_ih, w_hh, b_ih, b_hh, h, lengths=lengths, reverse=reverse)
        inputs = _complete(x, w, r, b, lengths, h)
        return _looped(call, _gru_loop, inputs, functions, reverse, resets_after=resets_after)

    return _layer(call, x, [w, r, b], [h], usual, of)


@rule("LSTM", fixed=(5, 6))
def _lstm(
    call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any = None, lengths: Any = None, h: Any = None,
    c: Any = None, p: Any = None,
) -> Any:  # fmt: skip
    usual = ["sigmoid", "tanh", "tanh"]
    coupled = bool(call("input_forget", 0))

    def of(
        x: Tensor, reverse: bool, functions: list[Activation], w: Tensor, r: Tensor, b: Any,
        p: Any, h: Any, c: Any,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        is_usual = [f[0] for f in functions] == usual and call("clip") is None
        if is_usual and p is None and not coupled:
            # From i, o, f, c to i, f, g, o.
            w_ih, w_hh, b_ih, b_hh = _arranged((0, 2, 3, 1), w, r, b)
            return op.lstm(x, w_ih, w_hh, b_ih, b_hh, h, c, lengths=lengths, reverse=reverse)
        inputs = _complete(x, w, r, b, lengths, h, c)
        inputs += () if p is None else (p,)
        return _looped(call, _lstm_loop, inputs, functions, reverse, coupled=coupled)

    return _layer(call, x, [w, r, b, p], [h, c], usual, of)


def quantized_lstm(
    call: Call, x: Tensor, w: Tensor, r: Tensor, b: Any, lengths: Any, h: Any, c: Any, p: Any
) -> tuple[Tensor, ...]:
    """An LSTM that rounds its inputs, and the state before each product, to 8 bits.

    The rows of the batch are rounded together, as onnxruntime does with one thread; with several,
    it rounds the rows of each thread together.
    """
    coupled = bool(call("input_forget", 0))

    def of(
        x: Tensor, reverse: bool, functions: list[Activation], w: Tensor, r: Tensor, b: Any,
        p: Any, h: Any, c: Any,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        x, *inputs = _complete(x, w, r, b, lengths, h, c)
        ends = inputs[3]
        x = formula(_turned, x, ends) if reverse else x
        inputs = [x, *inputs, *(() if p is None else (p,))]
        y, *last = _looped(call, _lstm_loop, inputs, functions, False, coupled=coupled, rounds=True)
        return formula(_turned, y, ends) if reverse else y, *last

    return _layer(call, x, [w, r, b, p], [h, c], ["sigmoid", "tanh", "tanh"], of)


def _layer(
    call: Call,
    x: Tensor,
    weights: Sequence[Tensor | None],
    states: Sequence[Tensor | None],
    usual: Sequence[str],
    of: Callable[..., tuple[Tensor, ...]],
) -> tuple[Tensor, ...]:
    """All directions of a layer: the states of all steps, and the last ones.

    ``of`` computes one direction, of its weights and states.
    """
    batch_first = bool(call("layout", 0))
    if batch_first:
        x = op.swapaxes(x, 0, 1)
        states = [None if each is None else op.swapaxes(each, 0, 1) for each in states]
    directions = _directions(call)
    functions = _functions(call, usual, len(directions))
    count = len(usual)
    each_way = [
        [None] * len(directions) if v is None else op.unstack(v, 0) for v in (*weights, *states)
    ]
    found = [
        of(x, reverse, functions[i * count : (i + 1) * count], *[v[i] for v in each_way])
        for i, reverse in enumerate(directions)
    ]
    y, *last = zip(*found, strict=True)
    if batch_first:
        every = op.stack([op.swapaxes(each, 0, 1) for each in y], 2)
        return every, *[op.stack(each, 1) for each in last]
    return op.stack(y, 1), *[op.stack(each, 0) for each in last]


def _directions(call: Call) -> list[bool]:
    """Whether each direction goes backwards."""
    direction = call("direction", "forward").lower()
    found = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    if direction not in found:
        raise FormatError(f"{call.node}: there is no direction {direction!r}")
    return found[direction]


def _functions(call: Call, usual: Sequence[str], directions: int) -> list[Activation]:
    """The activations of all directions; those that have no alpha or beta do not use one up."""
    names = [each.lower() for each in call("activations") or [*usual] * directions]
    if len(names) != len(usual) * directions or not _ACTIVATIONS.keys() >= {*names}:
        raise FormatError(f"{call.node}: its activations are {call('activations')}")
    alphas, betas = iter(call("activation_alpha") or ()), iter(call("activation_beta") or ())
    return [
        (
            name,
            float(next(alphas, _ALPHAS[name])) if name in _ALPHAS else 0.0,
            float(next(betas, _BETAS[name])) if name in _BETAS else 0.0,
        )
        for name in names
    ]


def _arranged(
    order: tuple[int, ...], w: Tensor, r: Tensor, b: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Both weights and both biases with their gates in this order, and transposed."""
    weights = formula(_in_order, w, order=order), formula(_in_order, r, order=order)
    if b is None:
        return *weights, None, None
    of_input, of_state = op.split(b, 0, [b.shape[0] // 2] * 2)
    return (
        *weights,
        formula(_in_order, of_input, order=order),
        formula(_in_order, of_state, order=order),
    )


def _in_order(w: CTensor, order: tuple[int, ...]) -> CTensor:
    gates = jnp.split(w, len(order))
    return jnp.concatenate([gates[each] for each in order]).T


def _complete(
    x: Tensor, w: Tensor, r: Tensor, b: Any, lengths: Any, *states: Any
) -> tuple[Tensor, ...]:
    """The inputs of a loop, with zeros and full lengths in place of what is missing."""
    steps, batch, _ = x.shape
    if b is None:
        b = held(np.zeros(2 * r.shape[0], x.dtype), x.device)
    if lengths is None:
        lengths = held(np.full(batch, steps, np.int32), x.device)
    zeros = held(np.zeros((batch, r.shape[1]), x.dtype), x.device)
    return x, w, r, b, lengths, *[zeros if each is None else each for each in states]


def _looped(
    call: Call,
    loop: Callable[..., Any],
    inputs: Sequence[Tensor],
    functions: Sequence[Activation],
    reverse: bool,
    **options: Any,
) -> Any:
    clip = call("clip")
    options |= {"functions": tuple(functions), "clip": None if clip is None else float(clip)}
    return formula(loop, *inputs, reverse=reverse, **options)


def _activated(
    functions: Sequence[Activation], clip: float | None
) -> list[Callable[[CTensor], CTensor]]:
    """Functions of clipped values."""

    def one(name: str, alpha: float, beta: float) -> Callable[[CTensor], CTensor]:
        function = _ACTIVATIONS[name]
        return lambda x: function(x if clip is None else jnp.clip(x, -clip, clip), alpha, beta)

    return [one(*each) for each in functions]


def _rnn_loop(
    x: CTensor, w: CTensor, r: CTensor, b: CTensor, lengths: CTensor, h: CTensor, *,
    functions: Sequence[Activation], clip: float | None, reverse: bool,
) -> tuple[CTensor, ...]:  # fmt: skip
    """Computes h' = f(x W + h R + b)."""
    (f,) = _activated(functions, clip)
    bias = sum(jnp.split(b, 2))

    def step(state: tuple[CTensor, ...], a: CTensor) -> tuple[CTensor, ...]:
        return (f(a + state[0] @ r.T),)

    return _scanned(step, (h,), x, w, bias, lengths, reverse)


def _gru_loop(
    x: CTensor, w: CTensor, r: CTensor, b: CTensor, lengths: CTensor, h: CTensor, *,
    functions: Sequence[Activation], clip: float | None, reverse: bool, resets_after: bool,
) -> tuple[CTensor, ...]:  # fmt: skip
    """Computes h' = (1 - z) n + z h, with the gates z, r, h in the weights."""
    f, g = _activated(functions, clip)
    hidden = r.shape[1]
    wb, rb = jnp.split(b, 2)
    of_gates, of_new = r[: 2 * hidden].T, r[2 * hidden :].T
    gates_bias, new_bias = rb[: 2 * hidden], rb[2 * hidden :]

    def step(state: tuple[CTensor, ...], a: CTensor) -> tuple[CTensor, ...]:
        (h,) = state
        z, reset = jnp.split(f(a[:, : 2 * hidden] + h @ of_gates + gates_bias), 2, -1)
        if resets_after:
            n = g(a[:, 2 * hidden :] + reset * (h @ of_new + new_bias))
        else:
            n = g(a[:, 2 * hidden :] + (reset * h) @ of_new + new_bias)
        return ((1 - z) * n + z * h,)

    return _scanned(step, (h,), x, w, wb, lengths, reverse)


def _lstm_loop(
    x: CTensor, w: CTensor, r: CTensor, b: CTensor, lengths: CTensor, h: CTensor, c: CTensor,
    *peepholes: CTensor, functions: Sequence[Activation], clip: float | None, reverse: bool,
    coupled: bool, rounds: bool = False,
) -> tuple[CTensor, ...]:  # fmt: skip
    """Computes c' = f c + i g and h' = o h(c'), with the gates i, o, f, c in the weights."""
    f, g = _activated(functions[:2], clip)
    (last,) = _activated(functions[2:], None)  # as other runtimes, which clip sums only
    pi, po, pf = jnp.split(peepholes[0], 3) if peepholes else (0, 0, 0)
    bias = sum(jnp.split(b, 2))
    if rounds:
        is_inside = jnp.arange(len(x), dtype=lengths.dtype) < lengths.max()
        x = _in_8_bits(jnp.where(is_inside[:, None, None], x, 0))

    def step(state: tuple[CTensor, ...], a: CTensor) -> tuple[CTensor, ...]:
        h, c = state
        h = _in_8_bits(h) if rounds else h
        i, o, forget, new = jnp.split(a + h @ r.T, 4, -1)
        i = f(i + pi * c)
        kept = 1 - i if coupled else f(forget + pf * c)
        c = kept * c + i * g(new)
        return f(o + po * c) * last(c), c

    return _scanned(step, (h, c), x, w, bias, lengths, reverse)


def _turned(x: CTensor, lengths: CTensor) -> CTensor:
    """Sequences (steps, batch, size) backwards, each within its length."""
    number = jnp.arange(len(x), dtype=lengths.dtype)[:, None]
    places = jnp.where(number < lengths, lengths - 1 - number, number)
    return jnp.take_along_axis(x, places[..., None], 0)


def _in_8_bits(x: CTensor) -> CTensor:
    """The values that are left of an array in 8 bits, which span its range."""
    whole, scale, zero = in_bytes(x)
    return (whole.astype(x.dtype) - zero.astype(x.dtype)) * scale


def _scanned(
    step: Callable[[tuple[CTensor, ...], CTensor], tuple[CTensor, ...]],
    first: tuple[CTensor, ...],
    x: CTensor,
    w: CTensor,
    bias: Any,
    lengths: CTensor,
    reverse: bool,
) -> tuple[CTensor, ...]:
    """The first state of all steps, and the last states; the padding changes none."""
    is_inside = (jnp.arange(len(x), dtype=lengths.dtype)[:, None] < lengths)[..., None]

    def masked(states: tuple[CTensor, ...], both: Any) -> Any:
        inside, a = both
        new = step(states, a)
        kept = tuple(jnp.where(inside, n, old) for n, old in zip(new, states, strict=True))
        return kept, kept[0]

    sums = jnp.where(is_inside, x, 0) @ w.T + bias
    last, h = jax.lax.scan(masked, first, (is_inside, sums), reverse=reverse)
    return jnp.where(is_inside, h, 0), *last
