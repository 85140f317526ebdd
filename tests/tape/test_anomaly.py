"""detect_anomaly: the operation and the line that made the first NaN or infinity."""

import re
from pathlib import Path

import numpy as np
import pytest

from singa import autograd, layer, model, opt
from singa.errors import NumericalError
from singa.models import MLP
from singa.tensor import Tensor


def line(mark):
    """This file, and the number of the line that ends with that mark."""
    lines = Path(__file__).read_text().splitlines()
    numbers = [i for i, text in enumerate(lines, 1) if text.endswith(f"# mark {mark}")]
    return re.escape(f"{Path(__file__).name}:{numbers[0]}")


def test_the_forward_operation_and_the_users_line_are_named():
    x = Tensor(data=[1.0, -1.0])
    with (
        autograd.detect_anomaly(),
        pytest.raises(NumericalError, match=rf"forward of Log\(float32\[2\]\).*{line(1)}"),
    ):
        autograd.log(x) + 1.0  # mark 1
    assert np.isnan(autograd.log(x).to_numpy()[1])  # outside of the block it is no error


def test_the_backward_operation_and_the_line_of_its_forward_are_named():
    x = Tensor(data=[0.0, 4.0], stores_grad=True)
    with autograd.detect_anomaly(), autograd.enable_grad():
        y = autograd.sqrt(x).sum()  # mark 2
        with pytest.raises(
            NumericalError, match=rf"backward of Sqrt, which was called at .*{line(2)}"
        ):
            autograd.gradients(y)


def test_what_is_finite_passes():
    x = Tensor(data=[1.0, 4.0], stores_grad=True)
    with autograd.detect_anomaly(), autograd.enable_grad():
        y = (autograd.sqrt(x) * Tensor(data=[1, 2])).sum()
        assert autograd.gradients(y)[x].tolist() == [0.5, 0.5]
        assert (Tensor((0, 3)) * 2.0).shape == (0, 3)


class Net(model.Model):
    def __init__(self):
        super().__init__()
        self.linear = layer.Linear(3)
        self.optimizer = opt.Adam(0.1)

    def forward(self, x):
        return autograd.log(self.linear(x))  # mark 3

    def train_one_batch(self, x):
        loss = self.forward(x).sum()
        self.optimizer(loss)
        return loss


@pytest.mark.parametrize("sequential", [False, True])
def test_a_compiled_step_says_the_same_and_changes_nothing(sequential):
    net, x = Net(), Tensor(data=np.ones((2, 4), np.float32))
    net.compile([x], is_train=True, use_graph=True, sequential=sequential)
    net.linear.W.set_value(1.0)
    assert np.isfinite(net(x).item())
    net.linear.W.set_value(-1.0)
    before = {name: t.to_numpy() for name, t in net.get_states().items()}
    step = net.optimizer.step_counter.item()
    with (
        autograd.detect_anomaly(),
        pytest.raises(NumericalError, match=rf"forward of Log\(.*{line(3)}"),
    ):
        net(x)
    for name, t in net.get_states().items():
        np.testing.assert_array_equal(t, before[name])
    assert net.optimizer.step_counter.item() == step
    net.linear.W.set_value(1.0)
    with autograd.detect_anomaly():
        assert np.isfinite(net(x).item())
    assert np.isfinite(net(x).item())


def test_the_line_of_a_compiled_model_of_ours_is_the_users():
    """Not one of jax, which traces the step."""
    net, x, y = MLP(), Tensor((2, 64)), Tensor(data=[0, 1])
    net.set_optimizer(opt.SGD(0.1))
    net.compile([x], use_graph=True)
    net.linear1.W.set_value(np.nan)
    with autograd.detect_anomaly(), pytest.raises(NumericalError, match=r"test_anomaly\.py"):
        net(x, y)
