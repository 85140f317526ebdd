"""Ranking answers: bidirectional LSTMs put a question close to the sentence that answers it."""

import argparse
import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from rich.progress import track

from singa import autograd, data, device, layer, model, opt, tensor
from singa.tensor import Tensor

TABLE = Path(__file__).parent / "countries.csv"

# For each column of the table the answer, and ways to ask for it. They share the country's name
# with it, and hardly a word that would tell which of the country's answers is the right one.
SENTENCES = {
    "capital": (
        "the government of {country} sits in {capital}",
        "what is the capital of {country}",
        "name the capital city of {country}",
        "which town is the capital of {country}",
        "i look for the capital of {country}",
    ),
    "continent": (
        "{country} is a part of {continent}",
        "which continent does {country} belong to",
        "where on the map is {country}",
        "in what region of the world do i find {country}",
        "name the continent of {country}",
    ),
    "currency": (
        "people pay with the {currency} in {country}",
        "what is the currency of {country}",
        "which money do i need when i travel to {country}",
        "name the coins and notes of {country}",
        "how do they call their money in {country}",
    ),
    "language": (
        "{language} is spoken by many in {country}",
        "which language should i learn for {country}",
        "what tongue do they use in {country}",
        "how do i talk to somebody from {country}",
        "name a language of {country}",
    ),
}

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch-size", type=int, default=64)
parser.add_argument("--width", type=int, default=64, help="the size of the words' vectors")
parser.add_argument("--hidden", type=int, default=64, help="of the LSTM, in each direction")
parser.add_argument("--margin", type=float, default=0.2)
parser.add_argument("--lr", type=float, default=3e-3)
parser.add_argument("--countries", type=int, help="use so many rows of the table only")
parser.add_argument("--seed", type=int, default=0)


class Ranker(model.Model):
    """How well answers fit questions, from -1 to 1: the cosine between the vectors of both.

    Args:
        words: how many there are.
        width: the size of their vectors.
        hidden: the size of the LSTM's states, in each direction.
        margin: right answers should fit better than wrong ones by so much.
    """

    def __init__(self, words, width, hidden, margin):
        super().__init__()
        self.embedding = layer.Embedding(words, width)
        self.dropout = layer.Dropout(0.2)
        self.lstm = layer.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.margin = margin

    def encode(self, x):
        """Sentences (batch, words), padded with 0, to vectors (batch, 2 * hidden)."""
        lengths = (x != 0).as_type(tensor.int32).sum(1)
        y, _ = self.lstm(self.dropout(self.embedding(x)), seq_lengths=lengths)
        return y.sum(1)  # outputs at the padding are 0

    def forward(self, question, answer):
        return autograd.cossim(self.encode(question), self.encode(answer))

    def train_one_batch(self, question, right, wrong):
        question = self.encode(question)
        loss = autograd.ranking_loss(
            autograd.cossim(question, self.encode(right)),
            autograd.cossim(question, self.encode(wrong)),
            self.margin,
        )
        self.optimizer(loss)
        return loss


def facts_of(rows):
    """For each country and column the answer, and the questions."""
    for row in rows:
        for answer, *questions in SENTENCES.values():
            yield answer.format(**row).lower(), [q.format(**row).lower() for q in questions]


def encode(sentences, vocabulary):
    """Words' numbers, (sentences, the longest one's words), padded with 0."""
    x = np.zeros((len(sentences), max(len(s.split()) for s in sentences)), np.int32)
    for row, sentence in zip(x, sentences, strict=True):
        words = sentence.split()
        row[: len(words)] = [vocabulary[word] for word in words]
    return x


def wrong_answers(facts, known, rng):
    """For each fact the number of another known one: of the same country, or of the same kind."""
    kinds = len(SENTENCES)
    wrong = np.empty_like(facts)
    for i, fact in enumerate(facts):
        same = (
            known // kinds == fact // kinds if rng.random() < 0.5 else known % kinds == fact % kinds
        )
        wrong[i] = rng.choice(known[same & (known != fact)])
    return wrong


def similarities(a, b):
    """The cosines between rows: (n, features) and (m, features) to (n, m)."""
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    return a @ b.T


def top_1_and_mrr(scores, right):
    """How often the right answer comes first, and the mean of 1 / its rank, among all answers."""
    of_right = scores[np.arange(len(right)), right][:, None]
    ranks = 1 + (scores > of_right).sum(1)
    return (ranks == 1).mean(), (1 / ranks).mean()


def shared_words(questions, answers, words, rng):
    """What counts of words say: (questions, answers); ties are broken by chance."""
    counts = (
        np.array([np.bincount(row, minlength=words) for row in x]) for x in (questions, answers)
    )
    scores = similarities(*(count[:, 1:].astype(np.float64) for count in counts))
    return scores + rng.uniform(0, 1e-6, scores.shape)


