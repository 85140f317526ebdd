"""Data parallelism: several processes train one network, and tell each other more or less of it."""

import argparse

import numpy as np
from matplotlib.figure import Figure
from parallel import all_ways, train

from singa import distributed

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--ranks", type=int, default=2, help="processes")
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=64, help="of all ranks together")
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--seed", type=int, default=0)


def draw(fpath, curves):
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, losses in curves.items():
        style = "k--" if name == "one process" else "-"
        axes.plot(range(1, len(losses) + 1), losses, style, label=name)
    axes.set(yscale="log", xlabel="epoch", ylabel="loss, mean over all ranks")
    axes.locator_params(axis="x", integer=True)
    axes.grid(color="#eeeeee")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(fpath, dpi=100)


def main():
    options = parser.parse_args()
    chosen = options.epochs, options.batch_size, options.lr, options.seed
    print("one process, then several; each says with how many others it has met")
    runs = {"one process": [train("all gradients", *chosen)]}
    ranks = distributed.launch(all_ways, options.ranks, *chosen)
    runs |= {way: [found[way] for found in ranks] for way in ranks[0]}
    curves = {}
    print(f"{'':24}  last loss  accuracy  ranks differ by")
    for way, ranks in runs.items():
        losses, accuracy, weights = ranks[0]
        curves[way] = losses
        apart = max(
            float(np.abs(own[name] - weights[name]).max()) for *_, own in ranks for name in weights
        )
        print(f"{way:24}  {losses[-1]:9.4f}  {accuracy:8.2%}  {apart:.2g}")
    draw("data_parallel.png", curves)
    print("wrote data_parallel.png")


if __name__ == "__main__":
    main()
