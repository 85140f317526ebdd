"""A training that is interrupted and resumed has the same results, bit for bit."""

import json
import os
import random
import signal
from pathlib import Path

import numpy as np
import pytest

from singa import autograd, data, device, opt, train
from singa.errors import ArgumentError, CheckpointError, CheckpointWarning
from singa.formats import checkpoint
from singa.tensor import Tensor
from small_trainings import Line, Noisy, samples, states


def fit(model, epochs, source=None, **options):
    options = {"progress": False, "batch_size": 8, "validation": samples(8, 1)} | options
    return train.fit(model, source or samples(), epochs, **options)


class LeaveAt(train.Callback):
    """Ctrl-C, or another signal, after this step."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    def on_step_end(self, training):
        if training.step == self.step:
            os.kill(os.getpid(), self.number)


def assert_goes_on(whole, parts, history, resumed):
    for name, value in states(whole).items():
        np.testing.assert_array_equal(states(parts)[name], value, err_msg=name)
    assert {**resumed.steps} == {**history.steps}
    for name in set(history.epochs) - {"seconds", "samples_per_second"}:
        assert resumed[name] == history[name], name


@pytest.mark.parametrize("use_graph", [True, False])
@pytest.mark.parametrize("step", [3, 4, 6])  # in an epoch, at its end, and in the second one
def test_one_that_was_left_goes_on_with_the_next_batch(step, use_graph):
    options = {"metrics": "mean_squared_error", "use_graph": use_graph}
    whole, parts = Noisy(), Noisy()
    history = fit(whole, 3, **options)
    left = fit(Noisy(), 3, callbacks=[LeaveAt(step)], checkpoint="a.zip", **options)
    assert (left.status, left.stopped) == ("interrupted", "interrupted by Ctrl-C")
    assert left.steps.rows == step

    resumed = fit(parts, 3, checkpoint="a.zip", resume=True, **options)

    assert_goes_on(whole, parts, history, resumed)
    assert resumed.status == "completed"


@pytest.mark.parametrize("use_graph", [True, False])
def test_steps_count_by_the_targets_that_are_not_ignored(use_graph):
    """Also after a resume; and a batch of nothing but ignored targets ends no training."""

    class Ignoring(Line):
        def train_one_batch(self, x, y):
            out = autograd.cat([self.forward(x), x], 1)
            loss = autograd.softmax_cross_entropy(out, y, ignore_index=0)
            self.optimizer(loss)
            return out, loss

    x, ids = samples(16)[0], np.array([1, 2, 3, 4, 1] + [0] * 11, np.int32)
    options = {"batch_size": 2, "progress": False, "use_graph": use_graph, "seed": 3}
    whole, parts = Ignoring(0.0), Ignoring(0.0)
    history = train.fit(whole, (x, ids), 4, **options)
    assert history.status == "completed"
    assert np.isnan(history.steps["loss"]).any()
    assert np.isnan(history.steps["loss"][7::8]).any()  # the last batch of an epoch
    expected = train.evaluate(whole, (x, ids), batch_size=2)["loss"]
    np.testing.assert_allclose(history["loss"], expected, rtol=1e-6)
    train.fit(parts, (x, ids), 4, callbacks=[LeaveAt(13)], checkpoint="a.zip", **options)
    resumed = train.fit(parts, (x, ids), 4, checkpoint="a.zip", resume=True, **options)
    assert resumed["loss"] == history["loss"]


class Change(train.Callback):
    """What a user changes while a model is trained."""

    def on_epoch_end(self, training):
        optimizer = training.model.optimizer
        optimizer.lr = optimizer.lr_value.item() / 2
        if training.epoch == 1:
            optimizer.momentum = 0.5
            optimizer._groups[0].schedules["weight_decay"].set(0.25)


def grouped(lr=0.1):
    model = Line()
    model.optimizer = opt.SGD(lr)
    model.optimizer.add_group(lambda name: name.endswith("W"), weight_decay=0)
    return model


def test_what_was_assigned_to_the_optimizer_goes_on():
    whole, parts, other = grouped(), grouped(), grouped(0.02)
    history = fit(whole, 4, callbacks=[Change()])
    fit(grouped(), 2, callbacks=[Change()], checkpoint="a.zip")
    fit(grouped(), 3, callbacks=[Change()], checkpoint="a.zip", resume=True)

    resumed = fit(parts, 4, callbacks=[Change()], checkpoint="b.zip", resume="a.zip")

    assert_goes_on(whole, parts, history, resumed)
    assert resumed["lr"] == pytest.approx([0.1, 0.05, 0.025, 0.0125])
    # A number that is chosen anew is kept.
    assert fit(other, 4, checkpoint="c.zip", resume="a.zip")["lr"][-1] == pytest.approx(0.02)
    assert other.optimizer.momentum.init_value == 0.5


def test_a_schedule_that_was_assigned_is_missed():
    model, fresh = Line(), Line()
    fit(model, 1)
    model.optimizer.lr = opt.CosineDecay(0.1, 10)
    model.save_states("a.zip")
    fresh.compile([Tensor((8, 4))], is_train=True)

    with pytest.warns(CheckpointWarning, match="SGD: lr was assigned a schedule"):
        fresh.load_states("a.zip")


def test_a_group_that_was_added_in_training_is_missed():
    model, fresh, same = Line(), Line(), Line()
    fit(model, 1)
    model.optimizer.add_group(lambda name: name.endswith("b"), lr=0.5)
    model.save_states("a.zip")
    for other in (fresh, same):
        other.compile([Tensor((8, 4))], is_train=True)
    same.optimizer.add_group(lambda name: name.endswith("b"), lr=0.5)

    with pytest.warns(CheckpointWarning, match="hyperparameters/group0/lr of 'optimizer' was left"):
        fresh.load_states("a.zip")
    same.load_states("a.zip")


def test_more_epochs_into_another_file(tmp_path):
    whole, parts = Noisy(), Noisy()
    history = fit(whole, 2)
    fit(Noisy(), 1, checkpoint="a.zip")
    before = (tmp_path / "a.zip").read_bytes()

    resumed = fit(parts, 2, checkpoint="b.zip", resume="a.zip")

    assert_goes_on(whole, parts, history, resumed)
    assert (tmp_path / "a.zip").read_bytes() == before
    assert fit(Line(), 1, checkpoint="c.zip").epochs.rows == 1


def test_the_rest_of_a_loader_s_epoch():
    def loader():
        return data.DataLoader(data.ArrayDataset(*samples()), 8, shuffle=True, seed=3)

    whole, parts = Noisy(), Noisy()
    history = fit(whole, 2, loader())
    fit(Noisy(), 2, loader(), callbacks=[LeaveAt(2)], checkpoint="a.zip")

    resumed = fit(parts, 2, loader(), checkpoint="a.zip", resume=True)

    assert_goes_on(whole, parts, history, resumed)


def test_a_complete_training_is_not_trained_on():
    fit(Line(), 2, checkpoint="a.zip")
    model = Line()

    history = fit(model, 2, checkpoint="a.zip", resume=True)

    assert history.epochs.rows == 2
    assert model.optimizer.step_counter.item() == 8


def test_sigterm_is_as_ctrl_c():
    whole, parts = Line(), Line()
    history = fit(whole, 2)
    left = fit(Line(), 2, callbacks=[LeaveAt(6, signal.SIGTERM)], checkpoint="a.zip", run="run")

    assert (left.status, left.stopped) == ("interrupted", "interrupted by SIGTERM")
    assert json.loads(Path("run/run.json").read_text())["status"] == "interrupted"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert_goes_on(whole, parts, history, fit(parts, 2, checkpoint="a.zip", resume=True))


def test_a_handler_of_sigterm_is_left_alone():
    class Handler(train.Callback):
        def on_step_end(self, training):
            assert signal.getsignal(signal.SIGTERM) is mine

    def mine(number, frame):
        pass

    before = signal.signal(signal.SIGTERM, mine)
    try:
        fit(Line(), 1, callbacks=[Handler()])
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_ctrl_c_ends_it_at_once():
    class Twice(train.Callback):
        def on_step_end(self, training):
            signal.raise_signal(signal.SIGINT)  # in this thread, hence at once
            signal.raise_signal(signal.SIGINT)  # in this thread, hence at once

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(Line(), 2, callbacks=[Twice()], run="run")

    assert signal.getsignal(signal.SIGINT) is handler
    assert json.loads(Path("run/run.json").read_text())["status"] == "interrupted"


# -- the best epoch, and early stopping ---------------------------------------------------------


class Worse(train.Callback):
    """From this epoch on the model gets worse."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_end(self, training):
        if training.epoch >= self.epoch:
            w = training.model.linear.W
            w.data = w.data + 1


