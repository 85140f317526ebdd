"""Layers in layers: sharing, sequences, registration, freezing, embeddings."""

import numpy as np
import pytest

from singa import autograd, layer, model, opt
from singa.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor


def ones(*shape):
    return Tensor(data=np.ones(shape, np.float32))


def test_sequential_is_its_layers_one_after_the_other():
    net = layer.Sequential(layer.Linear(3), layer.ReLU(), layer.Linear(2, bias=False))
    x = ones(4, 5)
    np.testing.assert_array_equal(net(x), net[2](net[1](net[0](x))))
    assert sorted(net.get_params()) == ["0.W", "0.b", "2.W"]
    assert len(net) == 3
    assert list(net) == [net[0], net[1], net[-1]]
    with pytest.raises(IndexError):
        net[3]
    assert layer.Sequential()(x) is x
    np.testing.assert_array_equal(layer.Sequential(layer.Add(), layer.Identity())(x, x), x + x)


def test_a_shared_layer_has_one_set_of_parameters_and_the_sum_of_gradients(recording):
    shared = layer.Linear(2, bias=False)
    net = layer.Sequential(shared, layer.Identity(), shared)
    x = ones(1, 2)
    y = net(x)
    assert list(net.get_params()) == ["0.W"]
    w = shared.W.to_numpy()
    np.testing.assert_allclose(y, x.to_numpy() @ w @ w, rtol=1e-6)
    found = autograd.gradients(autograd.reduce_sum(y))[shared.W]
    expected = np.ones((2, 1)) @ (np.ones((1, 2)) @ w.T) + (np.ones((1, 2)) @ w).T @ np.ones((1, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


class Closure(layer.Layer):
    """Keeps its layers where no attribute leads, as SINGA's ResNet does."""

    def __init__(self):
        self.first = self.make(2)
        self.second = self.make(3)

    def make(self, count):
        layers = [layer.Linear(4) for _ in range(count)]
        self.register_layers(*layers)

        def run(x):
            for each in layers:
                x = each(x)
            return x

        return run

    def forward(self, x):
        return self.second(self.first(x))


def test_defect_48_names_are_unique_in_closures_too():
    net = Closure()
    net(ones(1, 4))
    names = [f"Linear_{i}.{name}" for i in range(5) for name in "Wb"]
    assert sorted(net.get_params()) == names
    assert len(set(net.get_params().values())) == 10


def test_layers_are_registered_under_given_names_that_are_free():
    net = layer.Layer()
    one, two = layer.Linear(1), layer.Linear(2)
    net.register_layers({"one": one, "two": two})
    assert dict(net.sublayers()) == {"one": one, "two": two}
    net.register_layers({"one": one})
    for taken in ("one", "forward"):
        with pytest.raises(ArgumentError, match=f"Layer: '{taken}' is already something else"):
            net.register_layers({"three": one, taken: two})
    with pytest.raises(DTypeError, match="only Layers can be registered, got 3"):
        net.register_layers({"three": 3})
    assert dict(net.sublayers()) == {"one": one, "two": two}


def test_defect_1_parameters_made_in_the_first_pass_all_get_their_gradients(recording):
    for _ in range(20):
        layers = [layer.Linear(4) for _ in range(4)]
        y = ones(2, 4)
        for each in layers:
            y = each(y * 1.0)  # temporaries die, and others take their place in memory
        found = autograd.gradients(autograd.reduce_sum(y))
        assert set(found) == {p for each in layers for p in each.get_params().values()}
        assert len(found) == 8


def test_defect_14_layers_of_the_same_names_have_optimizer_states_of_their_own(recording):
    """Two stand-alone layers have four parameters named W and b, and four momentum buffers."""
    one, two = layer.Linear(3), layer.Linear(3)
    x = ones(2, 3)
    sgd = opt.SGD(0.1, momentum=0.5)
    two(one(x))
    expected = {
        p: (p.to_numpy(), np.zeros(p.shape)) for n in (one, two) for p in n.get_params().values()
    }
    for _ in range(3):
        loss = autograd.reduce_mean(two(one(x)) ** 2.0)
        for p, g in autograd.backward(loss):
            value, momentum = expected[p]
            momentum = 0.5 * momentum + g.to_numpy()
            expected[p] = value - 0.1 * momentum, momentum
            sgd.update(p, g)
    for p, (value, _) in expected.items():
        np.testing.assert_allclose(p, value, rtol=1e-5, atol=1e-6)


def test_defect_19_frozen_layers_get_no_gradient_and_are_not_updated(recording):
    one, two = layer.Linear(3), layer.Linear(3)
    one.freeze()  # before there are any parameters
    x = ones(2, 3)
    loss = autograd.reduce_mean(two(one(x)) ** 2.0)
    assert autograd.gradients(loss).keys() == set(two.get_params().values())
    before = one.W.to_numpy()
    opt.SGD(0.1, weight_decay=0.1)(loss)
    np.testing.assert_array_equal(one.W, before)
    one.unfreeze()
    assert len(autograd.gradients(autograd.reduce_mean(two(one(x)) ** 2.0))) == 4


def test_what_is_frozen_from_outside_is_frozen_inside_and_can_be_excepted():
    net = layer.Sequential(layer.Linear(2), layer.Sequential(layer.Linear(3)))
    net.freeze()
    net[1][0].unfreeze()
    net(ones(1, 2))
    trained = {name for name, p in net.get_params().items() if p.requires_grad}
    assert trained == {"1.0.W", "1.0.b"}


@pytest.mark.parametrize("use_graph", [False, True])
def test_freezing_between_steps_is_not_ignored(use_graph):
    class Net(model.Model):
        def __init__(self):
            super().__init__()
            self.body, self.head = layer.Linear(3), layer.Linear(1)
            self.optimizer = opt.SGD(0.1, momentum=0.9)

        def forward(self, x):
            return self.head(self.body(x))

        def train_one_batch(self, x):
            loss = autograd.reduce_mean(self.forward(x) ** 2.0)
            self.optimizer(loss)
            return loss

    net, x = Net(), ones(2, 3)
    net.compile([x], use_graph=use_graph)
    moved = []
    for change in (lambda: None, net.body.freeze, net.body.unfreeze):
        change()
        before = {name: p.to_numpy() for name, p in net.get_params().items()}
        net(x)
        moved.append(
            {name for name, p in net.get_params().items() if (p.to_numpy() != before[name]).any()}
        )
    everything = {"body.W", "body.b", "head.W", "head.b"}
    assert moved == [everything, {"head.W", "head.b"}, everything]


@pytest.mark.parametrize("dtype", ["float16", "int32"])
def test_defect_39_inputs_of_another_type_leave_parameters_alone(dtype):
    for net, shape in ((layer.Linear(4), (2, 4)), (layer.Embedding(3, 4), (2,))):
        x = Tensor(shape, dtype="int32") if isinstance(net, layer.Embedding) else ones(*shape)
        net(x)
        before = net.W.to_numpy()
        if not isinstance(net, layer.Embedding):
            net(Tensor(shape, dtype=dtype))
        assert str(net.W.dtype) == "float32"
        np.testing.assert_array_equal(net.W, before)


def test_defect_43_recurrent_layers_honour_their_options():
    x = Tensor((5, 2, 3))
    for make in (layer.RNN, layer.GRU, layer.LSTM):
        net = make(3, 4, num_layers=2, bias=False, batch_first=True, bidirectional=True)
        y, states = net(x)
        h = states[0] if make is layer.LSTM else states
        assert y.shape == (5, 2, 8)
        assert h.shape == (4, 5, 4)
        assert len(net.get_params()) == 8


def test_embedding_looks_up_and_sums_gradients_of_what_is_looked_up_twice(recording):
    net = layer.Embedding(4, 2, initializer="uniform")
    ids = Tensor(data=np.array([[0, 2], [2, 3]], np.int32))
    y = net(ids)
    w = net.W.to_numpy()
    assert np.abs(w).max() <= 1
    np.testing.assert_array_equal(y, w[ids.to_numpy()])
    found = autograd.gradients(autograd.reduce_sum(y))[net.W]
    np.testing.assert_array_equal(found, [[1, 1], [0, 0], [2, 2], [1, 1]])


@pytest.mark.parametrize("compiled", [False, True])
def test_options_of_embeddings_eagerly_and_compiled(recording, compiled):
    """By PyTorch's formulas: the padding is not trained, long rows are shortened."""
    ids = Tensor(data=np.array([[3, 1], [1, 2]], np.int32))
    start = np.array([[3, 4], [0.3, 0.4], [6, 8], [5, 12]], np.float32)
    net = layer.Embedding(4, 2, padding_idx=-1, max_norm=5.0, scale_grad_by_freq=True)
    net(ids)
    assert not net.W.to_numpy()[3].any()
    net.set_params({"W": start})

    def step(ids):
        y = net(ids)
        return y, autograd.gradients(autograd.reduce_sum(y * y))[net.W]

    y, found = Steps()(step, (ids,), {}, False) if compiled else step(ids)
    shortened = start * np.array([[1], [1], [0.5], [5 / 13]], np.float32)
    np.testing.assert_allclose(net.W, shortened, rtol=1e-6)
    assert net.W.creator is None
    np.testing.assert_allclose(y, shortened[ids.to_numpy()], rtol=1e-6)
    np.testing.assert_allclose(found, 2 * shortened * [[0], [1], [1], [0]], rtol=1e-6)
    net.max_norm, net.norm_type = 6.9, 1.0
    net(Tensor(data=np.array([2], np.int32)))
    np.testing.assert_allclose(net.W[2], [6.9 * 3 / 7, 6.9 * 4 / 7], rtol=1e-6)
    bags = layer.EmbeddingBag(4, 2, padding_idx=3, include_last_offset=True)
    bags(ids)
    bags.set_params({"W": start})
    np.testing.assert_allclose(bags(ids), [start[1], start[1:3].mean(0)])
    np.testing.assert_allclose(
        bags(ids.reshape((4,)), [0, 1, 4]), [[0, 0], start[[1, 1, 2]].mean(0)]
    )


def test_mistakes_in_options_of_embeddings():
    with pytest.raises(ArgumentError, match="EmbeddingBag: padding_idx=4 is none of 4 integers"):
        layer.EmbeddingBag(4, 2, padding_idx=4)
    w = Tensor((3, 2), stores_grad=True)
    with pytest.raises(BoundsError, match="padding_idx=-4 is none of the 3 rows"):
        autograd.embedding([0], w, padding_idx=-4)
    with autograd.enable_grad(), pytest.raises(ArgumentError, match="it must be a parameter"):
        autograd.embedding([0], w * 2, max_norm=1.0)


@pytest.mark.parametrize("called_before", [False, True])
def test_pretrained_embeddings_are_taken_and_frozen(recording, called_before):
    net, ids = layer.Embedding(3, 2), Tensor(data=np.array([2, 0], np.int32))
    if called_before:
        net(ids)
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    net.from_pretrained(Tensor(data=vectors))
    y = net(ids)
    np.testing.assert_array_equal(y, vectors[[2, 0]])
    assert not y.requires_grad
    net.from_pretrained(vectors + 1, freeze=False)
    found = autograd.gradients(autograd.reduce_sum(net(ids)))
    assert list(found) == [net.W]
    assert list(net.get_params()) == ["W"]
    with pytest.raises(ShapeError, match=r"must be \(3, 2\), got \(2, 3\)"):
        net.from_pretrained(vectors.T)
    with pytest.raises(ArgumentError, match="'gaussian', 'uniform' or a function, got 'zeros'"):
        layer.Embedding(3, 2, "zeros")
