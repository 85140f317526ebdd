"""The best epoch of a training is the same in its history, on the pages and the command line."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singa import autograd, layer, metric, opt, train
from singa.board.run import read_run
from singa.cli.train import _result
from singa.metric.naming import KINDS, best_epoch, is_measure
from singa.model import Model

values = st.lists(
    st.sampled_from([0.0, 1.0, 0.123456789, 0.1234567891, math.nan, math.inf, -math.inf])
    | st.floats(),
    min_size=1, max_size=8,
)  # fmt: skip


@given(values, st.sampled_from(["min", "max"]), st.sampled_from([0.0, 0.1]))
def test_no_epoch_is_better_than_the_best(found, mode, delta):
    best = best_epoch(found, mode, delta)

    costs = [-v if mode == "max" else v for v in found]
    finite = [cost for cost in costs if math.isfinite(cost)]
    assert (best == 0) == (not finite)
    if best and not delta:
        assert costs[best - 1] == min(finite)
        assert costs.index(min(finite)) == best - 1
    if best and delta:
        assert costs[best - 1] <= min(finite) + delta


@pytest.fixture
def board_of(tmp_path):
    def read(table, info):
        table.write(tmp_path / "epochs.csv")
        (tmp_path / "run.json").write_text(json.dumps({"format": 1} | info))
        return read_run(tmp_path)

    return read


@pytest.mark.parametrize("name", ["loss", "val_loss", "val_quality", "error", "val_x_accuracy"])
def test_a_page_has_the_epoch_that_was_recorded(board_of, name):
    @given(values, st.sampled_from(["min", "max"]))
    def check(found, mode):
        table = train.Table({"epoch": [*range(1, len(found) + 1)], name: found})
        epoch = best_epoch(found, mode)
        run = board_of(table, {"best": {name: epoch} if epoch else {}})
        best = run.best(name)
        assert (best.epoch if best else 0) == epoch

    check()


@dataclass(frozen=True, eq=False)
class Margin(metric.Metric):
    """One of the user's, whose greatest value is best."""

    best = "max"

    def zeros(self):
        return np.zeros((), np.float64), np.zeros((), np.int64)

    def counts(self, xp, prediction, target):
        return prediction.max(-1).sum().astype(xp.float64), xp.asarray(target.size)

    def result(self, xp, total, count):
        return total / count


class Classes(Model):
    def __init__(self):
        super().__init__()
        self.linear = layer.Linear(3)
        self.optimizer = opt.SGD(0.7)

    def forward(self, x):
        return self.linear(x)

    def train_one_batch(self, x, y):
        out = self.forward(x)
        loss = autograd.softmax_cross_entropy(out, y)
        self.optimizer(loss)
        return {"out": out, "loss": loss, "penalty_accuracy": autograd.mean(out * out)}


METRICS = {
    "error_free": metric.Accuracy(),  # the greatest is best, whatever the name is
    "loss_of_hits": metric.TopKAccuracy(2),
    "quality": metric.Perplexity(),  # and here the least
    "perplexity": metric.F1(3, average="macro"),
    "margin": Margin(),
}


@pytest.mark.parametrize("stopping", [None, train.EarlyStopping(9, "val_quality", min_delta=0.02)])
def test_all_that_show_a_training_agree(tmp_path, stopping):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((48, 4), np.float32), rng.integers(0, 3, 48, np.int32)
    net, run = Classes(), tmp_path / "run"
    history = train.fit(
        net, (x, y), 6, validation=(-x, y), batch_size=8, metrics=METRICS, run=run,
        early_stopping=stopping, progress=False,
    )  # fmt: skip

    page = read_run(run)
    for name in filter(is_measure, history.epochs):
        kind = METRICS.get(name.removeprefix("val_"))
        mode = metric.best_of(name) if kind is None else kind.best
        is_watched = stopping is not None and name == "val_quality"
        expected = best_epoch(history[name], mode, 0.02 if is_watched else 0)
        assert history.best[name] == expected
        assert page.best(name).epoch == expected
    assert _result(history)["best"] == history.best
    assert page.settings.keys().isdisjoint(name for name in page.settings if "best" in name)

    fresh = Classes()  # and what the best epoch has left is of that one
    watched = "val_quality" if stopping else "val_loss"
    again = train.fit(
        fresh, (x, y), history.best[watched], validation=(-x, y), batch_size=8, metrics=METRICS,
        progress=False,
    )  # fmt: skip
    net.load_states(run / "best.zip", resume=False)
    for name, state in fresh.get_states().items():
        np.testing.assert_array_equal(net.get_states()[name].to_numpy(), state.to_numpy())
    assert again[watched] == history[watched][: history.best[watched]]


def test_every_metric_of_a_name_has_a_direction():
    kinds = [getattr(metric, name) for name in metric.__all__]
    named = {k for k in kinds if isinstance(k, type)} - {metric.Metric, metric.ConfusionMatrix}
    assert {*KINDS.values()} == named
    assert {metric.best_of(f"val_{name}") for name in KINDS} == {"min", "max"}
