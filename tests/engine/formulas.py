"""Native kernels beside the formulas that they replace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa.engine import native

built = pytest.mark.skipif(not native.available, reason=f"native kernels are {native.status}")


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def both(make, *arrays, monkeypatch, is_used=True, dtype=None):
    """Outputs and gradients of an operation, with native kernels and without.

    With ``dtype`` the kernels get the arrays in that type, and the formulas the same numbers in
    float32. So it is with the outputs' gradients: they do not depend on the outputs then, whose
    rounding they would enlarge.
    """

    def gradient(y):
        if dtype is None:
            return jnp.cos(y)
        return jnp.cos(jnp.arange(y.size).reshape(y.shape)).astype(dtype).astype(y.dtype)

    found = []
    short = arrays if dtype is None else [x.astype(dtype) for x in arrays]
    for available in (True, False):
        given = short if available or dtype is None else [x.astype(np.float32) for x in short]
        with monkeypatch.context() as patch:
            patch.setattr(native, "available", available)
            operation = make()

            def both_ways(*xs, operation=operation):
                fresh = operation.copy()
                ys = fresh.forward(*xs)
                ys = ys if isinstance(ys, tuple) else (ys,)
                dxs = fresh.backward(*map(gradient, ys))
                return ys, dxs if isinstance(dxs, tuple) else (dxs,)

            lowered = jax.jit(both_ways).lower(*given)
            assert ("singa_" in lowered.as_text()) == (available and is_used)
            found.append(jax.tree.leaves(lowered.compile()(*given)))
    return found


def agree(pair, rtol=2e-4):
    for one, other in zip(*pair, strict=True):
        one, other = np.asarray(one), np.asarray(other)  # jax would compile what follows
        if one.dtype != other.dtype:  # NumPy compares no short types
            one = one.astype(np.float32)
        scale = np.abs(other[np.isfinite(other)]).max(initial=1e-3)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * float(scale))
