"""A restricted Boltzmann machine, trained by contrastive divergence (Hinton, 2002)."""

import argparse

import numpy as np
from matplotlib.figure import Figure

from singa import autograd, data, model, opt, tensor, train
from singa.errors import DataError
from singa.tensor import Tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="fashion-mnist", choices=data.NAMES)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--hidden", type=int, default=256, help="the number of hidden units")
parser.add_argument("--gibbs-steps", type=int, default=1, help="the k of CD-k")
parser.add_argument("--lr", type=float, default=0.02)
parser.add_argument("--limit", type=int, help="train on so many images")
parser.add_argument("--seed", type=int, default=0)


class RBM(model.Model):
    """Visible units v and hidden ones h, each 0 or 1, with P(v, h) ~ exp(v W h + a v + b h).

    Args:
        units: the number of hidden units.
        gibbs_steps: how many steps a chain makes, from the data on, in each step of training.
    """

    def __init__(self, units, gibbs_steps=1):
        super().__init__()
        self.units = units
        self.gibbs_steps = gibbs_steps

    def initialize(self, v):
        self.W = Tensor((v.shape[1], self.units), stores_grad=True).gaussian(0.0, 0.01)
        self.a = Tensor((v.shape[1],), stores_grad=True)
        self.b = Tensor((self.units,), stores_grad=True)

    def hidden(self, v):
        """The probabilities of the hidden units, given the visible ones."""
        return autograd.sigmoid(v @ self.W + self.b)

    def visible(self, h):
        """The probabilities of the visible units, given the hidden ones."""
        return autograd.sigmoid(h @ self.W.T() + self.a)

    def gibbs(self, v, steps):
        """The visible units' probabilities after so many steps of a chain that begins at ``v``."""
        for _ in range(steps):
            v = self.visible(sampled(self.hidden(sampled(v))))
        return v

    def free_energy(self, v):
        """-log of the sum of exp(v W h + a v + b h) over all h, as (N,)."""
        return -(v @ self.a) - autograd.softplus(v @ self.W + self.b).sum(1)

    def forward(self, v):
        return self.visible(self.hidden(v))

    def train_one_batch(self, v):
        with autograd.no_grad():
            drifted = self.gibbs(v, self.gibbs_steps)
        # The data are to have less energy, and where the model drifts from them more.
        self.optimizer((self.free_energy(v) - self.free_energy(drifted)).mean())
        return autograd.mse_loss(drifted, v)


def sampled(p):
    """Ones with these probabilities, and zeros."""
    return (tensor.random(p.shape) < p).as_type(p.dtype)


def load(name):
    try:
        return data.load(name)
    except DataError as error:
        print(f"{error}\nOn the digits that ship with the package instead.")
        return data.load_digits()


def draw(fpath, rbm, images):
    """What each of 100 hidden units looks for, and chains that begin at test images."""
    filters = rbm.W.to_numpy()[:, :100].T
    filters = 0.5 + 0.5 * filters / abs(filters).max(1, keepdims=True)
    v = Tensor(data=images[:12].reshape(12, -1))
    rows = {"image": v.to_numpy()}
    for steps in (1, 10, 100, 1000):
        rows[f"step {steps}"] = rbm.gibbs(v, steps).to_numpy()

    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.55))
    shape = images.shape[1:]
    left.imshow(tiled(filters.reshape(-1, *shape), 10), cmap="RdBu_r", vmin=0, vmax=1)
    left.set(title="The weights of 100 hidden units", xticks=[], yticks=[])
    right.imshow(tiled(np.concatenate([*rows.values()]).reshape(-1, *shape), 12), cmap="gray_r")
    right.set(title="Chains from test images", xticks=[])
    right.set_yticks((np.arange(len(rows)) + 0.5) * shape[1], rows)
    right.tick_params(length=0)
    figure.savefig(fpath, dpi=80)


def tiled(images, columns):
    """Images (N, C, H, W) side by side, row by row, as one (H', W', C)."""
    rows = images.reshape(-1, columns, *images.shape[1:])
    n, m, c, h, w = rows.shape
    return rows.transpose(0, 3, 1, 4, 2).reshape(n * h, m * w, c)


def main():
    options = parser.parse_args()
    dataset = load(options.data)
    rows = dataset.train_images[: options.limit].reshape(-1, dataset.train_images[0].size)

    rbm = RBM(options.hidden, options.gibbs_steps)
    rbm.optimizer = opt.SGD(options.lr, momentum=0.5)
    train.fit(rbm, rows, options.epochs, batch_size=options.batch_size, seed=options.seed)
    draw("rbm.png", rbm, dataset.test_images)
    print("drew rbm.png")


if __name__ == "__main__":
    main()
