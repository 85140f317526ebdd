"""Native kernels of short types beside the formulas for the same numbers in float32."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.formulas import agree, array, both, built
from engine.test_drawn_kernels import channels, convolutions, sizes, windows
from singa.engine import native
from singa.engine.native import convolution, product
from singa.operation import (
    AveragePooling2d,
    BatchNormalization2d,
    Convolution2d,
    FrozenBatchNormalization2d,
    GRUSequence,
    LSTMSequence,
    Matmul,
    MaxPooling2d,
    RNNSequence,
)

pytestmark = built

SHORT = jnp.dtype(jnp.bfloat16), jnp.dtype(jnp.float16)
ONCE = 5e-3  # of bfloat16: half a unit in the last place is 2^-9

few = settings(max_examples=8)
types = st.sampled_from(SHORT)


@pytest.fixture(scope="module")
def monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def without_instructions(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(native, "multiplies_bfloat16", False)
        yield


@pytest.mark.slow
@settings(max_examples=20)
@given(drawn=convolutions(), dtype=types)
def test_convolution(drawn, dtype, monkeypatch):
    configuration, arrays = drawn
    window = convolution.Window(*configuration)
    used = convolution.supports(*(jnp.asarray(x, dtype) for x in arrays[:2]), window)
    make = partial(Convolution2d, *configuration)
    agree(both(make, *arrays, monkeypatch=monkeypatch, is_used=used, dtype=dtype), ONCE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [MaxPooling2d, AveragePooling2d])
@few
@given(drawn=windows(), dtype=types)
def test_pooling(drawn, dtype, kind, monkeypatch):
    configuration, x = drawn
    agree(both(partial(kind, *configuration), x, monkeypatch=monkeypatch, dtype=dtype), ONCE)


@pytest.mark.slow
@few
@given(n=st.integers(2, 5), c=channels, h=sizes.filter(lambda h: h > 1), dtype=types)
def test_batch_statistics(n, c, h, dtype, monkeypatch):
    x, scale, bias = 3 * array(n, c, h, h) + 5, array(c, seed=1), array(c, seed=2)
    make = partial(BatchNormalization2d, 1e-2)
    agree(both(make, x, scale, bias, monkeypatch=monkeypatch, dtype=dtype), 5 * ONCE)


def test_frozen_batch_statistics(monkeypatch):
    arrays = array(3, 17, 4, 5), *(array(17, seed=i) for i in (1, 2, 3)), np.full(17, 2, np.float32)
    make = partial(FrozenBatchNormalization2d, 1e-2)
    agree(both(make, *arrays, monkeypatch=monkeypatch, dtype=SHORT[0]), ONCE)


lengths = st.sampled_from([1, 7, 16, 65, 100])


@few
@given(st.sampled_from([(), (3,)]), lengths, lengths, lengths, types, st.booleans())
def test_product(batch, m, k, n, dtype, wide):
    a, b = array(*batch, m, k).astype(dtype), array(*batch, k, n, seed=1).astype(dtype)
    wanted = np.float64(a) @ np.float64(b)
    for turn_a, turn_b in ((False, False), (True, False), (False, True), (True, True)):
        given_a = a.swapaxes(-1, -2).copy() if turn_a else a
        given_b = b.swapaxes(-1, -2).copy() if turn_b else b
        y = product.product(given_a, given_b, turn_a, turn_b, wide)
        assert y.dtype == (np.float32 if wide else dtype)
        tolerance = 1e-4 if wide else ONCE
        np.testing.assert_allclose(np.float64(y), wanted, rtol=tolerance, atol=1e-3)


@pytest.mark.parametrize("kind", [RNNSequence, GRUSequence, LSTMSequence])
def test_recurrence(kind, monkeypatch):
    gates = {RNNSequence: 1, GRUSequence: 3, LSTMSequence: 4}[kind]
    states = 2 if kind is LSTMSequence else 1
    arrays = (
        array(4, 3, 5), 0.3 * array(5, gates * 6, seed=1), 0.3 * array(6, gates * 6, seed=2),
        *(array(gates * 6, seed=i) for i in (3, 4)), *(array(3, 6, seed=i) for i in range(states)),
    )  # fmt: skip
    agree(both(kind, *arrays, monkeypatch=monkeypatch, dtype=SHORT[0]), 2 * ONCE)


def test_without_instructions_they_are_float32s_kernels(without_instructions, monkeypatch):
    x, w, b = array(2, 5, 7, 7), array(4, 5, 3, 3, seed=1), array(4, seed=2)
    window = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    pair = both(partial(Convolution2d, *window), x, w, b, monkeypatch=monkeypatch, dtype=SHORT[0])
    agree(pair, ONCE)
    with monkeypatch.context() as patch:
        patch.setattr(product, "_WORTHWHILE", 0)
        agree(both(Matmul, x[0, 0], x[1, 0], monkeypatch=monkeypatch, dtype=SHORT[0]), ONCE)


@pytest.mark.parametrize(("dtype", "rtol"), [(None, 2e-4), (SHORT[0], ONCE)])
def test_large_weights_are_ordered_in_pieces(dtype, rtol, monkeypatch):
    x, w = array(2, 128, 5, 9), array(192, 128, 3, 3, seed=1)
    window = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    agree(both(partial(Convolution2d, *window), x, w, monkeypatch=monkeypatch, dtype=dtype), rtol)


@pytest.mark.parametrize("image", [4, 12])  # by a product, and by a convolution
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_gets_where_it_belongs(image, value, monkeypatch):
    x, w = array(1, 16, image, image), array(16, 16, 3, 3, seed=1)
    x[0, 0, 0, 0] = value
    window = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    pair = both(partial(Convolution2d, *window), x, w, monkeypatch=monkeypatch, dtype=SHORT[0])
    for one, other in zip(*pair, strict=True):
        np.testing.assert_array_equal(np.isfinite(np.float32(one)), np.isfinite(other))
    agree([[np.nan_to_num(np.float32(y)) for y in ys[:1]] for ys in pair], ONCE)


def test_the_weights_gradient_is_the_same_on_every_run():
    window = convolution.Window((1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    for size in (4, 16):
        x, dy = (array(6, 64, size, size, seed=i).astype(SHORT[0]) for i in (0, 1))
        run = jax.jit(
            lambda x, dy: convolution.weight_gradient(x, dy, (64, 64, 3, 3), True, window)
        )
        first = run(x, dy)
        for again in (run(x, dy) for _ in range(3)):
            jax.tree.map(np.testing.assert_array_equal, again, first)
