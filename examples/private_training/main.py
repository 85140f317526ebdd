"""Differentially private training: what one image can change is bounded, and hidden by noise."""

import argparse
import math

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

from singa import autograd, data, device, layer, model, opt
from singa.errors import DataError
from singa.tensor import Tensor

DELTA = 1e-5
"""The probability with which the promise may fail."""

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="fashion-mnist", choices=data.NAMES)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--batch-size", type=int, default=512, help="on average")
parser.add_argument("--noise", type=float, nargs="+", default=[2.0, 1.0, 0.7])
parser.add_argument("--clip", type=float, default=1.0, help="the largest norm of a gradient")
parser.add_argument("--lr", type=float, default=0.5)
parser.add_argument("--limit", type=int, help="train on so many images")
parser.add_argument("--seed", type=int, default=0)


class Private(model.Model):
    """A network whose training adds noise to the sum of clipped gradients of single images.

    Abadi et al., Deep Learning with Differential Privacy, 2016.

    Args:
        classes: how many there are.
        batch_size: the expected number of images in a batch.
        clip: the largest norm of an image's gradient.
        noise: the standard deviation of the noise, in units of ``clip``.
    """

    def __init__(self, classes, batch_size, clip, noise):
        super().__init__()
        self.batch_size, self.clip, self.noise = batch_size, clip, noise
        self.network = layer.Sequential(
            layer.Conv2d(16, 4, stride=2, padding=1),
            layer.Tanh(),
            layer.Conv2d(32, 4, stride=2, padding=1),
            layer.Tanh(),
            layer.Flatten(),
            layer.Linear(classes),
        )

    def forward(self, x):
        return self.network(x)

    def loss(self, x, y):
        return autograd.softmax_cross_entropy(self.forward(x), y)

    def train_one_batch(self, x, y, is_in):
        """One step on those of (N, C, H, W) images whose ``is_in`` is 1, of (N,)."""
        params = [*self.get_params().values()]
        losses, gradients = autograd.per_sample_gradients(self.loss, params)(x, y)
        squares = [(g * g).reshape((len(g), -1)).sum(1) for g in gradients.values()]
        norms = sum(squares[1:], squares[0]).sqrt()
        weights = is_in * autograd.minimum(self.clip / (norms + 1e-6), 1.0)
        for p, g in gradients.items():
            total = autograd.einsum("n,n...->...", weights, g)
            total += Tensor(p.shape).gaussian(0, 1) * (self.noise * self.clip)
            self.optimizer.update(p, total / self.batch_size)
        self.optimizer.step()
        return (losses * is_in).sum() / is_in.sum()


def epsilon(noise, rate, steps, delta=DELTA):
    """The privacy that ``steps`` steps with this noise cost: without noise there is none.

    Each image is in a batch with the probability ``rate``. The moments of the privacy loss are
    summed over the steps (Mironov, Talwar and Zhang, Rényi Differential Privacy of the Sampled
    Gaussian Mechanism, 2019).
    """
    if not noise:
        return math.inf
    found = []
    for order in range(2, 256):
        logs = [
            math.lgamma(order + 1) - math.lgamma(k + 1) - math.lgamma(order - k + 1)
            + (order - k) * math.log1p(-rate) + k * math.log(rate)
            + (k * k - k) / (2 * noise**2)
            for k in range(order + 1)
        ]  # fmt: skip
        of_a_step = np.logaddexp.reduce(logs) / (order - 1)
        found.append(steps * of_a_step + math.log(1 / delta) / (order - 1))
    return min(found)


def batches(rng, count, batch_size, steps):
    """Indices of images, and which of them are in the batch: each image with the same chance.

    The batches have one size, so that the step is compiled once: the rest is not in.
    """
    rate, most = batch_size / count, round(batch_size + 6 * math.sqrt(batch_size))
    for _ in range(steps):
        chosen = np.flatnonzero(rng.random(count) < rate)[:most]
        indices = np.zeros(most, np.int64)
        indices[: len(chosen)] = chosen
        yield indices, (np.arange(most) < len(chosen)).astype(np.float32)


def train(noise, images, options):
    """The accuracies after each epoch, and the epsilons."""
    device.get_default_device().set_rand_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    (x, y), (test_x, test_y) = images.train.arrays, images.test.arrays
    x, y = x[: options.limit], y[: options.limit]
    test_x = Tensor(data=test_x)
    net = Private(len(images.class_names), options.batch_size, options.clip, noise)
    net.set_optimizer(opt.SGD(options.lr, momentum=0.9))
    net.compile([Tensor(data=x[:2])], is_train=True, use_graph=True)
    steps = max(1, len(x) // options.batch_size)
    accuracies, epsilons = [], []
    for epoch in track(range(options.epochs), f"noise {noise}", transient=True):
        net.train()
        for indices, is_in in batches(rng, len(x), options.batch_size, steps):
            net(Tensor(data=x[indices]), Tensor(data=y[indices]), Tensor(data=is_in))
        net.eval()
        accuracies.append((net(test_x).to_numpy().argmax(1) == test_y).mean())
        rate = options.batch_size / len(x)
        epsilons.append(epsilon(noise, rate, steps * (epoch + 1)))
    print(f"noise {noise}: test accuracy {accuracies[-1]:.1%}, epsilon {epsilons[-1]:.2f}")
    return accuracies, epsilons


def load(name):
    try:
        return data.load(name)
    except DataError as error:
        print(f"{error}\nOn the digits that ship with the package instead.")
        return data.load_digits()


def draw(fpath, found):
    """Accuracy after each epoch, and against what it cost."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    for noise, (accuracies, epsilons) in found.items():
        name = f"noise {noise}" if noise else "clipped, without noise"
        left.plot(range(1, len(accuracies) + 1), accuracies, label=name)
        if noise:
            right.plot(epsilons, accuracies, "o-", markersize=3)
        else:
            right.plot([], [])
    left.set(xlabel="epochs", ylabel="test accuracy")
    right.set(xlabel=f"epsilon, at delta = {DELTA:g}")
    left.legend(frameon=False, fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(fpath, dpi=80)


def main():
    options = parser.parse_args()
    images = load(options.data)
    found = {noise: train(noise, images, options) for noise in (0.0, *options.noise)}
    draw("private.png", found)
    print("drew private.png")


if __name__ == "__main__":
    main()
