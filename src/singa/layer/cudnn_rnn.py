"""SINGA's class for all recurrent layers."""

from __future__ import annotations

from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.errors import ArgumentError
from singa.layer.recurrent import CELLS, RNN_Base, length_of_one, tanh_or_relu


class CudnnRNN(RNN_Base):
    """SINGA's class for all recurrent layers; it runs on every device. See :class:`RNN_Base`.

    Args:
        activation: ``"tanh"`` or ``"relu"``, for ``rnn_mode="vanilla"``.
        rnn_mode: ``"lstm"``, ``"gru"``, ``"vanilla"``, or directly ``"tanh"`` or ``"relu"``.
        use_mask: whether calls have the argument ``seq_lengths``.
        return_sequences: whether to return the outputs of all steps, or only those of each
            sequence's last step.

    Shapes:
        x: (batch, steps, features), or (steps, batch, features) without ``batch_first``.
        hx, cx: (layers * directions, batch, hidden_size), or None for 0; ``cx`` for the LSTM.
        seq_lengths: (batch,) integers.
        y: (batch, steps, directions * hidden_size), or with the first two axes exchanged as in x,
            or (batch, directions * hidden_size).

    A single sequence may be (steps, features); then there is no axis of batches anywhere.

    Example:
        >>> rnn = layer.CudnnRNN(4, rnn_mode="gru", use_mask=True, return_sequences=False)
        >>> rnn(Tensor((2, 7, 3)), seq_lengths=[7, 5]).shape  # 2 sequences, 7 steps
        (2, 4)
    """

    def __init__(
        self,
        hidden_size: int,
        activation: str = "tanh",
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = True,
        dropout: float = 0.0,
        bidirectional: bool = False,
        rnn_mode: str = "lstm",
        use_mask: bool = False,
        return_sequences: bool = True,
    ) -> None:
        activation = tanh_or_relu("CudnnRNN: activation", activation)
        self.mode = activation if rnn_mode == "vanilla" else rnn_mode
        if self.mode not in CELLS:
            names = ", ".join(map(repr, ("vanilla", *CELLS)))
            raise ArgumentError(f"CudnnRNN: rnn_mode {rnn_mode!r} is not one of {names}")
        super().__init__(None, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        self.use_mask = bool(use_mask)
        self.return_sequences = bool(return_sequences)

    def forward(
        self,
        x: Tensor,
        hx: Tensor | None = None,
        cx: Tensor | None = None,
        seq_lengths: TensorLike | None = None,
    ) -> Tensor:
        if self.use_mask != (seq_lengths is not None):
            raise ArgumentError(
                f"CudnnRNN: seq_lengths {'are missing' if self.use_mask else 'were given'}, and "
                f"use_mask is {self.use_mask}"
            )
        if cx is not None and self.mode != "lstm":
            raise ArgumentError(f"CudnnRNN: cx is for 'lstm', not for {self.mode!r}")
        y, _ = self._recur(x, [hx, cx][: CELLS[self.mode][2]], seq_lengths)
        if self.return_sequences:
            return y
        if x.ndim() == 2:
            return y[-1] if seq_lengths is None else y[length_of_one(seq_lengths, x) - 1][0]
        y = self._turned(y)
        if seq_lengths is None:
            return y[-1]
        return y[as_tensor(seq_lengths, x) - 1, list(range(y.shape[1]))]
