from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.cases import Case, Inputs

WIDTHS = (32, 64, 128)
STEPS, BATCH = 32, 16


def cases() -> dict[type, Case]:
    import torch

    from singa import autograd as ops

    def inputs(gates: int) -> Inputs:
        def shapes(size: int) -> list[tuple[int, ...]]:
            width = WIDTHS[size]
            matrix, vector = (width, gates * width), (gates * width,)
            return [(STEPS, BATCH, width), matrix, matrix, vector, vector]

        return shapes

    def theirs(function: Callable[..., Any], states: int) -> Callable[..., Any]:
        def run(x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
            zeros = [x.new_zeros(1, BATCH, len(w_hh))] * states
            weights = [w_ih.T.contiguous(), w_hh.T.contiguous(), b_ih, b_hh]
            state = zeros if states == 2 else zeros[0]
            # biases, layers, dropout, training, both directions, batch first
            return function(x, state, weights, True, 1, 0.0, True, False, False)[0]

        return run

    def projected(size: int) -> list[tuple[int, ...]]:
        width, short = WIDTHS[size], WIDTHS[size] // 2
        biases = [(4 * width,)] * 2
        return [(STEPS, BATCH, width), (width, 4 * width), (short, 4 * width), *biases,
                (width, short)]  # fmt: skip

    def their_projected(x: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any) -> Any:
        state = [x.new_zeros(1, BATCH, len(w_hh)), x.new_zeros(1, BATCH, len(w_hr))]
        weights = [w.T.contiguous() for w in (w_ih, w_hh)]
        weights += [b_ih, b_hh, w_hr.T.contiguous()]
        return torch.lstm(x, state, weights, True, 1, 0.0, True, False, False)[0]

    return {
        ops.RNNSequence: Case(
            lambda *xs: ops.rnn(*xs)[0], theirs(torch.rnn_tanh, 1), inputs(1), low=-0.1, high=0.1
        ),
        ops.LSTMSequence: Case(
            lambda *xs: ops.lstm(*xs)[0], theirs(torch.lstm, 2), inputs(4), low=-0.1, high=0.1
        ),
        ops.ProjectedLSTMSequence: Case(
            lambda *xs: ops.lstm(*xs[:-1], w_hr=xs[-1])[0],
            their_projected,
            projected,
            low=-0.1,
            high=0.1,
        ),
        ops.GRUSequence: Case(
            lambda *xs: ops.gru(*xs)[0], theirs(torch.gru, 1), inputs(3), low=-0.1, high=0.1
        ),
    }
