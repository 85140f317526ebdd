"""Operations over shapes and configurations that Hypothesis draws."""

from zlib import crc32

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from singa import autograd
from singa.graph import Steps
from singa.tensor import Tensor

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


def computed(ours, params):
    y = ours(*params)
    found = autograd.gradients(y, array(y.shape, 1))
    return y, [found[p] for p in params]


def derived(plain, arrays):
    y, pullback = jax.vjp(plain, *arrays)
    return y, pullback(jnp.asarray(array(y.shape, 1)))


def agree(cases):
    """Values and all gradients are those of the plain formula: ``(ours, plain, *arrays)`` each.

    Ours are computed in one step, which is compiled sooner than a kernel for each operation; and
    eagerly for some of the shapes.
    """
    ours, plain, arrays = zip(*((a, b, xs) for a, b, *xs in cases), strict=True)
    params = [[Tensor(data=x, stores_grad=True) for x in xs] for xs in arrays]
    eager = {
        i: computed(ours[i], params[i])
        for i, xs in enumerate(arrays)
        if crc32(repr([x.shape for x in xs]).encode()) % 5 == 0
    }
    rest = [i for i in range(len(arrays)) if i not in eager]

    def step(params):
        return [computed(ours[i], params[i]) for i in rest]

    in_step = dict(zip(rest, Steps()(step, (params,), {}, False) if rest else [], strict=True))
    right = jax.jit(lambda all_: [derived(*one) for one in zip(plain, all_, strict=True)])(arrays)
    for i, (expected, slopes) in enumerate(right):
        y, found = (eager | in_step)[i]
        np.testing.assert_allclose(y, expected, rtol=1e-9, atol=1e-12)
        assert y.shape == expected.shape
        for dx, e in zip(found, slopes, strict=True):
            np.testing.assert_allclose(dx, e, rtol=1e-9, atol=1e-10)


def drawn(together, examples):
    """A test that draws cases for ``agree``: so many times together, for each program compiled."""

    def decorate(draw):
        def test(data):
            agree([case for _ in range(together) for case in draw(data)])

        test.__name__ = draw.__name__
        return settings(max_examples=examples)(given(st.data())(test))

    return decorate


few = drawn(together=4, examples=4)  # the first example has the smallest shapes of all
fewer = drawn(together=3, examples=3)


@st.composite
def broadcastable(draw):
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    other = [draw(st.sampled_from([size, 1])) for size in shape]
    other = other[draw(st.integers(0, len(other))) :]
    pair = [tuple(shape), tuple(other)]
    return pair if draw(st.booleans()) else pair[::-1]


@pytest.mark.slow
@few
def test_arithmetic_broadcasts(data):
    shapes = data.draw(broadcastable())
    yield lambda a, b: a * b - b, lambda a, b: a * b - b, *map(array, shapes)


@pytest.mark.slow
@fewer
def test_choices_broadcast(data):
    shapes = data.draw(broadcastable())
    a, b = array(shapes[0]), array(shapes[1], 2) + 1e-3  # no ties
    whole = np.broadcast_shapes(*shapes)
    cut = data.draw(st.integers(0, len(whole)))
    mask = array(whole[cut:], 3) > 0
    yield (
        lambda a, b: autograd.where(autograd.max(a, b), autograd.min(a, b, a), mask),
        lambda a, b: jnp.where(mask, jnp.maximum(a, b), jnp.minimum(a, b)), a, b,
    )  # fmt: skip
    yield lambda a, b: autograd.mean(a, b, a), lambda a, b: (a + b + a) / 3, a, b


@few
def test_matmul_follows_numpy_for_all_ranks(data):
    m, k, n = (data.draw(sizes) for _ in range(3))
    lead = data.draw(st.lists(st.integers(1, 2), max_size=2))
    a = data.draw(st.sampled_from([(k,), (m, k), (*lead, m, k)]))
    b = data.draw(st.sampled_from([(k,), (k, n), (*lead[1:], k, n), (1, k, n)]))
    yield autograd.matmul, jnp.matmul, array(a), array(b, 2)


@fewer
def test_pooling_over_one_and_three_axes(data):
    rank = data.draw(st.sampled_from([1, 3]))
    window, stride = (tuple(data.draw(st.integers(1, 2)) for _ in range(rank)) for _ in range(2))
    shape = (2, 1, *(data.draw(st.integers(2, 4)) for _ in range(rank)))
    full = (1, 1, *window), (1, 1, *stride), "VALID"
    largest, mean = {
        1: (autograd.max_pool_1d, autograd.avg_pool_1d),
        3: (autograd.max_pool_3d, autograd.avg_pool_3d),
    }[rank]
    yield (
        lambda x: largest(x, window, stride),
        lambda x: jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *full), array(shape),
    )  # fmt: skip
    yield (
        lambda x: mean(x, window, stride),
        lambda x: jax.lax.reduce_window(x, 0.0, jax.lax.add, *full) / np.prod(window), array(shape),
    )  # fmt: skip


