"""Layers in the forms that SINGA's programs use: Gemm, separable convolution, pads, 1d pooling."""

import numpy as np
import pytest

from singa import autograd, layer
from singa.errors import ArgumentError, ShapeError
from singa.tensor import Tensor


def images(*shape):
    return Tensor(data=np.random.default_rng(0).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_gemm(trans_a, trans_b):
    net = layer.Gemm(2, 0.5, 3.0, trans_a, trans_b, bias_shape=(4, 1))
    x = images(4, 3)
    given = autograd.transpose(x) if trans_a else x
    net(given)
    assert net.W.shape == ((2, 3) if trans_b else (3, 2))
    net.b.gaussian()
    w = net.W.to_numpy().T if trans_b else net.W.to_numpy()
    expected = 0.5 * x.to_numpy() @ w + 3 * net.b.to_numpy()
    np.testing.assert_allclose(net(given), expected, rtol=1e-5, atol=1e-6)
    bare = layer.Gemm(2, bias=False)
    bare(x)
    assert list(bare.get_params()) == ["W"]
    assert layer.Gemm(2)(x).shape == (4, 2)
    with autograd.enable_grad():
        assert net(given).creator.name == "Gemm"  # the operation, with its own gradient
    with pytest.raises(ShapeError, match=r"C of shape \(4, 1\) does not broadcast"):
        layer.Gemm(2, bias_shape=(4, 1))(images(1, 3))
    with pytest.raises(ShapeError, match="Gemm: the input must have two axes"):
        layer.Gemm(2)(images(1, 2, 3))


def test_separable_convolution_is_a_depthwise_one_and_a_pointwise_one():
    x = images(2, 3, 7, 6)
    net, old = (
        layer.SeparableConv2d(5, 3, stride=2, padding=1),
        layer.SeparableConv2d(3, 5, 3, 2, 1),
    )
    y = net(x)
    shapes = {name: p.shape for name, p in net.get_params().items()}
    assert shapes == {"depthwise_conv.W": (3, 1, 3, 3), "point_conv.W": (5, 3, 1, 1)}
    deep, point = net.depthwise_conv.W, net.point_conv.W
    each = [autograd.conv2d(x[:, i : i + 1], deep[i : i + 1], None, 2, 1) for i in range(3)]
    np.testing.assert_allclose(
        y, autograd.conv2d(autograd.cat(each, 1), point), rtol=1e-4, atol=1e-5
    )
    assert old(x).shape == y.shape == (2, 5, 4, 3)
    assert len(layer.SeparableConv2d(5, 3, bias=True).get_params()) == 0
    with pytest.raises(ShapeError, match="3 channels expected, got 4"):
        layer.SeparableConv2d(3, 5, 3)(images(2, 4, 7, 6))


@pytest.mark.parametrize(("size", "window", "stride"), [(7, 3, 2), (8, 3, 2), (8, 2, 1), (5, 1, 3)])
def test_same_padding_gives_size_over_stride_and_its_odd_one_at_the_named_end(size, window, stride):
    x = images(1, 1, size, size)
    total = max((-(-size // stride) - 1) * stride + window - size, 0)
    for mode, before in (("SAME_UPPER", total // 2), ("SAME_LOWER", total - total // 2)):
        pads = (before, total - before) * 2
        conv = layer.Conv2d(2, window, stride=stride, pad_mode=mode)
        y = conv(x)
        assert y.shape[-1] == -(-size // stride)
        np.testing.assert_array_equal(y, autograd.conv2d(x, conv.W, conv.b, stride, pads))
        for pool, function in (
            (layer.MaxPool2d, autograd.max_pool_2d),
            (layer.AvgPool2d, autograd.avg_pool_2d),
        ):
            np.testing.assert_array_equal(
                pool(window, stride, pad_mode=mode)(x), function(x, window, stride, pads)
            )


def test_same_padding_counts_dilation():
    x = images(1, 1, 6, 6)
    assert layer.Conv2d(1, 3, dilation=2, pad_mode="SAME_UPPER")(x).shape == (1, 1, 6, 6)


def test_a_convolution_rectifies_if_asked_to():
    x = images(1, 2, 5, 5)
    conv = layer.Conv2d(3, 3, activation="RELU")
    y = conv(x)
    np.testing.assert_array_equal(y, autograd.relu(autograd.conv2d(x, conv.W, conv.b)))
    assert (y.to_numpy() == 0).any()


def test_pooling_in_one_dimension_is_along_the_last_axis():
    x = images(2, 3, 1, 9)
    a = x.to_numpy()[..., :8].reshape(2, 3, 1, 4, 2)
    np.testing.assert_array_equal(layer.MaxPool1d(2)(x), a.max(-1))
    np.testing.assert_allclose(layer.AvgPool1d(2)(x), a.mean(-1), rtol=1e-6)
    assert layer.MaxPool1d(3, 1, 1)(x).shape == (2, 3, 1, 9)
    assert autograd.AvgPool1d(3, pad_mode="SAME_UPPER")(x).shape == (2, 3, 1, 3)


def test_reshape_and_identity():
    x = images(2, 6)
    assert layer.Reshape()(x, (3, -1)).shape == (3, 4)
    assert layer.Identity()(x) is x


def test_autograd_shows_the_twelve_layers_of_singa():
    names = (
        "Linear Conv2d SeparableConv2d BatchNorm2d Pooling2d MaxPool2d AvgPool2d MaxPool1d "
        "AvgPool1d RNN_Base RNN LSTM"
    )
    for name in names.split():
        assert getattr(autograd, name) is getattr(layer, name)
        assert name in autograd.__all__


@pytest.mark.parametrize(
    ("do", "words"),
    [
        (lambda: layer.Conv2d(2, 3, pad_mode="VALID"), "Conv2d: pad_mode must be one of NOTSET, S"),
        (lambda: layer.MaxPool2d(2, pad_mode="SAME"), "MaxPool2d: pad_mode must be one of"),
        (lambda: layer.Conv2d(2, 3, activation="TANH"), "activation must be NOTSET or RELU, got"),
    ],
)
def test_mistakes_are_refused_with_words(do, words):
    with pytest.raises(ArgumentError, match=words):
        do()


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
def test_padding_has_names(size, window, dilation):
    """``"same"`` and ``"valid"``, as PyTorch has them for strides of 1."""
    x, W = Tensor((1, 2, size, size)), Tensor((3, 2, window, window))
    same = autograd.conv2d(x, W, padding="same", dilation=dilation)
    assert same.shape == (1, 3, size, size)
    by_layer = layer.Conv2d(3, window, padding="same", dilation=dilation)
    assert by_layer(x).shape == same.shape
    before = dilation * (window - 1) // 2
    after = dilation * (window - 1) - before
    weights = Tensor(data=np.arange(W.size, dtype=np.float32).reshape(W.shape))
    image = Tensor(data=np.arange(x.size, dtype=np.float32).reshape(x.shape))
    pads = (before, after, before, after)
    np.testing.assert_array_equal(
        autograd.conv2d(image, weights, padding="same", dilation=dilation),
        autograd.conv2d(image, weights, padding=pads, dilation=dilation),
    )
    if dilation * (window - 1) < size:
        valid = autograd.conv2d(x, W, padding="valid", dilation=dilation)
        assert valid.shape == autograd.conv2d(x, W, dilation=dilation).shape
        assert layer.Conv2d(2, 3, window, 1, "valid", dilation=dilation)(x).shape == valid.shape


def test_other_names_of_padding_are_refused():
    for convolve in (
        lambda: layer.Conv2d(3, 3, padding="reflect"),
        lambda: autograd.conv2d(Tensor((1, 1, 5, 5)), Tensor((1, 1, 3, 3)), padding="SAME_UPPER"),
    ):
        with pytest.raises(ArgumentError, match="padding is numbers, or one of 'same', 'valid'"):
            convolve()
    assert layer.Conv1d(3, 3, padding="SAME")(Tensor((1, 1, 5))).shape == (1, 3, 5)
    assert layer.Conv3d(3, 3, padding="same")(Tensor((1, 1, 5, 5, 5))).shape == (1, 3, 5, 5, 5)
