"""A GPT on a mesh of eight devices, spread in four ways: the same losses, other memory."""

import argparse
import os
from functools import partial
from pathlib import Path

# Without GPUs: XLA makes eight devices of the CPU. It reads this once, when singa is imported.
simulated = "--xla_force_host_platform_device_count=8"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {simulated}".strip()

import numpy as np  # noqa: E402 (after the flags)
from matplotlib.figure import Figure  # noqa: E402

from singa import autograd, device, distributed, initializer, layer, model, opt, tensor  # noqa: E402
from singa.tensor import Tensor  # noqa: E402

TEXT = Path(__file__).parents[1] / "tiny_gpt" / "alice_in_wonderland.txt"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=40)
parser.add_argument("--batch-size", type=int, default=16)
parser.add_argument("--context", type=int, default=32)
parser.add_argument("--width", type=int, default=128)
parser.add_argument("--heads", type=int, default=4)
parser.add_argument("--layers", type=int, default=4)
parser.add_argument("--lr", type=float, default=2e-3)
parser.add_argument("--seed", type=int, default=0)

LINE, GRID = {"data": 8}, {"data": 4, "model": 2}
WAYS = {
    "whole on each": (LINE, []),
    "fully sharded": (LINE, [distributed.fully_sharded("data")]),
    "tensor parallel": (GRID, [distributed.tensor_parallel("model")]),
    "both": (GRID, [distributed.tensor_parallel("model"), distributed.fully_sharded("data")]),
}


class GPT(model.Model):
    """The logits of the next character at each place: (batch, places) to (batch, places, C)."""

    def __init__(self, characters, context, width, heads, layers):
        super().__init__()
        small = partial(initializer.normal, std=0.02)
        self.character = layer.Embedding(characters, width, small)
        self.place = layer.Embedding(context, width, small)
        self.blocks = layer.TransformerEncoder(
            [
                layer.TransformerEncoderLayer(width, heads, 4 * width, 0.1, "gelu", norm_first=True)
                for _ in range(layers)
            ],
            layer.LayerNorm(width),
        )
        self.head = layer.Linear(characters, bias=False, initializer=small)

    def forward(self, x):
        places = tensor.arange(x.shape[1], device=x.device)
        y = self.character(x) + self.place(places)
        return self.head(self.blocks(y, causal=True))

    def train_one_batch(self, x, y):
        loss = autograd.softmax_cross_entropy(self.forward(x), y)
        self.optimizer(loss)
        return loss


def train(rules, mesh, options):
    """The losses, what each device needs, and the matrix of one layer."""
    mesh.set_rand_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    text = TEXT.read_text()
    characters = sorted(set(text))
    codes = np.array([characters.index(character) for character in text], np.int32)

    net = GPT(len(characters), options.context, options.width, options.heads, options.layers)
    net.set_optimizer(opt.AdamW(options.lr))
    distributed.shard(net, *rules)  # before the parameters are made: never is all on one device
    losses = []
    for step in range(options.steps):
        starts = rng.integers(0, len(codes) - options.context - 1, options.batch_size)
        x, y = (
            Tensor(
                data=codes[np.add.outer(starts + shift, np.arange(options.context))], device=mesh
            )
            for shift in (0, 1)
        )
        if not step:
            net.compile([x], use_graph=True)
        losses.append(net(x, y).item())
    return losses, net.memory_report(), net.blocks.layers[0].linear1.W


def owners(weight):
    """For each element of a matrix, the number of the first device that has it."""
    found = np.full(weight.shape, -1)
    for shard in reversed(weight.data.addressable_shards):
        found[shard.index] = shard.device.id
    return found


def draw(fpath, results):
    figure = Figure(figsize=(11, 4), layout="constrained")
    memory, curves, places = figure.subfigures(1, 3, width_ratios=(1.25, 1, 1))
    axes = memory.subplots()
    bottom = np.zeros(len(results))
    for name in ("parameters", "states", "scratch"):
        sizes = np.array([getattr(report, name) / 2**20 for _, report, _ in results.values()])
        axes.bar(list(results), sizes, bottom=bottom, label=name)
        bottom += sizes
    axes.set(title="Memory of each device, MiB")
    axes.tick_params(axis="x", rotation=20)
    axes.legend(frameon=False)

    axes = curves.subplots()
    for i, (name, (losses, *_)) in enumerate(results.items()):
        axes.plot(losses, label=name, linewidth=5 - 1.2 * i, alpha=0.7)
    axes.set(title="Loss: the same", xlabel="step")
    axes.legend(frameon=False)

    places.suptitle("linear1.W: which device has which part", fontsize=10)
    for (name, (*_, weight)), axes in zip(results.items(), places.subplots(2, 2).flat, strict=True):
        found = owners(weight)
        axes.imshow(found, cmap="tab10", vmin=0, vmax=9, aspect="auto", interpolation="nearest")
        for owner in np.unique(found):
            row, column = (float(np.mean(i)) for i in np.nonzero(found == owner))
            has_all = len(np.unique(found)) == 1
            axes.text(column, row, "all" if has_all else owner, ha="center", va="center")
        axes.set_title(name, fontsize=9)
        axes.set(xticks=[], yticks=[])
    figure.savefig(fpath, dpi=80)


def main():
    options = parser.parse_args()
    results = {}
    for name, (axes, rules) in WAYS.items():
        results[name] = losses, report, _ = train(rules, device.create_mesh(axes), options)
        print(
            f"{name:15}: loss {losses[-1]:.4f}, on each of {report.devices} devices "
            f"{report.parameters / 2**20:.3f} MiB of parameters, "
            f"{report.states / 2**20:.3f} MiB of state"
        )
    draw("sharded_gpt.png", results)


if __name__ == "__main__":
    main()
