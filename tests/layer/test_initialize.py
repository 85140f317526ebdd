"""A layer's parameters are made once, however it is called, and have names of their own."""

import numpy as np
import pytest

from singa import layer, weights
from singa.errors import ArgumentError, DTypeError
from singa.tensor import Tensor

X = Tensor(data=np.ones((2, 3), np.float32))


def test_what_was_initialized_by_hand_is_not_drawn_anew():
    linear = layer.Linear(2)
    linear.initialize(X)
    linear.W.set_value(7.0)
    linear.W.requires_grad = False
    assert linear(X).tolist() == [[21.0, 21.0]] * 2
    assert not linear.W.requires_grad
    norm = layer.BatchNorm2d()
    norm.initialize(X)
    norm.running_mean.set_value(5.0)
    norm(X)  # which takes a tenth of the batch's mean, in training
    assert (norm.running_mean.to_numpy() > 4.5).all()


def test_forward_by_itself_and_arguments_by_name_initialize_too():
    assert layer.Linear(2).forward(X).shape == (2, 2)
    assert layer.Linear(2)(x=X).shape == (2, 2)
    frozen = layer.Linear(2)
    frozen.freeze()
    frozen.forward(X)
    assert not frozen.W.requires_grad


def test_a_subclass_may_call_its_base():
    class Twice(layer.Linear):
        made = 0

        def initialize(self, x):
            super().initialize(x)
            self.made += 1

        def forward(self, x):
            return 2 * super().forward(x)

    twice = Twice(2)
    twice(X)
    before = twice.W.to_numpy()
    twice(X)
    assert twice.made == 1
    np.testing.assert_array_equal(twice.W.to_numpy(), before)


def test_get_params_may_look_at_what_initialize_makes():
    class Own(layer.Layer):
        def initialize(self, x):
            self.scale = Tensor(x.shape[-1:], stores_grad=True).set_value(2.0)

        def forward(self, x):
            return x * self.scale

        def get_params(self):
            return {"own": self.scale}

    own = Own()
    assert own(X).tolist() == [[2.0] * 3] * 2
    assert list(own.get_params()) == ["own"]


@pytest.mark.parametrize(
    "layers",
    [
        {"a.b": layer.Linear(2), "a": {"b": layer.Linear(2)}},
        {0: layer.Linear(2), "0": layer.Linear(2)},
        {1: layer.Linear(2), 1.0 + 1: layer.Linear(2), "1": layer.Linear(3)},
    ],
)
def test_two_tensors_of_one_name_are_refused(layers, tmp_path):
    class Net(layer.Layer):
        def __init__(self):
            super().__init__()
            self.parts = layers

        def forward(self, x):
            for part in _all(layers):
                part(x)
            return x

    net = Net()
    net(X)
    for use in (net.get_params, net.get_states, net.freeze):
        with pytest.raises(ArgumentError, match="two of its Tensors are named 'parts"):
            use()
    with pytest.raises(ArgumentError, match="two of its Tensors are named"):
        weights.save(net, tmp_path / "net.safetensors")


def _all(layers):
    for each in layers.values():
        yield from _all(each) if isinstance(each, dict) else [each]


@pytest.mark.parametrize("kind", [np.asarray, lambda x: x.data, lambda x: x.tolist()])
@pytest.mark.parametrize("make", [lambda: layer.Linear(2), layer.LayerNorm, layer.ReLU])
def test_arrays_are_refused_with_words(make, kind):
    with pytest.raises(DTypeError, match=r"Tensors.*Tensor"):
        make()(kind(X))
