"""Model: compile, modes, and the same numbers eagerly and compiled."""

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt, tensor
from singa.errors import DTypeError, ShapeError
from singa.tensor import Tensor

CPU = device.get_default_device()


@pytest.fixture(autouse=True)
def _mode():
    autograd.training = False
    yield
    autograd.training = False


class Classifier(model.Model):
    def __init__(self):
        super().__init__()
        self.optimizer = opt.SGD(0.05, momentum=0.9, weight_decay=1e-4)

    def train_one_batch(self, x, y):
        out = self.forward(x)
        loss = autograd.softmax_cross_entropy(out, y)
        self.optimizer(loss)
        return out, loss


class MLP(Classifier):
    def __init__(self):
        super().__init__()
        self.layers = [layer.Linear(16), layer.ReLU(), layer.Linear(4)]

    def forward(self, x):
        for one in self.layers:
            x = one(x)
        return x


class CNN(Classifier):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn = layer.Conv2d(4, 3, padding=1, bias=False), layer.BatchNorm2d()
        self.max, self.avg = layer.MaxPool2d(3, 1, padding=1), layer.AvgPool2d(2)
        self.conv2, self.conv3 = layer.Conv2d(4, 3, stride=2), layer.Conv2d(4, 3, stride=2)
        self.drop, self.linear = layer.Dropout(0.2), layer.Linear(4)

    def forward(self, x):
        y = self.max(self.bn(autograd.relu(self.conv1(x))))
        y = autograd.cat((self.conv2(y), self.conv3(y)), 1)
        return self.linear(self.drop(self.avg(autograd.relu(y))))


class Shared(Classifier):
    """One layer used three times."""

    def __init__(self):
        super().__init__()
        self.first, self.middle = layer.Linear(8), layer.Linear(8)
        self.last = layer.Linear(4)

    def forward(self, x):
        y = self.first(x)
        for _ in range(3):
            y = autograd.tanh(self.middle(y))
        return self.last(y)


def train(cls, graph, steps=20, sequential=False):
    CPU.set_rand_seed(0)
    rng = np.random.default_rng(0)
    x = Tensor(data=rng.standard_normal((8, 1, 8, 8)).astype(np.float32))
    y = Tensor(data=rng.integers(0, 4, 8))
    net = cls()
    net.compile([x], is_train=True, use_graph=graph, sequential=sequential)
    return net, [net(x, y)[1].item() for _ in range(steps)]


@pytest.mark.parametrize("cls", [MLP, CNN, Shared])
def test_eager_and_compiled_runs_agree_over_twenty_steps(cls):
    eager, expected = train(cls, graph=False)
    compiled, losses = train(cls, graph=True)
    # float32 rounding, which twenty steps of training amplify
    np.testing.assert_allclose(losses, expected, rtol=1e-3)
    assert losses[-1] < losses[0]
    for name, state in eager.get_states().items():
        np.testing.assert_allclose(
            compiled.get_states()[name], state, rtol=2e-2, atol=2e-4, err_msg=name
        )
    assert (compiled.captures, compiled.compilations) == (1, 1)


@pytest.mark.parametrize("cls", [MLP, CNN])
def test_sequential_and_eager_runs_are_equal_bit_for_bit(cls):
    assert train(cls, True, 5, sequential=True)[1] == train(cls, False, 5)[1]


class Counts(autograd.Operation):
    """Passes its input on, and counts how often it really runs."""

    traceable = False
    runs = 0

    def forward(self, x):
        type(self).runs += 1
        return x

    def backward(self, dy):
        return dy


def test_compile_computes_nothing_and_changes_no_state():
    net = CNN()
    tensor.random_key(CPU)
    x = Tensor((2, 1, 8, 8))
    net.compile([x], use_graph=True)
    states = {name: t.to_numpy() for name, t in net.get_states().items()}
    key = tensor.random_key(CPU).to_numpy()
    net.compile([x], use_graph=True)
    for name, value in states.items():
        np.testing.assert_array_equal(net.get_states()[name], value)
    np.testing.assert_array_equal(tensor.random_key(CPU), key)
    assert not states["bn.running_mean"].any()


def test_a_forward_that_needs_real_values_is_run_for_them_and_undone():
    class Hosted(CNN):
        def forward(self, x):
            return super().forward(Counts()(x)[0])

    net = Hosted()
    net.compile([Tensor(data=np.ones((2, 1, 8, 8), np.float32))], use_graph=False)
    assert Counts.runs == 1
    assert not net.bn.running_mean.to_numpy().any()
    assert net.conv1.W.to_numpy().all()


def test_parameters_that_a_failing_step_has_made_are_not_undone():
    class Fails(MLP):
        fail = True

        def forward(self, x):
            y = super().forward(x)
            return y @ y if self.fail else y

    net = Fails()
    net.train()
    x, y = Tensor(data=np.ones((2, 5), np.float32)), Tensor(data=[0, 1])
    with pytest.raises(ShapeError):
        net(x, y)
    assert net.layers[0].W.to_numpy().all()
    net.fail = False
    net(x, y)


def test_a_model_that_fails_to_compile_stays_as_it_was():
    net = MLP()
    net.layers[0] = layer.Linear(5, 16)
    with pytest.raises(ShapeError, match="Linear: 5 features expected, got 64"):
        net.compile([Tensor((2, 64))], use_graph=True)
    assert (net.training, net.graph_mode, autograd.training) == (None, False, False)
    with pytest.raises(DTypeError, match=r"a list of Tensors is expected: compile\(\[tx\]\)"):
        net.compile(Tensor((2, 5)))


def test_train_and_eval_switch_what_a_call_means():
    net, _ = train(MLP, True, 1)
    x = Tensor(data=np.ones((2, 64), np.float32))
    assert autograd.training
    net.eval()
    assert not autograd.training
    assert net(x).shape == (2, 4)
    net.train()
    out, loss = net(x, Tensor(data=[0, 1]))
    assert (out.shape, loss.shape) == ((2, 4), ())
    autograd.training = False


def test_before_compile_a_model_is_a_layer():
    net = MLP()
    x = Tensor(data=np.ones((2, 5), np.float32))
    assert net(x).creator is None
    autograd.training = True
    assert net(x).creator is not None
    autograd.training = False


def test_a_model_without_a_training_step_says_so():
    class Only(model.Model):
        def forward(self, x):
            return x

    net = Only()
    net.compile([Tensor((1,))])
    with pytest.raises(NotImplementedError, match="Only has no train_one_batch"):
        net(Tensor((1,)))
    net.eval()
    assert net(Tensor((1,))).shape == (1,)


def test_calls_leave_the_mode_as_it_is():
    net, _ = train(MLP, True, 1)
    autograd.training = False
    net(Tensor(data=np.ones((8, 1, 8, 8), np.float32)), Tensor(data=np.zeros(8, np.int32)))
    assert not autograd.training
