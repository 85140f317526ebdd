"""Fine-tuning: a network that was trained on some classes learns others from a few images."""

import argparse

import numpy as np
from matplotlib.figure import Figure

from singa import data, layer, opt, train
from singa.errors import DataError
from singa.models import Classifier
from singa.tensor import Tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="fashion-mnist", choices=data.NAMES)
parser.add_argument("--new", type=int, nargs="+", default=[0, 3, 5, 8, 9], help="the new classes")
parser.add_argument("--images", type=int, nargs="+", default=[1, 5, 20, 100], help="of each one")
parser.add_argument("--epochs", type=int, default=3, help="of the training on the old classes")
parser.add_argument("--steps", type=int, default=100, help="of a training on the new classes")
parser.add_argument("--width", type=int, default=16, help="channels of the first convolution")
parser.add_argument("--limit", type=int, help="train on so many images of the old classes")
parser.add_argument("--seed", type=int, default=0)


class CNN(Classifier):
    """Features, which are made of images, and a head, which makes logits of them."""

    def __init__(self, classes, width):
        super().__init__()
        self.features = layer.Sequential(
            layer.Conv2d(width, 3, padding=1), layer.ReLU(), layer.MaxPool2d(2),
            layer.Conv2d(2 * width, 3, padding=1), layer.ReLU(), layer.MaxPool2d(2),
            layer.Flatten(), layer.Linear(8 * width), layer.ReLU(),
        )  # fmt: skip
        self.head = layer.Linear(classes)

    def forward(self, x):
        return self.head(self.features(x))


def from_scratch(old, new, x, width):
    return CNN(len(new), width)


def whole_network(old, new, x, width):
    """The trained network, with a head for the new classes."""
    net = CNN(len(old), width)
    net.compile([Tensor(data=x[:1])])
    net.load_states("old_classes.zip", resume=False)  # without the optimizer's state
    net.head = layer.Linear(len(new))
    return net


def head_alone(old, new, x, width):
    """The same, with the features as they are: nothing is computed for their gradients."""
    net = whole_network(old, new, x, width)
    net.features.freeze()
    return net


WAYS = {  # and their learning rates: a linear layer by itself can take larger steps
    "from scratch": (from_scratch, 2e-3),
    "the whole network": (whole_network, 2e-3),
    "the head alone": (head_alone, 2e-2),
}


def of_classes(images, labels, classes, count=None):
    """The first ``count`` images of each class, and which of these classes they are of."""
    rows = [np.flatnonzero(labels == label)[:count] for label in classes]
    x = np.concatenate([images[i] for i in rows])
    return x, np.repeat(np.arange(len(classes), dtype=np.int32), [len(i) for i in rows])


def load(name):
    try:
        return data.load(name)
    except DataError as error:
        print(f"{error}\nOn the digits that ship with the package instead.")
        return data.load_digits()


def draw(fpath, counts, accuracies):
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for way, values in accuracies.items():
        axes.plot(counts, np.array(values) * 100, "o-", label=way)
    axes.set(xscale="log", xticks=counts, xticklabels=counts)
    axes.minorticks_off()
    axes.set(xlabel="images of each new class", ylabel="accuracy on test images, %")
    axes.grid(color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(fpath, dpi=100)


def main():
    options = parser.parse_args()
    dataset = load(options.data)
    new = options.new
    old = [label for label in range(len(dataset.class_names)) if label not in new]

    images, labels = dataset.train_images, dataset.train_labels
    x, y = of_classes(images[: options.limit], labels[: options.limit], old)
    net = CNN(len(old), options.width)
    net.set_optimizer(opt.Adam(2e-3))
    print(f"old classes: {', '.join(dataset.class_names[i] for i in old)}")
    train.fit(
        net, (x, y), options.epochs, metrics="accuracy", seed=options.seed,
        validation=of_classes(dataset.test_images, dataset.test_labels, old),
    )  # fmt: skip
    net.save_states("old_classes.zip", overwrite=True)

    print(f"new classes: {', '.join(dataset.class_names[i] for i in new)}")
    test = of_classes(dataset.test_images, dataset.test_labels, new)
    accuracies = {way: [] for way in WAYS}
    for count in options.images:
        x, y = of_classes(images, labels, new, count)
        for way, (make, lr) in WAYS.items():
            net = make(old, new, x, options.width)
            net.set_optimizer(opt.Adam(lr))
            batch_size = min(len(x), 50)
            epochs = options.steps // (len(x) // batch_size)
            train.fit(net, (x, y), epochs, batch_size=batch_size, seed=options.seed, progress=False)
            found = train.evaluate(net, test, metrics="accuracy", batch_size=250)
            accuracies[way].append(found["accuracy"])
            print(f"{count:4} images of each, {way:17}: test accuracy {found['accuracy']:.2%}")
    draw("fine_tuning.png", options.images, accuracies)
    print("drew fine_tuning.png")


if __name__ == "__main__":
    main()
