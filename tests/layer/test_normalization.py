"""Layer, root mean square, group and instance normalization against NumPy."""

import re

import numpy as np
import pytest

import oracles
from singa import autograd, graph, layer
from singa.errors import ArgumentError, ShapeError
from singa.tensor import Tensor


def last_axes(count, centered=True):
    axes = tuple(range(-count, 0))

    def plain(v, eps):
        x = v["x"]
        if centered:
            x = x - x.mean(axes, keepdims=True)
        y = x / np.sqrt((x * x).mean(axes, keepdims=True) + eps)
        return y * v.get("scale", 1) + v.get("bias", 0)

    return plain


def in_groups(groups):
    def plain(v, eps):
        x, wide = v["x"], (-1, *[1] * (v["x"].ndim - 2))
        parts = []
        for part in np.split(x, groups, 1):
            axes = tuple(range(1, x.ndim))
            centered = part - part.mean(axes, keepdims=True)
            parts.append(centered / np.sqrt(part.var(axes, keepdims=True) + eps))
        return np.concatenate(parts, 1) * v["scale"].reshape(wide) + v["bias"].reshape(wide)

    return plain


CASES = {
    "layer": (lambda: layer.LayerNorm(), last_axes(1), (3, 4, 5)),
    "layer, given": (lambda: layer.LayerNorm(5, 0.1), last_axes(1), (3, 5)),
    "layer, two axes": (lambda: layer.LayerNorm((4, 5), bias=False), last_axes(2), (3, 4, 5)),
    "rms": (lambda: layer.RMSNorm(), last_axes(1, False), (3, 4, 5)),
    "rms with bias": (lambda: layer.RMSNorm(5, 0.1, True), last_axes(1, False), (3, 4, 5)),
    "layer, bare": (lambda: layer.LayerNorm(elementwise_affine=False), last_axes(1), (3, 5)),
    "rms, bare": (lambda: layer.RMSNorm(elementwise_affine=False), last_axes(1, False), (3, 5)),
    "group": (lambda: layer.GroupNorm(2), in_groups(2), (3, 6, 2, 4)),
    "group, given": (lambda: layer.GroupNorm(3, 6, 0.1), in_groups(3), (3, 6, 5)),
    "instance": (lambda: layer.InstanceNorm(), in_groups(6), (3, 6, 2, 4)),
    "instance, given": (lambda: layer.InstanceNorm(4, 0.1), in_groups(4), (2, 4, 3)),
}


def test_the_gradient_has_no_product_of_a_matrix_and_a_vector(monkeypatch):
    """XLA on CPUs compiles each of these anew: two for each normalization of a deep model."""
    monkeypatch.setattr(autograd, "training", True)
    norm = layer.LayerNorm(8)
    w = Tensor((16, 8), stores_grad=True)
    norm(w)

    def step(x):
        return autograd.grad((norm(w) * x).sum(), w)

    text = graph.Program(step, [Tensor((16, 8))]).compiled.as_text()
    products = re.findall(r"= \w+\[([\d,]+)\]\S* dot\(", text)
    assert not {"16", "16,1", "1,16"} & {*products}


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_those_of_numpy(case):
    make, plain, shape = CASES[case]
    net = make()
    x = Tensor(data=np.random.default_rng(0).uniform(-1, 2, shape), stores_grad=True)
    net(x)
    oracles.fill(net)
    oracles.assert_gradients(
        lambda: net(x), lambda v: plain(v, net.eps), {**net.get_params(), "x": x}
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_statistics_of_half_precision_do_not_overflow(dtype):
    x = Tensor(data=np.array([[3e4, -3e4, 3e4, -3e4]]), dtype=dtype)
    y = layer.LayerNorm()(x)
    assert str(y.dtype) == dtype
    np.testing.assert_array_equal(y.to_numpy().astype(np.float32), [[1, -1, 1, -1]])


@pytest.mark.parametrize(
    ("do", "error", "words"),
    [
        (lambda x: layer.LayerNorm(4)(x), ShapeError, r"shape \(\.\.\., 4\) expected, got \(2, 6,"),
        (lambda x: layer.RMSNorm((6, 4))(x), ShapeError, r"RMSNorm: .*\(\.\.\., 6, 4\) expected"),
        (lambda x: layer.GroupNorm(4)(x), ShapeError, "6 channels are not a multiple of 4"),
        (lambda x: layer.GroupNorm(2, 4)(x), ShapeError, "GroupNorm: 4 channels expected, got 6"),
        (lambda x: layer.InstanceNorm(5)(x), ShapeError, "InstanceNorm: 5 channels expected"),
        (lambda x: layer.InstanceNorm()(x[0, 0]), ShapeError, r"must be \(N, C, \.\.\.\)"),
        (lambda x: layer.GroupNorm(0), ArgumentError, "num_groups must be at least 1"),
    ],
)
def test_mistakes_are_refused_with_words(do, error, words):
    with pytest.raises(error, match=words):
        do(Tensor((2, 6, 5)))


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (layer.BatchNorm1d, (4, 3)), (layer.BatchNorm1d, (4, 3, 5)),
        (layer.BatchNorm2d, (4, 3)), (layer.BatchNorm2d, (4, 3, 2, 5)),
        (layer.BatchNorm3d, (4, 3, 2, 5, 3)),
    ],
)  # fmt: skip
def test_batch_norm_normalizes_each_channel_whatever_the_space_is(make, shape):
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32) * 3 + 1
    norm, axes = make(), tuple(axis for axis in range(len(shape)) if axis != 1)
    autograd.training = True
    try:
        y = norm(Tensor(data=x)).to_numpy()
    finally:
        autograd.training = False
    np.testing.assert_allclose(y.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(axes), 1, rtol=1e-3)
    np.testing.assert_allclose(norm.running_mean.to_numpy(), 0.1 * x.mean(axes), rtol=1e-4)
    wide = (None, slice(None)) + (None,) * (len(shape) - 2)
    mean, var = norm.running_mean.to_numpy()[wide], norm.running_var.to_numpy()[wide]
    np.testing.assert_allclose(
        norm(Tensor(data=x)).to_numpy(), (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (layer.BatchNorm1d, (4, 3, 5, 5)),
        (layer.BatchNorm2d, (4, 3, 5)),
        (layer.BatchNorm3d, (4, 3)),
    ],
)
def test_batch_norm_of_another_number_of_axes_is_refused(make, shape):
    with pytest.raises(ShapeError, match=rf"{make.__name__}: the input must be \(N, C"):
        make()(Tensor(shape))


def test_batch_norm_without_parameters_or_running_values(monkeypatch):
    x = np.random.default_rng(0).standard_normal((4, 3, 5)).astype(np.float32) * 3 + 1
    normalized = (x - x.mean((0, 2), keepdims=True)) / x.std((0, 2), keepdims=True)
    bare = layer.BatchNorm(affine=False, track_running_stats=False)
    unbiased = layer.BatchNorm(unbiased=True)
    np.testing.assert_allclose(bare(Tensor(data=x)), normalized, rtol=1e-4, atol=1e-5)
    assert not bare.get_states()
    monkeypatch.setattr(autograd, "training", True)
    for norm in (bare, unbiased):
        np.testing.assert_allclose(norm(Tensor(data=x)), normalized, rtol=1e-4, atol=1e-5)
    expected = 0.9 + 0.1 * x.var((0, 2), ddof=1)
    np.testing.assert_allclose(unbiased.running_var, expected, rtol=1e-5)
