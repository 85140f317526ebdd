import jax.numpy as jnp

from catalogue.row import Row
from singa import autograd as ops

# SINGA's and ONNX's names of the classes, and NumPy's of the formulas.
NAMES = {
    "Less": "less", "LessOrEqual": "less_equal", "Greater": "greater",
    "GreaterOrEqual": "greater_equal", "Equal": "equal", "NotEqual": "not_equal",
    "And": "logical_and", "Or": "logical_or", "Xor": "logical_xor", "Not": "logical_not",
    "IsNaN": "isnan", "IsInf": "isinf", "IsFinite": "isfinite",
}  # fmt: skip


def row(name):
    """The test wants a float and a gradient: the bool is added to 0 times the input."""
    op, holds = getattr(ops, name), getattr(jnp, NAMES[name])
    one = name in ("Not", "IsNaN", "IsInf", "IsFinite")
    return Row(
        op, lambda *xs: ops.cast(op()(*xs)[0], xs[0].dtype) + xs[0] * 0.0,
        lambda *xs: holds(*xs).astype(xs[0].dtype) + xs[0] * 0, [(2, 3)] if one else [(2, 3), (3,)],
    )  # fmt: skip


ROWS = {NAMES[name]: row(name) for name in NAMES}