def test_the_best_epoch_is_kept_separately():
    model = Line()
    saver = train.Checkpoint("last.zip", best="best.zip")

    history = fit(model, 6, checkpoint=saver, callbacks=[Worse(3)])

    best = int(np.argmin(history["val_loss"])) + 1
    assert best < 6
    other = Line()
    other.compile([Tensor((1, 4))])
    other.load_states("best.zip")
    assert other.optimizer.step_counter.item() == 4 * best
    other.load_states("last.zip")
    assert other.optimizer.step_counter.item() == 24


def test_early_stopping_goes_back_to_the_best_epoch():
    model = Line()
    stopping = train.EarlyStopping(2, restore_best=True)

    history = fit(model, 50, early_stopping=stopping, callbacks=[Worse(4)], checkpoint="a.zip")

    best = int(np.argmin(history["val_loss"])) + 1
    assert history.epochs.rows == best + 2 < 50
    assert history.status == "completed"
    assert history.stopped == "val_loss has been no better for 2 epochs"
    # Worse spoils the model after the epoch was validated, and before it is kept.
    found = train.evaluate(model, samples(8, 1))["loss"]
    assert found == pytest.approx(history["val_loss"][best - 1], rel=1e-4) or best >= 4
    again = fit(Line(), 50, early_stopping=2, checkpoint="a.zip", resume=True)
    assert again.epochs.rows == history.epochs.rows


