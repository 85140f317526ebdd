"""An encoder-decoder transformer translates dates, written in five languages, to ISO dates."""

import argparse
import math
import random
from datetime import date, timedelta

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

from singa import autograd, data, device, layer, model, opt, tensor
from singa.tensor import Tensor

# The months, the weekdays, and ways of writing a date; one line has those of one language.
LANGUAGES = {
    "en": (
        "January February March April May June July August September October November December",
        "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        ("{weekday}, {d} {month} {y}", "{month} {d}, {y}", "{d} {month} '{yy:02}"),
    ),
    "de": (
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
        ("{weekday}, den {d}. {month} {y}", "{d}. {month} {y}", "{d}.{m}.{y}", "{d}.{m}.{yy:02}"),
    ),
    "fr": (
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "lundi mardi mercredi jeudi vendredi samedi dimanche",
        ("{weekday} {d} {month} {y}", "le {d} {month} {y}"),
    ),
    "es": (
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "lunes martes miércoles jueves viernes sábado domingo",
        ("{weekday}, {d} de {month} de {y}", "{d} de {month} de {y}"),
    ),
    "it": (
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre "
        "dicembre",
        "lunedì martedì mercoledì giovedì venerdì sabato domenica",
        ("{weekday} {d} {month} {y}", "{d} {month} {y}"),
    ),
}
FIRST, DAYS = date(1970, 1, 1), 36525  # a century, so that two digits of a year tell it

EXAMPLES = "Thursday, 1 January 2026", "14. März 2031", "mercredi 9 août 1995"

PAD, START = "_", ">"

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--width", type=int, default=64)
parser.add_argument("--heads", type=int, default=4)
parser.add_argument("--layers", type=int, default=2, help="of the encoder, and of the decoder")
parser.add_argument("--dropout", type=float, default=0.1)
parser.add_argument("--lr", type=float, default=2e-3)
parser.add_argument("--days", type=int, default=DAYS, help="use so many days of the century")
parser.add_argument("--seed", type=int, default=0)


class Translator(model.Model):
    """The logits of each next character of the translation.

    Args:
        vocabulary: the characters of both sides.
        width: the size of the vectors that stand for characters and places.
        heads, layers, dropout: of the encoder and the decoder.
    """

    def __init__(self, vocabulary, width, heads, layers, dropout):
        super().__init__()
        sizes = width, heads, 4 * width, dropout
        self.character = layer.Embedding(len(vocabulary), width)
        self.place = layer.Embedding(64, width)
        self.pad = vocabulary.index(PAD)
        self.encoder = layer.TransformerEncoder(
            [layer.TransformerEncoderLayer(*sizes, norm_first=True) for _ in range(layers)],
            layer.LayerNorm(width),
        )
        self.decoder = layer.TransformerDecoder(
            [layer.TransformerDecoderLayer(*sizes, norm_first=True) for _ in range(layers)],
            layer.LayerNorm(width),
        )
        self.linear = layer.Linear(len(vocabulary))

    def forward(self, x, y):
        """Text (batch, n) and the beginnings of translations (batch, m): (batch, m, characters)."""
        is_text = x != self.pad
        memory = self.encoder(self.embed(x), key_mask=is_text)
        out = self.decoder(self.embed(y), memory, causal=True, memory_key_mask=is_text)
        return self.linear(out)

    def embed(self, x):
        return self.character(x) + self.place(tensor.arange(x.shape[1]))

    def train_one_batch(self, x, y):
        out = self.forward(x, y[:, :-1])
        loss = autograd.softmax_cross_entropy(out, y[:, 1:])
        self.optimizer(loss)
        return loss


def written(day, rng):
    """A day in one of the ways of one of the languages."""
    months, weekdays, ways = rng.choice(list(LANGUAGES.values()))
    return rng.choice(ways).format(
        d=day.day, m=day.month, y=day.year, yy=day.year % 100,
        month=months.split()[day.month - 1], weekday=weekdays.split()[day.weekday()],
    )  # fmt: skip


def encode(texts, vocabulary):
    """Codes (texts, length), padded behind."""
    length = max(map(len, texts))
    return np.array(
        [[vocabulary.index(c) for c in text.ljust(length, PAD)] for text in texts], np.int32
    )


