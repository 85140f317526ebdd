"""Tensors that a step makes, or fills: the same eagerly and compiled, in every call."""

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt, tensor
from singa.tensor import Tensor

CPU = device.get_default_device()
X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)

MAKE = {
    "Tensor of a shape": lambda x: Tensor(x.shape),
    "Tensor of data": lambda x: Tensor(data=X + 1),
    "Tensor of a Tensor": lambda x: Tensor(data=x),
    "from_numpy": lambda x: tensor.from_numpy(X),
    "from_raw_tensor": lambda x: tensor.from_raw_tensor(x.data),
    "zeros": lambda x: tensor.zeros(x.shape),
    "ones": lambda x: tensor.ones((3,), dtype=tensor.int32),
    "zeros_like": tensor.zeros_like,
    "ones_like": tensor.ones_like,
    "full": lambda x: tensor.full(x.shape, -0.5),
    "arange": lambda x: tensor.arange(3),
    "arange of floats": lambda x: tensor.arange(0.5, 2.0, 0.5),
    "random": lambda x: tensor.random((2, 3)),
    "as_tensor": lambda x: tensor.as_tensor(2.5, x),
    "clone": lambda x: x.clone(),
    "detach": lambda x: x.detach(),
    "repeat": lambda x: tensor.concatenate([tensor.ones_like(x), x], 0)[1:3],
}
STATE = Tensor(data=-3.0)
FILL = {
    "set_value": lambda t, x: t.set_value(0.25),
    "set_value of a Tensor": lambda t, x: t.set_value(x.sum()),
    "set_value of a state": lambda t, x: t.set_value(STATE),
    "gaussian": lambda t, x: t.gaussian(1.0, 2.0),
    "uniform": lambda t, x: t.uniform(-1.0, 1.0),
    "bernoulli": lambda t, x: t.bernoulli(0.5),
    "tensor.gaussian": lambda t, x: tensor.gaussian(0.0, 1.0, t),
    "tensor.uniform": lambda t, x: tensor.uniform(0.0, 1.0, t),
    "tensor.bernoulli": lambda t, x: tensor.bernoulli(0.5, t),
    "copy_from_numpy": lambda t, x: t.copy_from_numpy(X),
    "tensor.copy_from_numpy": lambda t, x: tensor.copy_from_numpy(t, X),
    "copy_data": lambda t, x: t.copy_data(x),
    "copy_data of another type": lambda t, x: t.copy_data(x.as_type(tensor.float16)),
    "copy_from": lambda t, x: t.copy_from(x),
    "copy_data_to_from": lambda t, x: tensor.copy_data_to_from(t, x, 3),
    "reset_like": lambda t, x: t.reset_like(x),
    "to_host": lambda t, x: t.set_value(2).to_host(),
    "to_device": lambda t, x: t.to_device(CPU),
    "in place": lambda t, x: t.__iadd__(x),
    "item": lambda t, x: t.__setitem__(0, 7.0),
    "axpy": lambda t, x: tensor.axpy(2.0, x, t),
    "out": lambda t, x: tensor.add(x, 1.0, t),
}


class Net(model.Model):
    """Calls a function with an argument and a Tensor that is the model's own."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.kept = Tensor(data=X * 3)

    def forward(self, x):
        return self.function(self.kept, x)


def results(net, graph, calls=3):
    CPU.set_rand_seed(5)
    net.eval()
    net.graph(graph)
    left = [[net(Tensor(data=X * i)).to_numpy(), net.kept.to_numpy()] for i in range(calls)]
    return [*(array for pair in left for array in pair), tensor.random_key(CPU).to_numpy()]


def assert_same_in_steps(function):
    eager, compiled = (results(Net(function), graph) for graph in (False, True))
    for a, b in zip(eager, compiled, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, strict=True)


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_what_a_step_makes(make):
    assert_same_in_steps(lambda kept, x: make(x) * 2)
    assert_same_in_steps(lambda kept, x: make(x))


@pytest.mark.parametrize("fill", FILL.values(), ids=FILL)
def test_what_a_step_fills(fill):
    def own(kept, x):
        fill(kept, x)
        return kept * x

    def made(kept, x):
        y = Tensor(x.shape)
        fill(y, x)
        return y

    def argument(kept, x):
        fill(x, x * 2)
        return x + kept

    def computed(kept, x):
        y = x * 1
        fill(y, kept)
        return y

    for function in (own, made, argument, computed):
        assert_same_in_steps(function)


@pytest.mark.parametrize("to", [tensor.float16, tensor.int32])
def test_to_type(to):
    assert_same_in_steps(lambda kept, x: x.clone().to_type(to))


@pytest.mark.parametrize("graph", [False, True])
def test_a_model_whose_step_makes_tensors_is_compiled(graph):
    class Shifted(Net):
        def __init__(self):
            super().__init__(None)
            self.linear, self.optimizer = layer.Linear(1), opt.SGD(0.1)

        def forward(self, x):
            return self.linear(x) * tensor.ones((1,)) + tensor.full((1,), 2.0)

        def train_one_batch(self, x):
            loss = self.forward(x).sum()
            self.optimizer(loss)
            return loss

    net = Shifted()
    CPU.set_rand_seed(5)
    net.compile([Tensor(data=X)], is_train=True, use_graph=graph)
    before = net.linear.b.item()
    net(Tensor(data=X))
    assert net.linear.b.item() == pytest.approx(before - 0.2)


@pytest.mark.parametrize("how", ["causal", "mask", "additive"])
def test_masks_that_a_step_makes(how):
    attention = layer.MultiHeadAttention(3, num_heads=1)
    attention(Tensor(data=X.reshape(1, 2, 3)))  # its parameters are made

    def attend(kept, x):
        x = autograd.reshape(x, (1, 2, 3))
        if how == "causal":
            return attention(x, causal=True)
        seen = tensor.ones((2, 2)) if how == "additive" else tensor.ones((2, 2)) > 0
        return attention(x, mask=seen)

    assert_same_in_steps(attend)


def test_dropout_in_steps():
    def drop(kept, x):
        return autograd.dropout(x, 0.5) * tensor.ones_like(x).bernoulli(0.5)

    assert_same_in_steps(drop)
