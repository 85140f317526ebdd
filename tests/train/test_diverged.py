"""A training whose loss is no number any more ends, and what was good stays."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from singa import data, models, opt, train
from singa.cli import app


class Breaks(train.Callback):
    """Puts NaN into the parameters at the end of the second epoch."""

    def on_epoch_begin(self, training):
        if training.epoch == 2:
            training.model.linear1.W.set_value(np.nan)


def fit(tmp_path, **options):
    mlp = models.MLP()
    mlp.set_optimizer(opt.SGD(0.05))
    digits = data.load_digits()
    history = train.fit(
        mlp, digits.train, 5, callbacks=[Breaks()], progress=False,
        checkpoint=tmp_path / "mlp.zip", **options,
    )  # fmt: skip
    return mlp, history


def test_it_ends_without_saving(tmp_path):
    _, history = fit(tmp_path, run=tmp_path / "run")
    assert history.status == "diverged"
    assert history.stopped == "the loss is nan after step 66"
    assert len(history["loss"]) == 3
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "diverged"
    # The last good epoch is what a resumed training begins with.
    mlp = models.MLP()
    mlp.set_optimizer(opt.SGD(0.05))
    digits = data.load_digits()
    again = train.fit(
        mlp, digits.train, 3, progress=False, checkpoint=tmp_path / "mlp.zip", resume=True
    )
    assert again.status == "completed"
    assert np.isfinite(again["loss"]).all()
    assert len(again["loss"]) == 3


def test_the_best_parameters_come_back(tmp_path):
    stopping = train.EarlyStopping(5, restore_best=True)
    mlp, history = fit(tmp_path, early_stopping=stopping)
    assert history.status == "diverged"
    assert np.isfinite(mlp.linear1.W.to_numpy()).all()


def test_it_may_go_on(tmp_path):
    with pytest.warns(RuntimeWarning, match="fit: the loss is nan after step 66") as warnings:
        _, history = fit(tmp_path, stop_at_nan=False)
    assert (history.status, len(history["loss"])) == ("completed", 5)
    assert len(warnings) == 1


def test_the_command_line_says_so_and_fails(tmp_path):
    result = CliRunner().invoke(
        app, ["train", "mlp", "--data", "digits", "--epochs", "5", "--lr", "1e30"]
    )
    assert result.exit_code == 1
    assert "the loss is" in result.output
    assert "completed" not in result.output
