"""Winograd's convolutions against NumPy in float64, and beside those of oneDNN, which are exact."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.formulas import array, built
from singa import autograd, device
from singa.engine import native
from singa.engine.native import convolution
from singa.engine.native.convolution import Window, Winograd
from singa.graph import Steps
from singa.tensor import Tensor

pytestmark = built


@pytest.fixture(scope="module")
def monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def in_numpy(x, w, b, dy, padding):
    """The convolution and its gradients in float64: y, dx, dw, db."""

    def seen(images, padding):
        images = np.pad(np.float64(images), ((0, 0), (0, 0), *padding))
        return np.lib.stride_tricks.sliding_window_view(images, (3, 3), (2, 3))

    windows = seen(x, padding)
    y = np.einsum("nchwij,ocij->nohw", windows, w) + b[:, None, None]
    dw = np.einsum("nchwij,nohw->ocij", windows, dy)
    dx = np.einsum("nohwij,ocij->nchw", seen(dy, ((2, 2), (2, 2))), w[:, :, ::-1, ::-1])
    (top, _), (left, _) = padding
    dx = dx[:, :, top : top + x.shape[2], left : left + x.shape[3]]
    return y, dx, dw, np.float64(dy).sum((0, 2, 3))


def both_ways(window, shape, w, monkeypatch):
    """A function for y, dx, dw and db, in each of two ways: exactly and by Winograd's algorithm."""

    @jax.jit
    def computed(x, w, b, dy):
        found = []
        for way in (Winograd.NEVER, Winograd.WHERE_POSSIBLE):
            with monkeypatch.context() as patch:
                patch.setattr(convolution, "wanted", lambda way=way: int(way))
                y = convolution.convolution(x, w, b, window)
                dx = convolution.input_gradient(dy, w, x.shape, window)
                found.append((y, dx, *convolution.weight_gradient(x, dy, w.shape, True, window)))
        return found

    return computed


# Around the sizes of tiles, of vector registers, and of panels of outputs and channels.
channels = st.sampled_from([1, 2, 3, 8, 15, 17, 33, 64, 66, 130])


@settings(max_examples=15)
@given(
    n=st.integers(1, 4), c=channels, o=channels, image=st.tuples(*[st.integers(1, 13)] * 2),
    padding=st.tuples(*[st.tuples(*[st.integers(0, 2)] * 2)] * 2),
)  # fmt: skip
def test_drawn_shapes_against_float64(n, c, o, image, padding, monkeypatch):
    assume(all(size + sum(pads) >= 3 for size, pads in zip(image, padding, strict=True)))
    window = Window((1, 1), padding, (1, 1), 1)
    x, w, b = array(n, c, *image), array(o, c, 3, 3, seed=1), array(o, seed=2)
    dy = array(*window.outputs(x.shape, w.shape), seed=3)
    expected = in_numpy(x, w, b, dy, padding)
    ways = both_ways(window, x.shape, w.shape, monkeypatch)(x, w, b, dy)
    for found, most in zip(ways, (2e-6, 1e-5), strict=True):
        for one, other in zip(found, expected, strict=True):
            error = np.abs(np.asarray(one) - other).max()
            assert error <= most * np.abs(other).max() + 1e-6


def test_what_is_not_finite_or_large_reaches_only_what_it_should(monkeypatch):
    window = Window((1, 1), ((1, 1), (0, 2)), (1, 1), 1)
    shapes = (2, 3, 9, 10), (5, 3, 3, 3), (5,), (2, 5, 9, 10)
    computed = both_ways(window, *shapes[:2], monkeypatch)
    dependents = {0: (0, 2), 1: (0, 1), 3: (1, 2, 3)}  # of x: y and dw, ...
    draw = np.random.default_rng(0)
    for value in (np.nan, np.inf, -np.inf, 3e38, -1e38, 1e20, 1e9):
        for changed, results in dependents.items():
            arrays = [array(*shape, seed=i) for i, shape in enumerate(shapes)]
            place = tuple(map(int, draw.integers(0, shapes[changed])))
            arrays[changed][place] = value
            exact, fast = computed(*arrays)
            for i in results:  # all of it is computed directly
                np.testing.assert_array_equal(fast[i], exact[i], err_msg=f"{value} at {place}")


def made():
    """Images and filters of a size for which Winograd's algorithm is chosen."""
    return Tensor(data=array(2, 64, 16, 16)), Tensor(data=array(64, 64, 3, 3, seed=1))


def bits(x):
    return np.asarray(x.data if isinstance(x, Tensor) else x).tobytes()


def test_exact_convolutions_have_kernels_and_programs_of_their_own():
    x, w = made()
    steps = Steps()

    def step(x, w):
        return autograd.relu(autograd.conv2d(x, w, padding=1))

    fast, fast_in_step = step(x, w), steps(step, (x, w), {}, False)
    with device.exact_convolutions():
        exact, exact_in_step = step(x, w), steps(step, (x, w), {}, False)
    assert bits(fast) == bits(fast_in_step) != bits(exact) == bits(exact_in_step)
    assert bits(step(x, w)) == bits(steps(step, (x, w), {}, False)) == bits(fast)
    np.testing.assert_allclose(fast.data, exact.data, atol=2e-4)


def test_a_backward_pass_is_exact_where_its_forward_pass_was():
    x, w = made()
    x.stores_grad = w.stores_grad = True

    def gradients(y):
        found = autograd.gradients(autograd.reduce_sum(y * y))
        return [bits(found[t]) for t in (x, w)]

    autograd.training = True
    try:
        with device.exact_convolutions():
            exact = gradients(autograd.conv2d(x, w, padding=1))
            y = autograd.conv2d(x, w, padding=1)
        after = gradients(y)
        fast = gradients(autograd.conv2d(x, w, padding=1))
    finally:
        autograd.training = False
    assert exact == after
    assert all(one != other for one, other in zip(exact, fast, strict=True))


@pytest.mark.parametrize(
    ("x", "w", "stride", "groups"),
    [((2, 64, 16, 16), (64, 64, 3, 3), 2, 1), ((2, 64, 16, 16), (64, 32, 3, 3), 1, 2),
     ((2, 64, 16, 16), (64, 64, 3, 2), 1, 1), ((2, 4, 16, 16), (4, 4, 3, 3), 1, 1)],
)  # fmt: skip
def test_other_windows_and_few_channels_are_exact(x, w, stride, groups):
    window = Window((stride, stride), ((1, 1), (1, 1)), (1, 1), groups)

    def convolved(x, w):
        return convolution.convolution(x, w, None, window)

    arrays = array(*x), array(*w, seed=1)
    found = jax.jit(convolved)(*arrays)
    with native.exact(True):
        expected = jax.jit(lambda x, w: convolved(x, w))(*arrays)
    np.testing.assert_array_equal(found, expected)


def test_the_environment_turns_it_off():
    code = "from singa.engine import native; print(native.winograd_status(), native.here.exact)"
    said = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"SINGA_WINOGRAD": "0"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert said == "off (SINGA_WINOGRAD=0) True\n"
    assert native.winograd_status() == "on"
