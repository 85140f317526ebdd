import jax
import jax.numpy as jnp

from catalogue.complex_numbers import parts, plain_parts
from catalogue.row import Row
from singa import autograd as ops


def row(op, ours, plain, shape):
    """A transform of complex numbers, as a function of their parts."""
    return Row(
        op,
        lambda a, b: parts(ours(ops.complex(a, b)), a),
        lambda a, b: plain_parts(plain(jax.lax.complex(a, b))),
        [shape, shape],
    )


ROWS = {
    "fft": row(
        ops.FourierTransform, lambda x: ops.fft(x, 5, 0, "ortho"),
        lambda x: jnp.fft.fft(x, 5, 0, "ortho"), (3, 2),
    ),
    "fft of real numbers, cut": Row(
        ops.FourierTransform, lambda x: parts(ops.fft(x, 3), x),
        lambda x: plain_parts(jnp.fft.fft(x[:, :3])), [(2, 4)],
    ),
    "fftn of four axes": row(
        ops.FourierTransform, ops.fftn,
        lambda x: jnp.fft.fft2(jnp.fft.fft2(x), axes=(0, 1)), (2, 1, 2, 2),
    ),
    "ifft2": row(
        ops.InverseFourierTransform, lambda x: ops.ifft2(x, (2, -1)),
        lambda x: jnp.fft.ifft2(x[:, :2]), (2, 3, 2),
    ),
    "rfft": Row(
        ops.RealFourierTransform, lambda x: parts(ops.rfft(x, 5, 0), x),
        lambda x: plain_parts(jnp.fft.rfft(x, 5, 0)), [(3, 2)],
    ),
    "rfftn": Row(
        ops.RealFourierTransform, lambda x: parts(ops.rfftn(x, axes=(1, 0), norm="forward"), x),
        lambda x: plain_parts(jnp.fft.rfftn(x, axes=(1, 0), norm="forward")), [(4, 3)],
    ),
    "ihfft": Row(
        ops.RealFourierTransform, lambda x: parts(ops.ihfft(x), x),
        lambda x: plain_parts(jnp.fft.ihfft(x)), [(2, 4)],
    ),
    "irfft": Row(
        ops.InverseRealFourierTransform,
        lambda a, b: ops.cast(ops.irfft(ops.complex(a, b), axis=0), a.dtype),
        lambda a, b: jnp.fft.irfft(jax.lax.complex(a, b), axis=0), [(3, 2), (3, 2)],
    ),
    "irfft2": Row(
        ops.InverseRealFourierTransform,
        lambda a, b: ops.cast(ops.irfft2(ops.complex(a, b), (3, 5), norm="ortho"), a.dtype),
        lambda a, b: jnp.fft.irfft2(jax.lax.complex(a, b), (3, 5), norm="ortho"),
        [(2, 4), (2, 4)],
    ),
    "hfft": Row(
        ops.InverseRealFourierTransform,
        lambda a, b: ops.cast(ops.hfft(ops.complex(a, b), 5), a.dtype),
        lambda a, b: jnp.fft.hfft(jax.lax.complex(a, b), 5), [(2, 3), (2, 3)],
    ),
}  # fmt: skip
