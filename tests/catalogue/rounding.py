import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

ROWS = {
    "ceil": Row(ops.Ceil, ops.ceil, jnp.ceil, [(2, 3)]),
    "floor": Row(ops.Floor, ops.floor, jnp.floor, [(2, 3)]),
    "round": Row(
        ops.Round, ops.round, lambda x: jnp.sign(x) * jnp.floor(jnp.abs(x) + 0.5), [(2, 3)]
    ),
    "round, decimals": Row(
        ops.Round, lambda x: ops.round(x, 1), lambda x: jnp.round(x * 10) / 10, [(2, 3)]
    ),
    "rounde": Row(ops.Rounde, ops.rounde, jnp.round, [(2, 3)]),
    "trunc": Row(ops.Trunc, ops.trunc, jnp.trunc, [(2, 3)]),
}  # fmt: skip
