"""Recurrences: a whole sequence in one direction is one operation, and one compiled loop.

The loop computes only what depends on the previous step. The inputs' product with their weights is
computed before the loop, for all steps at once. In the backward pass, the factors from a state's
gradient to its gates' gradients are computed before the loop, and the weights' gradients after it.
This is so in native kernels, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor, TensorLike, as_tensor, number
from singa.device import CTensor
from singa.engine import native
from singa.engine.native import recurrence as kernels
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.products import as_rows, product
from singa.tape import Operation

__all__ = ["GRUSequence", "LSTMSequence", "RNNSequence", "gru", "lstm", "rnn"]


class _Sequence(Operation):
    """Base of the recurrences.

    The inputs are x (steps, batch, features), w_ih (features, gates * hidden), w_hh (hidden,
    gates * hidden), two biases (gates * hidden,), the initial states (batch, hidden), and the
    sequences' lengths (batch,) if they differ. A bias or a state may be a number.

    The outputs are h of all steps, (steps, batch, hidden), and the last states. Steps beyond a
    sequence's length do not change the states, and their outputs are 0. With ``reverse`` the
    last step comes first; each output has the index of its input.

    ``there`` and ``back`` are the forward and the backward loop. Native kernels may replace them.
    """

    arithmetic = "low"

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    cell: str
    """The name of this recurrence in the native kernels."""

    def __init__(self, reverse: bool = False) -> None:
        super().__init__()
        self.reverse = bool(reverse)

    def there(self, projected: CTensor, w_hh: CTensor, *rest: CTensor) -> tuple[CTensor, ...]:
        """The states of all steps, and further values that ``back`` needs.

        Its arguments are the inputs' part of the gates' sums, the recurrent weight, the biases, the
        initial states, and the lengths.
        """
        raise NotImplementedError

    def back(self, w_hh: CTensor, dy: CTensor, *rest: CTensor) -> tuple[Any, tuple[CTensor, ...]]:
        """The gradients of the gates' sums, and of the initial states.

        Its arguments are the weight, the gradients of all h and of the last states, the initial
        states, the results of ``there``, and the lengths. The gradients of the sums' two parts, the
        input's and the state's, are two arrays if they differ.
        """
        raise NotImplementedError

    def forward(self, *xs: CTensor) -> tuple[CTensor, ...]:
        biases, self.first = self.take(*xs)
        projected = product(self.x, self.w_ih)
        self.all = self._either(
            projected, kernels.forward, self.there,
            projected, self.w_hh, *biases, *self.first, self.lengths,
        )  # fmt: skip
        last = [states[0 if self.reverse else -1] for states in self.all[: self.states]]
        return self.valid(self.all[0], self.lengths), *last

    def backward(self, dy: CTensor, *dlast: CTensor) -> tuple[Any, ...]:
        sums, dstates = self._either(
            dy, kernels.backward, self.back,
            self.w_hh, dy, *dlast, *self.first, *self.all, self.lengths,
        )  # fmt: skip
        rows, rows_hidden, x, h = (
            as_rows(a) for a in (sums[0], sums[-1], self.x, self.before(self.first[0], self.all[0]))
        )
        return (
            product(rows, self.w_ih, transpose_b=True).reshape(self.x.shape),
            product(x, rows, transpose_a=True),
            product(h, rows_hidden, transpose_a=True),
            rows.sum(0),
            rows_hidden.sum(0),
            *dstates,
            *[None] * self.padded,
        )

    def take(
        self, x: CTensor, w_ih: CTensor, w_hh: CTensor, *rest: CTensor
    ) -> tuple[list[CTensor], list[CTensor]]:
        """Check the inputs, store what backward needs, and return biases and states in shape."""
        checks.float_input(self, "the input", x)
        checks.rank(self, "the input", x, 3, "(steps, batch, features)")
        checks.rank(self, "the recurrent weight", w_hh, 2, "(hidden, gates * hidden)")
        steps, batch, features = x.shape
        hidden = len(w_hh)
        wide = self.gates * hidden
        states, lengths = rest[2 : 2 + self.states], rest[2 + self.states :]
        self.expect("the input's weight", [w_ih], (features, wide))
        self.expect("the recurrent weight", [w_hh], (hidden, wide))
        self.expect("a bias", rest[:2], (wide,), ())
        self.expect("an initial state", states, (batch, hidden), ())
        self.expect("the lengths", lengths, (batch,))
        if not steps:
            raise ShapeError(f"{self.name}: at least one step is needed, got an input of {x.shape}")
        dtype = jnp.result_type(x, w_ih, w_hh)
        self.padded = bool(lengths)
        self.lengths = jnp.full(batch, steps, jnp.int32)
        for each in lengths:
            each = checks.integer_input(self, "the lengths", each)
            self.lengths = jnp.clip(each, 0, steps).astype(jnp.int32)
        # Values in the padding, even infinite ones, must not affect the weights' gradients.
        self.x = self.valid(x.astype(dtype), self.lengths)
        self.w_ih, self.w_hh = w_ih.astype(dtype), w_hh.astype(dtype)
        biases = [jnp.broadcast_to(b.astype(dtype), wide) for b in rest[:2]]
        return biases, [jnp.broadcast_to(s.astype(dtype), (batch, hidden)) for s in states]

    def expect(self, what: str, found: Sequence[CTensor], *shapes: tuple[int, ...]) -> None:
        for each in found:
            if each.shape not in shapes:
                raise ShapeError(
                    f"{self.name}: {what} must be of shape {shapes[0]}, as the input's features "
                    f"and batch and the recurrent weight's rows go; got {each.shape}"
                )

    def _either(
        self, like: CTensor, kernel: Callable[..., Any], formula: Callable[..., Any], *xs: CTensor
    ) -> Any:
        if kernels.supports(like, self.w_hh):
            return native.run(partial(kernel, self.cell, self.reverse), formula, *xs)
        return formula(*xs)

    def mask(self, steps: int, lengths: CTensor) -> CTensor | None:
        """Whether a step is within its sequence, (steps, batch, 1); None if all are."""
        if not self.padded:
            return None
        return (jnp.arange(steps, dtype=jnp.int32)[:, None] < lengths)[..., None]

    def loop(
        self, step: Callable[[Any, Any], Any], states: Any, xs: Any, reverse: bool, lengths: CTensor
    ) -> tuple[Any, Any, Any]:
        """The last states, and the states and results of all steps."""

        def masked(states: Any, mask_and_x: Any) -> Any:
            mask, x = mask_and_x
            new, y = step(states, x)
            if mask is not None:
                new = jax.tree.map(lambda new, old: jnp.where(mask, new, old), new, states)
            return new, (new, y)

        mask = self.mask(len(jax.tree.leaves(xs)[0]), lengths)
        last, (all_states, ys) = jax.lax.scan(masked, states, (mask, xs), reverse=reverse)
        return last, all_states, ys

    def valid(self, values: CTensor, lengths: CTensor) -> CTensor:
        """``values`` (steps, batch, ...), with 0 in place of the padding."""
        mask = self.mask(len(values), lengths)
        return values if mask is None else jnp.where(mask, values, 0)

    def before(self, first: CTensor, states: CTensor) -> CTensor:
        """The state before each step."""
        if self.reverse:
            return jnp.concatenate((states[1:], first[None]))
        return jnp.concatenate((first[None], states[:-1]))


class RNNSequence(_Sequence):
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


class LSTMSequence(_Sequence):
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


class GRUSequence(_Sequence):
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
) -> tuple[Tensor, ...]:
    """A long short-term memory over a whole sequence; see :func:`rnn`, and its gates i, f, g, o.

    Args:
        x, w_ih, w_hh, b_ih, b_hh, h0, lengths, reverse: as in :func:`rnn`, with four gates.
        c0: the initial cell state (batch, hidden), or None for 0.

    Returns:
        h of all steps, (steps, batch, hidden), and the last h and c, (batch, hidden) each.

    Source: Hochreiter and Schmidhuber, Long Short-Term Memory, 1997; with a forget gate.

    Example:
        >>> x, w_ih, w_hh = Tensor((5, 2, 3)), Tensor((3, 16)), Tensor((4, 16))
        >>> y, h, c = autograd.lstm(x, w_ih, w_hh)
        >>> y.shape, c.shape
        ((5, 2, 4), (2, 4))
    """
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
