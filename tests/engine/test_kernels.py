"""The native kernels against the formulas that they replace. Skipped if they are not built.

A further test checks that they are built if that is possible.
"""

import os
import platform
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from singa import autograd
from singa.engine import native
from singa.engine.native import convolution, pooling, statistics
from singa.operation import (
    AveragePooling2d,
    BatchNormalization2d,
    Convolution2d,
    ConvolutionTranspose,
    FrozenBatchNormalization2d,
    MaxPooling2d,
)
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("optimized")

built = pytest.mark.skipif(not native.available, reason=f"native kernels are {native.status}")
few = settings(max_examples=30)
# Around the widths of vector registers, and the number of threads.
channels = st.sampled_from([1, 2, 3, 4, 8, 15, 16, 17, 33])
sizes = st.integers(1, 9)


@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64") or not shutil.which("c++"),
    reason="the kernels are for Linux on x86-64, and need a C++ compiler",
)
def test_the_kernels_are_built_where_they_can_be():
    status = _status_with(SINGA_NATIVE="1")
    assert status.startswith("on (singa-xla-kernels 0.1.0, oneDNN "), status
    assert _status_with(SINGA_NATIVE="0") == "off (SINGA_NATIVE=0)"


@built
def test_kernels_for_a_newer_jaxlib_are_left_alone():
    convolution = "from singa import Tensor, layer; layer.Conv2d(2, 3)(Tensor((1, 1, 5, 5)))"
    status = _status_with("import singa_kernels as k; k.ffi_version = lambda: 0", convolution)
    assert status == (
        f"off (singa-xla-kernels was built with a newer jaxlib than {version('jaxlib')}, "
        "and has to be built again)"
    )


def _status_with(before="", after="", **environment):
    code = f"{before}\nfrom singa.engine import native; print(native.status)\n{after}"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def array(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def both(make, *arrays, monkeypatch, is_used=True):
    """Outputs and gradients of an operation, with native kernels and without."""
    found = []
    for available in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(native, "available", available)
            operation = make()

            def both_ways(*xs, operation=operation):
                fresh = operation.copy()
                ys = fresh.forward(*xs)
                ys = ys if isinstance(ys, tuple) else (ys,)
                dxs = fresh.backward(*[jnp.cos(y) for y in ys])
                return ys, dxs if isinstance(dxs, tuple) else (dxs,)

            lowered = jax.jit(both_ways).lower(*arrays)
            assert ("singa_" in lowered.as_text()) == (available and is_used)
            found.append(jax.tree.leaves(lowered.compile()(*arrays)))
    return found


def agree(pair, rtol=2e-4):
    for one, other in zip(*pair, strict=True):
        one, other = np.asarray(one), np.asarray(other)  # jax would compile what follows
        scale = np.abs(other[np.isfinite(other)]).max(initial=1e-3)
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * float(scale))


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
@settings(max_examples=60)
@given(drawn=convolutions())
def test_convolution(drawn, monkeypatch):
    configuration, arrays = drawn
    window = convolution.Window(*configuration)
    used = convolution.supports(*map(jnp.asarray, arrays[:2]), window)
    make = partial(Convolution2d, *configuration)
    agree(both(make, *arrays, monkeypatch=monkeypatch, is_used=used))


@built
@pytest.mark.slow
@settings(max_examples=15)
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


@built
@pytest.mark.parametrize(
    ("x", "w", "stride"),
    [((64, 32, 12, 12), (16, 32, 3, 3), 1), ((33, 64, 8, 8), (130, 64, 3, 3), 2),
     ((3, 256, 4, 4), (512, 256, 3, 3), 1), ((16, 3, 32, 32), (64, 3, 3, 3), 1)],
)  # fmt: skip
def test_convolutions_that_are_shared_out_among_threads(x, w, stride, monkeypatch):
    make = partial(Convolution2d, (stride, stride), ((1, 1), (1, 1)), (1, 1), 1)
    arrays = array(*x), array(*w, seed=1), array(w[0], seed=2)
    agree(both(make, *arrays, monkeypatch=monkeypatch), rtol=1e-3)


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
def test_the_largest_of_equals_and_of_nan_and_infinity(monkeypatch):
    values = np.array([0, -0.0, 1, 1, np.inf, -np.inf, np.nan], np.float32)
    x = np.random.default_rng(0).choice(values, (3, 17, 9, 9)).astype(np.float32)
    make = partial(MaxPooling2d, (3, 3), (2, 2), ((0, 0), (0, 0)))
    agree(both(make, x, monkeypatch=monkeypatch))


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


@built
def test_statistics_far_from_zero_and_over_many_chunks():
    x = array(40, 7, 50, 41) + np.float32(1e4)
    mean, var = jax.jit(statistics.moments)(x)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(var, wide.var((0, 2, 3)), rtol=1e-4)


@built
def test_frozen_statistics(monkeypatch):
    arrays = array(4, 17, 5, 6), *(np.abs(array(17, seed=i)) + 1 for i in range(1, 5))
    agree(both(partial(FrozenBatchNormalization2d, 1e-5), *arrays, monkeypatch=monkeypatch))


@built
def test_derivatives_of_derivatives_are_those_of_the_formula():
    x, w = array(2, 3, 6, 6), array(4, 3, 3, 3, seed=1)
    make = partial(Convolution2d, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)

    def penalty(x, w):
        operation = make()
        y = operation.forward(x, w)
        return sum((d**2).sum() for d in operation.backward(jnp.tanh(y)))

    def plain(x, w):
        def convolve(x, w):
            return jax.lax.conv(x, w, (1, 1), "SAME")

        y, pullback = jax.vjp(convolve, x, w)
        return sum((d**2).sum() for d in pullback(jnp.tanh(y)))

    agree([jax.tree.leaves(jax.grad(f, (0, 1))(x, w)) for f in (penalty, plain)], rtol=1e-3)


