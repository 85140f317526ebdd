"""A ReLU behind a native convolution is computed by it, where nobody else sees what is between."""

import numpy as np
import pytest

from singa import autograd, device, layer, model, native, opt
from singa.tensor import Tensor

pytestmark = pytest.mark.skipif(not native.available, reason=f"native kernels are {native.status}")
rng = np.random.default_rng(0)
X = rng.standard_normal((4, 3, 6, 6)).astype(np.float32)


class Net(model.Model):
    def __init__(self, watched):
        super().__init__()
        self.conv = layer.Conv2d(8, 3, padding=1)
        self.plain = layer.Conv2d(4, 1, bias=False)
        self.watched = watched
        self.optimizer = opt.SGD(0.1, momentum=0.9)

    def forward(self, x):
        y = self.conv(x)
        z = self.plain(autograd.relu(y))
        z = autograd.relu(z)
        return z, autograd.reduce_mean(y if self.watched else z)

    def train_one_batch(self, x):
        z, mean = self.forward(x)
        loss = autograd.reduce_mean(z * z) + mean
        self.optimizer(loss)
        return loss


def trained(watched, graph, sequential=False):
    device.get_default_device().SetRandSeed(0)
    net, x = Net(watched), Tensor(data=X)
    net.compile([x], use_graph=graph, sequential=sequential)
    losses = [float(net(x)) for _ in range(4)]
    return net, losses, [t.to_numpy() for t in net.get_params().values()]


@pytest.mark.parametrize(("watched", "fused"), [(False, 2), (True, 1)])
def test_the_numbers_stay_and_only_private_results_are_fused(watched, fused):
    _, eager, eager_params = trained(watched, graph=False)
    net, compiled, params = trained(watched, graph=True)
    _, sequential, _ = trained(watched, graph=True, sequential=True)

    [(_, program)] = net._steps._programs.values()
    assert program.compiled.as_text().count("relu = true") == fused
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    np.testing.assert_allclose(sequential, eager, rtol=1e-5)
    for one, other in zip(params, eager_params, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
