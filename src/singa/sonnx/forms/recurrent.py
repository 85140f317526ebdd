"""Recurrent layers: RNN, LSTM and GRU of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from singa import operation as op
from singa.sonnx.forms.form import form
from singa.sonnx.forms.writer import Unfit, Value, Writer

_ORDERS = {"RNN": (0,), "LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2)}
"""Which of our gates (i f g o; r z n) is at each place in ONNX (i o f c; z r h)."""


@form(op.RNNSequence, of=("nonlinearity", "reverse", "cell"))
def _rnn(w: Writer, operation: Any, *xs: Value) -> list[Value]:
    activation = "Tanh" if operation.nonlinearity == "tanh" else "Relu"
    return _sequence(w, operation, "RNN", xs, activations=[activation])


@form(op.LSTMSequence, of=("reverse",))
def _lstm(w: Writer, operation: Any, *xs: Value) -> list[Value]:
    return _sequence(w, operation, "LSTM", xs)


@form(op.GRUSequence, of=("reverse",))
def _gru(w: Writer, operation: Any, *xs: Value) -> list[Value]:
    return _sequence(w, operation, "GRU", xs, linear_before_reset=1)


def _sequence(
    w: Writer, operation: Any, kind: str, xs: Sequence[Value], **attributes: Any
) -> list[Value]:
    x, w_ih, w_hh, b_ih, b_hh, *rest = xs
    if len({each.dtype for each in (x, w_ih, w_hh)}) != 1:
        raise Unfit("the inputs are of several types")
    steps, batch, _ = x.shape
    hidden, gates = w_hh.shape[0], len(_ORDERS[kind])
    states, lengths = rest[: operation.states], rest[operation.states :]
    if all(_is_zero(w, state) for state in states):
        states = []
    states = [w.expand(w.cast(s, x.dtype), (batch, hidden)) for s in states]
    weights = [_ordered(w, each, kind, hidden) for each in (w_ih, w_hh)]
    bias = None
    if not (_is_zero(w, b_ih) and _is_zero(w, b_hh)):
        biases = [w.expand(w.cast(b, x.dtype), (gates * hidden,)) for b in (b_ih, b_hh)]
        bias = w.add("Concat", *[_ordered(w, b, kind, hidden) for b in biases], axis=1)
    length = w.cast(lengths[0], np.int32) if lengths else None
    first = [w.reshape(state, (1, batch, hidden)) for state in states]
    found = w.add_several(
        kind, 1 + operation.states, x, *weights, bias, length, *first, hidden_size=hidden,
        direction="reverse" if operation.reverse else "forward", **attributes,
    )  # fmt: skip
    y = w.reshape(Value(found[0], (), x.dtype), (steps, batch, hidden))
    last = [w.reshape(Value(each, (), x.dtype), (batch, hidden)) for each in found[1:]]
    return [y, *last]


def _is_zero(w: Writer, x: Value) -> bool:
    """Whether it is a constant of zeros; parameters are none."""
    return x in w.constants and not w.constants[x].any()


def _ordered(w: Writer, x: Value, kind: str, hidden: int) -> Value:
    """A weight (features, gates hidden), or a bias, as ONNX's (1, gates hidden, ...)."""
    gates = len(_ORDERS[kind])
    if x.ndim == 2:
        x = w.transpose(x, (1, 0))
    shape = (1, *x.shape)
    if gates > 1:
        parts = w.constant([hidden] * gates, np.int64)
        pieces = w.add_several("Split", gates, x, parts, axis=0)
        joined = w.add("Concat", *[pieces[i] for i in _ORDERS[kind]], axis=0)
        x = Value(joined, x.shape, x.dtype)
    return w.reshape(x, shape)
