import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import Row
from singa import autograd as ops
from singa.tensor import Tensor

KEY = np.array([1, 2], np.uint32)


def plain_dropout(x):
    return jnp.where(jax.random.bernoulli(jnp.asarray(KEY), jnp.float32(0.7), x.shape), x / 0.7, 0)


def dropped(x, operation=ops.Dropout):
    key = Tensor((2,), requires_grad=False)
    key.data = jnp.asarray(KEY)
    return operation(0.3)(x, key)[0]


def plain_channel_dropout(x):
    kept = jax.random.bernoulli(jnp.asarray(KEY), jnp.float32(0.7), (*x.shape[:2], 1))
    return jnp.where(kept, x / 0.7, 0)


ROWS = {
    "dropout": Row(ops.Dropout, dropped, plain_dropout, [(4, 5)]),
    "dropout of channels": Row(
        ops.ChannelDropout, lambda x: dropped(x, ops.ChannelDropout), plain_channel_dropout,
        [(4, 5, 2)],
    ),
}  # fmt: skip
