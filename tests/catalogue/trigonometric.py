import jax.numpy as jnp

from catalogue.row import ANY, Row
from singa import autograd as ops

# The formulas are named by NumPy's names, and the inverses live where their functions go.
INSIDE, ABOVE_ONE = (-0.9, 0.9), (1.1, 3.0)
NAMES = {
    "Cos": ("cos", ANY), "Cosh": ("cosh", ANY), "Acos": ("arccos", INSIDE),
    "Acosh": ("arccosh", ABOVE_ONE), "Sin": ("sin", ANY), "Sinh": ("sinh", ANY),
    "Asin": ("arcsin", INSIDE), "Asinh": ("arcsinh", ANY), "Tan": ("tan", (-1.2, 1.2)),
    "Atan": ("arctan", ANY), "Atanh": ("arctanh", INSIDE),
}  # fmt: skip

ROWS = {
    name.lower(): Row(
        getattr(ops, name), getattr(ops, name.lower()), getattr(jnp, plain), [(2, 3)], where,
        wide=plain in ("sin", "cos", "tan"),
    )
    for name, (plain, where) in NAMES.items()
}  # fmt: skip
ROWS |= {
    "atan2": Row(ops.Atan2, ops.atan2, jnp.arctan2, [(2, 3), (3,)]),
    "hypot": Row(ops.Hypot, ops.hypot, jnp.hypot, [(2, 3), (2, 1)]),
}