@pytest.mark.slow
@fewer
def test_resizing_and_adaptive_pooling_to_any_size(data):
    rank = data.draw(st.integers(1, 2))
    shape = (1, 2, *(data.draw(st.integers(1, 7)) for _ in range(rank)))
    size = tuple(data.draw(st.integers(1, 7)) for _ in range(rank))
    yield (
        lambda x: autograd.resize(x, size, "linear"),
        lambda x: jax.image.resize(x, (1, 2, *size), "linear", antialias=False), array(shape),
    )  # fmt: skip

    def nearest(x):
        for axis, (m, n) in enumerate(zip(size, shape[2:], strict=True), 2):
            x = jnp.take(x, np.array([(2 * i + 1) * n // (2 * m) for i in range(m)]), axis)
        return x

    yield lambda x: autograd.resize(x, size), nearest, array(shape)

    def pooled(x, function):
        for axis, (m, n) in enumerate(zip(size, shape[2:], strict=True), 2):
            bins = [np.arange(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
            x = jnp.stack([function(jnp.take(x, b, axis), axis) for b in bins], axis)
        return x

    yield (
        lambda x: autograd.adaptive_avg_pool(x, size),
        lambda x: pooled(x, jnp.mean),
        array(shape),
    )
    yield (
        lambda x: autograd.adaptive_max_pool(x, size),
        lambda x: pooled(x, jnp.max),
        array(shape),
    )


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


@pytest.mark.slow
@fewer
def test_pooling_for_any_window_stride_and_padding(data):
    drawn = data.draw(windows())
    shape, window, stride, pads = drawn
    full = (1, 1, *window), (1, 1, *stride), ((0, 0), (0, 0), pads[:2], pads[2:])

    def largest(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, *full)

    def mean(x):
        total = jax.lax.reduce_window(x, 0.0, jax.lax.add, *full)
        return total / jax.lax.reduce_window(jnp.ones_like(x), 0.0, jax.lax.add, *full)

    yield lambda x: autograd.max_pool_2d(x, window, stride, pads), largest, array(shape)
    yield lambda x: autograd.avg_pool_2d(x, window, stride, pads), mean, array(shape)


@pytest.mark.slow
@fewer
def test_reductions_over_any_axes(data):
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=4)))
    n = len(shape)
    some = st.lists(st.integers(0, n - 1), min_size=1, unique=True).map(tuple)
    axes = data.draw(st.none() | some)
    if axes:
        axes = tuple(axis - n if data.draw(st.booleans()) else axis for axis in axes)
    keep = data.draw(st.booleans())
    pairs = (
        (autograd.reduce_sum, jnp.sum), (autograd.reduce_mean, jnp.mean),
        (autograd.reduce_prod, jnp.prod), (autograd.reduce_max, jnp.max),
        (autograd.var, jnp.var), (autograd.logsumexp, jax.nn.logsumexp),
    )  # fmt: skip
    # Each reduction has an input of its own, and so gradients of its own.
    yield (
        lambda *xs: autograd.stack([f(x, axes, keep) for (f, _), x in zip(pairs, xs, strict=True)]),
        lambda *xs: jnp.stack(
            [f(x, axis=axes, keepdims=keep) for (_, f), x in zip(pairs, xs, strict=True)]
        ),
        *(array(shape, seed) for seed in range(len(pairs))),
    )


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


@settings(max_examples=25)
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
def test_slices_are_pythons_for_any_bounds_and_steps(data):
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=3)))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    bounds = st.integers(-6, 6)
    starts, ends = ([data.draw(bounds) for _ in axes] for _ in range(2))
    steps = [data.draw(bounds.filter(bool)) for _ in axes]
    index = [slice(None)] * len(shape)
    for axis, *parts in zip(axes, starts, ends, steps, strict=True):
        index[axis] = slice(*parts)
    yield (
        lambda x: autograd.slice(x, starts, ends, axes, steps),
        lambda x: x[tuple(index)], array(shape),
    )  # fmt: skip


@pytest.mark.slow
@fewer
def test_elements_are_gathered_and_scattered_along_any_axis(data):
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=3)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = shape[axis]
    places = array(shape).argsort(axis).astype(np.int32)  # each once
    signed = places - size * data.draw(st.integers(0, 1))
    yield (
        lambda x: autograd.gather_elements(x, signed, axis),
        lambda x: jnp.take_along_axis(x, places, axis), array(shape),
    )  # fmt: skip
    yield (
        lambda x, updates: autograd.scatter_elements(x, signed, updates, axis),
        lambda x, updates: jnp.put_along_axis(x, places, updates, axis, inplace=False),
        array(shape), array(shape, 1),
    )  # fmt: skip
    some = data.draw(st.lists(st.integers(-size, size - 1), min_size=1, max_size=4))
    yield (
        lambda x: autograd.gather(x, axis, some),
        lambda x: jnp.take(x, np.array(some) % size, axis), array(shape),
    )  # fmt: skip


