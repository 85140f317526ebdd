import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops

STEPS, BATCH, FEATURES, HIDDEN = 4, 3, 2, 3
LENGTHS = np.array([4, 1, 2], np.int32)


def elman(a, u, h):
    return (jnp.tanh(a + u),)


def rectified(a, u, h):
    return (jax.nn.relu(a + u),)


def long_short_term(a, u, h, c):
    i, f, g, o = jnp.split(a + u, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gated(a, u, h):
    (ar, az, an), (ur, uz, un) = jnp.split(a, 3, -1), jnp.split(u, 3, -1)
    r, z = jax.nn.sigmoid(ar + ur), jax.nn.sigmoid(az + uz)
    return ((1 - z) * jnp.tanh(an + r * un) + z * h,)


def plain(cell, states, reverse, lengths):
    """Step by step, sequence by sequence; all outputs in one vector."""

    def run(x, w_ih, w_hh, b_ih, b_hh, *rest):
        sequences, lasts = [], []
        for n, length in enumerate(lengths):
            state = [first[n] for first in rest[:states]]
            outputs = [jnp.zeros_like(state[0])] * STEPS
            for t in range(length)[::-1] if reverse else range(length):
                state = cell(x[t, n] @ w_ih + b_ih, state[0] @ w_hh + b_hh, *state)
                outputs[t] = state[0]
            sequences.append(jnp.stack(outputs))
            lasts.append(state)
        found = [jnp.stack(sequences, 1), *map(jnp.stack, zip(*lasts, strict=True))]
        return jnp.concatenate([each.ravel() for each in found])

    return run


def ours(operation):
    return lambda *xs: ops.cat([ops.reshape(y, (-1,)) for y in operation(*xs)])


def row(cls, cell, *config, reverse=False, padded=False):
    wide = cls.gates * HIDDEN
    shapes = [
        (STEPS, BATCH, FEATURES), (FEATURES, wide), (HIDDEN, wide), (wide,), (wide,),
        *[(BATCH, HIDDEN)] * cls.states,
    ]  # fmt: skip
    formula = plain(cell, cls.states, reverse, LENGTHS if padded else [STEPS] * BATCH)
    constants = (LENGTHS,) if padded else ()
    return Row(cls, ours(cls(*config, reverse)), formula, shapes, (-1.0, 1.0), constants)


def projected(*xs):
    """The projection comes first, so that the sizes below are the usual ones."""
    w_hr, x, w_ih, w_hh, *rest = xs
    *rest, lengths = rest
    results = ops.lstm(x, w_ih, w_hh, *rest, lengths=lengths, w_hr=w_hr, reverse=True)
    return ops.cat([ops.reshape(y, (-1,)) for y in results])


def plain_projected(w_hr, x, w_ih, w_hh, *rest):
    def cell(a, u, h, c):
        h, c = long_short_term(a, u, h, c)
        return h @ w_hr, c

    return plain(cell, 2, True, LENGTHS)(x, w_ih, w_hh, *rest)


WIDE = 4 * HIDDEN
ROWS = {
    "lstm projected": Row(
        ops.ProjectedLSTMSequence, projected, plain_projected,
        [(HIDDEN, 2), (STEPS, BATCH, FEATURES), (FEATURES, WIDE), (2, WIDE), (WIDE,), (WIDE,),
         (BATCH, 2), (BATCH, HIDDEN)],
        (-1.0, 1.0), (LENGTHS,),
    ),
    "rnn": row(ops.RNNSequence, elman, "tanh"),
    "rnn reversed with lengths": row(ops.RNNSequence, elman, "tanh", reverse=True, padded=True),
    "rnn with relu": row(ops.RNNSequence, rectified, "relu"),
    "lstm": row(ops.LSTMSequence, long_short_term),
    "lstm reversed": row(ops.LSTMSequence, long_short_term, reverse=True),
    "lstm with lengths": row(ops.LSTMSequence, long_short_term, padded=True),
    "lstm reversed with lengths": row(
        ops.LSTMSequence, long_short_term, reverse=True, padded=True
    ),
    "gru": row(ops.GRUSequence, gated),
    "gru with lengths": row(ops.GRUSequence, gated, padded=True),
    "gru reversed with lengths": row(ops.GRUSequence, gated, reverse=True, padded=True),
}  # fmt: skip
