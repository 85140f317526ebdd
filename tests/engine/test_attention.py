"""Attention that does not keep all weights, natively and block by block, against all of them."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.formulas import array, built
from singa.engine import native
from singa.operation import ScaledDotProductAttention, attention_formulas

NATIVE, BLOCKS = "native", "blocks"
ways = pytest.mark.parametrize("way", [pytest.param(NATIVE, marks=built), BLOCKS])
# Around the widths of vector registers and the sizes of tiles: 24 and 96 queries, 128 keys.
lengths = st.sampled_from([1, 2, 5, 16, 24, 25, 97, 130, 200, 257])
sizes = st.sampled_from([1, 3, 8, 16, 17, 40, 64])


def in_numpy(causal, q, k, v, mask=None, factor=None, kept=None):
    """y, and a function of its gradient: the gradients of q, k, v and the mask, in float64."""
    q, k, v = (np.float64(x) for x in (q, k, v))
    factor = 1 / np.sqrt(q.shape[-1]) if factor is None else factor
    with np.errstate(invalid="ignore"):
        scores = q @ k.mT * factor
        if mask is not None:
            scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
        if causal:
            scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
        highest = scores.max(-1, keepdims=True)
        exp = np.exp(scores - np.where(highest == -np.inf, 0, highest))
        total = exp.sum(-1, keepdims=True)
        weights = exp / np.where(total == 0, 1, total)
        y = weights @ v

    def back(dy):
        with np.errstate(invalid="ignore"):
            dweights = np.float64(dy) @ v.mT
            dscores = weights * (dweights - (weights * dweights).sum(-1, keepdims=True))
            return (
                dscores @ k * factor, dscores.mT @ q * factor, weights.mT @ np.float64(dy), dscores,
            )  # fmt: skip

    return y, back


def summed(x, like):
    """Over the axes that have been broadcast."""
    x = x.sum(tuple(range(x.ndim - like.ndim)))
    axes = tuple(i for i, size in enumerate(like.shape) if size != x.shape[i])
    return x.sum(axes, keepdims=True)


@pytest.fixture(scope="module")
def monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def both_ways(operation, way, patch, *xs):
    """y and the gradients, by one way of computing them."""

    def run(*xs):
        fresh = operation.copy()
        y = fresh.forward(*xs)
        return y, [dx for dx in fresh.backward(jnp.cos(y)) if dx is not None]

    with patch.context() as here:
        if way != NATIVE:
            here.setattr(native, "available", False)
        if way == BLOCKS:
            here.setattr(attention_formulas, "_MANY", 0)
            here.setattr(attention_formulas, "_BLOCK", 64)
        lowered = jax.jit(run).lower(*xs)
    text = lowered.as_text()
    assert ("singa_attention_gradient" in text) == (way == NATIVE)
    assert way != BLOCKS or "while" in text
    y, dxs = lowered.compile()(*xs)
    return np.asarray(y), [np.asarray(dx) for dx in dxs]


def close(found, wanted, rtol=5e-6, terms=None, least=0.1):
    """Errors are relative to the largest number or sum of absolute terms; to ``least``, if less."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    terms = np.abs(wanted) if terms is None else terms
    scale = terms[np.isfinite(terms)].max(initial=least)
    np.testing.assert_allclose(found, wanted, rtol=rtol, atol=rtol * scale)


def agrees(way, patch, operation, q, k, v, *mask, rtol=5e-6):
    y, dxs = both_ways(operation, way, patch, q, k, v, *mask)
    wanted, back = in_numpy(operation.causal, q, k, v, *mask, factor=operation.scale)
    close(y, wanted, rtol)
    with np.errstate(invalid="ignore"):
        dy = np.cos(y)
    for x, dx, dwanted in zip((q, k, v, *mask), dxs, back(dy), strict=False):
        # A score's gradient is the difference of numbers around 1: that of a single key is 0.
        close(summed(dx, x), summed(dwanted, x), 4 * rtol, summed(np.abs(dwanted), x), least=1.0)


@st.composite
def inputs(draw):
    batch, heads = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    queries, keys, size, values = draw(lengths), draw(lengths), draw(sizes), draw(sizes)
    shared = draw(st.sampled_from([(batch, heads), (batch, 1), (1, 1), (heads,), (1, heads), ()]))
    qkv = [
        array(batch, heads, queries, size),
        array(*shared, keys, size, seed=1),
        array(*shared, keys, values, seed=2),
    ]
    full = (batch, heads, queries, keys)
    mask = draw(st.sampled_from([None, "bools", "floats"]))
    if mask is not None:
        shape = [size if draw(st.booleans()) else 1 for size in full][draw(st.integers(0, 2)) :]
        numbers = array(*shape, seed=3)
        qkv.append(numbers > 0 if mask == "bools" else numbers)
    return draw(st.booleans()), draw(st.sampled_from([None, 0.3])), qkv


@ways
@pytest.mark.slow
@settings(max_examples=6)
@given(drawn=inputs())
def test_it_is_the_formula(way, drawn, monkeypatch):
    causal, scale, xs = drawn
    assume(way == NATIVE or sum(x.size for x in xs) < 10**5)
    operation = ScaledDotProductAttention(causal, scale=scale, masked=len(xs) > 3)
    agrees(way, monkeypatch, operation, *xs)


