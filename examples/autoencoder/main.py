"""An autoencoder with a latent plane: images become points of it, and points become images."""

import argparse
import math

import numpy as np
from matplotlib.figure import Figure

from singa import autograd, data, layer, model, opt, train
from singa.errors import DataError
from singa.tensor import Tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="fashion-mnist", choices=data.NAMES)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=128)
parser.add_argument("--hidden", type=int, nargs="+", default=[256, 64], help="the layers' sizes")
parser.add_argument("--lr", type=float, default=1e-3, help="at first; it falls to 0")
parser.add_argument("--limit", type=int, help="train on so many images")
parser.add_argument("--seed", type=int, default=0)


class Autoencoder(model.Model):
    """Images (N, C, H, W) to points (N, 2), and back.

    Args:
        image_shape: (C, H, W).
        hidden: the sizes of the encoder's hidden layers. The decoder has them in reverse order.
    """

    def __init__(self, image_shape, hidden):
        super().__init__()
        self.image_shape = image_shape
        # The normalization keeps the points about the origin, about 1 apart.
        self.encoder = layer.Sequential(*network(*hidden, 2), layer.BatchNorm2d())
        self.decoder = layer.Sequential(*network(*reversed(hidden), math.prod(image_shape)))

    def encode(self, x):
        return self.encoder(autograd.flatten(x))

    def decode(self, z):
        return autograd.sigmoid(self.logits(z))

    def logits(self, z):
        return self.decoder(z).reshape(-1, *self.image_shape)

    def forward(self, x):
        return self.decode(self.encode(x))

    def train_one_batch(self, x):
        loss = autograd.binary_cross_entropy_with_logits(self.logits(self.encode(x)), x)
        self.optimizer(loss)
        return loss


def network(*sizes):
    """Linear layers of these sizes, with ReLUs in between."""
    layers = [layer.Linear(sizes[0])]
    for size in sizes[1:]:
        layers += [layer.ReLU(), layer.Linear(size)]
    return layers


def load(name):
    try:
        return data.load(name)
    except DataError as error:
        print(f"{error}\nOn the digits that ship with the package instead.")
        return data.load_digits()


def draw(fpath, net, images, labels, class_names):
    """The images as points, the plane decoded, and some images with what comes back."""
    points = net.encode(Tensor(data=images)).to_numpy()
    edge = 3
    ticks = np.linspace(-edge, edge, 18, dtype=np.float32)
    plane = np.stack(np.meshgrid(ticks, ticks[::-1]), -1).reshape(-1, 2)
    decoded = net.decode(Tensor(data=plane)).to_numpy()
    some = images[:24]
    pairs = np.concatenate([some, net(Tensor(data=some)).to_numpy()])

    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplot_mosaic([["points", "plane"], ["pairs", "pairs"]], height_ratios=(5, 1))
    for label, name in enumerate(class_names):
        of_class = points[labels == label]
        axes["points"].scatter(*of_class.T, s=2, color=f"C{label % 10}", label=name)
    axes["points"].legend(markerscale=5, frameon=False, bbox_to_anchor=(0, 1), loc="upper right")
    axes["points"].set(title="Test images as points", aspect="equal")
    axes["points"].set(xlim=(-edge, edge), ylim=(-edge, edge), xticks=[], yticks=[])
    axes["plane"].imshow(tiled(decoded, len(ticks)), cmap="gray_r")
    axes["plane"].set(title="The same plane, decoded", xticks=[], yticks=[])
    axes["pairs"].imshow(tiled(pairs, len(some)), cmap="gray_r")
    axes["pairs"].set(title="Test images, and what comes back", xticks=[], yticks=[])
    figure.savefig(fpath, dpi=80)


def tiled(images, columns):
    """Images (N, C, H, W) side by side, row by row, as one (H', W', C)."""
    rows = images.reshape(-1, columns, *images.shape[1:])
    n, m, c, h, w = rows.shape
    return rows.transpose(0, 3, 1, 4, 2).reshape(n * h, m * w, c)


def main():
    options = parser.parse_args()
    dataset = load(options.data)
    images = dataset.train_images[: options.limit]

    net = Autoencoder(images.shape[1:], options.hidden)
    steps = options.epochs * (len(images) // options.batch_size)
    net.optimizer = opt.Adam(opt.CosineDecay(options.lr, steps))
    train.fit(
        net, images, options.epochs, validation=dataset.test_images,
        batch_size=options.batch_size, seed=options.seed,
    )  # fmt: skip
    draw("autoencoder.png", net, dataset.test_images, dataset.test_labels, dataset.class_names)
    print("drew autoencoder.png")


if __name__ == "__main__":
    main()
