"""The native kernels against the formulas that they replace, for shapes that Hypothesis draws.

The kernels are compiled already, whatever XLA optimizes around them: that is tested in
test_kernels.py, which compiles as for users and takes five times as long for each shape.
"""

from functools import partial

import jax.numpy as jnp
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.formulas import agree, array, both, built
from singa.engine.native import convolution
from singa.operation import (
    AveragePooling2d,
    BatchNormalization2d,
    Convolution2d,
    ConvolutionTranspose,
    MaxPooling2d,
)

few = settings(max_examples=12)
# Around the widths of vector registers, and the number of threads.
channels = st.sampled_from([1, 2, 3, 4, 8, 15, 16, 17, 33])
sizes = st.integers(1, 9)


@pytest.fixture(scope="module")
def monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@st.composite
def convolutions(draw):
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    inputs, outputs = groups * draw(channels), groups * draw(channels)
    strides, dilations, kernels = (
        (draw(st.integers(1, 3)), draw(st.integers(1, 3))) for _ in ("stride", "dilation", "kernel")
    )
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in "HW")
    image = [draw(sizes) for _ in "HW"]
    for axis in (0, 1):
        reach = dilations[axis] * (kernels[axis] - 1) + 1
        assume(image[axis] + sum(padding[axis]) >= reach)
    x = array(draw(st.integers(1, 5)), inputs, *image)
    w = array(outputs, inputs // groups, *kernels, seed=1)
    b = array(outputs, seed=2)
    configuration = strides, padding, dilations, groups
    return configuration, (x, w, b) if draw(st.booleans()) else (x, w)


@built
@pytest.mark.slow
@settings(max_examples=25)
@given(drawn=convolutions())
def test_convolution(drawn, monkeypatch):
    configuration, arrays = drawn
    window = convolution.Window(*configuration)
    used = convolution.supports(*map(jnp.asarray, arrays[:2]), window)
    make = partial(Convolution2d, *configuration)
    agree(both(make, *arrays, monkeypatch=monkeypatch, is_used=used))


@built
@pytest.mark.slow
@settings(max_examples=8)
@given(drawn=convolutions())
def test_transposed_convolution(drawn, monkeypatch):
    (strides, padding, dilations, groups), (x, w, *_) = drawn
    window = convolution.Window(strides, padding, dilations, groups)
    y = array(*window.outputs(x.shape, w.shape), seed=3)
    more = tuple(  # what no filter got to
        (x.shape[2 + i] + sum(padding[i]) - dilations[i] * (w.shape[2 + i] - 1) - 1) % strides[i]
        for i in (0, 1)
    )
    used = convolution.supports(*map(jnp.asarray, (x, w)), window)
    make = partial(ConvolutionTranspose, strides, padding, dilations, groups, more)
    agree(both(make, y, w, array(x.shape[1], seed=2), monkeypatch=monkeypatch, is_used=used))


@st.composite
def windows(draw):
    window, stride = ((draw(st.integers(1, 4)), draw(st.integers(1, 4))) for _ in "ab")
    padding = tuple(
        (draw(st.integers(0, size - 1)), draw(st.integers(0, size - 1))) for size in window
    )
    image = [draw(st.integers(max(1, window[i] - sum(padding[i])), 9)) for i in (0, 1)]
    return (window, stride, padding), array(draw(st.integers(1, 5)), draw(channels), *image)


@built
@pytest.mark.slow
@pytest.mark.parametrize("kind", [MaxPooling2d, AveragePooling2d])
@few
@given(drawn=windows())
def test_pooling(drawn, kind, monkeypatch):
    configuration, x = drawn
    agree(both(partial(kind, *configuration), x, monkeypatch=monkeypatch))


@built
@pytest.mark.slow
@few
@given(n=st.integers(1, 5), c=channels, h=sizes, w=sizes)
def test_batch_statistics(n, c, h, w, monkeypatch):
    # With few values their variance may be tiny, and the gradient ill-conditioned.
    assume(n * h * w >= 4)
    x, scale, bias = 3 * array(n, c, h, w) + 5, array(c, seed=1), array(c, seed=2)
    pair = both(partial(BatchNormalization2d, 1e-2), x, scale, bias, monkeypatch=monkeypatch)
    agree(pair, rtol=2e-3)
