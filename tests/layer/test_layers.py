"""Layers: construction, shapes, parameters, and how parameters are found."""

import numpy as np
import pytest

from singa import autograd, device, layer, model
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tensor import Tensor

CPU = device.get_default_device()


def images(n=2, c=3, h=8, w=8, dtype="float32"):
    return Tensor(data=np.random.default_rng(0).standard_normal((n, c, h, w)).astype(dtype))


@pytest.mark.parametrize(
    ("make", "x", "out", "params"),
    [
        (lambda: layer.Linear(5), (4, 3), (4, 5), {"W": (3, 5), "b": (5,)}),
        (lambda: layer.Linear(5, bias=False), (4, 3), (4, 5), {"W": (3, 5)}),
        (lambda: layer.Linear(3, 5), (4, 3), (4, 5), {"W": (3, 5), "b": (5,)}),
        (lambda: layer.Linear(3, 5, False), (4, 3), (4, 5), {"W": (3, 5)}),
        (lambda: layer.Linear(5), (4, 6, 3), (4, 6, 5), {"W": (3, 5), "b": (5,)}),
        (lambda: layer.Linear(5), (4, 1, 2, 3), (4, 5), {"W": (6, 5), "b": (5,)}),
        (lambda: layer.Linear(6, 5), (4, 1, 2, 3), (4, 5), {"W": (6, 5), "b": (5,)}),
        (lambda: layer.Linear(3, 5), (4, 1, 2, 3), (4, 1, 2, 5), {"W": (3, 5), "b": (5,)}),
        (lambda: layer.Conv2d(6, 3), (2, 4, 9, 8), (2, 6, 7, 6), {"W": (6, 4, 3, 3), "b": (6,)}),
        (
            lambda: layer.Conv2d(4, 6, 3, 2, 1),
            (2, 4, 9, 8), (2, 6, 5, 4), {"W": (6, 4, 3, 3), "b": (6,)},
        ),
        (
            lambda: layer.Conv2d(6, (3, 1), padding=(1, 0, 2, 0), group=2, dilation=2, bias=False),
            (2, 4, 9, 8), (2, 6, 6, 10), {"W": (6, 2, 3, 1)},
        ),
        (
            lambda: layer.BatchNorm2d(),
            (2, 4, 3, 3), (2, 4, 3, 3), {"scale": (4,), "bias": (4,)},
        ),
        (lambda: layer.BatchNorm2d(4, 0.5), (6, 4), (6, 4), {"scale": (4,), "bias": (4,)}),
        (lambda: layer.MaxPool2d(3, 1, padding=1), (2, 4, 9, 8), (2, 4, 9, 8), {}),
        (lambda: layer.AvgPool2d((2, 4)), (2, 4, 9, 8), (2, 4, 4, 2), {}),
        (lambda: layer.Flatten(), (2, 4, 3), (2, 12), {}),
        (lambda: layer.SoftMax(axis=-1), (2, 4, 3), (2, 4, 3), {}),
    ],
    ids=[
        "linear", "linear-nobias", "linear-old", "linear-old-nobias", "linear-sequence",
        "linear-images", "linear-images-old", "linear-last-axis", "conv", "conv-old", "conv-all",
        "bn", "bn-old", "max", "avg", "flatten", "softmax",
    ],
)  # fmt: skip
def test_shapes_and_parameters(make, x, out, params):
    one = make()
    assert one.get_params() == {}
    y = one(Tensor(data=np.ones(x, np.float32)))
    assert y.shape == out
    assert {name: t.shape for name, t in one.get_params().items()} == params
    assert all(t.stores_grad for t in one.get_params().values())


def test_layers_compute_what_the_operations_do():
    x = Tensor(data=np.linspace(0.1, 0.9, 12, dtype=np.float32).reshape(3, 4))
    t = Tensor(data=np.eye(4, dtype=np.float32)[:3])
    pairs = [
        (layer.ReLU()(x), autograd.relu(x)),
        (layer.Sigmoid()(x), autograd.sigmoid(x)),
        (layer.Tanh()(x), autograd.tanh(x)),
        (layer.Cat(1)([x, t]), autograd.cat((x, t), 1)),
        (layer.Add()(x, t), x + t),
        (layer.SoftMaxCrossEntropy()(x, t), autograd.softmax_cross_entropy(x, t)),
        (layer.MeanSquareError()(x, t), autograd.mse_loss(x, t)),
        (layer.BinaryCrossEntropy()(x, t), autograd.binary_cross_entropy(x, t)),
    ]
    for one, other in pairs:
        np.testing.assert_array_equal(one, other)
    linear = layer.Linear(2)
    np.testing.assert_allclose(
        linear(x), x.to_numpy() @ linear.W.to_numpy() + linear.b.to_numpy(), rtol=1e-5, atol=1e-6
    )


