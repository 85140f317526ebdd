"""Fine-tuning an ONNX file: its body stays as it is, and a new head learns another question."""

import argparse

import numpy as np
from matplotlib.figure import Figure

from singa import data, layer, opt, sonnx, train
from singa.models import Classifier
from singa.tensor import Tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="digits", choices=data.NAMES)
parser.add_argument("--group", type=int, nargs="+", default=[0, 6, 8, 9], help="which classes")
parser.add_argument("--question", default="Does the digit have a hole?", help="what they share")
parser.add_argument("--images", type=int, nargs="+", default=[1, 2, 5, 20], help="of each class")
parser.add_argument("--epochs", type=int, default=20, help="of the training for the file")
parser.add_argument("--steps", type=int, default=100, help="of a training on the question")
parser.add_argument("--seed", type=int, default=0)


class CNN(Classifier):
    """What somebody else has trained; here we only see its file."""

    def __init__(self, classes):
        super().__init__()
        self.features = layer.Sequential(
            layer.Conv2d(16, 3, padding=1), layer.BatchNorm2d(), layer.ReLU(), layer.MaxPool2d(2),
            layer.Conv2d(32, 3, padding=1), layer.BatchNorm2d(), layer.ReLU(), layer.MaxPool2d(2),
            layer.Flatten(), layer.Linear(64), layer.ReLU(),
        )  # fmt: skip
        self.head = layer.Linear(classes)

    def forward(self, x):
        return self.head(self.features(x))


class FineTuned(Classifier):
    """The nodes of a file without the last one, and a new head."""

    def __init__(self, fpath, classes):
        super().__init__()
        self.body = sonnx.SONNXModel(fpath)
        self.head = layer.Linear(classes)

    def forward(self, x):
        (features,) = self.body(x, last_layers=-2)
        return self.head(features)


def frozen(fpath, classes):
    net = FineTuned(fpath, classes)
    net.body.freeze()
    return net


WAYS = {  # and their learning rates: a linear layer by itself can take larger steps
    "from scratch": (lambda fpath, classes: CNN(classes), 2e-3),
    "the file, all of it trained": (FineTuned, 2e-3),
    "the file, frozen, and a new head": (frozen, 1e-2),
}


def write_file(dataset, options):
    """Train a network on all classes, and write it."""
    net = CNN(len(dataset.class_names))
    net.set_optimizer(opt.Adam(2e-3))
    train.fit(net, dataset, options.epochs, metrics="accuracy", seed=options.seed)
    net.export("classes.onnx", [Tensor(data=dataset.test_images[:2])], dynamic={"batch"})


def some(dataset, group, count):
    """The first ``count`` training images of each class, and whether it is one of the group."""
    labels = dataset.train_labels
    rows = [np.flatnonzero(labels == label)[:count] for label in range(len(dataset.class_names))]
    rows = np.concatenate(rows)
    return dataset.train_images[rows], np.isin(labels[rows], group).astype(np.int32)


def draw(fpath, question, counts, accuracies, images, answers):
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(3, 2))
    axes = left.subplots()
    for way, values in accuracies.items():
        axes.plot(counts, np.array(values) * 100, "o-", label=way)
    axes.set(xscale="log", xticks=counts, xticklabels=counts)
    axes.minorticks_off()
    axes.set(xlabel="images of each class", ylabel="right answers on test images, %")
    axes.grid(color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    right.suptitle(f"{question}\nWhat answers.onnx says:", fontsize=10)
    for image, answer, cell in zip(images, answers, right.subplots(3, 5).flat, strict=True):
        cell.imshow(np.moveaxis(image, 0, -1), cmap="gray_r")
        cell.set_title("yes" if answer else "no", fontsize=8)
        cell.axis("off")
    figure.savefig(fpath, dpi=100)


def main():
    options = parser.parse_args()
    dataset = data.load(options.data)
    write_file(dataset, options)
    print(FineTuned("classes.onnx", 2).summary([Tensor(data=dataset.test_images[:1])]))

    print(options.question)
    test = dataset.test_images, np.isin(dataset.test_labels, options.group).astype(np.int32)
    accuracies = {way: [] for way in WAYS}
    for count in options.images:
        x, y = some(dataset, options.group, count)
        for way, (make, lr) in WAYS.items():
            net = make("classes.onnx", 2)
            net.set_optimizer(opt.Adam(lr))
            batch_size = min(len(x), 50)
            epochs = options.steps // (len(x) // batch_size)
            train.fit(net, (x, y), epochs, batch_size=batch_size, seed=options.seed, progress=False)
            found = train.evaluate(net, test, metrics="accuracy", batch_size=len(test[0]))
            accuracies[way].append(found["accuracy"])
            print(f"{count:4} images of each, {way:32}: test accuracy {found['accuracy']:.2%}")

    net.export("answers.onnx", [Tensor(data=x[:2])], dynamic={"batch"})
    (logits,) = sonnx.prepare("answers.onnx").run([test[0]])  # or with any other tool
    answers = logits.argmax(1)
    print(f"wrote answers.onnx: test accuracy {np.mean(answers == test[1]):.2%}")
    images = test[0][:15]
    draw("onnx_fine_tuning.png", options.question, options.images, accuracies, images, answers[:15])
    print("drew onnx_fine_tuning.png")


if __name__ == "__main__":
    main()
