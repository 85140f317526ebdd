import jax.numpy as jnp

from catalogue.row import POSITIVE, Row
from singa import autograd as ops

ROWS = {
    "add": Row(ops.Add, ops.add, jnp.add, [(2, 3), (3,)]),
    "sub": Row(ops.Sub, ops.sub, jnp.subtract, [(2, 1), (1, 3)]),
    "mul": Row(ops.Mul, ops.mul, jnp.multiply, [(3,), (2, 1, 3)]),
    "div": Row(ops.Div, ops.div, jnp.divide, [(2, 3), (2, 1)], POSITIVE),
    "pow": Row(ops.Pow, ops.pow, jnp.power, [(2, 3), (3,)], POSITIVE),
    "pow by number": Row(ops.Pow, lambda x: x**3, lambda x: x**3, [(2, 3)]),
    "negative": Row(ops.Negative, ops.negative, jnp.negative, [(2, 3)]),
    "abs": Row(ops.Abs, ops.abs, jnp.abs, [(2, 3)]),
    "exp": Row(ops.Exp, ops.exp, jnp.exp, [(2, 3)]),
    "log": Row(ops.Log, ops.log, jnp.log, [(2, 3)], POSITIVE),
    "sqrt": Row(ops.Sqrt, ops.sqrt, jnp.sqrt, [(2, 3)], POSITIVE),
}  # fmt: skip
