"""LoRA: a transformer learns to read turned images, by low-rank additions to its weights."""

import argparse

import numpy as np
from lora import LoRA
from matplotlib.figure import Figure
from transformer import Transformer

from singa import data, opt, train
from singa.errors import DataError
from singa.tensor import Tensor

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--data", default="fashion-mnist", choices=data.NAMES)
parser.add_argument("--epochs", type=int, default=10, help="of the training on upright images")
parser.add_argument("--tuning-epochs", type=int, default=20, help="of each on turned ones")
parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4, 8])
parser.add_argument("--size", type=int, default=64, help="features of a place")
parser.add_argument("--depth", type=int, default=2, help="blocks of the transformer")
parser.add_argument("--limit", type=int, help="train on so many upright images")
parser.add_argument("--turned", type=int, default=2000, help="and on so many turned ones")
parser.add_argument("--seed", type=int, default=0)


def adapt(net, rank):
    """Freeze the network, and give each linear layer of its blocks an addition of this rank."""
    net.freeze()
    for block in net.blocks:
        for name in ("query", "key", "value", "out", "up", "down"):
            setattr(block, name, LoRA(getattr(block, name), rank))


def merge(net):
    """Put plain linear layers in the place of the adapted ones."""
    for block in net.blocks:
        for name, adapted in vars(block).copy().items():
            if isinstance(adapted, LoRA):
                setattr(block, name, adapted.merged())


def head_alone(net):
    net.freeze()
    net.head.unfreeze()


def turned(images):
    return np.ascontiguousarray(np.rot90(images, axes=(2, 3)))


def load(name):
    try:
        return data.load(name)
    except DataError as error:
        print(f"{error}\nOn the digits that ship with the package instead.")
        return data.load_digits()


def draw(fpath, ranks, full):
    """The accuracies of the ranks, beside that of full fine-tuning."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    names = [f"rank {rank}\n{count:,}" for rank, (count, _) in ranks.items()]
    names.append(f"all\n{full[0]:,}")
    bars = axes.bar(names, [*(accuracy for _, accuracy in ranks.values()), full[1]])
    bars[-1].set_color("C1")
    axes.bar_label(bars, fmt="%.1f")
    axes.set(xlabel="trained parameters", ylabel="accuracy on turned test images, %")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(fpath, dpi=100)


def main():
    options = parser.parse_args()
    dataset = load(options.data)
    images, labels = dataset.train_images[: options.limit], dataset.train_labels[: options.limit]

    def transformer():
        patch = images.shape[-1] // 4
        return Transformer(patch, options.size, options.depth, len(dataset.class_names))

    net = transformer()
    net.set_optimizer(opt.AdamW(1e-3))
    train.fit(
        net, (images, labels), options.epochs, validation=dataset.test, metrics="accuracy",
        seed=options.seed,
    )  # fmt: skip
    net.save_states("upright.zip", overwrite=True)

    few = turned(images[: options.turned]), labels[: options.turned]
    test = turned(dataset.test_images), dataset.test_labels
    found = train.evaluate(net, test, metrics="accuracy", batch_size=500)
    print(f"{'as it is':16} {0:7,} parameters trained, accuracy {found['accuracy']:.2%}")

    def tuned(name, prepare):
        """How many parameters were trained, the accuracy in per cent, and the network."""
        net = transformer()
        net.compile([Tensor(data=images[:1])])
        net.load_states("upright.zip", resume=False)
        prepare(net)
        net.set_optimizer(opt.AdamW(2e-3))
        train.fit(net, few, options.tuning_epochs, seed=options.seed, progress=False)
        accuracy = train.evaluate(net, test, metrics="accuracy", batch_size=500)["accuracy"]
        count = sum(p.size() for p in net.get_params().values() if p.requires_grad)
        print(f"{name:16} {count:7,} parameters trained, accuracy {accuracy:.2%}")
        return count, accuracy * 100, net

    tuned("the head alone", head_alone)
    ranks = {}
    for rank in options.ranks:
        *ranks[rank], net = tuned(f"LoRA, rank {rank}", lambda net, rank=rank: adapt(net, rank))
    merge(net)
    found = train.evaluate(net, test, metrics="accuracy", batch_size=500)
    print(f"{'the last, merged':16} {0:7,} parameters more, accuracy {found['accuracy']:.2%}")
    *full, _ = tuned("all parameters", lambda net: None)
    draw("lora.png", ranks, full)
    print("drew lora.png")


if __name__ == "__main__":
    main()
