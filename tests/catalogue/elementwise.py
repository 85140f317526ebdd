from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from catalogue.row import POSITIVE, Row
from singa import autograd as ops

MASK = np.array([True, False, True])

ROWS = {
    "add": Row(ops.Add, ops.add, jnp.add, [(2, 3), (3,)]),
    "sub": Row(ops.Sub, ops.sub, jnp.subtract, [(2, 1), (1, 3)]),
    "mul": Row(ops.Mul, ops.mul, jnp.multiply, [(3,), (2, 1, 3)]),
    "div": Row(ops.Div, ops.div, jnp.divide, [(2, 3), (2, 1)], POSITIVE),
    "floor_divide": Row(ops.FloorDivide, ops.floor_divide, jnp.floor_divide, [(2, 3), (3,)]),
    "remainder": Row(ops.Remainder, ops.remainder, jnp.remainder, [(2, 3), (3,)], POSITIVE),
    "pow": Row(ops.Pow, ops.pow, jnp.power, [(2, 3), (3,)], POSITIVE),
    "pow by number": Row(ops.Pow, lambda x: x**3, lambda x: x**3, [(2, 3)]),
    "negative": Row(ops.Negative, ops.negative, jnp.negative, [(2, 3)]),
    "abs": Row(ops.Abs, ops.abs, jnp.abs, [(2, 3)]),
    "exp": Row(ops.Exp, ops.exp, jnp.exp, [(2, 3)]),
    "log": Row(ops.Log, ops.log, jnp.log, [(2, 3)], POSITIVE),
    "log1p": Row(ops.Log1p, ops.log1p, jnp.log1p, [(2, 3)], POSITIVE),
    "expm1": Row(ops.Expm1, ops.expm1, jnp.expm1, [(2, 3)]),
    "sqrt": Row(ops.Sqrt, ops.sqrt, jnp.sqrt, [(2, 3)], POSITIVE),
    "reciprocal": Row(ops.Reciprocal, ops.reciprocal, jnp.reciprocal, [(2, 3)], POSITIVE),
    "erf": Row(ops.Erf, ops.erf, jax.scipy.special.erf, [(2, 3)]),
    "square": Row(ops.Square, ops.square, jnp.square, [(2, 3)]),
    "sign": Row(ops.Sign, ops.sign, jnp.sign, [(2, 3)]),
    "identity": Row(ops.Identity, ops.identity, lambda x: x, [(2, 3)]),
    "clip": Row(ops.Clip, partial(ops.clip, min=-1, max=0.5), lambda x: x.clip(-1, 0.5), [(2, 3)]),
    "where": Row(
        ops.Where, ops.where, lambda a, b, c: jnp.where(c, a, b), [(2, 3), (3,)], constants=(MASK,)
    ),
}  # fmt: skip
