"""Operations over shapes and configurations that Hypothesis draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from singa import autograd
from singa.tensor import Tensor

few = settings(max_examples=25)
sizes = st.integers(1, 4)


@pytest.fixture(autouse=True, scope="module")
def _recording():
    autograd.training = True
    yield
    autograd.training = False


def array(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.permutation(np.linspace(-1, 1, max(int(np.prod(shape)), 1)))[
        : int(np.prod(shape))
    ].reshape(shape)


def agrees(ours, plain, *arrays):
    """Values and all gradients are those of the plain formula."""
    params = [Tensor(data=a, stores_grad=True) for a in arrays]
    y = ours(*params)
    expected, pullback = jax.vjp(plain, *map(jnp.asarray, arrays))
    np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
    assert y.shape == expected.shape
    dy = jnp.asarray(array(y.shape, 1))
    found = autograd.gradients(y, dy)
    for p, e in zip(params, pullback(dy), strict=True):
        np.testing.assert_allclose(found[p], e, rtol=1e-9, atol=1e-10)


@st.composite
def broadcastable(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    other = [draw(st.sampled_from([size, 1])) for size in shape]
    other = other[draw(st.integers(0, len(other))) :]
    pair = [tuple(shape), tuple(other)]
    return pair if draw(st.booleans()) else pair[::-1]


@few
@given(broadcastable())
def test_arithmetic_broadcasts(shapes):
    agrees(lambda a, b: a * b - b, lambda a, b: a * b - b, *map(array, shapes))


@few
@given(broadcastable(), st.data())
def test_choices_broadcast(shapes, data):
    a, b = array(shapes[0]), array(shapes[1], 2) + 1e-3  # no ties
    whole = np.broadcast_shapes(*shapes)
    cut = data.draw(st.integers(0, len(whole)))
    mask = array(whole[cut:], 3) > 0
    agrees(
        lambda a, b: autograd.where(autograd.max(a, b), autograd.min(a, b, a), mask),
        lambda a, b: jnp.where(mask, jnp.maximum(a, b), jnp.minimum(a, b)), a, b,
    )  # fmt: skip
    agrees(lambda a, b: autograd.mean(a, b, a), lambda a, b: (a + b + a) / 3, a, b)


@few
@given(st.data())
def test_matmul_follows_numpy_for_all_ranks(data):
    m, k, n = (data.draw(sizes) for _ in range(3))
    lead = data.draw(st.lists(st.integers(1, 2), max_size=2))
    a = data.draw(st.sampled_from([(k,), (m, k), (*lead, m, k)]))
    b = data.draw(st.sampled_from([(k,), (k, n), (*lead[1:], k, n), (1, k, n)]))
    agrees(autograd.matmul, jnp.matmul, array(a), array(b, 2))


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    kernel, stride, dilation = ([draw(st.integers(1, 3)) for _ in "hw"] for _ in range(3))
    pads = [draw(st.integers(0, 2)) for _ in range(4)]
    size = [draw(st.integers(1, 7)) for _ in "hw"]
    for i in (0, 1):
        assume(size[i] + pads[2 * i] + pads[2 * i + 1] > dilation[i] * (kernel[i] - 1))
    x = (draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)), *size)
    w = (groups * draw(st.integers(1, 2)), x[1] // groups, *kernel)
    return x, w, tuple(stride), tuple(pads), tuple(dilation), groups


@settings(max_examples=40)
@given(convolutions())
def test_conv2d_for_any_stride_padding_dilation_and_groups(drawn):
    x, w, stride, pads, dilation, groups = drawn

    def plain(x, w):
        return jax.lax.conv_general_dilated(
            x, w, stride, (pads[:2], pads[2:]), rhs_dilation=dilation, feature_group_count=groups
        )

    agrees(
        lambda x, w: autograd.conv2d(x, w, None, stride, pads, dilation, groups),
        plain, array(x), array(w, 2),
    )  # fmt: skip


@st.composite
def windows(draw):
    window, stride = ([draw(st.integers(1, 4)) for _ in "hw"] for _ in range(2))
    pads = [draw(st.integers(0, window[i // 2] - 1)) for i in range(4)]
    size = [draw(st.integers(1, 7)) for _ in "hw"]
    for i in (0, 1):
        assume(size[i] + pads[2 * i] + pads[2 * i + 1] >= window[i])
        # A window that reaches past the far padding's start sees at least one element.
        outs = (size[i] + pads[2 * i] + pads[2 * i + 1] - window[i]) // stride[i]
        assume(outs * stride[i] - pads[2 * i] < size[i])
    return (2, 2, *size), tuple(window), tuple(stride), tuple(pads)


@few
@given(windows())
def test_pooling_for_any_window_stride_and_padding(drawn):
    shape, window, stride, pads = drawn
    full = (1, 1, *window), (1, 1, *stride), ((0, 0), (0, 0), pads[:2], pads[2:])

    def largest(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *full)

    def mean(x):
        total = jax.lax.reduce_window(x, 0.0, jax.lax.add, *full)
        return total / jax.lax.reduce_window(jnp.ones_like(x), 0.0, jax.lax.add, *full)

    agrees(lambda x: autograd.max_pool_2d(x, window, stride, pads), largest, array(shape))
    agrees(lambda x: autograd.avg_pool_2d(x, window, stride, pads), mean, array(shape))


@few
@given(st.data())
def test_reductions_over_any_axes(data):
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=4)))
    n = len(shape)
    axes = data.draw(st.none() | st.lists(st.integers(0, n - 1), unique=True).map(tuple))
    if axes:
        axes = tuple(axis - n if data.draw(st.booleans()) else axis for axis in axes)
    keep = data.draw(st.booleans())
    for ours, plain in (
        (autograd.reduce_sum, jnp.sum), (autograd.reduce_mean, jnp.mean),
        (autograd.reduce_prod, jnp.prod), (autograd.reduce_max, jnp.max),
        (autograd.var, jnp.var), (autograd.logsumexp, jax.nn.logsumexp),
    ):  # fmt: skip
        agrees(
            lambda x, f=ours: f(x, axes, keep),
            lambda x, f=plain: f(x, axis=axes, keepdims=keep), array(shape),
        )  # fmt: skip


@st.composite
def indices(draw):
    shape = (4, 3, 2)
    parts = []
    for size in shape[: draw(st.integers(0, 3))]:
        parts.append(
            draw(
                st.integers(-size, size - 1)
                | st.slices(size)
                | st.just(slice(None))
                | st.lists(st.integers(-size, size - 1), min_size=2, max_size=2).map(np.array)
            )
        )
    for extra in draw(st.sampled_from([[], [None], [Ellipsis], [Ellipsis, None]])):
        parts.insert(draw(st.integers(0, len(parts))), extra)
    try:
        np.empty(shape)[tuple(parts)]
    except IndexError:  # behind an Ellipsis the axes are others
        assume(False)
    return shape, tuple(parts)


@settings(max_examples=60)
@given(indices())
def test_indexing_is_numpys(drawn):
    shape, index = drawn
    values = array(shape)
    x = Tensor(data=values, stores_grad=True)
    y = x[index]
    np.testing.assert_array_equal(y, values[index])
    if y.size():
        dy = array(y.shape, 1)
        expected = np.zeros(shape)
        np.add.at(expected, index, dy)
        np.testing.assert_allclose(autograd.gradients(y, dy)[x], expected)


@few
@given(st.data())
def test_cat_and_reshape_and_transpose(data):
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=3)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    agrees(
        lambda a, b: autograd.cat((a, b, a), axis).transpose(),
        lambda a, b: jnp.concatenate((a, b, a), axis).transpose(), array(shape), array(shape, 1),
    )  # fmt: skip
    agrees(
        lambda x: autograd.reshape(autograd.transpose(x, order), (-1,)),
        lambda x: x.transpose(order).reshape(-1), array(shape),
    )  # fmt: skip
