from functools import partial

import jax
import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

ROWS = {
    "relu": Row(ops.ReLU, ops.relu, jax.nn.relu, [(2, 3)]),
    "sigmoid": Row(ops.Sigmoid, ops.sigmoid, jax.nn.sigmoid, [(2, 3)]),
    "tanh": Row(ops.Tanh, ops.tanh, jnp.tanh, [(2, 3)]),
    "softmax": Row(ops.SoftMax, ops.softmax, partial(jax.nn.softmax, axis=1), [(2, 3, 2)]),
}  # fmt: skip
