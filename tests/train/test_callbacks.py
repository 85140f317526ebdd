"""Callbacks, logs, progress and the run folder."""

import csv
import io
import json
import re
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from singa import board, opt, train
from singa.errors import ArgumentError, DependencyError, ShapeError
from singa.train import logs
from small_trainings import Line, samples, states


def fit(model, epochs=2, **options):
    options = {"progress": False, "batch_size": 8} | options
    return train.fit(model, samples(), epochs, **options)


class Notes(train.Callback):
    """Notes what it is called for."""

    def __init__(self, fails_at=None):
        self.calls, self.fails_at = [], fails_at

    def _note(self, what, training):
        self.calls.append((what, training.epoch, training.step))
        if what == self.fails_at:
            raise ZeroDivisionError("on purpose")

    def on_train_begin(self, training):
        self._note("train_begin", training)

    def on_epoch_begin(self, training):
        self._note("epoch_begin", training)

    def on_step_end(self, training):
        self._note("step_end", training)

    def on_epoch_end(self, training):
        self._note("epoch_end", training)

    def on_train_end(self, training):
        self._note("train_end", training)


def test_when_callbacks_are_called():
    notes = Notes()

    fit(Line(), callbacks=[notes])

    assert notes.calls == [
        ("train_begin", 0, 0),
        ("epoch_begin", 0, 0), *(("step_end", 0, step) for step in (1, 2, 3, 4)),
        ("epoch_end", 1, 4),
        ("epoch_begin", 1, 4), *(("step_end", 1, step) for step in (5, 6, 7, 8)),
        ("epoch_end", 2, 8),
        ("train_end", 2, 8),
    ]  # fmt: skip


@pytest.mark.parametrize("moment", ["train_begin", "epoch_begin", "step_end", "epoch_end"])
def test_a_callback_that_fails_ends_the_training_and_the_others(moment):
    others, failing, model = Notes(), Notes(moment), Line()

    with pytest.raises(ZeroDivisionError, match="on purpose"):
        fit(model, callbacks=[others, failing], run="run")

    assert others.calls[-1][0] == "train_end"
    assert model.training is False
    steps = {"step_end": 1, "epoch_end": 4}.get(moment, 0)
    assert model.optimizer.step_counter.item() == steps
    about = json.loads(Path("run/run.json").read_text())
    assert (about["status"], about["stopped"]) == ("failed", "ZeroDivisionError: on purpose")
    # The model is whole: training goes on.
    assert fit(model).status == "completed"


def test_one_that_fails_at_the_end_does_not_keep_the_others_from_ending():
    others = Notes()

    with pytest.raises(ZeroDivisionError):
        fit(Line(), callbacks=[others, Notes("train_end")])

    assert others.calls[-1][0] == "train_end"


def test_a_callback_sees_the_step_and_may_stop_the_training():
    class Look(train.Callback):
        def on_step_end(self, training):
            out, loss = training.returned
            assert out.shape == training.batch[1].shape == (8, 1)
            assert training.steps == 40
            if training.step == 6:
                self.loss = loss.item()
                training.stop("enough")

    look = Look()
    history = fit(Line(), 10, callbacks=[look])

    assert history.steps.rows == 6
    assert history.steps["loss"][-1] == pytest.approx(look.loss)
    assert (history.status, history.stopped) == ("completed", "enough")


def test_a_callback_may_change_the_learning_rate():
    class Halve(train.Callback):
        def on_epoch_end(self, training):
            training.model.optimizer.lr = training.history["lr"][-1] / 2

    model = Line()
    history = fit(model, 3, callbacks=[Halve()])

    assert history["lr"] == pytest.approx([0.1, 0.05, 0.025])
    assert model.compilations == 1


# -- logs and progress --------------------------------------------------------------------------


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_the_learning_rate_is_reduced_on_a_plateau():
    class Losses(train.Callback):
        """Losses of our own, before the others look at them."""

        def on_epoch_end(self, training):
            values = [5, 4, 4, 4, 4, 4, 4, 3, 3, 3]
            training.history.epochs["loss"][-1] = values[training.epoch - 1]

    def options(**given):
        plateau = train.ReduceLROnPlateau(0.5, 2, "loss", **given)
        return {"callbacks": [Losses(), plateau]}

    def rates(history):
        return [round(rate / history["lr"][0], 4) for rate in history["lr"]]

    def model():
        line = Line(0.01)
        line.optimizer.add_group(lambda name: name.endswith("b"), lr=0.02)
        return line

    whole, parts = model(), model()
    history = fit(whole, 10, **options())
    # Reduced after epochs 4, 6 and 10; the last is not seen any more.
    assert rates(history) == [1, 1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
    fit(model(), 5, checkpoint="a.zip", **options())
    resumed = fit(parts, 10, checkpoint="a.zip", resume=True, **options())
    assert resumed.steps["lr"] == history.steps["lr"]
    for name, value in states(whole).items():
        np.testing.assert_array_equal(states(parts)[name], value)
    rest = fit(model(), 10, **options(cooldown=2, least=0.004))
    assert rates(rest) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]

    scheduled = Line()
    scheduled.optimizer.lr = opt.CosineDecay(0.01, 40)
    with pytest.raises(ArgumentError, match="the learning rate follows a schedule, CosineDecay"):
        fit(scheduled, 10, **options())
    for wrong, message in (
        ({"factor": 1}, "factor is 1, a number between 0 and 1"),
        ({"patience": 0}, "patience is 0, at least 1"),
        ({"cooldown": -1}, "cooldown is -1, at least 0"),
    ):
        with pytest.raises(ArgumentError, match=message):
            train.ReduceLROnPlateau(**wrong)


