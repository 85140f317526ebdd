"""Metrics against definitions written out in plain Python, sample by sample."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa import autograd, layer, metric, tensor
from singa.errors import ArgumentError, ShapeError
from singa.model import Model
from singa.tensor import Tensor

CLASSES = 4


@st.composite
def scored(draw):
    """Scores (N, C), some of them equal, and classes (N,)."""
    seed = draw(st.integers(0, 2**32 - 1))
    length = draw(st.sampled_from([1, 9]))  # each is compiled
    random = np.random.default_rng(seed)
    scores = random.integers(-3, 4, (length, CLASSES)).astype(np.float32)
    return scores, random.integers(0, CLASSES, length)


def best(scores):
    return [max(range(len(row)), key=lambda c, row=row: row[c]) for row in scores.tolist()]


def table(predicted, wanted):
    """How often each class was right, predicted and there."""
    pairs = list(zip(predicted, wanted, strict=True))
    return [
        (
            sum(p == t == c for p, t in pairs),
            sum(p == c for p, _ in pairs),
            sum(t == c for _, t in pairs),
        )
        for c in range(CLASSES)
    ]


def divided(part, whole):
    return part / whole if whole else 0.0


def by_hand(name, scores, wanted):
    predicted, wanted = best(scores), wanted.tolist()
    if name == "accuracy":
        return sum(p == t for p, t in zip(predicted, wanted, strict=True)) / len(wanted)
    if name == "top 2":
        ranked = [sorted(range(CLASSES), key=lambda c, r=row: (-r[c], c)) for row in scores]
        return sum(t in r[:2] for r, t in zip(ranked, wanted, strict=True)) / len(wanted)
    if name == "confusion":
        return [
            [
                sum((t, p) == (i, j) for p, t in zip(predicted, wanted, strict=True))
                for j in range(CLASSES)
            ]
            for i in range(CLASSES)
        ]
    if name == "perplexity":
        total = 0.0
        for row, t in zip(scores.astype(float).tolist(), wanted, strict=True):
            total -= math.log(math.exp(row[t]) / sum(map(math.exp, row)))
        return math.exp(total / len(wanted))
    ratios = {
        "precision": lambda right, predicted, actual: (right, predicted),
        "recall": lambda right, predicted, actual: (right, actual),
        "f1": lambda right, predicted, actual: (2 * right, predicted + actual),
    }
    kind, average = name.split()
    counts = table(predicted, wanted)
    sides = [ratios[kind](*count) for count in counts]
    if average == "micro":
        return divided(sum(part for part, _ in sides), sum(whole for _, whole in sides))
    each = [divided(*side) for side in sides]
    if average == "none":
        return each
    there = [ratio for ratio, (_, p, a) in zip(each, counts, strict=True) if p + a]
    return sum(there) / len(there)


METRICS = {
    "accuracy": metric.Accuracy,
    "top 2": lambda: metric.TopKAccuracy(2),
    "confusion": lambda: metric.ConfusionMatrix(CLASSES),
    "perplexity": metric.Perplexity,
} | {
    f"{name} {average}": lambda cls=cls, average=average: cls(CLASSES, average)
    for name, cls in {
        "precision": metric.Precision, "recall": metric.Recall, "f1": metric.F1,
    }.items()
    for average in ("macro", "micro", "none")
}  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=25)
@given(first=scored(), second=scored())
def test_on_tensors_and_arrays_in_one_go_and_in_two(name, first, second):
    scores = np.concatenate([first[0], second[0]])
    wanted = np.concatenate([first[1], second[1]])
    expected = by_hand(name, scores, wanted)

    whole, parts, other = (METRICS[name]() for _ in range(3))
    on_device = whole(tensor.from_numpy(scores), tensor.from_numpy(wanted))
    in_numpy = whole(scores, wanted)
    parts.update(tensor.from_numpy(first[0]), first[1])
    other.update(second[0], second[1])
    parts.merge(other)

    assert isinstance(on_device, Tensor)
    for found in (on_device.to_numpy(), in_numpy, parts.value):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert not whole.states  # calls for these predictions alone are not remembered
    other.update(first[0], first[1])
    np.testing.assert_allclose(other.value, expected, rtol=1e-5)
    other.reset()
    other.update(scores, wanted)
    np.testing.assert_allclose(other.value, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_means_over_all_elements(dtype):
    random = np.random.default_rng(0)
    x, y = (Tensor(data=random.normal(size=(3000, 2)), dtype=dtype) for _ in range(2))
    difference = x.to_numpy().astype(float) - y.to_numpy().astype(float)

    for cls, expected in (
        (metric.MeanSquaredError, (difference**2).mean()),
        (metric.MeanAbsoluteError, abs(difference).mean()),
    ):
        found = cls().update(x, y)
        assert found.compute().dtype == np.float64
        np.testing.assert_allclose(found.value, expected, rtol=1e-6)
        np.testing.assert_allclose(cls()(x.to_numpy(), y.to_numpy()), expected, rtol=1e-6)


def test_forms_of_predictions_and_targets():
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], np.float32)
    classes = np.array([1, 0, 0])
    one_hot = np.eye(2, dtype=np.int32)[classes]

    assert metric.accuracy(scores, classes) == pytest.approx(2 / 3)
    assert metric.accuracy(scores, one_hot) == pytest.approx(2 / 3)
    assert metric.accuracy(scores[:, 1], classes) == pytest.approx(2 / 3)
    assert metric.accuracy(np.array([1, 0, 1]), classes) == pytest.approx(2 / 3)
    assert metric.accuracy(scores[None], classes[None]) == pytest.approx(2 / 3)
    assert metric.accuracy([[0.1, 0.9], [0.8, 0.2]], [1, 1]) == 0.5
    assert metric.top_k_accuracy(scores, classes, k=2) == 1
    assert metric.accuracy(Tensor(data=scores), classes).item() == pytest.approx(2 / 3)
    assert isinstance(metric.accuracy(scores, classes), np.float64)


def test_two_classes():
    predicted, wanted = np.array([1, 1, 0, 1, 0]), np.array([1, 0, 1, 1, 0])

    assert metric.Precision()(predicted, wanted) == pytest.approx(2 / 3)
    assert metric.Recall()(predicted, wanted) == pytest.approx(2 / 3)
    assert metric.F1()(predicted, wanted) == pytest.approx(2 / 3)
    assert metric.Precision()(np.zeros(2, int), np.zeros(2, int)) == 0


def test_what_is_ignored_does_not_count():
    scores = np.random.default_rng(0).normal(size=(2, 3, CLASSES)).astype(np.float32)
    wanted = np.array([[0, -1, 2], [-1, -1, 3]])
    some = wanted >= 0

    for cls in (metric.Accuracy, metric.TopKAccuracy, metric.Perplexity):
        ignoring = cls(ignore_index=-1)
        for found in (
            ignoring(scores, wanted),
            ignoring(Tensor(data=scores), tensor.from_numpy(wanted)).to_numpy(),
        ):
            np.testing.assert_allclose(found, cls()(scores[some], wanted[some]), rtol=1e-6)
    assert metric.ConfusionMatrix(CLASSES)(scores, wanted).sum() == 3


def test_a_class_that_does_not_exist_is_wrong_and_has_no_likelihood():
    scores, wanted = np.zeros((1, 3), np.float32), np.array([3])

    for make in (np.asarray, tensor.from_numpy):
        prediction, target = make(scores), make(wanted)
        assert float(metric.accuracy(prediction, target)) == 0
        assert float(metric.top_k_accuracy(prediction, target, 3)) == 0
        assert math.isnan(float(metric.Perplexity()(prediction, target)))


def test_a_model_that_has_diverged_is_not_right():
    scores, wanted = np.full((3, 4), np.nan, np.float32), np.array([1, 2, 3])

    assert metric.accuracy(scores, wanted) == 0
    assert metric.top_k_accuracy(scores, wanted, 2) == 0
    assert metric.top_k_accuracy(Tensor(data=scores), wanted, 2).item() == 0


def test_of_nothing():
    for empty in (metric.Accuracy(), metric.MeanSquaredError(), metric.Perplexity()):
        assert math.isnan(empty.value)
    assert metric.F1(3, "macro").value == 0
    assert metric.ConfusionMatrix(2).value.tolist() == [[0, 0], [0, 0]]


def test_counts_do_not_round():
    counted = metric.Accuracy()
    counted.update(np.array([1]), np.array([1]))
    right, total = counted.states
    right.data, total.data = (jnp.asarray(2**53, jnp.int64) for _ in range(2))
    counted.update(np.array([0]), np.array([1]))

    assert counted.states[1].item() == 2**53 + 1


class Evaluated(Model):
    """A model whose evaluation takes the accuracy in as well."""

    def __init__(self):
        super().__init__()
        self.linear = layer.Linear(CLASSES)
        self.accuracy = metric.Accuracy()

    def forward(self, x, y=None):
        out = self.linear(x)
        if y is not None:
            self.accuracy.update(out, y)
        return out


def test_an_update_is_a_part_of_a_compiled_step():
    x = np.random.default_rng(0).normal(size=(5, 6, 3)).astype(np.float32)
    y = np.random.default_rng(1).integers(0, CLASSES, (5, 6))
    net = Evaluated()
    net.compile([Tensor(data=x[0])], is_train=False, use_graph=True)

    outs = [net(Tensor(data=a), tensor.from_numpy(b)) for a, b in zip(x, y, strict=True)]

    assert net.captures == 1
    expected = np.mean([out.to_numpy().argmax(1) == b for out, b in zip(outs, y, strict=True)])
    assert net.accuracy.value == pytest.approx(expected)
    assert net.accuracy.states[1].item() == 30
    net.accuracy.reset()
    net(Tensor(data=x[0]), tensor.from_numpy(y[0]))
    assert net.accuracy.states[1].item() == 6
    assert net.captures == 1


def test_it_does_not_get_into_the_record(monkeypatch):
    monkeypatch.setattr(autograd, "training", True)
    w = Tensor(data=np.ones((2, 2)), stores_grad=True)
    error = metric.MeanSquaredError()

    error.update(w * 2, np.ones((2, 2)))

    assert error.compute().creator is None
    assert all(state.creator is None for state in error.states)
    assert error.value == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: metric.TopKAccuracy(0), "TopKAccuracy: k is 0, at least 1 is expected"),
        (lambda: metric.F1(3), "F1: average='binary' is for 2 classes, not for 3; macro, micro"),
        (lambda: metric.Recall(2, "best"), "Recall: average is 'best'; binary, macro, micro or"),
        (lambda: metric.ConfusionMatrix(1), "ConfusionMatrix: num_classes is 1, at least 2 are"),
        (
            lambda: metric.F1(3, "macro").merge(metric.F1(3, "micro")),
            r"merge: F1\(num_classes=3, average='macro'\) cannot take in F1\(num_classes=3, aver",
        ),
    ],
)
def test_wrong_options_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("wrong", "prediction", "target", "message"),
    [
        (
            metric.Accuracy(), np.zeros((2, 3), np.float32), np.zeros(3, int),
            r"Accuracy: scores \(N, ..., C\) or classes \(N, ...\), and classes \(N, ...\), "
            r"expected, got predictions float32 of shape \(2, 3\) and targets int64 of shape \(3,",
        ),
        (metric.Accuracy(), np.zeros((2, 3), int), np.zeros(2, int), "Accuracy: scores"),
        (metric.TopKAccuracy(1), np.zeros(2, int), np.zeros(2, int), "TopKAccuracy: scores"),
        (metric.Perplexity(), np.zeros((2, 3), np.float32), np.zeros((2, 3), int), "Perplexity"),
        (metric.F1(4, "macro"), np.zeros((2, 3), np.float32), np.zeros(2, int), "of 4 classes"),
        (metric.MeanSquaredError(), np.zeros(2), np.zeros(3), "MeanSquaredError: one shape"),
    ],
    ids=lambda value: "",
)  # fmt: skip
def test_wrong_shapes_are_refused_and_change_nothing(wrong, prediction, target, message):
    with pytest.raises(ShapeError, match=message):
        wrong.update(prediction, target)
    with pytest.raises(ShapeError, match=message):
        wrong.update(tensor.from_numpy(prediction), tensor.from_numpy(target))

    assert all(not state.to_numpy().any() for state in wrong.states)
