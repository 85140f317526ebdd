"""The native kernels against the formulas that they replace. Skipped if they are not built.

Compiled as for users; shapes that Hypothesis draws are in test_drawn_kernels.py.

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

from engine.formulas import agree, array, both, built
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


@pytest.fixture(scope="module")
def monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


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


WINDOW = (3, 2), (2, 1), ((1, 0), (1, 1))
EVEN = (2, 1), ((1, 0), (1, 1)), (1, 2), 1


@built
@pytest.mark.parametrize(
    ("make", "shapes"),
    [(partial(Convolution2d, *EVEN), [(3, 4, 7, 6), (17, 4, 3, 2), (17,)]),
     (partial(ConvolutionTranspose, *EVEN, (0, 0)), [(3, 4, 4, 6), (4, 17, 3, 2), (17,)]),
     (partial(MaxPooling2d, *WINDOW), [(3, 17, 7, 6)]),
     (partial(AveragePooling2d, *WINDOW), [(3, 17, 7, 6)]),
     (partial(BatchNormalization2d, 1e-2), [(3, 17, 7, 6), (17,), (17,)])],
)  # fmt: skip
def test_what_xla_optimizes_around_a_kernel(make, shapes, monkeypatch):
    arrays = [array(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    agree(both(make, *arrays, monkeypatch=monkeypatch), rtol=1e-3)


@built
def test_the_largest_of_equals_and_of_nan_and_infinity(monkeypatch):
    values = np.array([0, -0.0, 1, 1, np.inf, -np.inf, np.nan], np.float32)
    x = np.random.default_rng(0).choice(values, (3, 17, 9, 9)).astype(np.float32)
    make = partial(MaxPooling2d, (3, 3), (2, 2), ((0, 0), (0, 0)))
    agree(both(make, x, monkeypatch=monkeypatch))


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
    attributes = {"window": window, "relu": False, "winograd": 0}
    return jax.jit(lambda x, w: call(x, w, jnp.zeros(0, jnp.float32), **attributes))(x, w)


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