@few
def test_joining_and_arranging_is_numpys(data):
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=3)))
    n = len(shape)
    axis = data.draw(st.integers(-n, n - 1))
    mode = data.draw(st.sampled_from(["constant", "reflect", "edge", "wrap"]))
    most = min(shape) - 1 if mode == "reflect" else 2
    pads = [data.draw(st.integers(0, most)) for _ in range(2 * n)]
    counts = data.draw(st.lists(st.integers(0, 2), min_size=shape[axis], max_size=shape[axis]))
    tiles = data.draw(st.lists(st.integers(1, 2), min_size=1, max_size=4))
    shift = data.draw(st.integers(-5, 5))
    ours, plain = data.draw(st.sampled_from([
        (lambda x: autograd.pad(x, mode, pads),
         lambda x: jnp.pad(x, list(zip(pads[:n], pads[n:], strict=True)), mode)),
        (lambda x: autograd.repeat(x, counts, axis),
         lambda x: jnp.repeat(x, np.array(counts), axis)),
        (lambda x: autograd.repeat(x, 2, axis), lambda x: jnp.repeat(x, 2, axis)),
        (lambda x: autograd.tile(x, tiles), lambda x: jnp.tile(x, tiles)),
        (lambda x: autograd.flip(x, axis), lambda x: jnp.flip(x, axis)),
        (lambda x: autograd.roll(x, shift, axis), lambda x: jnp.roll(x, shift, axis)),
        (lambda x: autograd.moveaxis(x, axis, -1), lambda x: jnp.moveaxis(x, axis, -1)),
        (lambda x: autograd.moveaxis(x, (0, axis % n or -1)[: min(n, 2)], range(min(n, 2))),
         lambda x: jnp.moveaxis(x, (0, axis % n or -1)[: min(n, 2)], range(min(n, 2)))),
        (lambda x: autograd.swapaxes(x, axis, 0), lambda x: jnp.swapaxes(x, axis, 0)),
        (lambda x: autograd.expand(x, (2, *[-1] * n)), lambda x: jnp.stack((x, x))),
        (lambda x: autograd.diagonal(autograd.stack((x, x, x)), shift, axis % n + 1, 0),
         lambda x: jnp.diagonal(jnp.stack((x, x, x)), shift, axis % n + 1, 0)),
        (lambda x: autograd.hstack((x, x)), lambda x: jnp.hstack((x, x))),
        (lambda x: autograd.vstack((x, x)), lambda x: jnp.vstack((x, x))),
        (lambda x: autograd.kron(x, x[0]), lambda x: jnp.kron(x, x[0])),
        (lambda x: autograd.take_along_axis(x, np.zeros((1,) * n, int), axis),
         lambda x: jnp.take(x, np.array([0]), axis)),
        (lambda x: autograd.stack((x, x), axis), lambda x: jnp.stack((x, x), axis)),
        (lambda x: autograd.squeeze(autograd.unsqueeze(x, axis), axis), lambda x: x),
    ]))  # fmt: skip
    yield ours, plain, array(shape)


@few
def test_expanding_broadcasts_both_ways(data):
    shapes = data.draw(broadcastable())
    one, other = shapes
    yield (
        lambda x: autograd.expand(x, other),
        lambda x: jnp.broadcast_to(x, np.broadcast_shapes(one, other)), array(one),
    )  # fmt: skip


def standard(x, axes):
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 0.1)


@fewer
def test_norms_over_any_trailing_axes(data):
    lead, features = (tuple(data.draw(st.lists(sizes, min_size=1, max_size=2))) for _ in range(2))
    axes = tuple(range(-len(features), 0))
    x, scale, bias = array(lead + features), array(features, 1), array(features, 2)
    yield (
        lambda *xs: autograd.layer_norm(*xs, epsilon=0.1),
        lambda x, scale, bias: standard(x, axes) * scale + bias, x, scale, bias,
    )  # fmt: skip
    yield (
        lambda *xs: autograd.rms_norm(*xs, epsilon=0.1),
        lambda x, scale: x / jnp.sqrt((x * x).mean(axes, keepdims=True) + 0.1) * scale, x, scale,
    )  # fmt: skip


@fewer
def test_norms_over_any_groups_and_space(data):
    groups, space = data.draw(sizes), data.draw(st.lists(sizes, max_size=2))
    shape = (2, 2 * groups, *space)
    wide = (slice(None), *[None] * len(space))

    def grouped(x, scale, bias):
        y = standard(x.reshape(2, groups, -1), 2).reshape(shape)
        return y * scale[wide] + bias[wide]

    yield (
        lambda x, *vectors: autograd.group_norm(x, groups, *vectors, epsilon=0.1),
        grouped, array(shape), array(shape[1:2], 1), array(shape[1:2], 2),
    )  # fmt: skip


@pytest.mark.slow
@few
def test_cat_and_reshape_and_transpose(data):
    shape = tuple(data.draw(st.lists(sizes, min_size=1, max_size=3)))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    order = tuple(data.draw(st.permutations(range(len(shape)))))
    yield (
        lambda a, b: autograd.cat((a, b, a), axis).transpose(),
        lambda a, b: jnp.concatenate((a, b, a), axis).transpose(), array(shape), array(shape, 1),
    )  # fmt: skip
    yield (
        lambda x: autograd.reshape(autograd.transpose(x, order), (-1,)),
        lambda x: x.transpose(order).reshape(-1), array(shape),
    )  # fmt: skip