def test_initial_weights_have_glorots_variance():
    CPU.set_rand_seed(0)
    linear, conv = layer.Linear(300), layer.Conv2d(64, 5)
    linear(Tensor((2, 500)))
    conv(Tensor((1, 32, 8, 8)))
    assert linear.W.to_numpy().std() == pytest.approx(np.sqrt(2 / 800), rel=0.02)
    assert conv.W.to_numpy().std() == pytest.approx(np.sqrt(2 / (32 * 25 + 64)), rel=0.02)
    assert not linear.b.to_numpy().any()


def test_batch_norm_uses_the_batch_in_training_and_its_memory_outside():
    x = images(4, 3, 5, 5)
    a = x.to_numpy()
    mean, var = a.mean((0, 2, 3)), a.var((0, 2, 3))
    bn = layer.BatchNorm2d(3, 0.8, eps=1e-3)
    autograd.training = True
    y = bn(x)
    autograd.training = False
    wide = (slice(None), None, None)
    np.testing.assert_allclose(
        y, (a - mean[wide]) / np.sqrt(var[wide] + 1e-3), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(bn.running_mean, 0.2 * mean, rtol=1e-5)
    np.testing.assert_allclose(bn.running_var, 0.8 + 0.2 * var, rtol=1e-5)
    expected = (a - 0.2 * mean[wide]) / np.sqrt(0.8 + 0.2 * var[wide] + 1e-3)
    np.testing.assert_allclose(bn(x), expected, rtol=1e-4, atol=1e-5)
    assert set(bn.get_states()) == {"scale", "bias", "running_mean", "running_var"}


def test_dropout_honours_its_ratio_keeps_the_mean_and_rests_outside_of_training():
    x = Tensor(data=np.ones((100, 1000), np.float32))
    drop = layer.Dropout(0.2)
    np.testing.assert_array_equal(drop(x), x)
    autograd.training = True
    CPU.set_rand_seed(1)
    first, second = drop(x).to_numpy(), drop(x).to_numpy()
    CPU.set_rand_seed(1)
    again = drop(x).to_numpy()
    autograd.training = False
    assert (first == 0).mean() == pytest.approx(0.2, abs=0.01)
    np.testing.assert_allclose(np.unique(first), [0, 1.25])
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(first, again)


class Nest(layer.Layer):
    def __init__(self):
        self.conv1 = layer.Linear(2)
        self.conv10 = layer.Linear(3)
        self.blocks = [layer.Linear(4), {"deep": layer.Linear(5)}]
        self.pair = (layer.ReLU(), layer.Linear(6))
        self.again = self.conv1
        self.scale = Tensor(data=2.0, stores_grad=True)
        self.not_mine = Tensor(data=1.0)

    def forward(self, x):
        y = autograd.cat((self.conv1(x), self.conv10(x), self.blocks[0](x)), 1)
        return self.pair[1](self.blocks[1]["deep"](y)) * self.scale


def test_what_is_inside_is_found_once_and_named_by_its_path():
    nest = Nest()
    nest(Tensor((1, 2)))
    names = ["conv1", "conv10", "blocks.0", "blocks.1.deep", "pair.1"]
    expected = [f"{name}.{p}" for name in names for p in "Wb"] + ["scale"]
    assert sorted(nest.get_params()) == sorted(expected)
    assert nest.get_states().keys() == nest.get_params().keys()
    assert [name for name, _ in nest.sublayers()] == [
        "conv1", "conv10", "blocks.0", "blocks.1.deep", "pair.0", "pair.1",
    ]  # fmt: skip


def test_values_are_set_by_name_all_or_none():
    nest = Nest()
    nest(Tensor((1, 2)))
    nest.set_params({"conv10.b": np.ones(3), "conv1.b": Tensor(data=[2.0, 2.0])})
    np.testing.assert_array_equal(nest.conv10.b, [1, 1, 1])
    np.testing.assert_array_equal(nest.conv1.b, [2, 2])
    with pytest.raises(
        ArgumentError, match=r"Nest has no parameter named 'conv2\.b'; its names are"
    ):
        nest.set_params({"conv1.b": np.zeros(2), "conv2.b": np.zeros(2)})
    with pytest.raises(ShapeError, match=r"'conv10.b': the Tensor is of shape \(3,\).*\(2,\)"):
        nest.set_states({"conv1.b": np.zeros(2), "conv10.b": np.zeros(2)})
    np.testing.assert_array_equal(nest.conv1.b, [2, 2])
    with pytest.raises(ArgumentError, match="it has not seen an input yet"):
        layer.Linear(2).set_params({"W": np.zeros(2)})


def test_a_model_in_evaluation_keeps_frozen_parameters_in_its_states():
    class Net(model.Model):
        def __init__(self):
            super().__init__()
            self.linear = layer.Linear(2)

        def forward(self, x):
            return self.linear(x)

    net = Net()
    net.compile([Tensor((1, 3))])
    net.linear.W.requires_grad = False
    assert set(net.get_params()) == {"linear.W", "linear.b"}
    assert net.linear.W.name == "linear.W"


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "int32"])
def test_parameters_are_of_the_inputs_float_type(dtype):
    linear = layer.Linear(2)
    linear(Tensor((1, 3), dtype=dtype))
    expected = "float32" if dtype == "int32" else dtype
    assert {str(p.dtype) for p in linear.get_params().values()} == {expected}


