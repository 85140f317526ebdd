"""A small decoder-only transformer reads Alice in Wonderland, character by character."""

import argparse
import math
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

from singa import autograd, device, initializer, layer, model, opt, tensor
from singa.tensor import Tensor

TEXT = Path(__file__).parent / "alice_in_wonderland.txt"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--steps", type=int, default=1000)
parser.add_argument("--warmup", type=int, default=100, help="steps in which the rate rises")
parser.add_argument("--batch-size", type=int, default=24)
parser.add_argument("--context", type=int, default=96, help="characters that the model sees")
parser.add_argument("--width", type=int, default=128)
parser.add_argument("--heads", type=int, default=4)
parser.add_argument("--layers", type=int, default=3)
parser.add_argument("--dropout", type=float, default=0.1)
parser.add_argument("--lr", type=float, default=2e-3)
parser.add_argument("--weight-decay", type=float, default=0.1)
parser.add_argument("--temperature", type=float, default=0.8)
parser.add_argument("--top-k", type=int, default=10, help="sample from so many characters")
parser.add_argument("--prompt", default="Alice was beginning to ")
parser.add_argument("--characters", type=int, default=500, help="how many to write")
parser.add_argument("--seed", type=int, default=0)


class GPT(model.Model):
    """The logits of the next character at each place: (batch, places) to (batch, places, C)."""

    def __init__(self, characters, context, width, heads, layers, dropout):
        super().__init__()
        small = partial(initializer.normal, std=0.02)
        self.character = layer.Embedding(characters, width, small)
        self.place = layer.Embedding(context, width, small)
        self.dropout = layer.Dropout(dropout)
        self.blocks = layer.TransformerEncoder(
            [
                layer.TransformerEncoderLayer(
                    width, heads, 4 * width, dropout, activation="gelu", norm_first=True
                )
                for _ in range(layers)
            ],
            layer.LayerNorm(width),
        )
        self.head = layer.Linear(characters, bias=False, initializer=small)

    def forward(self, x):
        y = self.character(x) + self.place(tensor.arange(x.shape[1]))
        return self.head(self.blocks(self.dropout(y), causal=True))

    def train_one_batch(self, x, y):
        loss = autograd.softmax_cross_entropy(self.forward(x), y)
        self.optimizer(loss)
        return loss


def windows(codes, starts, length):
    """Inputs, and as targets the characters after each: (batch, length) both."""
    x, y = (codes[np.add.outer(starts + shift, np.arange(length))] for shift in (0, 1))
    return Tensor(data=x), Tensor(data=y)


def evaluate(net, codes, length):
    """The mean loss on windows that lie side by side."""
    net.eval()
    x, y = windows(codes, np.arange(0, len(codes) - length, length), length)
    loss = autograd.softmax_cross_entropy(net(x), y).item()
    net.train()
    return loss


def write(net, characters, prompt, length, context, temperature, top_k, rng):
    """Go on from the prompt, each character drawn from the ``top_k`` most probable ones."""
    net.eval()
    codes = [characters.index(character) for character in prompt]
    while len(codes) < length:
        # The model looks back only, so that it does not matter what is behind the last character.
        seen = codes[-context:]
        x = np.array([seen + [0] * (context - len(seen))], np.int32)
        logits = net(Tensor(data=x)).to_numpy()[0, len(seen) - 1].astype(np.float64)
        best = np.argsort(logits)[-top_k:]
        chances = np.exp((logits[best] - logits.max()) / temperature)
        codes.append(int(rng.choice(best, p=chances / chances.sum())))
    net.train()
    return "".join(characters[code] for code in codes)


def attention(net, x):
    """What each layer's heads look at: a list of (batch, heads, queries, keys)."""
    maps = []

    def look(operation, inputs, outputs):
        q, k = inputs[:2]
        scores = autograd.matmul(q, k.transpose((0, 1, 3, 2))).to_numpy() / math.sqrt(q.shape[-1])
        exp = np.tril(np.exp(scores))
        maps.append(exp / exp.sum(-1, keepdims=True))

    net.eval()
    net.graph(False)  # a hook sees numbers only where the model runs eagerly
    with autograd.ScaledDotProductAttention.register_forward_hook(look):
        net(x)
    net.graph()
    return maps


def draw(fpath, losses, test, rates, maps, text):
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    curve, rate = left.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve.plot(range(1, len(losses) + 1), losses, linewidth=0.6, alpha=0.7, label="training batch")
    curve.plot(*zip(*test, strict=True), "o-", markersize=3, label="the last tenth of the book")
    curve.set(title="Loss, nats per character")
    curve.legend(frameon=False)
    rate.plot(range(1, len(rates) + 1), rates, color="C2")
    rate.set(title="Learning rate", xlabel="step")
    for axes in (curve, rate):
        axes.grid(alpha=0.3)

    right.suptitle("Where the last layer's heads look: rows look at columns", fontsize=10)
    grid = right.subplots(2, -(-len(maps) // 2), squeeze=False)
    ticks = {"ticks": range(len(text)), "labels": list(text), "size": 6, "family": "monospace"}
    for head, axes in zip(maps, grid.flat, strict=False):
        axes.imshow(head, cmap="Purples", vmin=0)
        axes.set_xticks(**ticks)
        axes.set_yticks(**ticks)
        axes.tick_params(length=0, pad=1)
    figure.savefig(fpath, dpi=80)


def main():
    options = parser.parse_args()
    device.get_default_device().set_rand_seed(options.seed)
    rng = np.random.default_rng(options.seed)

    text = TEXT.read_text()
    characters = sorted(set(text))
    codes = np.array([characters.index(character) for character in text], np.int32)
    train, test = np.split(codes, [len(codes) * 9 // 10])

    net = GPT(
        len(characters), options.context, options.width, options.heads, options.layers,
        options.dropout,
    )  # fmt: skip
    cosine = opt.CosineDecay(options.lr, options.steps - options.warmup, options.lr / 10)
    net.optimizer = opt.AdamW(
        opt.LinearWarmup(cosine, options.warmup),
        beta_2=0.99, weight_decay=options.weight_decay, clip_norm=1.0,
    )  # fmt: skip
    # Only matrices decay: no biases, no scales.
    net.optimizer.add_group(lambda name: not name.endswith(("W", "weight")), weight_decay=0)
    tx = Tensor((options.batch_size, options.context), dtype=tensor.int32)
    net.compile([tx], is_train=True, use_graph=True)

    print(f"{sum(p.size() for p in net.get_params().values()):,} parameters")
    losses, rates, test_losses = [], [], []
    for step in track(range(1, options.steps + 1), "training", transient=True):
        rates.append(net.optimizer.lr_value)
        starts = rng.integers(len(train) - options.context, size=options.batch_size)
        losses.append(net(*windows(train, starts, options.context)))
        if step % (options.steps // 10) == 0:
            test_losses.append((step, evaluate(net, test, options.context)))
            print(f"step {step}: loss {losses[-1].item():.3f}, test {test_losses[-1][1]:.3f}")

    print("\n" + write(
        net, characters, options.prompt, options.characters, options.context,
        options.temperature, options.top_k, rng,
    ) + "\n")  # fmt: skip
    passage = "said the Hatter, and the"
    x = Tensor(data=np.array([[characters.index(character) for character in passage]], np.int32))
    draw(
        "tiny_gpt.png", [loss.item() for loss in losses], test_losses,
        [rate.item() for rate in rates], attention(net, x)[-1][0], passage,
    )  # fmt: skip
    print("drew tiny_gpt.png")


if __name__ == "__main__":
    main()
