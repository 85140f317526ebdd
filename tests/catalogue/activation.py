from functools import partial

import jax
import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

WIDE = (-5.0, 8.0)  # past the knees of the piecewise ones


def plain_glu(x):
    return x[:, :2] * jax.nn.sigmoid(x[:, 2:])


ROWS = {
    "relu": Row(ops.ReLU, ops.relu, jax.nn.relu, [(2, 3)]),
    "sigmoid": Row(ops.Sigmoid, ops.sigmoid, jax.nn.sigmoid, [(2, 3)]),
    "tanh": Row(ops.Tanh, ops.tanh, jnp.tanh, [(2, 3)]),
    "softmax": Row(ops.SoftMax, ops.softmax, partial(jax.nn.softmax, axis=1), [(2, 3, 2)]),
    "log_softmax": Row(
        ops.LogSoftmax, ops.log_softmax, partial(jax.nn.log_softmax, axis=1), [(2, 3, 2)]
    ),
    "softplus, sharp": Row(
        ops.SoftPlus, lambda x: ops.softplus(x, beta=-3.0, threshold=2.0),
        lambda x: jnp.where(-3 * x > 2, x, -jnp.log(1 + jnp.exp(-3 * x)) / 3), [(2, 3)],
    ),
    "softplus": Row(ops.SoftPlus, ops.softplus, lambda x: jnp.log(1 + jnp.exp(x)), [(2, 3)]),
    "softsign": Row(ops.SoftSign, ops.softsign, jax.nn.soft_sign, [(2, 3)]),
    "log_sigmoid": Row(
        ops.LogSigmoid, ops.log_sigmoid, lambda x: jnp.log(1 / (1 + jnp.exp(-x))), [(2, 3)]
    ),
    "relu6": Row(ops.ReLU6, ops.relu6, jax.nn.relu6, [(3, 4)], WIDE),
    "hardswish": Row(ops.HardSwish, ops.hardswish, jax.nn.hard_swish, [(3, 4)], WIDE),
    "hardsigmoid": Row(
        ops.HardSigmoid, ops.hardsigmoid, lambda x: jnp.clip(0.2 * x + 0.5, 0, 1), [(3, 4)], WIDE
    ),
    "silu": Row(ops.SiLU, ops.silu, jax.nn.silu, [(2, 3)]),
    "mish": Row(ops.Mish, ops.mish, jax.nn.mish, [(2, 3)]),
    "elu": Row(ops.Elu, partial(ops.elu, alpha=1.5), partial(jax.nn.elu, alpha=1.5), [(2, 3)]),
    "selu": Row(ops.SeLU, ops.selu, jax.nn.selu, [(2, 3)]),
    "leakyrelu": Row(
        ops.LeakyRelu, lambda x: ops.leakyrelu(x, 0.2), lambda x: jax.nn.leaky_relu(x, 0.2),
        [(2, 3)],
    ),
    "prelu": Row(
        ops.PRelu, ops.prelu, lambda x, s: jnp.where(x > 0, x, s * x), [(2, 3, 2), (3, 1)]
    ),
    "gelu": Row(ops.Gelu, ops.gelu, partial(jax.nn.gelu, approximate=False), [(2, 3)]),
    "gelu by tanh": Row(ops.Gelu, partial(ops.gelu, approximate="tanh"), jax.nn.gelu, [(2, 3)]),
    "glu": Row(ops.GLU, ops.glu, plain_glu, [(3, 4)]),
}  # fmt: skip