@ways
def test_what_is_shared_out_among_threads_is_the_same_every_time(way, monkeypatch):
    """One head is cut into parts, and so are its gradients."""
    xs = [array(300, 16, seed=i) for i in range(3)]
    operation = ScaledDotProductAttention(causal=True)
    agrees(way, monkeypatch, operation, *xs)
    first, again = (both_ways(operation, way, monkeypatch, *xs)[1] for _ in "ab")
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)


@ways
@pytest.mark.parametrize("name", "qkv")
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_not_a_number_gets_where_it_gets_in_the_formula(way, name, number, monkeypatch):
    """What is hidden has the weight 0, and 0 times infinity is no number either."""
    xs = [array(2, 140, 5, seed=i) for i in range(3)]
    xs["qkv".index(name)][1, 130, 2] = number
    agrees(way, monkeypatch, ScaledDotProductAttention(causal=True), *xs)


@ways
def test_of_no_key_comes_0_and_large_scores_do_not_overflow(way, monkeypatch):
    q, k, v = (array(1, 70, 4, seed=i) for i in range(3))
    mask = array(1, 70, 70, seed=3) > 0
    mask[:, [0, 5, 69]] = False
    operation = ScaledDotProductAttention(scale=300.0, masked=True)
    # Scores of 1000 have errors of 1e-4, and their exponentials relative errors of that size.
    agrees(way, monkeypatch, operation, q, k, v, mask, rtol=2e-3)
    y, dxs = both_ways(operation, way, monkeypatch, q, k, v, mask)
    assert not y[:, [0, 5, 69]].any()
    assert not dxs[0][:, [0, 5, 69]].any()


@built
@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_dropout_draws_the_numbers_of_jax(ratio, monkeypatch):
    xs = [array(2, 3, 20, 4), array(2, 1, 37, 4, seed=1), array(2, 1, 37, 3, seed=2)]
    key = np.array([123, 4567], np.uint32)
    operation = ScaledDotProductAttention(dropout=ratio)
    ones, others = (both_ways(operation, way, monkeypatch, *xs, key) for way in (NATIVE, "all"))
    close(ones[0], others[0])
    for x, one, other in zip(xs, ones[1], others[1], strict=True):
        close(summed(one, x), summed(other, x), 2e-5)


@ways
def test_it_can_be_mapped_and_differentiated_twice(way, monkeypatch):
    xs = [array(2, 5, 3, seed=i) for i in range(3)]
    operation = ScaledDotProductAttention(causal=True)

    def slopes(*xs):
        def loss(*xs):
            fresh = operation.copy()
            dxs = fresh.backward(jnp.cos(fresh.forward(*xs)))
            return sum((dx**2).sum() for dx in dxs)

        return jax.grad(loss, (0, 1, 2))(*xs)

    found = []
    for chosen in (way, "all"):
        with monkeypatch.context() as patch:
            if chosen != NATIVE:
                patch.setattr(native, "available", False)
            if chosen == BLOCKS:
                patch.setattr(attention_formulas, "_MANY", 0)
            found.append(jax.jit(jax.vmap(slopes))(*xs))
    for one, other in zip(*map(jax.tree.leaves, found), strict=True):
        close(np.asarray(one), np.asarray(other), 1e-4)


@ways
def test_no_way_keeps_the_weights(way, monkeypatch):
    """Nor their gradients, if the mask that is added needs none."""
    heads, length = 4, 600
    qkv = jax.ShapeDtypeStruct((heads, length, 4), jnp.float32)
    mask = jax.ShapeDtypeStruct((length, length), jnp.float32)

    def step(*xs):
        fresh = ScaledDotProductAttention(causal=True, masked=True)
        return fresh.backward(fresh.forward(*xs))[:3]

    with monkeypatch.context() as patch:
        if way == BLOCKS:
            patch.setattr(native, "available", False)
            patch.setattr(attention_formulas, "_MANY", 0)
            patch.setattr(attention_formulas, "_BLOCK", 32)
        used = jax.jit(step).lower(*[qkv] * 3, mask).compile().memory_analysis()
    all_weights = heads * length * length * 4
    assert used.temp_size_in_bytes < all_weights * (0.05 if way == NATIVE else 0.9)


@built
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"q": (2, 3, 5, 3)}, "sizes differ"),
        ({"k": (2, 3, 7, 4)}, "sizes differ"),
        ({"k": (3, 7, 4)}, "numbers of axes"),
        ({"v": (2, 1, 6, 2)}, "heads of keys and values"),
        ({"k": (1, 3, 6, 4), "v": (1, 3, 6, 2)}, "heads of queries and keys"),
        ({"mask": (2, 3, 5, 7)}, "mask does not fit"),
        ({"kept": (1,), "key": (2,)}, "dropout"),
        ({"y": (2, 3, 5, 1)}, "another size"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_computed(change, words):
    shapes = {
        "q": (2, 3, 5, 4), "k": (2, 3, 6, 4), "v": (2, 3, 6, 2), "mask": (0,), "key": (0,),
        "kept": (0,), "y": (2, 3, 5, 2),
    } | change  # fmt: skip
    y = jax.ShapeDtypeStruct(shapes.pop("y"), jnp.float32)
    lse = jax.ShapeDtypeStruct((2, 3, 5), jnp.float32)
    call = jax.ffi.ffi_call("singa_attention", (y, lse))
    given = [
        np.zeros(shape, np.uint32 if name == "key" else np.float32)
        for name, shape in shapes.items()
    ]
    step = jax.jit(partial(call, factor=np.float32(1), causal=False))
    with pytest.raises(jax.errors.JaxRuntimeError, match=words):
        jax.block_until_ready(step(*given))
