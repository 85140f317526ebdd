"""A ReLU after a native convolution is fused into it, if nothing else uses the value between."""

import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd, device, layer, model, opt
from singa.engine import native
from singa.graph import Steps
from singa.tensor import Tensor

pytestmark = [
    pytest.mark.skipif(not native.available, reason=f"native kernels are {native.status}"),
    pytest.mark.usefixtures("optimized"),
]
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

    [[program]] = net._steps._programs.values()
    assert program.compiled.as_text().count("relu = true") == fused
    np.testing.assert_allclose(compiled, eager, rtol=1e-5)
    np.testing.assert_allclose(sequential, eager, rtol=1e-5)
    for one, other in zip(params, eager_params, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


class ReLU(autograd.Operation):
    """A leaky one, under the library's name."""

    def forward(self, x):
        self.x = x
        return jnp.where(x > 0, x, x * 0.25)

    def backward(self, dy):
        return jnp.where(self.x > 0, dy, dy * 0.25)


class Capped(autograd.ReLU):
    def forward(self, x):
        return jnp.minimum(super().forward(x), 1)


class Convolution2d(autograd.Convolution2d):
    """One that adds 1."""

    def forward(self, *xs):
        return super().forward(*xs) + 1


OWN = (autograd.Convolution2d, autograd.ReLU)
WINDOW = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1)


def values(seed):
    """Images, filters and biases, in which there may be what is no usual number."""
    draw = np.random.default_rng(seed)
    arrays = [draw.standard_normal(shape, np.float32) for shape in ((5, 3, 6, 6), (4, 3, 3, 3), 4)]
    for array in arrays:
        for value in (np.nan, np.inf, -np.inf, -0.0, 3e38, -3e38):
            if draw.random() < 0.3:
                array[tuple(draw.integers(0, array.shape))] = value
    return [Tensor(data=array) for array in arrays]


@pytest.mark.parametrize(
    "classes",
    [OWN, (OWN[0], ReLU), (OWN[0], Capped), (Convolution2d, OWN[1])],
    ids=["own", "own ReLU", "derived ReLU", "derived Convolution2d"],
)
def test_only_the_librarys_own_are_fused_and_nan_and_infinities_stay(classes):
    convolution, relu = classes
    steps = Steps()

    def step(*xs):
        return relu()(*convolution(*WINDOW)(*xs))[0]

    for seed in range(8):
        xs = values(seed)
        np.testing.assert_array_equal(steps(step, tuple(xs), {}, False), step(*xs))
    assert ("relu = true" in steps.last.compiled.as_text()) == (classes == OWN)
