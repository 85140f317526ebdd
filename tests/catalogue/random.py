import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import POSITIVE, Row
from singa import autograd as ops
from singa.tensor import Tensor

KEY = np.array([1, 2], np.uint32)


def plain_dropout(x):
    return jnp.where(jax.random.bernoulli(jnp.asarray(KEY), jnp.float32(0.7), x.shape), x / 0.7, 0)


def key():
    tensor = Tensor((2,), requires_grad=False)
    tensor.data = jnp.asarray(KEY)
    return tensor


def dropped(x, operation=ops.Dropout):
    return operation(0.3)(x, key())[0]


def plain_channel_dropout(x):
    kept = jax.random.bernoulli(jnp.asarray(KEY), jnp.float32(0.7), (*x.shape[:2], 1))
    return jnp.where(kept, x / 0.7, 0)


def log_gamma(a):
    return ops.DrawLogGamma()(a, key())[0]


def plain_log_gamma(a):
    return jax.random.loggamma(jnp.asarray(KEY), a, dtype=a.dtype)


ROWS = {
    "dropout": Row(ops.Dropout, dropped, plain_dropout, [(4, 5)]),
    "dropout of channels": Row(
        ops.ChannelDropout, lambda x: dropped(x, ops.ChannelDropout), plain_channel_dropout,
        [(4, 5, 2)],
    ),
    "log gamma": Row(
        ops.DrawLogGamma, log_gamma, plain_log_gamma, [(2, 3)], POSITIVE, draws=True, twice=False
    ),
}  # fmt: skip
