import jax
import jax.numpy as jnp

from catalogue.row import POSITIVE, Row
from singa import autograd as ops

ROWS = {
    "pow": Row(ops.Pow, ops.pow, jnp.power, [(2, 3), (3,)], POSITIVE),
    "pow by number": Row(ops.Pow, lambda x: x**3, lambda x: x**3, [(2, 3)]),
    "exp": Row(ops.Exp, ops.exp, jnp.exp, [(2, 3)]),
    "log": Row(ops.Log, ops.log, jnp.log, [(2, 3)], POSITIVE),
    "log1p": Row(ops.Log1p, ops.log1p, jnp.log1p, [(2, 3)], POSITIVE),
    "expm1": Row(ops.Expm1, ops.expm1, jnp.expm1, [(2, 3)]),
    "sqrt": Row(ops.Sqrt, ops.sqrt, jnp.sqrt, [(2, 3)], POSITIVE),
    "reciprocal": Row(ops.Reciprocal, ops.reciprocal, jnp.reciprocal, [(2, 3)], POSITIVE),
    "erf": Row(ops.Erf, ops.erf, jax.scipy.special.erf, [(2, 3)]),
    "square": Row(ops.Square, ops.square, jnp.square, [(2, 3)]),
    "exp2": Row(ops.Exp2, ops.exp2, jnp.exp2, [(2, 3)]),
    "log2": Row(ops.Log2, ops.log2, jnp.log2, [(2, 3)], POSITIVE),
    "log10": Row(ops.Log10, ops.log10, jnp.log10, [(2, 3)], POSITIVE),
    "logaddexp": Row(ops.LogAddExp, ops.logaddexp, jnp.logaddexp, [(2, 3), (3,)]),
    "rsqrt": Row(ops.Rsqrt, ops.rsqrt, lambda x: x**-0.5, [(2, 3)], POSITIVE),
}