def draw(fpath, losses, history, baseline, questions, answers, scores):
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    left, matrix = figure.subfigures(1, 2, width_ratios=(1, 2))
    loss, quality = left.subplots(2, 1, sharex=True)
    epochs = range(1, len(losses) + 1)
    loss.plot(epochs, losses)
    loss.set(title="Ranking loss", yscale="log")
    for i, name in enumerate(("right answer first", "mean reciprocal rank")):
        quality.plot(epochs, [values[i] for values in history], label=name)
        quality.axhline(baseline[i], color=f"C{i}", linestyle=":", linewidth=1)
    quality.set(title="Facts not seen (dotted: shared words)", xlabel="epoch", ylim=(0, 1.02))
    quality.legend(frameon=False, loc="lower right", fontsize=8)
    for axes in (loss, quality):
        axes.grid(alpha=0.3)
    axes = matrix.subplots()
    image = axes.imshow(scores, cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set_xticks(range(len(answers)), answers, rotation=50, ha="right", size=7)
    axes.set_yticks(range(len(questions)), questions, size=7)
    axes.set_title("How well answers fit questions, none of them seen", fontsize=10)
    matrix.colorbar(image, shrink=0.6)
    figure.savefig(fpath, dpi=80)


def main():
    options = parser.parse_args()
    device.get_default_device().set_rand_seed(options.seed)
    rng = np.random.default_rng(options.seed)

    with open(TABLE, newline="") as file:
        facts = list(facts_of(list(csv.DictReader(file))[: options.countries]))
    texts = [answer for answer, _ in facts]
    asked = [(question, i) for i, (_, questions) in enumerate(facts) for question in questions]
    words = sorted({word for text in (*texts, *(q for q, _ in asked)) for word in text.split()})
    vocabulary = {word: 1 + i for i, word in enumerate(words)}
    answers = encode(texts, vocabulary)
    questions = encode([question for question, _ in asked], vocabulary)
    right = np.array([i for _, i in asked])

    # Of two countries in three one fact is put aside: neither its questions nor its answer are
    # seen in training.
    countries = rng.permutation(len(facts) // len(SENTENCES))
    countries = countries[: len(countries) * 2 // 3]
    new = countries * len(SENTENCES) + rng.integers(len(SENTENCES), size=len(countries))
    known = np.setdiff1d(np.arange(len(facts)), new)
    is_new = np.isin(right, new)
    batches = data.DataLoader(
        data.ArrayDataset(questions[~is_new], right[~is_new]), options.batch_size,
        shuffle=True, seed=options.seed, drop_last=True,
    )  # fmt: skip
    print(f"{len(facts)} answers; {(~is_new).sum()} questions to learn from, {is_new.sum()} new")

    net = Ranker(1 + len(words), options.width, options.hidden, options.margin)
    net.optimizer = opt.Adam(opt.CosineDecay(options.lr, options.epochs * len(batches)))
    net.compile([Tensor(data=questions[:2]), Tensor(data=answers[:2])], use_graph=True)
    losses, history = [], []
    for epoch in track(range(1, options.epochs + 1), "training", transient=True):
        steps = []
        for question, fact in batches:
            wrong = wrong_answers(fact, known, rng)
            steps.append(net(*(Tensor(data=x) for x in (question, answers[fact], answers[wrong]))))
        losses.append(np.mean([loss.item() for loss in steps]))
        net.eval()
        vectors = [net.encode(Tensor(data=x)).to_numpy() for x in (questions[is_new], answers)]
        net.train()
        scores = similarities(*vectors)
        history.append(top_1_and_mrr(scores, right[is_new]))
        top_1, mrr = history[-1]
        if epoch in (1, options.epochs) or epoch % 10 == 0:
            print(f"epoch {epoch}: loss {losses[-1]:.4f}, top-1 {top_1:.1%}, MRR {mrr:.3f}")

    baseline = top_1_and_mrr(
        shared_words(questions[is_new], answers, len(vocabulary) + 1, rng), right[is_new]
    )
    print(f"by shared words: top-1 {baseline[0]:.1%}, MRR {baseline[1]:.3f}")

    rows = np.sort(rng.permutation(is_new.sum())[:12])
    shown = np.flatnonzero(is_new)[rows]
    draw(
        "answer_ranking.png", losses, history, baseline, [asked[i][0] for i in shown],
        [texts[right[i]] for i in shown], scores[np.ix_(rows, right[shown])],
    )  # fmt: skip
    print("drew answer_ranking.png")


if __name__ == "__main__":
    main()