def test_later_inputs_of_another_type_or_size_leave_the_parameters_alone():
    conv = layer.Conv2d(4, 3)
    conv(images(2))
    before = conv.W.to_numpy()
    assert conv(images(5, 3, 10, 6)).shape == (5, 4, 8, 4)
    conv(images(dtype="float16"))
    assert str(conv.W.dtype) == "float32"
    np.testing.assert_array_equal(conv.W, before)


@pytest.mark.parametrize(
    ("do", "error", "words"),
    [
        (lambda: layer.Linear(0), ArgumentError, "Linear: out_features must be at least 1, got 0"),
        (lambda: layer.Linear(2.5), DTypeError, r"out_features must be an integer, got 2\.5"),
        (lambda: layer.Linear(2, 3, True, 4), DTypeError, "at most by position, got 4"),
        (lambda: layer.Linear(2)(Tensor((3,))), ShapeError, r"must be \(N, features\), got"),
        (lambda: layer.Linear(4, 2)(Tensor((3, 5))), ShapeError, "4 features expected, got 5"),
        (lambda: layer.Conv2d(2, 3)(Tensor((3, 5))), ShapeError, r"must be \(N, C, H, W\), got"),
        (lambda: layer.Conv2d(1, 2, 3)(images()), ShapeError, "1 channels expected, got 3"),
        (lambda: layer.Conv2d(2, 3, group=2)(images()), ShapeError, "not a multiple of group=2"),
        (lambda: layer.Conv2d(3, 3, group=2), ArgumentError, "must be multiples of group=2"),
        (lambda: layer.Conv2d(1, 2, 3, 4, 5, 6), DTypeError, "at most by position, got 6"),
        (lambda: layer.Conv2d(2, 0), ArgumentError, "kernel_size: one or two integers of at least"),
        (lambda: layer.Conv2d(2, 9)(images()), ShapeError, "the window is 9 in height"),
        (lambda: layer.BatchNorm2d(4)(images()), ShapeError, "4 channels expected, got 3"),
        (lambda: layer.BatchNorm2d(4, 2.0), ArgumentError, "momentum must be from 0 to 1"),
        (lambda: layer.BatchNorm2d(4, 0.5, 1), DTypeError, "at most by position, got 3"),
        (lambda: layer.BatchNorm2d()(Tensor((2,))), ShapeError, r"must be \(N, C\) or"),
        (lambda: layer.MaxPool2d(2, padding=2)(images()), ArgumentError, "not smaller than the"),
        (lambda: layer.Dropout(1.5), ArgumentError, r"ratio is a probability, got 1\.5"),
        (lambda: layer.Layer()(Tensor()), NotImplementedError, "Layer has no forward"),
    ],
)
def test_mistakes_are_refused_with_words(do, error, words):
    with pytest.raises(error, match=words):
        do()


def test_training_after_a_change_of_batch_size():
    linear = layer.Linear(1)
    autograd.training = True
    for n in (4, 7, 2):
        x = Tensor(data=np.ones((n, 3), np.float32))
        grads = autograd.gradients(autograd.reduce_sum(linear(x)))
        np.testing.assert_allclose(grads[linear.W], np.full((3, 1), n))
    autograd.training = False


def test_defect_16_momentum_by_position_is_not_lost():
    x = images(4, 3, 5, 5)
    by_place, by_name, default = (
        layer.BatchNorm2d(3, 0.5), layer.BatchNorm2d(momentum=0.5), layer.BatchNorm2d(3)
    )  # fmt: skip
    autograd.training = True
    for bn in (by_place, by_name, default):
        bn(x)
    autograd.training = False
    np.testing.assert_array_equal(by_place.running_mean, by_name.running_mean)
    assert (by_place.running_mean.to_numpy() != default.running_mean.to_numpy()).all()