def test_a_csv_log_that_is_resumed():
    fit(Line(), 1, csv="log.csv", checkpoint="a.zip")
    history = fit(Line(), 3, csv="log.csv", checkpoint="a.zip", resume=True)

    found = rows("log.csv")
    assert [int(row["epoch"]) for row in found] == [1, 2, 3]
    assert [float(row["loss"]) for row in found] == pytest.approx(history["loss"], rel=1e-7)


def test_tensorboard():
    history = fit(Line(), 2, tensorboard="tb", validation=samples(8, 1))

    data = b"".join(path.read_bytes() for path in Path("tb").rglob("events*"))
    for tag in (b"step/loss", b"step/lr", b"epoch/loss", b"epoch/samples_per_second"):
        assert tag in data
    assert sorted(path.name for path in Path("tb").iterdir()) == ["train", "validation"]
    assert history.status == "completed"


def test_tensorboard_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(logs, "find_spec", lambda name: None)

    with pytest.raises(DependencyError, match=r"pip install 'singa-xla\[tensorboard\]'"):
        fit(Line(), tensorboard="tb")


def test_lines_for_epochs_when_piped():
    screen = io.StringIO()
    bar = train.ProgressBar(Console(file=screen))

    fit(Line(opt.StepDecay(0.1, 4)), 12, validation=samples(8, 1), progress=bar)

    head, *lines = screen.getvalue().splitlines()
    assert head.split() == ["epoch", "lr", "loss", "val_loss", "samples/s"]
    assert len(lines) == 12
    assert lines[0].split()[:2] == ["1/12", "0.1000"]
    assert lines[11].startswith("12/12")
    assert len({len(line) for line in (head, *lines)}) == 1


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setattr("singa.train.progress._REFRESH", 0.0)
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)

    fit(Line(), 2, progress=train.ProgressBar(console))

    assert "━" in screen.getvalue()
    assert re.search(r"/8.* loss .* samples/s", screen.getvalue())
    assert "2/2" in screen.getvalue()


def test_why_it_ended_early_is_said():
    screen = io.StringIO()

    fit(Line(100.0), 50, early_stopping=1, progress=train.ProgressBar(Console(file=screen)))

    assert re.search(
        r"ended in epoch \d+: loss has been no better for 1 epoch\n", screen.getvalue()
    )


# -- the run folder -----------------------------------------------------------------------------


class Pictures(train.Callback):
    def on_epoch_end(self, training):
        weights = training.model.linear.W.to_numpy()
        training.run.add_image("weights", weights, training.epoch)


def test_what_is_in_a_run_folder(tmp_path):
    model = Line()
    history = fit(
        model, 3, run="runs/line", validation=samples(8, 1), callbacks=[Pictures()],
        metrics="mean_absolute_error", seed=4, about={"data": "line", "note": "a test"},
    )  # fmt: skip

    folder = tmp_path / "runs/line"
    assert sorted(path.name for path in folder.iterdir()) == [
        "best.zip", "checkpoint.zip", "epochs.csv", "graph.svg", "memory.json", "profile.json",
        "run.json", "samples", "steps.csv",
    ]  # fmt: skip
    about = json.loads((folder / "run.json").read_text())
    assert (about["format"], about["name"], about["model"]) == (1, "line", "Line")
    assert (about["status"], about["stopped"]) == ("completed", "")
    assert (about["epochs"], about["epoch"], about["steps_per_epoch"]) == (3, 3, 4)
    assert (about["batch_size"], about["seed"], about["parameters"]) == (8, 4, 5)
    assert (about["precision"], about["device"]) == ("float32", "cpu")
    assert about["data"] == {"name": "line", "samples": 32, "validation_samples": 8}
    assert about["optimizer"]["name"] == "SGD"
    assert about["optimizer"]["lr"] == pytest.approx(0.1)
    assert about["versions"].keys() == {"python", "singa", "jax", "numpy"}
    assert about["summary"] == str(model.summary())
    started, finished = (datetime.fromisoformat(about[name]) for name in ("started", "finished"))
    assert started <= finished
    assert started.utcoffset().total_seconds() == 0
    for name, table in (("epochs.csv", history.epochs), ("steps.csv", history.steps)):
        found = rows(folder / name)
        assert list(found[0]) == list(table)
        assert [float(row["loss"]) for row in found] == pytest.approx(table["loss"], rel=1e-7)
    profile = json.loads((folder / "profile.json").read_text())
    assert profile["iterations"] == 8
    assert "SGD" in {row["name"] for row in profile["rows"]}
    assert json.loads((folder / "memory.json").read_text())["parameters"] == 20
    assert "<svg" in (folder / "graph.svg").read_text()
    assert [path.name for path in sorted((folder / "samples").iterdir())] == [
        f"000{epoch}-weights.png" for epoch in (1, 2, 3)
    ]


