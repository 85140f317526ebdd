"""Generative adversarial networks: two networks, each of which learns from the other's mistakes."""

import argparse

import numpy as np
from matplotlib.figure import Figure
from networks import MODELS, NOISE
from rich.progress import track

from singa import data, device
from singa.errors import DataError
from singa.tensor import Tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--loss", default="gan", choices=MODELS)
parser.add_argument("--data", default="fashion-mnist", choices=data.NAMES)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--width", type=int, default=32, help="channels of images of half their size")
parser.add_argument("--lr", type=float, default=1e-3)
parser.add_argument("--limit", type=int, help="train on so many images")
parser.add_argument("--seed", type=int, default=0)


def load(name):
    try:
        return data.load(name)
    except DataError as error:
        print(f"{error}\nOn the digits that ship with the package instead.")
        return data.load_digits()


def draw(fpath, samples):
    """Images of the same noise after some of the epochs, and more of the last one."""
    shown = np.unique(np.linspace(1, len(samples), 10).astype(int))
    rows = np.concatenate([samples[epoch - 1][:10] for epoch in shown])
    figure = Figure(figsize=(11, 5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(tiled(rows, 10), cmap="gray_r")
    left.set(title="The same noise after so many epochs", xticks=[])
    left.set_yticks((np.arange(len(shown)) + 0.5) * (rows.shape[2] + 1), shown)
    right.imshow(tiled(samples[-1], 10), cmap="gray_r")
    right.set(title="Samples after the last epoch", xticks=[], yticks=[])
    for axes in (left, right):
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.savefig(fpath, dpi=80)


def tiled(images, columns):
    """Images (N, C, H, W) side by side, a pixel apart, row by row, as one (H', W', C)."""
    images = np.pad(images, ((0, 0), (0, 0), (0, 1), (0, 1)))
    rows = images.reshape(-1, columns, *images.shape[1:])
    n, m, c, h, w = rows.shape
    return rows.transpose(0, 3, 1, 4, 2).reshape(n * h, m * w, c)


def main():
    options = parser.parse_args()
    device.get_default_device().set_rand_seed(options.seed)
    images = load(options.data).train_images[: options.limit]
    batches = data.DataLoader(
        data.ArrayDataset(images), options.batch_size, shuffle=True, seed=options.seed,
        drop_last=True,
    )  # fmt: skip

    net = MODELS[options.loss](images.shape[1:], options.width, options.lr)
    noise = Tensor((100, NOISE)).gaussian()
    net.compile([noise], is_train=True, use_graph=True)
    samples = []
    for epoch in track(range(1, options.epochs + 1), "Training"):
        net.train()
        losses = [
            # A plain argument is part of the program: these are two compiled steps.
            net(Tensor(data=x), generator_too=step % net.critic_steps == 0)
            for step, (x,) in enumerate(batches, 1)
        ]
        critic = np.mean([loss[0].item() for loss in losses])
        generator = np.mean([loss[1].item() for loss in losses if len(loss) > 1])
        print(f"epoch {epoch}: critic {critic:7.4f}, generator {generator:7.4f}")
        net.eval()
        samples.append(net(noise).to_numpy())
        draw(f"{options.loss}.png", samples)
    print(f"drew {options.loss}.png")


if __name__ == "__main__":
    main()
