"""Three networks that made history, in sizes for small images: ResNet, AlexNet and Xception."""

import argparse

import numpy as np
from alexnet import AlexNet
from matplotlib.figure import Figure
from resnet import ResNet
from xception import Xception

from singa import data, metric, opt, train
from singa.errors import DataError

MODELS = {"resnet": ResNet, "alexnet": AlexNet, "xception": Xception}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", default="resnet", choices=MODELS)
parser.add_argument("--depth", type=int, help="of the ResNet: 8, 14, 20, 32, ...")
parser.add_argument("--width", type=int, help="channels of the first convolution")
parser.add_argument("--data", default="fashion-mnist", choices=data.NAMES)
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--lr", type=float, default=2e-3, help="the highest; it rises, then falls")
parser.add_argument("--limit", type=int, help="train on so many images")
parser.add_argument("--seed", type=int, default=0)


def load(name):
    try:
        return data.load(name)
    except DataError as error:
        print(f"{error}\nOn the digits that ship with the package instead.")
        return data.load_digits()


def draw(fpath, title, history, confusion, class_names):
    """Accuracy over the epochs, and which classes were taken for which."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, label in (("accuracy", "training images"), ("val_accuracy", "test images")):
        left.plot(history["epoch"], np.array(history[name]) * 100, "o-", label=label)
    left.set(title=title, xlabel="epoch", ylabel="accuracy, %")
    left.xaxis.get_major_locator().set_params(integer=True)
    left.spines[["top", "right"]].set_visible(False)
    left.legend(frameon=False, loc="lower right")

    shares = confusion / confusion.sum(1, keepdims=True)
    right.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005 and len(shares) <= 10:
            colour = "white" if share > 0.5 else "black"
            text = f"{share * 100:.0f}"
            right.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    ticks = range(len(class_names))
    right.set_xticks(ticks, class_names, rotation=45, ha="right", rotation_mode="anchor")
    right.set_yticks(ticks, class_names)
    right.set(title="Test images, %", xlabel="predicted class", ylabel="class")
    figure.savefig(fpath, dpi=90)


def main():
    options = parser.parse_args()
    dataset = load(options.data)
    images = dataset.train_images[: options.limit]
    labels = dataset.train_labels[: options.limit]

    given = {name: getattr(options, name) for name in ("depth", "width") if getattr(options, name)}
    net = MODELS[options.model](num_classes=len(dataset.class_names), **given)
    steps = options.epochs * (len(images) // options.batch_size)
    net.set_optimizer(opt.AdamW(opt.OneCycle(options.lr, steps), weight_decay=0.05))
    history = train.fit(
        net, (images, labels), options.epochs, validation=dataset.test, metrics="accuracy",
        batch_size=options.batch_size, seed=options.seed,
    )  # fmt: skip
    print(f"test accuracy {history['val_accuracy'][-1]:.2%}")
    predicted = train.predict(net, dataset.test_images, batch_size=options.batch_size)
    confusion = metric.ConfusionMatrix(len(dataset.class_names))
    confusion.update(predicted, dataset.test_labels)
    title = type(net).__name__
    draw(f"{options.model}.png", title, history, confusion.value, dataset.class_names)
    print(f"drew {options.model}.png")


if __name__ == "__main__":
    main()
