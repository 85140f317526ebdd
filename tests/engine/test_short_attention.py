"""Attention of bfloat16, natively: with products of bfloat16, and without."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings

from engine.formulas import array, built
from engine.test_attention import NATIVE, both_ways, close, in_numpy, inputs, summed
from singa.engine import native
from singa.operation import ScaledDotProductAttention

pytestmark = built

HALF_A_UNIT = 2**-9  # of the largest numbers below a power of 2


@pytest.fixture(scope="module")
def monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def multiplying():
    """The kernel multiplies bfloat16 on any processor; it is only slower without instructions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "multiplies_bfloat16", True)
        yield


def short(*xs):
    return [jax.device_put(x.astype(jnp.bfloat16)) for x in xs]


def errors(way, patch, operation, *xs):
    """Root mean squares of the errors of y and the gradients of q, k and v, relative to these."""
    y, dxs = both_ways(operation, way, patch, *xs)
    wanted, back = in_numpy(operation.causal, *xs)
    pairs = [(np.float64(y), wanted)]
    for x, dx, dwanted in zip(xs, dxs, back(np.cos(np.float64(y))), strict=False):
        pairs.append((summed(np.float64(dx), x), summed(dwanted, x)))
    return [np.sqrt(((a - b) ** 2).mean() / (b**2).mean()) for a, b in pairs]


@pytest.mark.slow
@settings(max_examples=6)
@given(drawn=inputs())
def test_it_is_the_formula_in_float64(drawn, multiplying, monkeypatch):
    causal, scale, (q, k, v, *mask) = drawn
    q, k, v = short(q, k, v)
    operation = ScaledDotProductAttention(causal, scale=scale, masked=bool(mask))
    y, dxs = both_ways(operation, NATIVE, monkeypatch, q, k, v, *mask)
    wanted, back = in_numpy(causal, q, k, v, *mask, factor=scale)
    close(np.float64(y), wanted, 2 * HALF_A_UNIT)
    for x, dx, dwanted in zip((q, k, v), dxs, back(np.cos(np.float64(y))), strict=False):
        terms = summed(np.abs(dwanted), x)
        close(summed(np.float64(dx), x), summed(dwanted, x), 8 * HALF_A_UNIT, terms)


def test_its_errors_are_no_larger_than_those_of_the_formula(multiplying, monkeypatch):
    xs = short(array(2, 4, 150, 32), array(2, 2, 150, 32, seed=1), array(2, 2, 150, 32, seed=2))
    xs = [xs[0].reshape(2, 2, 2, 150, 32), *(x[:, :, None] for x in xs[1:])]
    operation = ScaledDotProductAttention(causal=True)
    found, formula = (errors(way, monkeypatch, operation, *xs) for way in (NATIVE, "all"))
    for one, other in zip(found, formula, strict=True):
        assert one < 1.1 * other < 5e-3


@pytest.mark.parametrize("instructions", [True, False])
def test_its_factors_are_bfloat16_where_the_processor_multiplies_these(instructions, monkeypatch):
    """Elsewhere they are float32, with the errors of a rounded result."""
    xs = short(*(array(2, 50, 8, seed=i) for i in range(3)))

    def step(*xs):
        fresh = ScaledDotProductAttention()
        y = fresh.forward(*xs)
        assert y.dtype == jnp.bfloat16
        return fresh.backward(y)

    with monkeypatch.context() as patch:
        patch.setattr(native, "multiplies_bfloat16", instructions)
        text = jax.jit(step).lower(*xs).as_text()
        found = errors(NATIVE, monkeypatch, ScaledDotProductAttention(), *xs)
    calls = [line for line in text.splitlines() if "@singa_attention" in line]
    assert len(calls) == 2
    factors = [4 if "gradient" in call else 3 for call in calls]  # q, k, v and there also dy
    for call, least in zip(calls, factors, strict=True):
        operands = call[call.index(" : (") : call.index(" -> ")]
        assert (operands.count("bf16") >= least) == instructions
    assert max(found) < 8 * HALF_A_UNIT


