"""Class ids, lengths and indices of every integer type give the same results as int32."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalogue.tensors import gradient, param
from singa import autograd, layer, metric
from singa.errors import DTypeError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor

TYPES = (np.int8, np.uint8, np.int16, np.int64)
# Axes that are longer than what the type can hold, or shorter. Each pair is compiled.
SIZES = ((np.int8, 200), (np.uint8, 300), (np.int16, 200), (np.int64, 200))

pytestmark = pytest.mark.usefixtures("recording")


def ints(values, dtype):
    return Tensor(data=np.array(values, dtype))


def embedded(x, i):
    words = layer.Embedding(*x.shape)
    words.W = x
    return words(i)


def aligned(x, i):
    log_p = autograd.log_softmax(x.T()).reshape((2, 1, -1))
    lengths = (ints([length], i.dtype) for length in (2, 1))  # what is behind is ignored
    return autograd.ctc_loss(log_p, i.reshape((1, 2)), *lengths, blank=2)


# Functions of a matrix and of two integers: indices of rows, any that their type has.
INDEXED = {
    "getitem": lambda x, i: x[i],
    "getitem beside others": lambda x, i: x[None, i, 0],
    "getitem of one": lambda x, i: x[..., i[0], 1:],
    "setitem": lambda x, i: autograd.setitem(x, i, x[:2] * 3.0),
    "gather": lambda x, i: autograd.gather(x, 0, i),
    "gather_elements": lambda x, i: autograd.gather_elements(x, i.reshape((2, 1))),
    "scatter_elements": lambda x, i: autograd.scatter_elements(x, i.reshape((2, 1)), x[:2, :1]),
    "onehot": lambda x, i: autograd.onehot(-1, i, len(x)) @ x,
}

# The same of ids: of rows of a table, and of classes in columns of logits.
CLASSIFYING = {
    "embedding": lambda x, i: autograd.embedding(i, x),
    "Embedding": embedded,
    "softmax_cross_entropy": lambda x, i: autograd.softmax_cross_entropy(x.T(), i),
    "cross_entropy": lambda x, i: autograd.cross_entropy(x.T(), i.reshape((2, 1))),
    "nll_loss, weighted": lambda x, i: autograd.nll_loss(x.T(), i, Tensor(data=x.to_numpy()[:, 0])),
    "smoothed": lambda x, i: autograd.softmax_cross_entropy(x.T(), i, None, -100, 0.1),
    "one ignored": lambda x, i: autograd.softmax_cross_entropy(x.T(), i, ignore_index=np.int64(2)),
    "ctc_loss": aligned,
}


# All with int8, and with one of the other types by turns.
PAIRS = [
    (name, *pair)
    for k, name in enumerate([*INDEXED, *CLASSIFYING])
    for pair in (SIZES[0], SIZES[1 + k % 3])
]


@settings(max_examples=6, deadline=None)
@given(st.data())
@pytest.mark.parametrize(("name", "dtype", "size"), PAIRS)
def test_shorter_integers_do_what_int32_does(name, dtype, size, data):
    function = (INDEXED | CLASSIFYING)[name]
    info = np.iinfo(dtype)
    least, most = (0, size - 1) if name in CLASSIFYING else (-1000, 1000)
    numbers = st.integers(max(least, info.min), min(most, info.max))
    i = data.draw(st.lists(numbers, min_size=2, max_size=2))
    x = param(np.random.default_rng(size).uniform(0.1, 0.9, (size, 2)))
    found, expected = (function(x, ints(i, kind)) for kind in (dtype, np.int32))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(gradient(found, x)[0], gradient(expected, x)[0])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(-(2**40), 2**40) | st.integers(-5, 5), min_size=4, max_size=4),
    st.sampled_from(["getitem", "gather", "gather_elements"]),
)
def test_a_clamped_index_gives_its_gradient_to_what_was_read(i, name):
    x = param([10.0, 20.0, 30.0])
    indices = ints(i, np.int64)
    y = {
        "getitem": lambda: x[indices],
        "gather": lambda: autograd.gather(x, 0, indices),
        "gather_elements": lambda: autograd.gather_elements(x, indices),
    }[name]()
    places = [min(max(k + 3 if k < 0 else k, 0), 2) for k in i]
    np.testing.assert_array_equal(y.to_numpy().ravel(), np.array([10, 20, 30])[places])
    np.testing.assert_array_equal(gradient(y, x)[0].ravel(), np.bincount(places, minlength=3))
    one = x[indices[0]]  # a single integer takes another way
    np.testing.assert_array_equal(one.to_numpy().ravel(), [10 * (places[0] + 1)])
    np.testing.assert_array_equal(gradient(one, x)[0].ravel(), np.eye(3)[places[0]])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-9, 9), min_size=5, max_size=5))
def test_of_values_written_to_one_place_the_one_that_stays_gets_the_gradient(i):
    x, values = param(np.zeros(3)), param(np.arange(1.0, 6.0))
    for y in (
        autograd.scatter_elements(x, ints(i, np.int8), values),
        autograd.setitem(x, ints(i, np.int8), values),
    ):
        dx, dvalues = gradient(y, x, values)
        np.testing.assert_array_equal(dx, y.to_numpy() == 0)
        np.testing.assert_array_equal(dvalues, np.isin(np.arange(1, 6), y.to_numpy()))


def test_there_is_nothing_to_index_in_an_empty_axis():
    for function in (
        lambda x, i: autograd.gather(x, 0, i),
        lambda x, i: x[i],
        lambda x, i: autograd.embedding(i, x),
    ):
        with pytest.raises(ShapeError, match="an axis of size 0"):
            function(param(np.zeros((0, 3))), ints([0], np.int32))
        assert function(param(np.zeros((0, 3))), ints([], np.int8)).shape == (0, 3)


@pytest.mark.parametrize("name", ["getitem", "onehot", "one ignored", "ctc_loss"])
def test_a_compiled_step_gives_the_same(name):
    x, i = param(np.random.default_rng(0).uniform(0.1, 0.9, (200, 2))), ints([120, 3], np.int8)

    def step(x, i):
        y = (INDEXED | CLASSIFYING)[name](x, i)
        return y, autograd.gradients(y, np.ones(y.shape, np.float32))[x]

    for found, expected in zip(Steps()(step, (x, i), {}, False), step(x, i), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", TYPES)
def test_lengths_of_sequences(dtype):
    rng = np.random.default_rng(0)
    x, w_ih, w_hh = (param(rng.normal(size=shape)) for shape in ((200, 3, 2), (2, 6), (2, 6)))
    lengths = [-1 if np.iinfo(dtype).min else 0, 3, np.iinfo(dtype).max]
    ys = [autograd.gru(x, w_ih, w_hh, lengths=ints(n, kind))[0] for n, kind in (
        (lengths, dtype), ([0, 3, min(lengths[2], 200)], np.int32),
    )]  # fmt: skip
    np.testing.assert_array_equal(*ys)
    for one, other in zip(*(gradient(y, x, w_ih, w_hh) for y in ys), strict=True):
        np.testing.assert_array_equal(one, other)
    rnn = layer.CudnnRNN(2, rnn_mode="gru", use_mask=True, return_sequences=False)
    x = Tensor(data=rng.normal(size=(3, 200, 2)).astype(np.float32))
    np.testing.assert_array_equal(
        *(rnn(x, seq_lengths=ints([1, 3, 127], kind)) for kind in (dtype, np.int32))
    )


@pytest.mark.parametrize("dtype", TYPES)
def test_metrics_of_classes(dtype):
    rng = np.random.default_rng(0)
    classes = min(200, np.iinfo(dtype).max + 1)
    wanted = rng.integers(0, classes, 50)
    scores = rng.normal(size=(50, 200)).astype(np.float32)
    for made, predicted in (
        (metric.Accuracy(ignore_index=-100), scores),
        (metric.Accuracy(ignore_index=int(wanted[0])), rng.permutation(wanted).astype(dtype)),
        (metric.TopKAccuracy(np.int64(50), ignore_index=1000), scores),
        (metric.ConfusionMatrix(np.int64(200)), scores),
        (metric.Perplexity(ignore_index=-100), scores),
    ):
        expected = made(predicted, wanted)
        np.testing.assert_allclose(made(predicted, wanted.astype(dtype)), expected)
        found = made(Tensor(data=predicted), ints(wanted, dtype))
        np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_short_integers_are_added_up_and_multiplied_as_int32():
    for dtype in (np.int8, np.uint8, np.int16):
        x = np.full((2, 300), 100, dtype)
        t = Tensor(data=x)
        for y, expected in (
            (t.sum(), x.sum()),
            (t.sum(1), x.sum(1)),
            (t.cumsum(1), x.cumsum(1)),
            (t[:, :4].prod(1), np.full(2, 10**8)),
            (t @ t.T(), x.astype(int) @ x.T.astype(int)),
            (autograd.einsum("ij,ij->", t, t), 6_000_000),
        ):
            assert str(y.dtype) == "int32"
            np.testing.assert_array_equal(y, expected)
        np.testing.assert_array_equal(t.mean(1), [100.0, 100.0])
        np.testing.assert_array_equal(autograd.mean(t, t), np.full((2, 300), 100.0))


def test_functions_of_real_numbers_take_integers_as_float32_and_rounding_keeps_them():
    for dtype in (np.int8, np.uint8, np.int64):
        x = np.array([1, 2, 3], dtype)
        for name in ("exp", "log2", "sqrt", "rsqrt", "sin", "erf"):
            y = getattr(autograd, name)(Tensor(data=x))
            assert str(y.dtype) == "float32"
            np.testing.assert_array_equal(y, getattr(autograd, name)(Tensor(data=x.astype("f4"))))
        for name in ("floor", "ceil", "round", "trunc"):
            y = getattr(autograd, name)(Tensor(data=x))
            assert y.dtype == dtype
            np.testing.assert_array_equal(y, x)
        y = Tensor(data=x).clip(2, 100)
        assert y.dtype == dtype
        np.testing.assert_array_equal(y, [2, 2, 3])
        np.testing.assert_array_equal(autograd.clip(Tensor(data=x), max=1.5), [1, 1.5, 1.5])
    big = Tensor(data=np.array([2**53 + 1, 5]))  # which no float has
    assert autograd.clip(big, min=6).tolist() == [2**53 + 1, 6]
    np.testing.assert_array_equal(autograd.fmod(ints([-7, 7, 7], "i4"), ints([3, -3, 0], "i4")),
                                  [-1, 1, 0])  # fmt: skip


def test_integers_in_functions_of_numbers():
    """What is a whole number stays one, and the rest is computed as float32."""
    big = 2**24 + np.array([1, 2, 3, 5], np.int32)  # float32 does not have them all
    x = Tensor(data=big)
    counts, edges = autograd.histogram(x, 4)
    assert counts.tolist() == [1, 1, 1, 1]
    assert str(edges.dtype) == "float32"
    assert autograd.median(Tensor(data=[[7, 1, 2], [4, 5, 0]]), 1).tolist() == [2.0, 4.0]
    assert autograd.addcmul(x, x, 2, value=3).tolist() == (big * 7).tolist()
    assert autograd.addcmul(Tensor(data=[4]), 2, 3, value=0.25).item() == 5.5
    np.testing.assert_allclose(autograd.tanh(Tensor(data=[1, 2])), np.tanh([1, 2]), rtol=1e-6)
    np.testing.assert_allclose(autograd.sigmoid(Tensor(data=[0])), [0.5])
    same = [autograd.nan_to_num(x), autograd.round(x, 2), autograd.clip(x, Tensor(data=0))]
    for y in same:
        assert y.dtype == np.int32
        np.testing.assert_array_equal(y, big)
    with pytest.raises(DTypeError, match="for decimals below 0, must be of a float type"):
        autograd.round(x, -1)


def test_rounding_to_decimals_is_the_nearest_number_and_never_overflows():
    for dtype in (np.float16, np.float32):
        found = autograd.rounde(Tensor(data=np.array([0.25, 1.26, -7.77, 3e4, 6e4], dtype)), 1)
        np.testing.assert_array_equal(found, np.array([0.2, 1.3, -7.8, 3e4, 6e4], dtype))
    assert Tensor(data=[3e38]).round(1).item() == np.float32(3e38)
    assert Tensor(data=[1250.0, 1350.0]).round(-2).tolist() == [1200.0, 1400.0]
