"""Model-agnostic meta-learning: a network that learns a new sine wave in one or a few steps."""

import argparse
import math

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

from singa import autograd, device, model, opt
from singa.tensor import Tensor

SHOWN = 1  # the number of the new wave that is drawn

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=8000, help="of the meta-training")
parser.add_argument("--tasks", type=int, default=25, help="sine waves in a step")
parser.add_argument("--points", type=int, default=10, help="what is seen of a new wave")
parser.add_argument("--hidden", type=int, default=40)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--inner-lr", type=float, default=0.01)
parser.add_argument("--inner-steps", type=int, default=3)
parser.add_argument("--seed", type=int, default=0)


class MAML(model.Model):
    """A network that is trained for what it will be after some steps of gradient descent.

    Finn, Abbeel and Levine, 2017.

    Args:
        hidden: the size of the two hidden layers.
        inner_lr: the learning rate of those steps.
        inner_steps: how many there are in training. With 0 this is plain regression.
    """

    def __init__(self, hidden, inner_lr, inner_steps):
        super().__init__()
        self.inner_lr, self.inner_steps = inner_lr, inner_steps
        self.parameters = []
        for fan_in, size in ((1, hidden), (hidden, hidden), (hidden, 1)):
            bound = 1 / math.sqrt(fan_in)
            w = Tensor((fan_in, size), stores_grad=True).uniform(-bound, bound)
            b = Tensor((1, size), stores_grad=True).uniform(-bound, bound)
            self.parameters += [w, b]

    def network(self, x, parameters):
        w1, b1, w2, b2, w3, b3 = parameters
        x = autograd.relu(autograd.matmul(x, w1) + b1)
        x = autograd.relu(autograd.matmul(x, w2) + b2)
        return autograd.matmul(x, w3) + b3

    @autograd.enable_grad()  # in evaluation too, where nothing would be recorded otherwise
    def forward(self, x, y, query, steps):
        """The predictions at ``query``, before and after each step of learning ``y`` at ``x``.

        All are (tasks, points, 1).
        """
        # Each task has a copy of the parameters to itself, (tasks, ...), and so its own gradients.
        parameters = [autograd.expand(p, (len(x), *p.shape)) for p in self.parameters]
        predictions = [self.network(query, parameters)]
        for _ in range(steps):
            error = self.network(x, parameters) - y
            loss = (error * error).mean((1, 2)).sum()
            # create_graph: these gradients are part of what is differentiated in training.
            gradients = autograd.grad(loss, parameters, create_graph=True)
            parameters = [p - self.inner_lr * g for p, g in zip(parameters, gradients, strict=True)]
            predictions.append(self.network(query, parameters))
        return predictions

    def train_one_batch(self, x, y, query, target):
        loss = autograd.mse_loss(self.forward(x, y, query, self.inner_steps)[-1], target)
        self.optimizer(loss)
        return loss


def sine_waves(rng, tasks, points):
    """Points of random waves, (tasks, points, 1), float32, and the waves as a function."""
    amplitude = rng.uniform(0.1, 5.0, (tasks, 1, 1))
    phase = rng.uniform(0, math.pi, (tasks, 1, 1))

    def wave(x):
        return (amplitude * np.sin(x - phase)).astype(np.float32)

    return rng.uniform(-5, 5, (tasks, points, 1)).astype(np.float32), wave


def train(net, options):
    rng = np.random.default_rng(options.seed)
    net.optimizer = opt.Adam(options.lr)
    net.train()
    net.graph()
    losses = []
    for _ in track(range(options.steps), f"{net.inner_steps} inner steps", transient=True):
        x, wave = sine_waves(rng, options.tasks, 2 * options.points)
        x, query = np.split(x, 2, axis=1)
        losses.append(net(*(Tensor(data=a) for a in (x, wave(x), query, wave(query)))))
    return [loss.item() for loss in losses]


def draw(fpath, seen, grid, truth, predictions, shown, errors):
    """One wave as each network sees it after some of its steps, and the mean error of all waves."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, len(predictions) + 1)
    for plot, (name, steps) in zip(axes, predictions.items(), strict=False):
        for number in shown:
            label = "before" if number == 0 else f"after {number} step{'s' * (number > 1)}"
            plot.plot(grid, steps[number], color=f"C{shown.index(number)}", label=label)
        plot.plot(grid, truth, "k--", linewidth=1, label="the wave")
        plot.plot(*seen, "k^", markersize=5, label="what is seen of it")
        plot.set(title=name, ylim=(-6, 11))
        plot.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
    for name, values in errors.items():
        axes[-1].plot(values, "o-", markersize=3, label=name)
    axes[-1].set(title="Mean squared error, new waves", xlabel="steps", yscale="log")
    axes[-1].grid(alpha=0.3)
    axes[-1].legend(frameon=False, fontsize=8)
    figure.savefig(fpath, dpi=80)


def main():
    options = parser.parse_args()
    device.get_default_device().set_rand_seed(options.seed)
    x, wave = sine_waves(np.random.default_rng(options.seed + 1), 500, options.points)
    grid = np.tile(np.linspace(-5, 5, 100, dtype=np.float32)[:, None], (len(x), 1, 1))

    predictions, errors = {}, {}
    for name, inner_steps in (("MAML", options.inner_steps), ("Pre-trained", 0)):
        net = MAML(options.hidden, options.inner_lr, inner_steps)
        train(net, options)
        net.eval()
        steps = [p.to_numpy() for p in net(*(Tensor(data=a) for a in (x, wave(x), grid)), 10)]
        predictions[name] = [p[SHOWN] for p in steps]
        errors[name] = [((p - wave(grid)) ** 2).mean() for p in steps]
        print(f"{name}: error before {errors[name][0]:.3f}", end="")
        print(*(f", after {i} steps {errors[name][i]:.3f}" for i in (1, 3, 10)), sep="")

    seen, truth = (x[SHOWN], wave(x)[SHOWN]), wave(grid)[SHOWN]
    draw("maml.png", seen, grid[0], truth, predictions, (0, 1, 10), errors)
    print("drew maml.png")


if __name__ == "__main__":
    main()