@pytest.mark.parametrize("name", "qkv")
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_not_a_number_gets_where_it_gets_in_the_formula(name, number, multiplying, monkeypatch):
    xs = [array(2, 140, 5, seed=i) for i in range(3)]
    xs["qkv".index(name)][1, 130, 2] = number
    xs = short(*xs)
    operation = ScaledDotProductAttention(causal=True)
    y, dxs = both_ways(operation, NATIVE, monkeypatch, *xs)
    wanted, back = in_numpy(True, *xs)
    with np.errstate(invalid="ignore"):
        dy = np.cos(np.float64(y))
    for found, other in zip((y, *dxs), (wanted, *back(dy)), strict=False):
        np.testing.assert_array_equal(np.isnan(np.float64(found)), np.isnan(other))


def test_of_no_key_comes_0_and_large_scores_do_not_overflow(multiplying, monkeypatch):
    q, k, v = short(*(array(1, 70, 4, seed=i) for i in range(3)))
    mask = array(1, 70, 70, seed=3) > 0
    mask[:, [0, 5, 69]] = False
    operation = ScaledDotProductAttention(scale=300.0, masked=True)
    y, dxs = both_ways(operation, NATIVE, monkeypatch, q, k, v, mask)
    wanted, _ = in_numpy(False, q, k, v, mask, factor=300.0)
    close(np.float64(y), wanted, 0.02)
    assert not y[:, [0, 5, 69]].any()
    assert not dxs[0][:, [0, 5, 69]].any()
    assert all(np.isfinite(np.float64(dx)).all() for dx in dxs)


@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_dropout_draws_the_numbers_of_jax(ratio, multiplying, monkeypatch):
    xs = short(array(2, 3, 20, 4), array(2, 1, 37, 4, seed=1), array(2, 1, 37, 3, seed=2))
    key = np.array([123, 4567], np.uint32)
    operation = ScaledDotProductAttention(dropout=ratio)
    ones, others = (both_ways(operation, way, monkeypatch, *xs, key) for way in (NATIVE, "all"))
    close(np.float64(ones[0]), np.float64(others[0]), 4 * HALF_A_UNIT)
    for x, one, other in zip(xs, ones[1], others[1], strict=True):
        one, other = (summed(np.float64(dx), x) for dx in (one, other))
        close(one, other, 16 * HALF_A_UNIT)


def test_it_is_the_same_every_time_and_mapped(multiplying, monkeypatch):
    """One head is cut into parts, and so are its gradients."""
    xs = short(*(array(300, 16, seed=i) for i in range(3)))
    operation = ScaledDotProductAttention(causal=True)
    y, dxs = both_ways(operation, NATIVE, monkeypatch, *xs)
    again, dxs_again = both_ways(operation, NATIVE, monkeypatch, *xs)
    np.testing.assert_array_equal(y, again)
    for one, other in zip(dxs, dxs_again, strict=True):
        np.testing.assert_array_equal(one, other)
    attend = partial(_y, operation)
    (mapped,) = jax.jit(jax.vmap(attend))(*(x[None] for x in xs))
    np.testing.assert_array_equal(np.asarray(mapped), y)


def _y(operation, *xs):
    return operation.copy().forward(*xs)


@pytest.mark.parametrize("odd", ["k", "y"])
def test_factors_of_other_types_are_refused(odd):
    dtypes = dict.fromkeys(("q", "k", "v", "y", "dy"), jnp.bfloat16) | {odd: jnp.float32}
    shapes = {"q": (2, 5, 4), "k": (2, 6, 4), "v": (2, 6, 2), "y": (2, 5, 2), "dy": (2, 5, 2)}
    xs = {name: np.zeros(shape, dtypes[name]) for name, shape in shapes.items()}
    empty = np.zeros(0, np.float32)
    hidden = empty, np.zeros(0, np.uint32), empty
    results = [jax.ShapeDtypeStruct(shapes[name], jnp.float32) for name in "qkv"]
    call = jax.ffi.ffi_call("singa_attention_gradient", results)
    step = jax.jit(partial(call, factor=np.float32(1), causal=False))
    lse = np.zeros((2, 5), np.float32)
    with pytest.raises(jax.errors.JaxRuntimeError, match="types differ"):
        jax.block_until_ready(step(xs["q"], xs["k"], xs["v"], *hidden, xs["y"], lse, xs["dy"]))