@built
def test_the_same_bits_every_time_and_from_every_thread():
    x, w = array(19, 32, 20, 20), array(32, 32, 3, 3, seed=1)
    window = convolution.Window((1, 1), ((1, 1), (1, 1)), (1, 1), 1)

    @jax.jit
    def step(x, w):
        y = convolution.convolution(x, w, None, window)
        mean, var = statistics.moments(y)
        return convolution.weight_gradient(x, y, w.shape, True, window), mean, var

    first = [np.asarray(a).tobytes() for a in jax.tree.leaves(step(x, w))]
    with ThreadPoolExecutor(4) as threads:
        for result in threads.map(lambda _: step(x, w), range(12)):
            assert [np.asarray(a).tobytes() for a in jax.tree.leaves(result)] == first


@built
@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x, w: _raw("singa_convolution", (2, 4, 9, 9), x, w), "size does not follow"),
        (lambda x, w: _raw("singa_convolution", (2, 5, 4, 4), x, w), "do not fit together"),
        (lambda x, w: _raw("singa_convolution", (2, 4, 4, 4), x, w[:, :2]), "do not fit together"),
        (lambda x, w: _raw("singa_convolution", (2, 4, 4, 4), x, w, groups=2), "do not divide"),
        (lambda x, w: _raw("singa_convolution", (2, 4, 4, 4), x, w, stride=0), "must be positive"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_computed(call, words):
    with pytest.raises(jax.errors.JaxRuntimeError, match=words):
        jax.block_until_ready(call(array(2, 3, 6, 6), array(4, 3, 3, 3)))


def _raw(name, y, x, w, groups=1, stride=1):
    window = np.array([stride, stride, 0, 0, 0, 0, 1, 1, groups], np.int64)
    call = jax.ffi.ffi_call(name, jax.ShapeDtypeStruct(y, jnp.float32), vmap_method="sequential")
    return jax.jit(lambda x, w: call(x, w, jnp.zeros(0, jnp.float32), window=window, relu=False))(
        x, w
    )


@built
def test_wrong_pooling_windows_are_refused():
    call = jax.ffi.ffi_call(
        "singa_average_pooling", jax.ShapeDtypeStruct((1, 1, 9, 9), jnp.float32),
        vmap_method="sequential",
    )  # fmt: skip
    numbers = np.array([2, 2, 2, 2, 0, 0, 0, 0], np.int64)
    with pytest.raises(jax.errors.JaxRuntimeError, match="average pooling: the output's size"):
        jax.block_until_ready(jax.jit(lambda x: call(x, window=numbers))(array(1, 1, 4, 4)))


@built
def test_other_types_and_empty_batches_take_the_formula():
    one, none = jnp.zeros((1, 1, 2, 2)), jnp.zeros((0, 1, 2, 2), jnp.float32)
    assert not native.supports(one.astype(jnp.float64))
    assert not native.supports(one.astype(jnp.bfloat16))
    assert not native.supports(none)
    assert native.supports(one.astype(jnp.float32))


@built
def test_layers_use_them_eagerly():
    autograd.training = True
    try:
        x = Tensor(data=array(2, 3, 6, 6), stores_grad=True)
        w = Tensor(data=array(4, 3, 3, 3), stores_grad=True)
        y = autograd.conv2d(x, w, padding=1)
        y = autograd.max_pool_2d(y, 2)
        found = autograd.gradients(autograd.reduce_sum(y * y))
    finally:
        autograd.training = False

    def plain(x, w):
        y = jax.lax.conv(x, w, (1, 1), "SAME")
        y = y.reshape(2, 4, 3, 2, 3, 2).max((3, 5))
        return (y * y).sum()

    for tensor, expected in zip((x, w), jax.grad(plain, (0, 1))(x.data, w.data), strict=True):
        np.testing.assert_allclose(found[tensor], expected, rtol=1e-4, atol=1e-4)


@built
def test_pooling_windows_of_more_places_than_a_byte_counts():
    x = array(1, 2, 20, 20)
    window = pooling.Window((17, 17), (1, 1), ((0, 0), (0, 0)))
    operation = MaxPooling2d(*window)
    y = operation.forward(jnp.asarray(x))
    assert operation.place.dtype == jnp.uint16
    np.testing.assert_array_equal(y[0, 0, 0, 0], x[0, 0, :17, :17].max())


@built
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="asks Linux for the threads")
def test_no_second_pool_of_threads_is_started():
    # OpenMP's threads are named after the one that starts them: here, one of XLA's.
    script = """
import os
from pathlib import Path
import numpy as np
from singa import Tensor, autograd

def of_xla():
    return sum("XLAEigen" in p.read_text() for p in Path("/proc/self/task").glob("*/comm"))

autograd.training = True
x = Tensor(data=np.ones((8, 16, 32, 32), np.float32))
w = Tensor(data=np.ones((16, 16, 3, 3), np.float32), stores_grad=True)
autograd.relu(x).to_numpy()
before = of_xla()
y = autograd.reduce_sum(autograd.conv2d(autograd.relu(autograd.conv2d(x, w)), w))
[g.to_numpy() for _, g in autograd.backward(y)]
print(before, of_xla())
"""
    run = [sys.executable, "-c", script]
    environment = os.environ | {"OMP_NUM_THREADS": "4", "JAX_PLATFORMS": "cpu"}
    said = subprocess.run(run, env=environment, capture_output=True, text=True, check=True).stdout
    before, after = map(int, said.split())
    assert before == after > 0