def test_of_two_that_restore_the_last_decides_which_epoch_is_best():
    one, two = Line(), Line()
    early, late = (
        train.EarlyStopping(9, "loss", mode=mode, restore_best=True) for mode in ("max", "min")
    )
    fit(one, 3, callbacks=[early, late])
    fit(two, 3, callbacks=[late])
    np.testing.assert_array_equal(one.linear.W.to_numpy(), two.linear.W.to_numpy())
    fit(two, 3, callbacks=[late, early])
    assert not np.array_equal(one.linear.W.to_numpy(), two.linear.W.to_numpy())


def weights(path):
    with checkpoint.Reader(path) as reader:
        arrays = reader.read(checkpoint.MODEL)
        return {name: arrays[name] for name in reader.named(checkpoint.MODEL)}


@pytest.mark.parametrize("epochs", [2, 3])  # the best one is the last, or not any more
def test_the_best_epoch_is_restored_after_a_resume(epochs):
    def stopping():
        return {
            "early_stopping": train.EarlyStopping(4, restore_best=True),
            "callbacks": [Worse(3)],
        }

    whole, parts = Line(), Line()
    history = fit(whole, 5, checkpoint="whole.zip", **stopping())
    assert history.best["val_loss"] == 2
    fit(Line(), epochs, checkpoint="a.zip", **stopping())

    resumed = fit(parts, 5, checkpoint="a.zip", resume=True, **stopping())

    assert_goes_on(whole, parts, history, resumed)
    for path in ("whole.zip", "a.zip"):  # the file has what is restored, and still goes on
        for name, value in weights(path).items():
            np.testing.assert_array_equal(value, whole.get_states()[name].to_numpy())
    more, plain = Line(), Line()
    fit(more, 6, checkpoint="b.zip", resume="a.zip", callbacks=[Worse(3)])
    fit(plain, 6, callbacks=[Worse(3)])
    np.testing.assert_array_equal(more.linear.W.to_numpy(), plain.linear.W.to_numpy())


@pytest.mark.parametrize(
    ("values", "options", "best"),
    [
        ([3, 2, 1, 1], {}, 3),
        ([3, 2, 1, 4], {"mode": "max"}, 4),
        ([3, 2.9, 2.5, 2.4], {"min_delta": 0.3}, 3),
        ([float("nan"), 2, 3], {}, 2),
        ([float("nan")] * 2, {}, 0),
    ],
)
def test_which_epoch_is_best(values, options, best):
    class Training:
        history = train.History()
        validation = None
        meters = type("Meters", (), {"metrics": {}})

    Training.history.epochs = train.Table({"epoch": list(range(len(values))), "loss": values})

    assert train.Monitor("loss", **options).best(Training) == best


def test_the_greatest_accuracy_is_best_and_an_unknown_quantity_is_refused():
    class Labels(Line):
        pass

    saver = train.Checkpoint("a.zip", best="b.zip", monitor="val_rmse")
    with pytest.raises(ArgumentError, match="'val_rmse' is to be watched, which is not one of"):
        fit(Labels(), 2, checkpoint=saver)


