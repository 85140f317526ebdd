import jax
import jax.numpy as jnp

from catalogue.complex_numbers import parts, plain_parts
from catalogue.row import POSITIVE, Row
from singa import autograd as ops


def frames(x, size, hop):
    return jnp.stack([x[..., i : i + size] for i in range(0, x.shape[-1] - size + 1, hop)], -2)


def overlap(x, hop):
    count, size = x.shape[-2:]
    y = jnp.zeros((*x.shape[:-2], size + hop * (count - 1)), x.dtype)
    for i in range(count):
        y = y.at[..., i * hop : i * hop + size].add(x[..., i, :])
    return y


def stft(x, w):
    """Frames of 6, windows of 4 in their middle."""
    x, w = jnp.pad(x, [(0, 0), (3, 3)], "reflect"), jnp.pad(w, (1, 1))
    transform = jnp.fft.fft if jnp.iscomplexobj(x) else jnp.fft.rfft
    return transform(frames(x, 6, 2) * w).mT / jnp.sqrt(6)


def istft(x, w):
    w = jnp.pad(w, (1, 1))
    weights = overlap(jnp.broadcast_to(w * w, (x.shape[-1], 6)), 2)
    return overlap(jnp.fft.irfft(x.mT, 6) * jnp.sqrt(6) * w, 2)[..., 3:-3] / weights[3:-3]


OPTIONS = {"n_fft": 6, "hop_length": 2, "win_length": 4, "normalized": True}

ROWS = {
    "frames": Row(
        ops.Frames, lambda x: ops.Frames(5, 2)(x)[0], lambda x: frames(x, 5, 2), [(2, 10)]
    ),
    "frames with gaps": Row(
        ops.Frames, lambda x: ops.Frames(2, 3)(x)[0], lambda x: frames(x, 2, 3), [(10,)]
    ),
    "overlap_add": Row(
        ops.OverlapAdd, lambda x: ops.OverlapAdd(5, 2)(x)[0], lambda x: overlap(x, 2), [(2, 3, 5)]
    ),
    "stft": Row(
        ops.Frames, lambda x, w: parts(ops.stft(x, window=w, **OPTIONS), x),
        lambda x, w: plain_parts(stft(x, w)), [(2, 9), (4,)],
    ),
    "istft": Row(
        ops.OverlapAdd,
        lambda a, b, w: ops.cast(ops.istft(ops.complex(a, b), window=w, **OPTIONS), a.dtype),
        lambda a, b, w: istft(jax.lax.complex(a, b), w), [(4, 4), (4, 4), (4,)], POSITIVE,
    ),
}  # fmt: skip
