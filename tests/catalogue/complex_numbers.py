import jax
import jax.numpy as jnp

from catalogue.row import POSITIVE, Row
from singa import autograd as ops


def parts(z, like):
    """Both parts of complex numbers, in the type of a real Tensor."""
    return ops.cast(ops.view_as_real(z), like.dtype)


def plain_parts(z):
    return jnp.stack((z.real, z.imag), -1)


ROWS = {
    "real": Row(ops.Real, ops.real, jnp.real, [(2, 3)]),
    "imag": Row(ops.Imag, ops.imag, jnp.imag, [(2, 3)]),
    "conj": Row(ops.Conj, ops.conj, jnp.conj, [(2, 3)]),
    "angle": Row(ops.Angle, ops.angle, jnp.angle, [(2, 3)]),
    "polar": Row(
        ops.Polar, lambda r, t: parts(ops.polar(r, t), r),
        lambda r, t: jnp.stack((r * jnp.cos(t), r * jnp.sin(t)), -1), [(2, 3), (3,)], POSITIVE,
    ),
    "complex": Row(
        ops.Complex, lambda a, b: parts(ops.square(ops.complex(a, b)), a),
        lambda a, b: jnp.stack((a * a - b * b, 2 * a * b), -1), [(2, 3), (2, 1)],
    ),
    "view_as_real": Row(
        ops.ViewAsReal, lambda a, b: parts(ops.exp(ops.complex(a, b)), a),
        lambda a, b: plain_parts(jnp.exp(jax.lax.complex(a, b))), [(2, 3), (2, 3)],
    ),
    "view_as_complex": Row(
        ops.ViewAsComplex, lambda x: ops.cast(ops.abs(ops.view_as_complex(x)), x.dtype),
        lambda x: jnp.sqrt((x * x).sum(-1)), [(2, 3, 2)],
    ),
}  # fmt: skip
