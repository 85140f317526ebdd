"""Convolutions and their adjoints over drawn shapes, against plain NumPy.

Those of float64 are our own formula, those of float16 are XLA's. All values are small integers, so
that sums are exact in any order.
"""

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from singa import autograd
from singa.errors import ShapeError
from singa.graph import Steps
from singa.tensor import Tensor


@pytest.fixture(autouse=True, scope="module")
def _recording():
    autograd.training = True
    yield
    autograd.training = False


class Case(NamedTuple):
    """A convolution: the shapes, and how the filters move."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    groups: int

    @property
    def config(self):
        flat = tuple(pad for pads in self.padding for pad in pads)
        return {
            "stride": self.stride, "dilation": self.dilation, "groups": self.groups,
            "padding": flat if len(flat) > 2 else self.padding[0],
        }  # fmt: skip

    @property
    def space(self):
        return tuple(
            (size + sum(pads) - gap * (taps - 1) - 1) // step + 1
            for size, pads, gap, taps, step in zip(
                self.x[2:], self.padding, self.dilation, self.w[2:], self.stride, strict=True
            )
        )

    def arrays(self):
        """x, w, a gradient of y, and one more of x's and w's shapes."""
        rng = np.random.default_rng(0)
        y = (self.x[0], self.w[0], *self.space)
        shapes = (self.x, self.w, y, self.x, self.w)
        return [rng.integers(-2, 3, shape).astype(np.float64) for shape in shapes]


@st.composite
def cases(draw):
    rank = draw(st.integers(1, 3))
    per_axis = st.lists(st.integers(1, 3), min_size=rank, max_size=rank).map(tuple)
    kernel, stride, dilation = draw(per_axis), draw(per_axis), draw(per_axis)
    pads = st.tuples(st.integers(0, 3), st.integers(0, 3))
    padding = tuple(draw(st.lists(pads, min_size=rank, max_size=rank)))
    size = draw(st.lists(st.integers(1, 7), min_size=rank, max_size=rank))
    groups, inputs = draw(st.sampled_from([(1, 1), (1, 3), (2, 2), (3, 1), (5, 1)]))
    outputs = draw(st.integers(1, 3))
    x, w = (draw(st.integers(1, 3)), groups * inputs, *size), (groups * outputs, inputs, *kernel)
    case = Case(x, w, stride, padding, dilation, groups)
    assume(min(case.space) > 0)
    return case


def plain(case, x, w, dy):
    """y, and the gradients of x and w, place by place."""
    padded = np.pad(x, ((0, 0), (0, 0), *case.padding))
    y, dx, dw = np.zeros_like(dy), np.zeros_like(padded), np.zeros_like(w)
    window = range(1, x.ndim)
    channels = np.split(np.arange(x.shape[1]), case.groups)
    filters = np.split(np.arange(len(w)), case.groups)
    for place in np.ndindex(case.space):
        seen = [
            slice(i * step, i * step + gap * (taps - 1) + 1, gap)
            for i, step, gap, taps in zip(
                place, case.stride, case.dilation, case.w[2:], strict=True
            )
        ]
        for c, o in zip(channels, filters, strict=True):
            there, here = (slice(None), slice(c[0], c[-1] + 1), *seen), (slice(None), o, *place)
            y[here] = np.tensordot(padded[there], w[o], (window, window))
            dx[there] += np.tensordot(dy[here], w[o], 1)
            dw[o] += np.tensordot(dy[here], padded[there], (0, 0))
    inside = [
        slice(before, before + n) for (before, _), n in zip(case.padding, x.shape[2:], strict=True)
    ]
    return y, dx[(slice(None), slice(None), *inside)], dw


def convolve(case, x, w):
    return getattr(autograd, f"conv{len(case.stride)}d")(x, w, **case.config)


def params(*arrays, dtype="float64"):
    return [Tensor(data=array.astype(dtype), stores_grad=True) for array in arrays]


def equal(found, *expected, dtype="float64"):
    for ours, array in zip(found, expected, strict=True):
        assert str(ours.dtype) == dtype
        np.testing.assert_array_equal(ours, array.astype(dtype))


both = pytest.mark.parametrize("dtype", ["float64", "float16"])


@both
@settings(max_examples=8)
@given(case=cases())
def test_a_convolution_and_its_gradients(case, dtype):
    arrays = case.arrays()[:3]
    x, w, dy = params(*arrays, dtype=dtype)
    y = convolve(case, x, w)
    found = autograd.gradients(y, dy)
    equal((y, found[x], found[w]), *plain(case, *arrays), dtype=dtype)


@both
@settings(max_examples=5)
@given(case=cases())
def test_a_transposed_convolution_and_its_gradients(case, dtype):
    _, w, x, dy, _ = case.arrays()  # it takes what a convolution gives
    more = [
        size - ((n - 1) * step - sum(pads) + gap * (taps - 1) + 1)
        for size, n, step, pads, gap, taps in zip(
            case.x[2:], case.space, case.stride, case.padding, case.dilation, w.shape[2:],
            strict=True,
        )
    ]  # fmt: skip
    expected_dx, expected_y, expected_dw = plain(case, dy, w, x)
    x, w, dy = params(x, w, dy, dtype=dtype)
    y = autograd.conv_transpose(x, w, output_padding=more, **case.config)
    found = autograd.gradients(y, dy)
    equal((y, found[x], found[w]), expected_y, expected_dx, expected_dw, dtype=dtype)


@settings(max_examples=3)
@given(cases())
def test_a_compiled_step_of_a_convolution(case):
    arrays = x, w, dy = case.arrays()[:3]
    x, w = params(x, w)

    def step(x, w):
        y = convolve(case, x, w)
        found = autograd.gradients(y, dy)
        return y, found[x], found[w]

    equal(Steps()(step, (x, w), {}, False), *plain(case, *arrays))


@settings(max_examples=3)
@given(cases())
def test_second_derivatives_of_a_convolution(case):
    """y is linear in x and in w, and so are their gradients, in dy and in each other."""
    x, w, dy, along_x, along_w = case.arrays()
    of_x, _, second_w = plain(case, along_x, w, dy)
    of_w, second_x, _ = plain(case, x, along_w, dy)
    ours = params(x, w, dy)
    dxs = autograd.grad(convolve(case, *ours[:2]), ours[:2], ours[2], create_graph=True)
    slope = (dxs[0] * along_x).sum() + (dxs[1] * along_w).sum()
    equal(autograd.grad(slope, ours), second_x, second_w, of_x + of_w)


@pytest.mark.parametrize("shape", [(0, 2, 3, 3), (2, 0, 3, 3), (2, 2, 0, 3)])
def test_a_convolution_of_nothing(shape):
    x, w = params(np.ones(shape), np.ones((3, shape[1], 1, 2)))
    y = autograd.conv2d(x, w, padding=1)
    found = autograd.gradients(y, np.ones(y.shape))
    assert y.shape[:2] == (shape[0], 3)
    equal((y, found[x], found[w]), *map(np.zeros, (y.shape, x.shape, w.shape)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_filters_of_no_size_are_an_error(dtype):
    x, w = Tensor(data=np.ones((1, 2, 5), dtype)), Tensor(data=np.ones((2, 2, 0), dtype))
    for function in (autograd.conv1d, autograd.conv_transpose):
        with pytest.raises(ShapeError, match="no elements"):
            function(x, w)


def test_a_sequence_is_an_image_of_one_row():
    """For native kernels, which there are for float32, it is made one; here, everywhere."""
    rng = np.random.default_rng(0)
    drawn = (
        rng.integers(-3, 4, shape).astype(np.float32) for shape in ((2, 8, 12), (8, 4, 3), (8,))
    )
    x, w, b = arrays = [*drawn]
    options = {"stride": 2, "padding": 1, "dilation": 1, "groups": 2}
    found = []
    for conv, args in (
        (autograd.conv1d, arrays),
        (autograd.conv2d, [x[:, :, None], w[:, :, None], b]),
    ):
        params = [Tensor(data=arg, stores_grad=True) for arg in args]
        pads = {"padding": (0, 1), "stride": (1, 2)} if conv is autograd.conv2d else {}
        y = conv(*params, **options | pads)
        gradients = autograd.gradients(y, np.ones(y.shape, np.float32))
        found.append([y.to_numpy().ravel(), *[gradients[p].to_numpy().ravel() for p in params]])
    for sequence, image in zip(*found, strict=True):
        np.testing.assert_array_equal(sequence, image)