# -- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "trained with the seed 0, not 1"),
        ({"batch_size": 4}, "trained with batches of 8, not 4"),
        ({"source": samples(seed=5)}, "on another data set"),
        ({"source": samples(40)}, "on another data set"),
        ({"metrics": "mean_squared_error"}, r"with the metrics \[\], not \['mean_squared_error'\]"),
        ({"validation": None}, "with validation samples 8, not None"),
    ],
    ids=str,
)
def test_another_training_is_refused(options, message):
    fit(Line(), 1, checkpoint="a.zip")
    model = Line()

    with pytest.raises(CheckpointError, match=f"a.zip: .*{message}"):
        fit(model, 2, checkpoint="a.zip", resume=True, **options)

    assert model.optimizer.step_counter.item() == 0


def test_a_checkpoint_of_another_model_is_refused():
    fit(Line(), 1, checkpoint="a.zip")

    with pytest.raises(CheckpointError, match="of another model"):
        fit(Noisy(), 2, resume="a.zip")


def test_a_file_that_is_not_there():
    with pytest.raises(FileNotFoundError):
        fit(Line(), 1, checkpoint="a.zip", resume=True)


def test_a_checkpoint_without_a_training_is_refused():
    model = Line()
    fit(model, 1)
    model.save_states("model.zip")

    with pytest.raises(CheckpointError, match="it does not say of which training it is"):
        fit(Line(), 2, resume="model.zip")


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (b"{", "'about': not JSON"),
        (b"[1]", "'about' is not a JSON object"),
        (b'{"format": 2}', "written by a later version, in format 2"),
        (b"{}", "'seed' is not in it"),
    ],
)
def test_what_a_checkpoint_says_of_itself_is_not_trusted(about, message):
    model = Line()
    fit(model, 1)
    aux = {"about": Tensor(data=np.frombuffer(about, np.uint8))}
    model.save_states("a.zip", aux)

    with pytest.raises(CheckpointError, match=message):
        fit(Line(), 2, resume="a.zip")


@pytest.mark.parametrize("column", [np.zeros(3, np.int32), np.zeros((2, 2)), np.zeros(7)])
def test_a_history_that_is_damaged(column):
    fit(Line(), 1, checkpoint="a.zip")
    with checkpoint.Reader("a.zip") as reader:
        aux = {
            name: Tensor(data=array)
            for name, array in reader.read(checkpoint.AUX).items()
            if reader.kinds[name].state_type == checkpoint.AUX
        }
    model = Line()
    model.compile([Tensor((1, 4))])
    model.save_states("b.zip", aux | {"steps/loss": Tensor(data=column)})

    with pytest.raises(CheckpointError, match=r"b\.zip: .*(column of a history|differ in length)"):
        fit(Line(), 2, resume="b.zip")


@pytest.mark.parametrize("is_compiled", [False, True])
def test_a_fit_that_cannot_go_on_leaves_everything_as_it_was(is_compiled):
    fit(Line(), 2, checkpoint="good.zip")
    good = Path("good.zip").read_bytes()
    model, key = Line(), device.get_default_device().random_key
    if is_compiled:
        fit(model, 1)
    key.copy_from_numpy(np.array([7, 9], np.uint32))
    before = states(model) if is_compiled else {}
    for seed in range(25):
        rng = random.Random(seed)
        Path("bad.zip").write_bytes(unfit(rng, good))
        with pytest.raises((CheckpointError, FileNotFoundError)):
            fit(model, 3, resume=rng.choice(["bad.zip", "bad.zip", "none.zip"]))
        assert key.to_numpy().tolist() == [7, 9]
        assert model.training is (False if is_compiled else None)
        assert not autograd.training
        for name, value in before.items():
            np.testing.assert_array_equal(states(model)[name], value)


def unfit(rng, content):
    """A checkpoint that is cut short, or one whose history does not hold together."""
    if rng.random() < 0.3:
        return content[: rng.randrange(len(content))]
    Path("other.zip").write_bytes(content)
    with checkpoint.Reader("other.zip") as reader:
        kinds = {kind: reader.named(kind) for kind in range(3)}
        arrays = reader.read(0, 1, 2)
    found = {kind: {name: arrays[name] for name in names} for kind, names in kinds.items()}
    name = rng.choice([n for n in kinds[1] if n.startswith(("steps/", "epochs/"))])
    column = name.partition("/")[2]
    choices = [lambda a: a[:-1], lambda a: np.append(a, a), lambda a: a.astype(np.float32)]
    if column in ("step", "epoch") and name in ("steps/step", "epochs/epoch"):
        choices += [lambda a: a + 1, lambda a: a * np.nan, lambda a: a + 0.5, lambda a: a * 1e300]
    found[1][name] = rng.choice(choices)(found[1][name])
    checkpoint.write("other.zip", found, overwrite=True)
    return Path("other.zip").read_bytes()
