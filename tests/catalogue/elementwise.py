from functools import partial

import jax.numpy as jnp

from catalogue.row import POSITIVE, Row
from singa import autograd as ops

ROWS = {
    "add": Row(ops.Add, ops.add, jnp.add, [(2, 3), (3,)]),
    "sub": Row(ops.Sub, ops.sub, jnp.subtract, [(2, 1), (1, 3)]),
    "mul": Row(ops.Mul, ops.mul, jnp.multiply, [(3,), (2, 1, 3)]),
    "div": Row(ops.Div, ops.div, jnp.divide, [(2, 3), (2, 1)], POSITIVE),
    "floor_divide": Row(
        ops.FloorDivide, ops.floor_divide, jnp.floor_divide, [(2, 3), (3,)], wide=True
    ),
    "remainder": Row(
        ops.Remainder, ops.remainder, jnp.remainder, [(2, 3), (3,)], POSITIVE, wide=True
    ),
    "fmod": Row(ops.Fmod, ops.fmod, jnp.fmod, [(2, 3), (3,)], wide=True),
    "negative": Row(ops.Negative, ops.negative, jnp.negative, [(2, 3)]),
    "abs": Row(ops.Abs, ops.abs, jnp.abs, [(2, 3)]),
    "sign": Row(ops.Sign, ops.sign, jnp.sign, [(2, 3)]),
    "identity": Row(ops.Identity, ops.identity, lambda x: x, [(2, 3)]),
    "lerp": Row(ops.Lerp, ops.lerp, lambda a, b, w: a + w * (b - a), [(2, 3), (3,), (2, 1)]),
    "addcmul": Row(
        ops.AddCMul, partial(ops.addcmul, value=0.5), lambda x, a, b: x + 0.5 * a * b,
        [(2, 3), (3,), (2, 1)],
    ),
    "addcdiv": Row(
        ops.AddCDiv, partial(ops.addcdiv, value=0.5), lambda x, a, b: x + 0.5 * a / b,
        [(2, 1), (3,), (2, 3)], POSITIVE,
    ),
}  # fmt: skip
