"""Recurrences: a whole sequence in one direction is one operation, and one compiled loop.

Their base is in ``sequence.py``.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor, number
from singa.device import CTensor
from singa.errors import ArgumentError
from singa.operation import checks
from singa.operation.products import as_rows, product
from singa.operation.sequence import Recurrence

__all__ = [
    "GRUSequence", "LSTMSequence", "ProjectedLSTMSequence", "RNNSequence", "gru", "lstm", "rnn",
]  # fmt: skip


class RNNSequence(Recurrence):
    """h' = f(x W_ih + b_ih + h W_hh + b_hh), with tanh or relu for f (Elman, 1990)."""

    def __init__(self, nonlinearity: str = "tanh", reverse: bool = False) -> None:
        super().__init__(reverse)
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(
                f"{self.name}: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}"
            )
        self.cell = self.nonlinearity = nonlinearity

    def there(self, projected: CTensor, w_hh: CTensor, *rest: CTensor) -> tuple[CTensor, ...]:
        b_ih, b_hh, h0, lengths = rest
        activate = jnp.tanh if self.nonlinearity == "tanh" else jax.nn.relu

        def step(h: CTensor, projected: CTensor) -> tuple[CTensor, None]:
            return activate(projected + h @ w_hh), None

        _, h, _ = self.loop(step, h0, projected + (b_ih + b_hh), self.reverse, lengths)
        return (h,)

    def back(self, w_hh: CTensor, dy: CTensor, *rest: CTensor) -> tuple[Any, tuple[CTensor, ...]]:
        dlast, _, h, lengths = rest
        slope = 1 - h**2 if self.nonlinearity == "tanh" else (h > 0).astype(dy.dtype)
        weight = w_hh.T

        def step(dh: CTensor, v: Any) -> tuple[CTensor, CTensor]:
            dy, slope = v
            da = (dh + dy) * slope
            return da @ weight, da

        dh0, _, da = self.loop(step, dlast, (dy, slope), not self.reverse, lengths)
        return (self.valid(da, lengths),), (dh0,)


class LSTMSequence(Recurrence):
    """c' = f c + i g and h' = o tanh(c') (Hochreiter and Schmidhuber, 1997; with a forget gate).

    The gates i, f, o are sigmoids and g is a tanh of x W_ih + b_ih + h W_hh + b_hh; i, f, g, o
    is their order in the weights. The outputs are all h, and the last h and c.
    """

    gates = 4
    states = 2
    cell = "lstm"

    def there(self, projected: CTensor, w_hh: CTensor, *rest: CTensor) -> tuple[CTensor, ...]:
        b_ih, b_hh, h0, c0, lengths = rest
        # sigmoid(a) is (1 + tanh(a / 2)) / 2, so all gates are one tanh of a scaled sum.
        scale = jnp.repeat(jnp.array([0.5, 0.5, 1, 0.5], w_hh.dtype), len(w_hh))
        weight = w_hh * scale

        def step(state: Any, projected: CTensor) -> Any:
            h, c = state
            t = jnp.tanh(projected + h @ weight)
            i, f, g, o = self.opened(t)
            c = f * c + i * g
            return (o * jnp.tanh(c), c), t

        projected = (projected + (b_ih + b_hh)) * scale
        _, (h, c), t = self.loop(step, (h0, c0), projected, self.reverse, lengths)
        return h, c, t

    def back(self, w_hh: CTensor, dy: CTensor, *rest: CTensor) -> tuple[Any, tuple[CTensor, ...]]:
        *dlast, _, c0, _, c, t, lengths = rest
        i, f, g, o = self.opened(t)
        tanh_c = jnp.tanh(c)
        by_c = o * (1 - tanh_c**2)
        by_gates = _joined(
            g * i * (1 - i), self.before(c0, c) * f * (1 - f), i * (1 - g**2), tanh_c * o * (1 - o)
        )
        weight = w_hh.T

        def step(state: Any, v: Any) -> Any:
            dh, dc = state
            by_gates, by_c, f, dy = v
            dh = dh + dy
            dc = dc + dh * by_c
            da = _joined(dc, dc, dc, dh) * by_gates
            return (da @ weight, dc * f), da

        factors = by_gates, by_c, f, dy
        first, _, da = self.loop(step, tuple(dlast), factors, not self.reverse, lengths)
        return (self.valid(da, lengths),), first

    @staticmethod
    def opened(t: CTensor) -> tuple[CTensor, ...]:
        """The gates i, f, g, o from their hyperbolic tangents."""
        i, f, g, o = jnp.split(t, 4, -1)
        return (1 + i) / 2, (1 + f) / 2, g, (1 + o) / 2


