"""The native product of matrices against NumPy's, and in the operations that use it."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.test_kernels import agree, array, both, built
from singa.engine import native
from singa.engine.native import product as kernels
from singa.operation import (
    Affine,
    Gemm,
    Matmul,
    ScaledDotProductAttention,
    SoftMaxCrossEntropy,
)
from singa.operation.products import product

pytestmark = pytest.mark.usefixtures("optimized")

# Around the widths of vector registers, and of what is cut into slices.
sizes = st.sampled_from([1, 2, 7, 16, 17, 64, 100])
batches = st.sampled_from([(), (1,), (3,), (2, 5)])


@pytest.fixture
def always(monkeypatch):
    """Whatever the size of the matrices."""
    monkeypatch.setattr(kernels, "_WORTHWHILE", 0)


def matrices(batch, m, k, n, transpose_a=False, transpose_b=False):
    a = array(*batch, *((k, m) if transpose_a else (m, k)))
    b = array(*batch, *((n, k) if transpose_b else (k, n)), seed=1)
    return a, b


def in_numpy(a, b, transpose_a=False, transpose_b=False):
    a, b = np.float64(a), np.float64(b)
    return (a.swapaxes(-1, -2) if transpose_a else a) @ (b.swapaxes(-1, -2) if transpose_b else b)


def close(y, wanted):
    np.testing.assert_allclose(y, wanted, rtol=2e-4, atol=1e-4)


@built
@settings(max_examples=25)
@given(batches, sizes, sizes, sizes, st.booleans(), st.booleans())
def test_it_is_numpys_product(batch, m, k, n, transpose_a, transpose_b):
    turns = transpose_a, transpose_b
    a, b = matrices(batch, m, k, n, *turns)
    close(kernels.product(a, b, *turns), in_numpy(a, b, *turns))


@built
@pytest.mark.parametrize(
    "shape", [((), 1024, 128, 512), ((), 65, 999, 3), ((), 3, 999, 1000), ((33,), 64, 32, 64)]
)
def test_what_is_shared_out_among_threads_is_the_same(shape):
    batch, m, k, n = shape
    for turns in ((False, False), (False, True), (True, False)):
        a, b = matrices(batch, m, k, n, *turns)
        y = kernels.product(a, b, *turns)
        close(y, in_numpy(a, b, *turns))
        for _ in range(3):
            np.testing.assert_array_equal(kernels.product(a, b, *turns), y)


@built
@pytest.mark.parametrize(
    ("m", "k", "n"), [(128, 1000, 512), (100, 3000, 1024), (512, 700, 20), (1100, 1100, 1024)]
)
def test_rows_that_are_half_a_page_apart_are_multiplied_as_any_others(m, k, n):
    for turns in ((False, False), (True, False), (True, True)):
        a, b = matrices((), m, k, n, *turns)
        y = kernels.product(a, b, *turns)
        close(y, in_numpy(a, b, *turns))
        np.testing.assert_array_equal(kernels.product(a, b, *turns), y)


def bounded(y, a, b, bias=0.0):
    """Each error is within the bound for sums in any order (Higham, 2002, 3.5)."""
    a, b, bias = (np.float64(x) for x in (a, b, bias))
    unit, terms = 2.0**-24, a.shape[-1] + 1
    most = terms * unit / (1 - terms * unit) * (np.abs(a) @ np.abs(b) + np.abs(bias))
    assert (np.abs(y - (a @ b + bias)) <= most).all()


# Around the widths of tiles and panels, and the sizes of the blocks that are copied.
@built
@settings(max_examples=25)
@given(
    st.sampled_from([64, 65, 193, 301, 400]),
    st.sampled_from([1, 7, 255, 768, 769, 1030]),
    st.sampled_from([64, 72, 201, 311, 500]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_errors_are_those_of_float32(m, k, n, transpose_a, transpose_b, has_bias):
    rng = np.random.default_rng(m + k + n)
    a, b, bias = (rng.normal(size=size).astype(np.float32) for size in ((m, k), (k, n), (n,)))
    with_bias = {"bias": jnp.asarray(bias)} if has_bias else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "_LARGE", 0)
        y = kernels.product(
            jnp.asarray(a.T if transpose_a else a),
            jnp.asarray(b.T if transpose_b else b),
            transpose_a,
            transpose_b,
            **with_bias,
        )
    bounded(np.float64(y), a, b, bias if has_bias else 0.0)


@built
@pytest.mark.parametrize("turns", [(False, False), (True, True)])
def test_products_of_many_blocks(turns):
    a, b = matrices((), 130, 800, 2100, *turns)
    y = np.float64(kernels.product(a, b, *turns))
    bounded(
        y, *(np.swapaxes(x, 0, 1) if turned else x for x, turned in zip((a, b), turns, strict=True))
    )


@built
@pytest.mark.parametrize("turns", [(False, False), (True, False), (False, True)])
def test_nan_and_infinity_reach_their_row_and_their_column_only(turns):
    a, b = (np.array(x) for x in matrices((), 305, 770, 203, *turns))
    usual = np.array(kernels.product(*map(jnp.asarray, (a, b)), *turns))
    rows, columns = a.T if turns[0] else a, b.T if turns[1] else b
    rows[304, 769], rows[3, 0], columns[769, 202] = np.nan, np.inf, -np.inf
    y = np.array(kernels.product(*map(jnp.asarray, (a, b)), *turns))
    assert np.isnan(y[304]).all()
    assert not np.isfinite(y[3]).any()
    assert not np.isfinite(y[:, 202]).any()
    others = np.ones(y.shape, bool)
    others[[3, 304]], others[:, 202] = False, False
    np.testing.assert_array_equal(y[others], usual[others])


@built
@pytest.mark.parametrize("large", [0, 2**62], ids=["in the product", "after it"])
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
def test_a_bias_is_added_to_each_row(large, dtype, monkeypatch):
    monkeypatch.setattr(kernels, "_LARGE", large)
    a, b, bias = array(3, 33, 20), array(3, 20, 50, seed=1), array(3, 50, seed=2)
    short = [jnp.asarray(x, dtype) for x in (a, b, bias)]
    exact = [np.float64(x) for x in short]
    wanted = exact[0] @ exact[1]
    is_short = dtype != jnp.float32  # rounded twice, if the bias is added afterwards
    tolerance = {"rtol": 2**-7, "atol": 0.05} if is_short else {"rtol": 2e-5, "atol": 2e-5}

    def added(a, b, bias):
        return kernels.product(a, b, bias=bias)

    one = jax.jit(added)(*short[:2], short[2][0])
    assert one.dtype == dtype
    np.testing.assert_allclose(np.float64(one), wanted + exact[2][0], **tolerance)
    each = jax.jit(jax.vmap(added))(*short)
    np.testing.assert_allclose(np.float64(each), wanted + exact[2][:, None], **tolerance)


@built
def test_logits_and_their_gradient_are_all_of_their_shape(monkeypatch):
    """Neither the product without the bias is kept nor the largest logits, repeated for each."""
    monkeypatch.setattr(kernels, "_LARGE", 0)

    def step(x, w, b, t):
        affine, loss = Affine(), SoftMaxCrossEntropy()
        y = loss.forward(affine.forward(x, w, b), t)
        return y, affine.backward(loss.backward(jnp.ones_like(y))[0])

    sizes = [jax.ShapeDtypeStruct(size, jnp.float32) for size in ((256, 64), (64, 2048), (2048,))]
    ids = jax.ShapeDtypeStruct((256,), jnp.int32)
    _, main = jax.jit(step).lower(*sizes, ids).compile().as_text().split("\nENTRY ")
    assert len(re.findall(r" = f32\[256,2048\]", main)) == 2


@built
def test_a_sum_of_nothing_is_0():
    y = kernels.product(jnp.zeros((3, 0), jnp.float32), jnp.zeros((0, 2), jnp.float32))
    np.testing.assert_array_equal(y, np.zeros((3, 2)))


@built
@pytest.mark.parametrize(
    ("make", "shapes"),
    [
        (Matmul, [(5, 7), (7, 3)]),
        (Matmul, [(4, 5, 7), (4, 7, 3)]),
        (Matmul, [(4, 5, 7), (7, 3)]),
        (Affine, [(2, 5, 7), (7, 3), (3,)]),
        (partial(Gemm, 0.5, 2.0), [(5, 7), (7, 3), (3,)]),
        (partial(Gemm, transA=True), [(7, 5), (7, 3)]),
        (partial(Gemm, transB=True), [(5, 7), (3, 7)]),
        (partial(Gemm, transA=True, transB=True), [(7, 5), (3, 7)]),
        (ScaledDotProductAttention, [(2, 3, 5, 4), (2, 3, 6, 4), (2, 3, 6, 7)]),
    ],
)
def test_operations_are_the_same_with_it_and_without(make, shapes, monkeypatch, always):
    arrays = [array(*shape, seed=i) for i, shape in enumerate(shapes)]
    agree(both(make, *arrays, monkeypatch=monkeypatch))


@built
def test_batches_that_broadcast_take_the_formula(always):
    a, b = array(4, 1, 5, 7), array(3, 7, 2, seed=1)
    assert "singa_product" not in jax.jit(product).lower(a, b).as_text()
    close(product(a, b), in_numpy(a, b))


@built
def test_it_is_for_one_float_type_and_for_matrices_that_are_worth_it(monkeypatch):
    large, small = jnp.zeros((1024, 1024), jnp.float32), jnp.zeros((8, 8), jnp.float32)
    assert kernels.supports(large, large, False)
    assert not kernels.supports(small, small, False)
    short = large.astype(jnp.bfloat16)
    assert kernels.supports(short, short, False)
    assert not kernels.supports(short, large, False)
    assert not kernels.supports(*[large.astype(jnp.float64)] * 2, False)
    assert not kernels.supports(large[:0], large, False)
    monkeypatch.setattr(native, "available", False)
    assert not kernels.supports(large, large, False)


@built
def test_it_can_be_mapped_and_differentiated_twice(always):
    a, b = array(5, 6, 7), array(7, 3, seed=1)
    close(jax.vmap(product, (0, None))(a, b), in_numpy(a, b))

    def penalty(multiply, a, b):
        def loss(a, b):
            return jnp.tanh(multiply(a, b)).sum()

        return (jax.grad(loss)(a, b) ** 2).sum()

    ours = jax.grad(partial(penalty, product))(a[0], b)
    close(ours, jax.grad(partial(penalty, jnp.matmul))(a[0], b))


@built
@pytest.mark.parametrize(
    ("a", "b", "y", "words"),
    [
        ((2, 3), (4, 5), (2, 5), "do not fit together"),
        ((2, 3), (3, 5), (2, 4), "another size"),
        ((2, 2, 3), (1, 3, 5), (2, 2, 5), "batches differ"),
        ((3,), (3, 5), (5,), "two axes"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_computed(a, b, y, words):
    call = jax.ffi.ffi_call("singa_product", jax.ShapeDtypeStruct(y, jnp.float32))
    multiply = jax.jit(partial(call, transpose_a=False, transpose_b=False))
    with pytest.raises(jax.errors.JaxRuntimeError, match=words):
        jax.block_until_ready(multiply(array(*a), array(*b)))


@built
@pytest.mark.parametrize(
    ("biases", "words"),
    [
        ([(4,)], "bias is of another size"),
        ([(5,), (5,)], "more than one bias"),
    ],
)
def test_a_bias_that_does_not_fit_is_refused(biases, words):
    call = jax.ffi.ffi_call("singa_product", jax.ShapeDtypeStruct((2, 5), jnp.float32))
    multiply = jax.jit(partial(call, transpose_a=False, transpose_b=False))
    with pytest.raises(jax.errors.JaxRuntimeError, match=words):
        jax.block_until_ready(multiply(array(2, 3), array(3, 5), *(array(*b) for b in biases)))
