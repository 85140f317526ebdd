"""Models and data for very short trainings."""

import numpy as np

from singa import autograd, layer, opt
from singa.model import Model


class Line(Model):
    """A linear model of four features."""

    def __init__(self, lr=0.1):
        super().__init__()
        self.linear = layer.Linear(1)
        self.optimizer = opt.SGD(lr, momentum=0.9)

    def forward(self, x):
        return self.linear(x)

    def train_one_batch(self, x, y):
        out = self.forward(x)
        loss = autograd.mse_loss(out, y)
        self.optimizer(loss)
        return out, loss


class Noisy(Line):
    """The same with dropout and running statistics: with all kinds of state."""

    def __init__(self, lr=0.01):
        super().__init__(lr)
        self.norm = layer.BatchNorm2d()
        self.dropout = layer.Dropout(0.2)

    def forward(self, x):
        x = self.norm(autograd.reshape(x, (x.shape[0], 4, 1, 1)))
        return self.linear(self.dropout(autograd.reshape(x, (x.shape[0], 4))))


def samples(count=32, seed=0):
    """Features (N, 4), and what :class:`Line` can learn of them (N, 1)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, 4), np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5], [0.0]], np.float32) + np.float32(0.25)
    return x, y


def states(model):
    """All that a training has changed, as arrays."""
    found = dict(model.get_states())
    names = {param: name for name, param in model.get_params().items()}
    for owner, optimizer in model.optimizers().items():
        found |= {f"{owner}/{key}": t for key, t in optimizer.get_states(names).items()}
    return {name: t.to_numpy() for name, t in found.items()}