class ProjectedLSTMSequence(Recurrence):
    """c' = f c + i g and h' = (o tanh(c')) W_hr: an LSTM whose h is short (Sak et al., 2014).

    The gates are those of :class:`LSTMSequence`. The inputs are x, w_ih, w_hh (projected,
    gates * hidden), w_hr (hidden, projected), two biases, h (batch, projected), c (batch, hidden),
    and the lengths if they differ.
    """

    gates = 4
    states = 2

    def forward(self, *xs: CTensor) -> tuple[CTensor, ...]:
        x, w_ih, w_hh, w_hr, *rest = xs
        checks.rank(self, "the projection", w_hr, 2, "(hidden, projected)")
        biases, (h0, c0) = self.take(x, w_ih, w_hh, *rest, sizes=w_hr.shape[::-1])
        self.w_hr = w_hr.astype(self.w_hh.dtype)
        self.first = [h0, c0]

        def step(state: Any, projected: CTensor) -> Any:
            h, c = state
            i, f, g, o = jnp.split(projected + h @ self.w_hh, 4, -1)
            i, f, g, o = (jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o))
            c = f * c + i * g
            return ((o * jnp.tanh(c)) @ self.w_hr, c), _joined(i, f, g, o)

        projected = product(self.x, self.w_ih, bias=biases[0] + biases[1])
        last, (self.h, self.c), self.gated = self.loop(
            step, (h0, c0), projected, self.reverse, self.lengths
        )
        return self.valid(self.h, self.lengths), *last

    def backward(self, dy: CTensor, *dlast: CTensor) -> tuple[Any, ...]:
        h0, c0 = self.first
        i, f, g, o = jnp.split(self.gated, 4, -1)
        tanh_c = jnp.tanh(self.c)
        by_c = o * (1 - tanh_c**2)
        before = self.before(c0, self.c)
        by_gates = _joined(
            g * i * (1 - i), before * f * (1 - f), i * (1 - g**2), tanh_c * o * (1 - o)
        )

        def step(state: Any, v: Any) -> Any:
            dh, dc = state
            by_gates, by_c, f, dy = v
            dh = dh + dy
            dm = dh @ self.w_hr.T
            dc = dc + dm * by_c
            da = _joined(dc, dc, dc, dm) * by_gates
            return (da @ self.w_hh.T, dc * f), (da, dh)

        first, _, (da, dh) = self.loop(
            step, dlast, (by_gates, by_c, f, dy), not self.reverse, self.lengths
        )
        rows, dh_rows, x, h, m = (
            as_rows(each)
            for each in (
                self.valid(da, self.lengths), self.valid(dh, self.lengths), self.x,
                self.before(h0, self.h), o * tanh_c,
            )
        )  # fmt: skip
        return (
            product(rows, self.w_ih, transpose_b=True).reshape(self.x.shape),
            product(x, rows, transpose_a=True),
            product(h, rows, transpose_a=True),
            product(m, dh_rows, transpose_a=True),
            rows.sum(0),
            rows.sum(0),
            *first,
            *[None] * self.padded,
        )


class GRUSequence(Recurrence):
    """h' = (1 - z) n + z h, a gated recurrent unit (Cho et al., 2014) as in cuDNN and PyTorch.

    The gates r, z are sigmoids of x W_ih + b_ih + h W_hh + b_hh, and n = tanh(a + r u), with a and
    u the input's and the state's part of that sum: the reset comes after the product, and so
    there are two biases. r, z, n is their order in the weights.
    """

    gates = 3
    cell = "gru"

    def there(self, projected: CTensor, w_hh: CTensor, *rest: CTensor) -> tuple[CTensor, ...]:
        b_ih, b_hh, h0, lengths = rest
        # The gates' sigmoids are computed from tanh of half the sum, as in the LSTM.
        scale = jnp.repeat(jnp.array([0.5, 0.5, 1], w_hh.dtype), len(w_hh))
        weight, bias = w_hh * scale, b_hh * scale

        def step(h: CTensor, projected: CTensor) -> Any:
            (ar, az, an), (ur, uz, u) = (
                jnp.split(each, 3, -1) for each in (projected, h @ weight + bias)
            )
            r, z = (1 + jnp.tanh(ar + ur)) / 2, (1 + jnp.tanh(az + uz)) / 2
            n = jnp.tanh(an + r * u)
            return n + z * (h - n), _joined(r, z, n, u)

        projected = (projected + b_ih) * scale
        _, h, inner = self.loop(step, h0, projected, self.reverse, lengths)
        return h, inner

    def back(self, w_hh: CTensor, dy: CTensor, *rest: CTensor) -> tuple[Any, tuple[CTensor, ...]]:
        dlast, h0, h, inner, lengths = rest
        r, z, n, u = jnp.split(inner, 4, -1)
        by_n = (1 - z) * (1 - n**2)
        by_r, by_z = by_n * u * r * (1 - r), (self.before(h0, h) - n) * z * (1 - z)
        by_gates = _joined(by_r, by_z, by_n * r)
        weight = w_hh.T

        def step(dh: CTensor, v: Any) -> Any:
            by_gates, z, dy = v
            dh = dh + dy
            return (_joined(dh, dh, dh) * by_gates) @ weight + dh * z, dh

        dh0, _, dh = self.loop(step, dlast, (by_gates, z, dy), not self.reverse, lengths)
        every = self.valid(_joined(dh, dh, dh), lengths)
        return (every * _joined(by_r, by_z, by_n), every * by_gates), (dh0,)