def translate(net, x, vocabulary):
    """The most probable characters, one after the other, for codes (batch, n)."""
    net.eval()
    y = np.full((len(x), 11), vocabulary.index(PAD), np.int32)
    y[:, 0] = vocabulary.index(START)
    for place in range(10):
        # The decoder looks back only, so that it does not matter what is not yet written.
        logits = net(Tensor(data=x), Tensor(data=y[:, :-1]))
        y[:, place + 1] = logits.to_numpy()[:, place].argmax(-1)
    net.train()
    return ["".join(vocabulary[code] for code in row[1:]) for row in y]


def attention(net, x, y):
    """The scores of the decoder's last look at ``x``: (batch, heads, 10, n)."""
    scores = []

    def look(operation, inputs, outputs):
        q, k = inputs[:2]
        scores.append(autograd.matmul(q, k.transpose((0, 1, 3, 2))) / math.sqrt(q.shape[-1]))

    net.eval()
    net.graph(False)  # a hook sees numbers only where the model runs eagerly
    with autograd.ScaledDotProductAttention.register_forward_hook(look):
        net(Tensor(data=x), Tensor(data=y))
    net.graph()
    return scores[-1].to_numpy()


def draw(fpath, losses, accuracies, examples):
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.6))
    loss, accuracy = left.subplots(2, 1)
    loss.plot(losses, linewidth=0.8)
    loss.set(title="Loss", xlabel="step", yscale="log")
    accuracy.plot(range(1, len(accuracies) + 1), np.array(accuracies) * 100, "o-", color="C1")
    accuracy.set(title="New days translated rightly, %", xlabel="epoch", ylim=(0, 102))
    for axes in (loss, accuracy):
        axes.grid(alpha=0.3)

    right.suptitle("What each character of a translation looks at", fontsize=10)
    grid = right.subplots(len(examples), 1)
    for (text, translation, scores), axes in zip(examples, grid, strict=True):
        weights = np.exp(scores[..., : len(text)])  # without the padding
        weights /= weights.sum(-1, keepdims=True)
        axes.imshow(weights.mean(0), cmap="Purples", aspect="auto", vmin=0)
        axes.set_xticks(range(len(text)), list(text), family="monospace", size=9)
        axes.set_yticks(range(10), list(translation), family="monospace", size=8)
        axes.tick_params(length=0)
    figure.savefig(fpath, dpi=80)


def main():
    options = parser.parse_args()
    device.get_default_device().set_rand_seed(options.seed)
    rng = random.Random(options.seed)

    days = [FIRST + timedelta(number) for number in rng.sample(range(DAYS), options.days)]
    texts = [written(day, rng) for day in days]
    translations = [START + day.isoformat() for day in days]
    vocabulary = sorted({PAD}.union(*texts, *translations))
    x, y = encode(texts, vocabulary), encode(translations, vocabulary)
    new = min(1000, len(days) // 10)  # days of which no text is seen in training
    batches = data.DataLoader(
        data.ArrayDataset(x[new:], y[new:]), options.batch_size,
        shuffle=True, seed=options.seed, drop_last=True,
    )  # fmt: skip
    print(f"{len(days) - new:,} dates to learn from, such as: {'; '.join(texts[-3:])}")

    net = Translator(vocabulary, options.width, options.heads, options.layers, options.dropout)
    schedule = opt.OneCycle(options.lr, options.epochs * len(batches))
    net.optimizer = opt.Adam(schedule, clip_norm=1.0)
    net.compile([Tensor(data=a[: options.batch_size]) for a in (x, y[:, :-1])], use_graph=True)
    losses, accuracies = [], []
    for epoch in range(1, options.epochs + 1):
        for batch in track(batches, f"epoch {epoch}", transient=True):
            losses.append(net(*(Tensor(data=a) for a in batch)))
        found = translate(net, x[:new], vocabulary)
        accuracies.append(
            np.mean([START + a == b for a, b in zip(found, translations[:new], strict=True)])
        )
        print(
            f"epoch {epoch}: loss {losses[-1].item():.4f}, {accuracies[-1]:.1%} of new days right"
        )

    codes = encode(EXAMPLES, vocabulary)
    found = translate(net, codes, vocabulary)
    beginnings = encode([START + translation[:-1] for translation in found], vocabulary)
    examples = list(zip(EXAMPLES, found, attention(net, codes, beginnings), strict=True))
    for text, translation, _ in examples:
        print(f"{text} -> {translation}")
    draw("translation.png", [loss.item() for loss in losses], accuracies, examples)
    print("drew translation.png")


if __name__ == "__main__":
    main()