def test_a_run_folder_that_is_resumed():
    whole, parts = Line(), Line()
    fit(whole, 3)
    fit(Line(), 1, run="run")
    started = json.loads(Path("run/run.json").read_text())["started"]

    history = fit(parts, 3, run="run", resume=True)

    for name, value in states(whole).items():
        np.testing.assert_array_equal(states(parts)[name], value)
    about = json.loads(Path("run/run.json").read_text())
    assert (about["started"], about["epoch"], about["epochs"]) == (started, 3, 3)
    assert [int(row["step"]) for row in rows("run/steps.csv")] == history.steps["step"]
    with pytest.raises(ArgumentError, match="run: run exists"):
        fit(Line(), 3, run="run", resume="other/checkpoint.zip")


def test_numbers_are_written_while_training_goes_on(monkeypatch):
    monkeypatch.setattr("singa.train.run._PAUSE", 0.0)
    monkeypatch.setattr("singa.train.run._SHARE", 1e9)
    seen = []

    class Look(train.Callback):
        def on_step_end(self, training):
            about = json.loads(Path("run/run.json").read_text())
            seen.append((about["status"], about["epoch"], about["finished"]))
            assert len(rows("run/steps.csv")) <= training.step

    fit(Line(), 2, run="run", callbacks=[Look()])

    assert seen[0] == ("running", 0, None)
    assert seen[-1] == ("running", 1, None)


def test_an_eager_training_has_no_graph(tmp_path):
    fit(Line(), 1, run="run", use_graph=False)

    assert not (tmp_path / "run/graph.svg").exists()
    assert not (tmp_path / "run/memory.json").exists()
    assert (tmp_path / "run/profile.json").exists()  # of two steps, after two that are skipped


@pytest.mark.parametrize(
    ("options", "page"),
    [
        ({"run": "run", "report": True}, "run/report.html"),
        ({"run": "run", "report": "page.html"}, "page.html"),
        ({"report": "page.html"}, "page.html"),
        ({"run": train.RunFolder("run", report="page.html", profile=False)}, "page.html"),
    ],
)
def test_a_report(tmp_path, monkeypatch, options, page):
    written = []
    monkeypatch.setattr(board, "write_report", lambda run, path: written.append((run, path)))

    fit(Line(), 1, **options)

    ((folder, path),) = written
    assert path == Path(page)
    assert folder.exists() == ("run" in options)  # otherwise it was a temporary one


def test_a_real_report(tmp_path):
    fit(Line(), 1, report="page.html")

    assert "<html" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("picture", "pixel"),
    [
        (np.ones((2, 3)), 255),
        (np.full((2, 3, 3), 0.5), (128, 128, 128)),
        (np.full((2, 3), 7, np.uint8), 7),
        (np.full((2, 3), 4.0), 255),
        (np.full((2, 3), np.nan), 0),
    ],
)
def test_pictures(picture, pixel):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    folder = train.RunFolder("run")
    folder.path.mkdir()

    path = folder.add_image("a title", picture, 12)

    assert path.as_posix() == "run/samples/0012-a title.png"
    with image.open(path) as found:
        assert (found.size, found.getpixel((0, 0))) == ((3, 2), pixel)


def test_pictures_that_are_refused():
    folder = train.RunFolder("run")
    folder.path.mkdir()

    for title in ("", "a/b", "..\\x", "tab\t", "x" * 101):
        with pytest.raises(ArgumentError, match="cannot be a part of a file's name"):
            folder.add_image(title, np.ones((2, 2)), 1)
    with pytest.raises(ShapeError, match=r"\(H, W\)"):
        folder.add_image("cube", np.ones((2, 2, 2)), 1)


def test_a_figure_of_matplotlib():
    figure = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed").Figure()
    folder = train.RunFolder("run")
    folder.path.mkdir()

    assert folder.add_image("figure", figure, 1).read_bytes().startswith(b"\x89PNG")
