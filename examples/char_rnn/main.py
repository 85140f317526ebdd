"""A character-level LSTM reads a play of Shakespeare's, and then goes on writing."""

import argparse
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

from singa import autograd, device, layer, model, opt, tensor
from singa.tensor import Tensor

TEXT = Path(__file__).parent / "as_you_like_it.txt"
BITS = 1 / math.log(2)  # a loss in nats times this is one in bits

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=32, help="places where the text is read")
parser.add_argument("--length", type=int, default=64, help="characters from update to update")
parser.add_argument("--hidden", type=int, default=256)
parser.add_argument("--lr", type=float, default=4e-3)
parser.add_argument("--temperatures", type=float, nargs="+", default=[0.4, 0.7, 1.0])
parser.add_argument("--limit", type=int, help="read so many characters of the text only")
parser.add_argument("--seed", type=int, default=0)


class CharRNN(model.Model):
    """The logits of each next character.

    Args:
        characters: how many different ones there are.
        hidden: the size of the LSTM's states.
        batch_size: how many places of the text are read side by side.
    """

    def __init__(self, characters, hidden, batch_size):
        super().__init__()
        self.embedding = layer.Embedding(characters, 64)
        self.lstm = layer.LSTM(64, hidden, num_layers=2, dropout=0.3, batch_first=True)
        self.dropout = layer.Dropout(0.3)
        self.linear = layer.Linear(characters)
        # Where training is: the states after the last batch.
        self.h, self.c = (Tensor((2, batch_size, hidden), requires_grad=False) for _ in range(2))

    def forward(self, x, state=None):
        y, state = self.lstm(self.embedding(x), state)
        return self.linear(self.dropout(y)), state

    def train_one_batch(self, x, y):
        logits, (h, c) = self.forward(x, (self.h, self.c))
        loss = autograd.softmax_cross_entropy(logits, y)
        self.optimizer(loss)
        # The next batch goes on from here. Gradients do not: this is where they are truncated.
        self.h.copy_data(h)
        self.c.copy_data(c)
        return loss

    def begin(self):
        """Be at the beginning of the text."""
        self.h.set_value(0.0)
        self.c.set_value(0.0)


def chunks(codes, batch_size, length):
    """Inputs and targets of each step, (batch_size, length): a row goes on where its last ended."""
    steps = (len(codes) - 1) // (batch_size * length)
    size = batch_size * steps * length
    x, y = (codes[i : size + i].reshape(batch_size, steps, length) for i in (0, 1))
    return [(x[:, step], y[:, step]) for step in range(steps)]


def evaluate(net, codes):
    """The probability that the model gave each character but the first."""
    net.eval()
    logits, _ = net(Tensor(data=codes[None, :-1]))
    probabilities = autograd.softmax(logits, -1).to_numpy()[0]
    net.train()
    return probabilities[np.arange(len(codes) - 1), codes[1:]]


def write(net, characters, temperature, length, rng, start="\n"):
    """Let the model write, each character drawn from softmax(logits / temperature)."""
    net.eval()
    text, state = start, None
    while len(text) < length:
        x = Tensor(data=np.array([[characters.index(text[-1])]], np.int32))
        logits, state = net(x, state)
        chances = np.exp(logits.to_numpy()[0, 0].astype(np.float64) / temperature)
        text += characters[rng.choice(len(characters), p=chances / chances.sum())]
    net.train()
    return text.strip("\n")


def draw(fpath, train, test, text, probabilities):
    """How the loss fell; and a passage, each character as red as it was unexpected."""
    figure = Figure(figsize=(11, 4.4), layout="constrained")
    curve, page = figure.subplots(1, 2, width_ratios=(1, 1.7))
    epochs = range(1, len(train) + 1)
    curve.plot(epochs, train, label="in training")
    curve.plot(epochs, test, label="the last tenth of the play")
    curve.set(title="Bits per character", xlabel="epoch")
    curve.grid(alpha=0.3)
    curve.legend(frameon=False)

    bits = np.zeros((20, 64))
    row = column = 0
    for character, probability in zip(text, probabilities, strict=True):
        if character == "\n":
            row, column = row + 1, 0
        elif character == "\t":
            column += 8 - column % 8
        elif row < len(bits):
            bits[row, column] = -math.log2(probability)
            page.text(column, row, character, family="monospace", size=8, ha="center", va="center")
            column += 1
    page.imshow(bits, cmap="Reds", vmin=0, vmax=12, aspect="auto")
    page.set(title="Not seen in training: the redder, the less expected", xticks=[], yticks=[])
    figure.savefig(fpath, dpi=80)


def main():
    options = parser.parse_args()
    device.get_default_device().set_rand_seed(options.seed)
    rng = np.random.default_rng(options.seed)

    text = TEXT.read_text()[: options.limit]
    characters = sorted(set(text))
    codes = np.array([characters.index(character) for character in text], np.int32)
    train, test = np.split(codes, [text.index("\n", len(text) * 9 // 10)])
    batches = chunks(train, options.batch_size, options.length)

    net = CharRNN(len(characters), options.hidden, options.batch_size)
    schedule = opt.CosineDecay(options.lr, options.epochs * len(batches))
    net.optimizer = opt.Adam(schedule, clip_norm=1.0)
    tx = Tensor((options.batch_size, options.length), dtype=tensor.int32)
    net.compile([tx], is_train=True, use_graph=True)

    train_bits, test_bits = [], []
    for epoch in range(1, options.epochs + 1):
        net.begin()
        losses = [
            net(Tensor(data=x), Tensor(data=y))
            for x, y in track(batches, f"epoch {epoch}", transient=True)
        ]
        train_bits.append(BITS * np.mean([loss.item() for loss in losses]))
        test_bits.append(-np.log2(evaluate(net, test)).mean())
        print(f"epoch {epoch}: {train_bits[-1]:.3f} bits per character, test {test_bits[-1]:.3f}")
        if epoch in (1, 3, 10, options.epochs):
            for temperature in options.temperatures:
                print(f"\n--- temperature {temperature} ---")
                print(write(net, characters, temperature, 300, rng), "\n")

    passage = slice(len(train) + 1, len(train) + 1000)
    draw("char_rnn.png", train_bits, test_bits, text[passage], evaluate(net, test[:1000]))
    print("drew char_rnn.png")


if __name__ == "__main__":
    main()
