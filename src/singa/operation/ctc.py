"""Connectionist temporal classification (Graves et al., 2006)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor, float32
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.loss import Loss

__all__ = ["CTC", "ctc_loss"]

_NEVER = -1e30  # the logarithm of an impossible path's probability, but finite: it is added up


class CTC(Loss):
    """y = -mean over the batch of ln P(labels), summed over all their alignments to the frames.

    Computed in at least float32. If the labels do not fit into their frames, the loss is infinite,
    without a gradient; if a label is not a class, the loss is NaN. jax derives the gradient from
    the scan over the frames. With ``zero_infinity`` an infinite loss counts as 0.
    """

    def __init__(
        self, blank: int = 0, zero_infinity: bool = False, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction)
        self.zero_infinity = bool(zero_infinity)
        self.blank = checks.integer(f"{self.name}: blank", blank)

    def values(
        self, log_p: CTensor, t: CTensor, input_lengths: CTensor, target_lengths: CTensor
    ) -> CTensor:
        t, input_lengths, target_lengths = self.check(log_p, t, input_lengths, target_lengths)
        self.dtype, count = log_p.dtype, 2 * t.shape[1] + 1
        log_p = log_p.astype(jnp.promote_types(log_p.dtype, float32))
        # Entries after the last label are not labels; their values are ignored.
        number = jnp.arange(t.shape[1], dtype=jnp.int32)
        t = jnp.where(number < target_lengths[:, None], t, self.blank)
        is_class = ((t >= 0) & (t < log_p.shape[2])).all(1)
        # Labels with a blank before, between and after them: the states of an alignment.
        states = jnp.full((t.shape[0], count), self.blank, t.dtype).at[:, 1::2].set(t)
        # A blank may be left out between two different labels.
        skips = (states != self.blank) & (states != jnp.roll(states, 2, 1))
        number = jnp.arange(count, dtype=jnp.int32)
        emitted = jnp.take_along_axis(log_p, states[None], 2, mode="clip")
        emitted = jnp.maximum(emitted, _NEVER)

        def come_from(alpha: CTensor, back: int) -> CTensor:
            return jnp.where(number < back, _NEVER, jnp.roll(alpha, back, 1))

        def step(alpha: CTensor, frame: tuple[CTensor, CTensor]) -> tuple[CTensor, None]:
            time, emitted = frame
            ways = alpha, come_from(alpha, 1), jnp.where(skips, come_from(alpha, 2), _NEVER)
            moved = jax.nn.logsumexp(jnp.stack(ways), 0) + emitted
            return jnp.where(time < input_lengths[:, None], moved, alpha), None

        alpha = jnp.where(number < 2, emitted[0], _NEVER)
        times = jnp.arange(1, log_p.shape[0], dtype=jnp.int32)
        alpha, _ = jax.lax.scan(step, alpha, (times, emitted[1:]))
        # An alignment ends in the last label or in the blank after it.
        behind = number - 2 * target_lengths[:, None]
        ends = jnp.where((behind == 0) | (behind == -1), alpha, _NEVER)
        log_likelihood = jax.nn.logsumexp(ends, 1)
        possible = log_likelihood > _NEVER / 2
        log_likelihood = jnp.where(possible, log_likelihood, 0 if self.zero_infinity else -jnp.inf)
        return -jnp.where(is_class, log_likelihood, jnp.nan)

    def reduced(self, values: CTensor, count: Any = None) -> CTensor:
        return super().reduced(values, count).astype(self.dtype)

    def check(self, log_p: CTensor, t: CTensor, *lengths: CTensor) -> list[CTensor]:
        """The labels and the lengths in a type that can represent all of them."""
        checks.rank(self, "log_p", log_p, 3, "(frames, N, classes)")
        checks.float_input(self, "log_p", log_p)
        _, batch, classes = log_p.shape
        if not log_p.size:
            raise ShapeError(f"{self.name}: log_p must not be empty, got {log_p.shape}")
        if t.ndim != 2 or t.shape[0] != batch or any(x.shape != (batch,) for x in lengths):
            raise ShapeError(
                f"{self.name}: for log_p of shape {log_p.shape} the labels must be ({batch}, L), "
                f"both lengths ({batch},); got {t.shape} and {[x.shape for x in lengths]}"
            )
        if not 0 <= self.blank < classes:
            raise ArgumentError(f"{self.name}: blank is {self.blank}, of {classes} classes")
        return [checks.integer_input(self, "labels and lengths", x) for x in (t, *lengths)]


def ctc_loss(
    log_p: Tensor,
    t: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int = 0,
    zero_infinity: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """The mean over the batch of -ln P(labels), for labels without positions in the frames.

    A scalar, of shape (). If the labels do not fit into their frames, it is infinite.

    Args:
        log_p: (frames, N, classes) log-probabilities, such as :func:`log_softmax` gives.
        t: (N, L) labels, integers other than ``blank``; labels beyond the length are ignored.
        input_lengths: (N,) the number of frames that are used, at least 1.
        target_lengths: (N,) the number of labels that are used.
        blank: the class that stands for no label.
        zero_infinity: where the labels do not fit, the loss is 0 and not infinite.
        reduction: ``"mean"`` over the batch, ``"sum"``, or ``"none"`` for the loss of each, (N,).

    Source: Graves et al., Connectionist Temporal Classification, 2006.

    Example:
        >>> log_p = autograd.log_softmax(Tensor((2, 1, 3)), axis=2)  # all equally likely
        >>> t, frames, labels = Tensor(data=[[1]]), Tensor(data=[2]), Tensor(data=[1])
        >>> autograd.ctc_loss(log_p, t, frames, labels)
        Tensor(1.0986, shape=(), dtype=float32, device=cpu)
    """
    return CTC(blank, zero_infinity, reduction)(log_p, t, input_lengths, target_lengths)[0]