def _joined(*gates: CTensor) -> CTensor:
    return jnp.concatenate(gates, -1)


def rnn(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    h0: Tensor | None = None,
    *,
    lengths: TensorLike | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
) -> tuple[Tensor, ...]:
    """An Elman network over a whole sequence: h' = tanh(x w_ih + b_ih + h w_hh + b_hh).

    Args:
        x: (steps, batch, features).
        w_ih: (features, gates * hidden), with one gate here, four in :func:`lstm` and three in
            :func:`gru`.
        w_hh: (hidden, gates * hidden).
        b_ih, b_hh: (gates * hidden,), or None for 0.
        h0: the initial state (batch, hidden), or None for 0.
        lengths: (batch,), integers: the number of steps of each sequence, if they differ. Further
            steps do not change the state, and their outputs are 0.
        nonlinearity: ``"tanh"`` or ``"relu"``.
        reverse: whether the last step comes first.

    Returns:
        The states of all steps, (steps, batch, hidden), and the last one, (batch, hidden).

    Example:
        >>> x, w_ih, w_hh = Tensor((5, 2, 3)), Tensor((3, 4)), Tensor((4, 4))
        >>> y, h = autograd.rnn(x, w_ih, w_hh)
        >>> y.shape, h.shape
        ((5, 2, 4), (2, 4))
    """
    inputs = _inputs(x, w_ih, w_hh, b_ih, b_hh, h0, lengths=lengths)
    return RNNSequence(nonlinearity, reverse)(*inputs)


def lstm(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    h0: Tensor | None = None,
    c0: Tensor | None = None,
    *,
    lengths: TensorLike | None = None,
    reverse: bool = False,
    w_hr: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """A long short-term memory over a whole sequence; see :func:`rnn`, and its gates i, f, g, o.

    Args:
        x, w_ih, w_hh, b_ih, b_hh, h0, lengths, reverse: as in :func:`rnn`, with four gates.
        c0: the initial cell state (batch, hidden), or None for 0.
        w_hr: (hidden, projected), if h is the product of the cell's output with it. Then w_hh is
            (projected, 4 * hidden), and h0 (batch, projected).

    Returns:
        h of all steps, (steps, batch, hidden), and the last h and c, (batch, hidden) each. With a
        projection h has its size, in place of the hidden one.

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; with a forget gate.
        Projections: Sak et al., Long Short-Term Memory Based Recurrent Neural Network Architectures
        for Large Vocabulary Speech Recognition, 2014.

    Example:
        >>> x, w_ih, w_hh = Tensor((5, 2, 3)), Tensor((3, 16)), Tensor((4, 16))
        >>> y, h, c = autograd.lstm(x, w_ih, w_hh)
        >>> y.shape, c.shape
        ((5, 2, 4), (2, 4))
    """
    if w_hr is not None:
        inputs = _inputs(x, w_ih, w_hh, w_hr, b_ih, b_hh, h0, c0, lengths=lengths)
        return ProjectedLSTMSequence(reverse)(*inputs)
    inputs = _inputs(x, w_ih, w_hh, b_ih, b_hh, h0, c0, lengths=lengths)
    return LSTMSequence(reverse)(*inputs)


def gru(
    x: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    h0: Tensor | None = None,
    *,
    lengths: TensorLike | None = None,
    reverse: bool = False,
) -> tuple[Tensor, ...]:
    """Gated recurrent units over a whole sequence; see :func:`rnn`, and the gates r, z, n.

    The reset gate is applied after the product with the state, as cuDNN and PyTorch do.

    Args:
        x, w_ih, w_hh, b_ih, b_hh, h0, lengths, reverse: as in :func:`rnn`, with three gates.

    Returns:
        h of all steps, (steps, batch, hidden), and the last one, (batch, hidden).

    Source: Cho et al., Learning Phrase Representations, 2014.

    Example:
        >>> x, w_ih, w_hh = Tensor((5, 2, 3)), Tensor((3, 12)), Tensor((4, 12))
        >>> y, h = autograd.gru(x, w_ih, w_hh)
        >>> y.shape, h.shape
        ((5, 2, 4), (2, 4))
    """
    inputs = _inputs(x, w_ih, w_hh, b_ih, b_hh, h0, lengths=lengths)
    return GRUSequence(reverse)(*inputs)


def _inputs(x: Tensor, *given: Tensor | None, lengths: TensorLike | None) -> list[Tensor]:
    zero = number(0.0, x.dtype, x.device)
    inputs = [x, *(zero if each is None else each for each in given)]
    return inputs if lengths is None else [*inputs, as_tensor(lengths, x)]
