"""Recurrent layers: stacks of recurrences, in one direction or both."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.errors import ArgumentError, ShapeError
from singa.layer.base import Layer
from singa.layer.making import expect_features, parameter, positive
from singa.operation import (
    Dropout,
    cat,
    dropout,
    expand,
    gru,
    lstm,
    reshape,
    rnn,
    squeeze,
    stack,
    transpose,
    unsqueeze,
    unstack,
)

# The operation that computes one layer in one direction, and its numbers of gates and states.
CELLS: dict[str, tuple[Callable[..., tuple[Tensor, ...]], int, int]] = {
    "tanh": (partial(rnn, nonlinearity="tanh"), 1, 1),
    "relu": (partial(rnn, nonlinearity="relu"), 1, 1),
    "lstm": (lstm, 4, 2),
    "gru": (gru, 3, 1),
}


class RNN_Base(Layer):
    """Base of the recurrent layers. Their ``mode`` says which recurrence they are.

    Args:
        input_size: the number of features; None to take it from the first input.
        hidden_size: the size of a state.
        num_layers: each layer's outputs are the next one's inputs.
        bias: whether there are biases.
        batch_first: whether a Tensor of inputs is (batch, steps, features); it is (steps, batch,
            features) otherwise. Outputs have the same order, but states do not.
        dropout: the probability, in training, that an output is 0 for the next layer.
        bidirectional: whether a second recurrence goes from the last step to the first. Then the
            outputs of both are concatenated along the features.
        proj_size: of an LSTM, the size of the outputs and of the state h, if they are the product
            of the cell's outputs with a further weight; 0 for none. Less than ``hidden_size``.

    Parameters:
        weight_ih_lk: (features, gates * hidden_size), of layer k = 0, 1, ...
        weight_hh_lk: (hidden_size, gates * hidden_size).
        bias_ih_lk, bias_hh_lk: (gates * hidden_size,); absent with ``bias=False``.
        weight_hr_lk: (hidden_size, proj_size), of a projection; the rows of weight_hh_lk are then
            ``proj_size``.

    The names of the second direction's parameters end in ``_reverse``. All are initially uniform
    between -1 / sqrt(hidden_size) and 1 / sqrt(hidden_size).

    Example:
        >>> gru = layer.GRU(3, 4, bidirectional=True)
        >>> gru.directions
        2
        >>> _ = gru(Tensor((7, 2, 3)))  # 7 steps, 2 sequences
        >>> gru.weight_ih_l0.shape, gru.weight_hh_l0_reverse.shape, gru.bias_hh_l0.shape
        ((3, 12), (4, 12), (12,))
    """

    mode: str  # "tanh", "relu", "lstm" or "gru"

    def __init__(
        self,
        input_size: int | None,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        proj_size: int = 0,
    ) -> None:
        name = type(self).__name__
        Dropout(dropout)  # raises immediately if it is not a probability
        self.input_size = None if input_size is None else positive(name, "input_size", input_size)
        self.hidden_size = positive(name, "hidden_size", hidden_size)
        self.num_layers = positive(name, "num_layers", num_layers)
        self.bias = bool(bias)
        self.batch_first = bool(batch_first)
        self.dropout = float(dropout)
        self.bidirectional = bool(bidirectional)
        if not isinstance(proj_size, (int, np.integer)) or not 0 <= proj_size < hidden_size:
            raise ArgumentError(
                f"{name}: proj_size must be less than hidden_size={hidden_size}, or 0 for no "
                f"projection; got {proj_size!r}"
            )
        if proj_size and self.mode != "lstm":
            raise ArgumentError(f"{name}: proj_size is for LSTMs only")
        self.proj_size = int(proj_size)

    @property
    def directions(self) -> int:
        """1, or 2 if it is bidirectional."""
        return 1 + self.bidirectional

    def initialize(self, xs: Tensor | Sequence[Tensor], *states: Any) -> None:
        x = self._checked(xs)
        features = self.input_size = self.input_size or x.shape[-1]
        wide = CELLS[self.mode][1] * self.hidden_size
        bound = 1 / math.sqrt(self.hidden_size)
        shapes: dict[str, tuple[int, ...]] = {
            "weight_hh": (self._sizes[0], wide), "bias_ih": (wide,), "bias_hh": (wide,),
            "weight_hr": (self.hidden_size, self.proj_size),
        }  # fmt: skip
        for layer in range(self.num_layers):
            shapes["weight_ih"] = (features, wide)
            for direction in range(self.directions):
                for kind, name in self._names(layer, direction).items():
                    setattr(self, name, parameter(shapes[kind], x).uniform(-bound, bound))
            features = self.directions * self._sizes[0]

    @property
    def _sizes(self) -> tuple[int, ...]:
        """The size of each kind of state."""
        count = CELLS[self.mode][2]
        return (self.proj_size or self.hidden_size, self.hidden_size)[:count]

    def _names(self, layer: int, direction: int) -> dict[str, str]:
        """The names of the parameters of one layer in one direction, by their kinds."""
        kinds = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"][: 4 if self.bias else 2]
        kinds += ["weight_hr"] * bool(self.proj_size)
        return {kind: f"{kind}_l{layer}{'_reverse' * direction}" for kind in kinds}

    def _recur(
        self, xs: Tensor | Sequence[Tensor], given: Sequence[Tensor | None], lengths: Any
    ) -> tuple[Any, tuple[Tensor, ...]]:
        """The outputs and the last states, for the inputs and each kind of initial state."""
        self._checked(xs)
        if isinstance(xs, Tensor) and xs.ndim() == 2:
            return self._of_one(xs, given, lengths)
        x = self._turned(xs) if isinstance(xs, Tensor) else stack(xs)
        expect_features(type(self).__name__, "features", x, x.shape[-1], self.input_size)
        if not isinstance(xs, Tensor) and x.shape[1] == 1 and given and given[0] is not None:
            batch = given[0].shape[-2]  # SINGA's form, where one input is that of all states
            x = x if batch == 1 else expand(x, (x.shape[0], batch, x.shape[2]))
        initial = [
            self._each(state, x.shape[1], size)
            for state, size in zip(given, self._sizes, strict=True)
        ]
        y, last = self._run(x, initial, lengths)
        if isinstance(xs, Tensor):
            return self._turned(y), tuple(map(stack, last))
        if len(last[0]) == 1:
            return list(unstack(y)), tuple(states[0] for states in last)
        return list(unstack(y)), tuple(map(stack, last))

    def _of_one(
        self, x: Tensor, given: Sequence[Tensor | None], lengths: Any
    ) -> tuple[Any, tuple[Tensor, ...]]:
        """The same for one sequence without an axis of batches, (steps, features)."""
        count = self.num_layers * self.directions
        for state, size in zip(given, self._sizes, strict=True):
            if state is not None and state.shape != (count, size):
                raise ShapeError(
                    f"{type(self).__name__}: of one sequence, (steps, features), an initial state "
                    f"must be (layers * directions, size) = {(count, size)}, got {state.shape}"
                )
        states = [None if state is None else unsqueeze(state, 1) for state in given]
        if lengths is not None:
            lengths = length_of_one(lengths, x)
        axis = 0 if self.batch_first else 1
        y, last = self._recur(unsqueeze(x, axis), states, lengths)
        return squeeze(y, axis), tuple(squeeze(state, 1) for state in last)

    def _checked(self, xs: Tensor | Sequence[Tensor]) -> Tensor:
        """The inputs, or those of the first step; raises if their number of axes is wrong."""
        steps = [xs] if isinstance(xs, Tensor) else xs
        axes = (2, 3) if isinstance(xs, Tensor) else (2,)
        if not steps or any(x.ndim() not in axes for x in steps):
            raise ShapeError(
                f"{type(self).__name__}: the input must be (steps, batch, features), with the "
                "first two exchanged if batch_first is true, (steps, features), or a list of "
                "(batch, features); "
                f"got shape {' and '.join(str(x.shape) for x in steps[:2]) or '[]'}"
            )
        return steps[0]

    def _run(
        self, x: Tensor, initial: list[list[Tensor | None]], lengths: Any
    ) -> tuple[Tensor, list[list[Tensor]]]:
        cell = CELLS[self.mode][0]
        last: list[list[Tensor]] = [[] for _ in initial]
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = dropout(x, self.dropout)
            outputs = []
            for direction in range(self.directions):
                names = self._names(layer, direction)
                weights = {kind: getattr(self, name) for kind, name in names.items()}
                options = {"w_hr": weights.pop("weight_hr")} if self.proj_size else {}
                biases = [None] * (4 - len(weights))
                states = [each[layer * self.directions + direction] for each in initial]
                y, *ends = cell(
                    x, *weights.values(), *biases, *states,
                    lengths=lengths, reverse=bool(direction), **options,
                )  # fmt: skip
                outputs.append(y)
                for kind, end in zip(last, ends, strict=True):
                    kind.append(end)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, 2)
        return x, last

    def _turned(self, x: Tensor) -> Tensor:
        return transpose(x, (1, 0, 2)) if self.batch_first else x

    def _each(self, state: Tensor | None, batch: int, size: int) -> list[Tensor | None]:
        """The initial state of each layer and direction."""
        count = self.num_layers * self.directions
        if state is None:
            return [None] * count
        wanted = (batch, size)
        if count == 1 and state.shape == wanted:
            return [state]
        if count == 1 and len(state.shape) == 2 and set(state.shape) <= {1, *wanted}:
            return [expand(state, wanted)]  # as in SINGA, whose sums broadcast
        if state.shape != (count, batch, size):
            raise ShapeError(
                f"{type(self).__name__}: an initial state must be (layers * directions, batch, "
                f"hidden_size) = {(count, batch, size)}, got {state.shape}"
            )
        return list(unstack(state))


class _Recurrent(RNN_Base):
    """A recurrent layer that can be called as in SINGA and as in PyTorch.

    Shapes:
        xs: (steps, batch, features), (batch, steps, features) with ``batch_first``, or a list of
            (batch, features), one for each step. Of a single sequence (steps, features): states and
            outputs then have no axis of batches either.
        h0: (layers * directions, batch, hidden_size), or None for 0. With one layer and direction
            (batch, hidden_size) is accepted too, with sizes of 1 that broadcast. For an LSTM a pair
            of them, (h0, c0).
        seq_lengths: (batch,) integers, if the sequences have different lengths. Further steps do
            not change the state, and their outputs are 0.

    Returns:
        ``y, h``, or ``y, (h, c)`` of an LSTM: the outputs, (steps, batch, directions *
        hidden_size) or with the first two axes exchanged as in xs, and the last states, of h0's
        shape. For a list of inputs ``ys, h``, or ``ys, h, c``: the outputs are a list, and the
        states of one layer and direction are (batch, hidden_size), as in SINGA.

    Raises:
        ShapeError: inputs, states or lengths have wrong shapes.
        ArgumentError: the number of initial states is not that of the recurrence.
    """

    def forward(
        self,
        xs: Tensor | Sequence[Tensor],
        h0: Tensor | tuple[Tensor | None, ...] | None = None,
        seq_lengths: TensorLike | None = None,
    ) -> tuple[Any, ...]:
        count = CELLS[self.mode][2]
        given = h0 if isinstance(h0, (tuple, list)) else (h0,) if h0 is not None else ()
        if given and len(given) != count:
            raise ArgumentError(
                f"{type(self).__name__}: {count} initial state(s) expected, got {len(given)}"
            )
        y, states = self._recur(xs, given or (None,) * count, seq_lengths)
        if isinstance(xs, Tensor) and count > 1:
            return y, states
        return y, *states


class RNN(_Recurrent):
    """An Elman network: h' = tanh(x W + b + h V + c), or with relu.

    Its further arguments, parameters and calls are those of :class:`RNN_Base`.

    Shapes:
        xs: (steps, batch, input_size), (batch, steps, input_size) with ``batch_first``, or a list
            of (batch, input_size), one for each step.
        h0: (layers * directions, batch, hidden_size), or None for 0.
        seq_lengths: (batch,) integers; steps after a sequence's end do not change the state.
        y: (steps, batch, directions * hidden_size), or in the form of ``xs``; 0 after the end.
        h: the last states, of h0's shape.

    Example:
        >>> rnn = layer.RNN(3, 4)
        >>> y, h = rnn(Tensor((7, 2, 3)))  # 7 steps, 2 sequences
        >>> y.shape, h.shape
        ((7, 2, 4), (1, 2, 4))
        >>> ys, h = rnn([Tensor((2, 3))] * 7, Tensor((2, 4)))  # SINGA's form
        >>> len(ys), ys[0].shape, h.shape
        (7, (2, 4), (2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *others: Any,
        **options: Any,
    ) -> None:
        self.mode = tanh_or_relu("RNN: nonlinearity", nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, *others, **options)


class GRU(_Recurrent):
    """Gated recurrent units, with the reset after the product as in cuDNN; see :class:`RNN_Base`.

    The weights' columns are those of the gates r, z, n. See :class:`singa.autograd.GRUSequence`.

    Shapes:
        xs: (steps, batch, input_size), (batch, steps, input_size) with ``batch_first``, or a list
            of (batch, input_size), one for each step.
        h0: (layers * directions, batch, hidden_size), or None for 0.
        seq_lengths: (batch,) integers; steps after a sequence's end do not change the state.
        y: (steps, batch, directions * hidden_size), or in the form of ``xs``; 0 after the end.
        h: the last states, of h0's shape.

    Example:
        >>> gru = layer.GRU(3, 4, batch_first=True, bidirectional=True)
        >>> y, h = gru(Tensor((2, 7, 3)))  # 2 sequences, 7 steps
        >>> y.shape, h.shape
        ((2, 7, 8), (2, 2, 4))
    """

    mode = "gru"


class LSTM(_Recurrent):
    """Long short-term memory; see :class:`RNN_Base`.

    The weights' columns are those of the gates i, f, g, o. See
    :class:`singa.autograd.LSTMSequence`. The argument ``nonlinearity`` is SINGA's; the only value
    is ``"tanh"``.

    Shapes:
        xs: (steps, batch, input_size), (batch, steps, input_size) with ``batch_first``, or a list
            of (batch, input_size), one for each step.
        h0: a pair of (layers * directions, batch, hidden_size), or None for 0. The last axis of the
            first, and of y and h, is ``proj_size`` if there is a projection.
        seq_lengths: (batch,) integers; steps after a sequence's end do not change the state.
        y: (steps, batch, directions * hidden_size), or in the form of ``xs``; 0 after the end.
        h, c: the last states, each as in h0: a pair, or two results if ``xs`` is a list.

    Example:
        >>> lstm = layer.LSTM(3, 4)
        >>> y, (h, c) = lstm(Tensor((7, 2, 3)), seq_lengths=[7, 5])  # 7 steps, 2 sequences
        >>> y.shape, h.shape, c.shape
        ((7, 2, 4), (1, 2, 4), (1, 2, 4))
        >>> y.to_numpy()[5:, 1]  # after the end of the second sequence
        array([[0., 0., 0., 0.],
               [0., 0., 0., 0.]], dtype=float32)
    """

    mode = "lstm"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        nonlinearity: str = "tanh",
        *others: Any,
        **options: Any,
    ) -> None:
        if nonlinearity != "tanh":
            raise ArgumentError(
                f"LSTM: nonlinearity must be 'tanh', got {nonlinearity!r}; num_layers comes after "
                "it, or by name"
            )
        super().__init__(input_size, hidden_size, *others, **options)


def length_of_one(lengths: TensorLike, like: Tensor) -> Tensor:
    """The length of one sequence, a number or an array of one, as (1,)."""
    if not isinstance(lengths, Tensor):
        lengths = np.atleast_1d(lengths)
    return reshape(as_tensor(lengths, like), (1,))


def tanh_or_relu(what: str, name: str) -> str:
    """``name``; raises unless it is one of the two."""
    if name not in ("tanh", "relu"):
        raise ArgumentError(f"{what} must be 'tanh' or 'relu', got {name!r}")
    return name
