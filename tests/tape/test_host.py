"""Operations that run as Python on the host, eagerly and in compiled steps."""

import numpy as np
import pytest
from scipy import special

from singa import autograd, layer, model, opt
from singa.errors import CaptureError, ShapeError
from singa.tensor import Tensor


class Bessel(autograd.Operation):
    """J0 by SciPy. Forward keeps a Python object for backward, and counts its calls."""

    traceable = False
    calls = 0

    def forward(self, x):
        type(self).calls += 1
        self.kept = {"x": np.asarray(x)}
        return special.j0(self.kept["x"])

    def backward(self, dy):
        return -special.j1(self.kept["x"]) * np.asarray(dy)

    def outputs_like(self, x):
        return x


class Net(model.Model):
    def __init__(self, operation):
        super().__init__()
        self.linear = layer.Linear(3)
        self.operation = operation

    def forward(self, x):
        return self.operation()(self.linear(x))[0]

    def train_one_batch(self, x):
        y = self.forward(x)
        loss = autograd.reduce_sum(y * y)
        self.optimizer(loss)
        return y, loss


def net(operation, use_graph=True):
    made = Net(operation)
    made.optimizer = opt.SGD(0.1)
    x = Tensor(data=np.arange(8, dtype=np.float32).reshape(4, 2) / 4)
    made.compile([x], is_train=True, use_graph=use_graph)
    made.linear.W.copy_from_numpy(np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    return made, x


def test_a_compiled_step_calls_it_each_time_and_gives_what_the_eager_one_does():
    results = []
    for use_graph in (False, True):
        made, x = net(Bessel, use_graph)
        before = Bessel.calls
        outputs = [made(x) for _ in range(3)]
        losses = [loss.item() for _, loss in outputs]
        assert Bessel.calls == before + 3
        results.append([losses, outputs[-1][0].to_numpy(), made.linear.W.to_numpy()])
    for eager, compiled in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    assert results[1][0][2] < results[1][0][0]


def test_backward_comes_after_forward_even_if_its_gradient_depends_on_nothing():
    class Summed(Net):
        def train_one_batch(self, x):
            loss = autograd.reduce_sum(self.forward(x))
            self.optimizer(loss)
            return loss

    made = Summed(Bessel)
    made.optimizer = opt.SGD(0.1)
    x = Tensor(data=np.ones((4, 2), np.float32))
    made.compile([x], is_train=True, use_graph=True)
    losses = [made(x).item() for _ in range(20)]
    assert losses[-1] < losses[0]


def test_several_outputs_of_which_one_is_used_and_a_broadcast_input():
    class Both(autograd.Operation):
        traceable = False

        def forward(self, x, scale):
            self.x, self.scale = np.asarray(x), np.asarray(scale)
            return np.sin(self.x) * self.scale, (self.x > 0).astype(np.int32), -self.x

        def backward(self, dy, _, dz):
            dy = np.asarray(dy)
            return dy * np.cos(self.x) * self.scale - np.asarray(dz), dy * np.sin(self.x)

        def outputs_like(self, x, scale):
            like = np.empty(x.shape, np.int32)
            return x, like, x

    class Scaled(Net):
        def initialize(self, x):
            self.scale = Tensor(data=np.full((1, 3), 2, np.float32), stores_grad=True)

        def forward(self, x):
            y, positive, _ = Both()(self.linear(x), self.scale)
            return y * positive.as_type(y.dtype)

    found = []
    for use_graph in (False, True):
        made, x = net(Bessel, use_graph)
        scaled = Scaled(Both)
        scaled.optimizer = opt.SGD(0.1)
        scaled.compile([x], is_train=True, use_graph=use_graph)
        scaled.linear.W.copy_from_numpy(made.linear.W.to_numpy())
        scaled(x)
        found.append([scaled.scale.to_numpy(), scaled.linear.W.to_numpy()])
        assert not np.allclose(found[-1][0], 2)
    for eager, compiled in zip(*found, strict=True):
        np.testing.assert_allclose(compiled, eager, rtol=1e-6)


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_an_error_of_the_host_reaches_the_user_as_it_is_and_nothing_has_changed(where):
    class Failing(Bessel):
        fails = False

        def forward(self, x):
            if self.fails and where == "forward":
                raise KeyError("the spoon")
            return super().forward(x)

        def backward(self, dy):
            if self.fails and where == "backward":
                raise KeyError("the spoon")
            return super().backward(dy)

    made, x = net(Failing)
    made(x)
    before = {name: state.to_numpy() for name, state in made.get_states().items()}
    Failing.fails = True
    with pytest.raises(KeyError, match="the spoon"):
        made(x)
    for name, state in made.get_states().items():
        np.testing.assert_array_equal(state, before[name], err_msg=name)
    Failing.fails = False
    made(x)
    assert not np.array_equal(made.linear.W, before["linear.W"])


def test_without_outputs_like_a_compiled_step_says_what_to_define():
    class Silent(Bessel):
        outputs_like = autograd.Operation.outputs_like

    with pytest.raises(CaptureError, match=r"Silent runs as Python.*define outputs_like\(self"):
        net(Silent)


def test_what_outputs_like_promised_is_compared():
    class Wrong(Bessel):
        def outputs_like(self, x):
            return np.empty((2, 2), np.float32)

    made, x = net(Wrong)
    with pytest.raises(ShapeError, match=r"returned float32\[4, 3\], and outputs_like float32\[2"):
        made(x)
