"""The calls of recurrences over whole sequences, forward and backward.

States are (batch, hidden), and those of all steps (steps, batch, hidden). The sums of the gates
have gates * hidden in place of hidden. One thread of XLA's pool computes all steps of a sequence
of the batch.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from singa.engine import native

# The number of each kind of cell in the kernels, and how much it keeps of each step for the
# backward pass, in units of its hidden size.
_NUMBERS = {"tanh": 0, "relu": 1, "gru": 2, "lstm": 3}
_KEPT = {"gru": 4, "lstm": 4}


def supports(projected: Array, w_hh: Array) -> bool:
    """Whether the kernels take a recurrence of these sums and weights.

    They compute with float32. Of short types only what comes in and goes out is rounded, and not
    the state from one step to the next.

    For a single sequence XLA's products of matrices and vectors are faster, because they use
    several threads.
    """
    return native.supports(projected, w_hh, short=True) and projected.shape[1] > 1


def forward(
    cell: str,
    reverse: bool,
    projected: Array,
    w_hh: Array,
    b_ih: Array,
    b_hh: Array,
    *rest: Array,
) -> tuple[Array, ...]:
    """All steps of a recurrence.

    Args:
        cell: ``"tanh"``, ``"relu"``, ``"gru"`` or ``"lstm"``.
        reverse: whether the last step comes first.
        projected: the inputs' part of the sums.
        w_hh, b_ih, b_hh: (hidden, gates * hidden), and (gates * hidden,) each.
        rest: the first states, and the sequences' lengths, (batch,) int32.

    Returns:
        The states of all steps; and what the backward pass needs besides, (steps, batch,
        4 * hidden): of an LSTM the tangents of the gates i, f, g, o (see LSTMSequence), of a GRU
        r, z, n and the state's part of n's sum.
    """
    *first, lengths = rest
    steps, batch, hidden = *projected.shape[:2], len(w_hh)
    dtype, like = projected.dtype, jnp.float32
    h, c, kept = jax.ffi.ffi_call(
        "singa_recurrence",
        (
            jax.ShapeDtypeStruct((steps, batch, hidden), like),
            jax.ShapeDtypeStruct((steps * (len(first) - 1), batch, hidden), like),
            jax.ShapeDtypeStruct((steps, batch, _KEPT.get(cell, 0) * hidden), like),
        ),
        vmap_method="sequential",
    )(
        *native.widened(projected, w_hh, b_ih, b_hh, *_two(first)), lengths,
        cell=np.int64(_NUMBERS[cell]), reverse=reverse,
    )  # fmt: skip
    return tuple(each.astype(dtype) for each in (h, c, kept) if each.size)


def backward(
    cell: str, reverse: bool, w_hh: Array, dy: Array, *rest: Array
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """The gradients of a recurrence.

    Args:
        cell, reverse, w_hh: as in :func:`forward`.
        dy: the gradient of h of all steps.
        rest: the gradients of the last states, the first states, all that :func:`forward`
            returned, and the lengths.

    Returns:
        The gradients of the gates' sums, of the input's part and, if it differs, the state's
        part; and of the first states.
    """
    count = 2 if cell == "lstm" else 1
    last, first, there = rest[:count], rest[count : 2 * count], rest[2 * count : -1]
    (steps, batch, hidden), dtype = dy.shape, dy.dtype
    none = jnp.zeros((0, batch, hidden), dy.dtype)
    kept = there[count] if cell in _KEPT else none
    sums = jax.ShapeDtypeStruct((steps, batch, w_hh.shape[1]), jnp.float32)
    no_sums = jax.ShapeDtypeStruct((0, batch, w_hh.shape[1]), jnp.float32)
    state = jax.ShapeDtypeStruct((batch, hidden), jnp.float32)
    no_state = jax.ShapeDtypeStruct((0, hidden), jnp.float32)
    da, da_hidden, *dfirst = jax.ffi.ffi_call(
        "singa_recurrence_gradient",
        (
            sums, sums if cell == "gru" else no_sums,
            state, state if count == 2 else no_state,
        ),
        vmap_method="sequential",
    )(
        *native.widened(
            dy, *_two(last), w_hh, *_two(first),
            there[0], there[1] if count == 2 else none, kept,
        ),
        rest[-1],
        cell=np.int64(_NUMBERS[cell]), reverse=reverse,
    )  # fmt: skip
    da, da_hidden, *dfirst = (each.astype(dtype) for each in (da, da_hidden, *dfirst))
    return (da, da_hidden) if cell == "gru" else (da,), tuple(dfirst[:count])


def _two(states: tuple[Array, ...] | list[Array]) -> tuple[Array, Array]:
    """Two states, of which the second is empty if there is only one."""
    one = states[0]
    return one, states[1] if len(states) == 2 else jnp.zeros((0, one.shape[1]), one.dtype)
