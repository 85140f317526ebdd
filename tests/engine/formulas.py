"""Native kernels beside the formulas that they replace."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa.engine import native

built = pytest.mark.skipif(not native.available, reason=f"native kernels are {native.status}")


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def both(make, *arrays, monkeypatch, is_used=True):
    """Outputs and gradients of an operation, with native kernels and without."""
    found = []
    for available in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(native, "available", available)
            operation = make()

            def both_ways(*xs, operation=operation):
                fresh = operation.copy()
                ys = fresh.forward(*xs)
                ys = ys if isinstance(ys, tuple) else (ys,)
                dxs = fresh.backward(*[jnp.cos(y) for y in ys])
                return ys, dxs if isinstance(dxs, tuple) else (dxs,)

            lowered = jax.jit(both_ways).lower(*arrays)
            assert ("singa_" in lowered.as_text()) == (available and is_used)
            found.append(jax.tree.leaves(lowered.compile()(*arrays)))
    return found


def agree(pair, rtol=2e-4):
    for one, other in zip(*pair, strict=True):
        one, other = np.asarray(one), np.asarray(other)  # jax would compile what follows
        scale = np.abs(other[np.isfinite(other)]).max(initial=1e-3)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * float(scale))
