"""The arguments of fit, the errors that it raises, and its results."""

import threading

import numpy as np
import pytest

from singa import autograd, data, layer, metric, models, opt, train
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.model import Model
from singa.tensor import Tensor
from small_trainings import Line, Noisy, samples, states


def fit(model, source, epochs=2, **options):
    return train.fit(model, source, epochs, **{"progress": False, "batch_size": 8} | options)


def by_hand(model, source, epochs, batch_size, seed=0):
    """The same training in plain Python."""
    x, y = source
    loader = data.DataLoader(data.ArrayDataset(x, y), batch_size, True, seed, drop_last=True)
    Tensor(data=x).device.set_rand_seed(seed)
    model.compile([Tensor(data=x[:batch_size])], is_train=True, use_graph=True)
    losses = []
    for _ in range(epochs):
        for a, b in loader:
            losses.append(model(Tensor(data=a), Tensor(data=b))[1].item())
    model.eval()
    return losses


# -- it is the training that one would write ----------------------------------------------------


@pytest.mark.parametrize("kind", [Line, Noisy])
def test_it_computes_what_a_plain_loop_does(kind):
    source = samples(36)
    fitted, plain = kind(), kind()

    history = fit(fitted, source, 3, validation=samples(12, 1))

    assert history.steps["loss"] == by_hand(plain, source, 3, 8)
    assert history.steps["epoch"] == [1] * 4 + [2] * 4 + [3] * 4
    for name, value in states(plain).items():
        np.testing.assert_array_equal(states(fitted)[name], value, err_msg=name)
    assert fitted.training is False
    assert autograd.training is False


def test_eager_and_compiled_agree():
    compiled, eager = Noisy(), Noisy()

    one = fit(compiled, samples(), validation=samples(20, 1), metrics="mean_absolute_error")
    two = fit(
        eager, samples(), validation=samples(20, 1), metrics="mean_absolute_error", use_graph=False
    )

    assert compiled.graph_mode
    assert not eager.graph_mode
    assert one.epochs.keys() == two.epochs.keys()
    for name in ("loss", "mean_absolute_error", "val_loss", "val_mean_absolute_error"):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-4)


def test_the_history_has_means_over_the_samples():
    x, y = samples(20)
    loader = data.DataLoader(data.ArrayDataset(x, y), 8)  # the last batch has four

    history = train.fit(Line(), loader, 1, metrics="mean_squared_error", progress=False)

    steps = history.steps
    assert list(steps) == ["step", "epoch", "loss", "lr", "mean_squared_error"]
    assert history["loss"][0] == pytest.approx(np.average(steps["loss"], weights=[8, 8, 4]))
    assert history["mean_squared_error"][0] == pytest.approx(history["loss"][0])
    assert steps["mean_squared_error"] == pytest.approx(steps["loss"])
    assert history["step"] == [3]
    assert list(history.epochs)[:6] == [
        "epoch", "step", "seconds", "samples_per_second", "lr", "loss",
    ]  # fmt: skip
    assert history.status == "completed"


def test_an_epoch_has_the_metric_of_all_its_samples_not_the_mean_of_batches():
    x, y = samples(24)
    labels = (y[:, 0] > 0).astype(np.int32)

    class Classes(Line):
        def __init__(self):
            super().__init__()
            self.linear = layer.Linear(2)

        def train_one_batch(self, x, y):
            out = self.forward(x)
            loss = autograd.softmax_cross_entropy(out, y)
            self.optimizer(loss)
            return out, loss

    model = Classes()
    f1 = metric.F1()
    history = fit(model, (x, labels), 1, metrics=["accuracy", f1], validation=(x, labels))

    scores = train.predict(model, x)
    assert history["val_f1"][0] == pytest.approx(float(metric.F1()(scores, labels)))
    assert history["val_accuracy"][0] == pytest.approx(float(metric.accuracy(scores, labels)))
    assert history["f1"][0] != pytest.approx(np.mean(history.steps["f1"]), abs=1e-9)
    assert f1.states == []  # it counts in copies


# -- data ---------------------------------------------------------------------------------------


def test_data_of_all_kinds_give_the_same_batches():
    x, y = samples()
    kinds = [
        (x, y),
        [x, y],
        data.ArrayDataset(x, y),
        data.DataLoader(data.ArrayDataset(x, y), 8, shuffle=True, drop_last=True),
        data.Dataset(x, y, x, y, ("one",)),
    ]

    losses = [fit(Line(), kind, batch_size=None if i == 3 else 8).steps["loss"]
              for i, kind in enumerate(kinds)]  # fmt: skip

    assert all(each == losses[0] for each in losses)


def test_samples_of_a_dataset_may_be_made_one_by_one():
    class Squares:
        def __len__(self):
            return 16

        def __getitem__(self, index):
            row = np.full(4, index / 16, np.float32)
            return row, row[:1] ** 2

    assert fit(Line(), Squares(), 1).steps.rows == 2


def test_a_share_of_the_data_is_for_validation():
    x, y = samples(40)
    by_share, by_hand_ = Line(), Line()

    history = fit(by_share, (x, y), validation=0.25, seed=3)

    rest, kept = data.random_split(data.ArrayDataset(x, y), [30, 10], seed=3)
    expected = fit(by_hand_, rest, validation=kept, seed=3)
    assert history["val_loss"] == expected["val_loss"]
    assert history["loss"] == expected["loss"]
    loader = data.DataLoader(data.ArrayDataset(x, y), 8)
    for source, share, message in (
        ((x, y), 1.0, "a validation of 1.0: a share is between 0 and 1"),
        (loader, 0.5, "a DataLoader is used as it is"),
    ):
        with pytest.raises(ArgumentError, match=message):
            fit(Line(), source, validation=share, batch_size=None)


def test_a_dataset_brings_its_validation():
    x, y = samples()
    history = fit(Line(), data.Dataset(x, y, x[:5], y[:5], ("one",)))

    assert "val_loss" in history.epochs


def test_fewer_samples_than_a_batch_of_64_are_one_batch():
    assert train.fit(Line(), samples(10), 2, progress=False).steps.rows == 2


# -- models -------------------------------------------------------------------------------------


class Autoencoder(Model):
    def __init__(self):
        super().__init__()
        self.encode, self.decode = layer.Linear(2), layer.Linear(4)
        self.optimizer = opt.Adam(0.01)

    def forward(self, x):
        return self.decode(self.encode(x))

    def train_one_batch(self, x):
        out = self.forward(x)
        loss = autograd.mse_loss(out, x)
        self.optimizer(loss)
        return out, loss


def test_an_autoencoder_has_one_array():
    x, _ = samples(64)

    history = fit(Autoencoder(), x, 8, validation=x, metrics="mean_squared_error")

    assert history["val_loss"][-1] < history["val_loss"][0]
    assert history["val_mean_squared_error"] == pytest.approx(history["val_loss"])


def test_a_language_model():
    class Bigrams(Model):
        def __init__(self):
            super().__init__()
            self.embedding, self.linear = layer.Embedding(7, 8), layer.Linear(7)
            self.optimizer = opt.Adam(0.05)

        def forward(self, tokens):
            return self.linear(self.embedding(tokens))

        def train_one_batch(self, tokens, following):
            out = self.forward(tokens)
            flat = autograd.reshape(out, (-1, 7)), autograd.reshape(following, (-1,))
            loss = autograd.softmax_cross_entropy(*flat)
            self.optimizer(loss)
            return out, loss

    text = np.tile(np.arange(7, dtype=np.int32), 40)[: 32 * 8].reshape(32, 8)

    history = fit(Bigrams(), (text[:, :-1], text[:, 1:]), 20, metrics=["perplexity", "accuracy"])

    assert history["perplexity"][-1] == pytest.approx(np.exp(history["loss"][-1]), rel=0.05)
    assert history["accuracy"][-1] == 1


def test_the_loss_alone_may_be_returned():
    class Silent(Line):
        def train_one_batch(self, x, y):
            return super().train_one_batch(x, y)[1]

    assert fit(Silent(), samples(), validation=samples()).epochs.keys() >= {"loss", "val_loss"}
    with pytest.raises(ArgumentError, match="train_one_batch has returned nothing for them"):
        fit(Silent(), samples(), metrics="mean_squared_error")


def test_a_dict_of_scalars_is_recorded():
    class Regularized(Line):
        def train_one_batch(self, x, y):
            out = self.forward(x)
            error, size = (
                autograd.mse_loss(out, y),
                autograd.reduce_sum(self.linear.W * self.linear.W),
            )
            loss = error + size * 0.001
            self.optimizer(loss)
            return {"out": out, "loss": loss, "error": error, "size": size, "all": x}

    history = fit(Regularized(), samples(), validation=samples(), metrics="mean_squared_error")

    assert history.epochs.keys() >= {"error", "size", "val_error", "val_size"}
    assert "all" not in history.epochs
    assert history["val_error"] == pytest.approx(history["val_mean_squared_error"], rel=1e-5)


def test_several_optimizers():
    class Two(Line):
        def __init__(self):
            super().__init__()
            self.other = opt.SGD(0.001)

        def train_one_batch(self, x, y):
            out = self.forward(x)
            loss = autograd.mse_loss(out, y)
            for p, g in autograd.backward(loss):
                (self.optimizer if p is self.linear.W else self.other).update(p, g)
            return out, loss

    history = fit(Two(), samples(), validation=samples(8))

    assert history["lr"] == pytest.approx([0.1, 0.1])
    assert history["lr_other"] == pytest.approx([0.001, 0.001])


def test_a_schedule_is_recorded():
    schedule = opt.PolynomialDecay(0.1, 8)
    history = fit(Line(schedule), samples())

    assert history.steps["lr"] == pytest.approx([0.1 * (1 - i / 8) for i in range(8)])
    assert history["lr"] == pytest.approx([history.steps["lr"][3], history.steps["lr"][7]])


def test_a_model_that_was_trained_before_goes_on_from_its_parameters():
    model = Line()
    first = fit(model, samples(), 5)

    assert fit(model, samples(), 1).steps["loss"][0] < first.steps["loss"][0] / 3


@pytest.mark.parametrize("returned", [None, (), "loss", {"out": 1}])
def test_a_model_that_returns_no_loss(returned):
    class Mute(Line):
        def train_one_batch(self, x, y):
            super().train_one_batch(x, y)
            return returned

    with pytest.raises(DTypeError, match="train_one_batch: the loss, a Tensor of one element"):
        fit(Mute(), samples())


def test_it_runs_in_another_thread():
    results = []
    thread = threading.Thread(target=lambda: results.append(fit(Line(), samples())))
    thread.start()
    thread.join()

    assert results[0].status == "completed"


# -- evaluation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("use_graph", [True, False])
def test_validation_changes_nothing(use_graph):
    with_it, without = Noisy(), Noisy()

    fit(with_it, samples(), validation=samples(20, 1), use_graph=use_graph)
    fit(without, samples(), use_graph=use_graph)

    for name, value in states(without).items():
        np.testing.assert_array_equal(states(with_it)[name], value, err_msg=name)


def test_the_loss_of_an_evaluation_is_without_dropout_and_for_all_samples():
    model = Noisy()
    x, y = samples(21, 1)
    history = fit(model, samples(), validation=(x, y))

    expected = float(np.mean((train.predict(model, x) - y) ** 2))
    assert history["val_loss"][-1] == pytest.approx(expected, rel=1e-5)
    found = train.evaluate(model, (x, y), batch_size=5, metrics={"error": "mean_squared_error"})
    assert found == pytest.approx({"loss": expected, "error": expected}, rel=1e-5)


@pytest.mark.parametrize("use_graph", [True, False])
def test_an_update_by_hand_is_undone_in_an_evaluation(use_graph):
    class ByHand(Line):
        def train_one_batch(self, x, y):
            out = self.forward(x)
            loss = autograd.mse_loss(out, y)
            for p, g in autograd.backward(loss):
                p.data = p.data - 0.1 * g.data
            return out, loss

    model = ByHand()
    history = fit(model, samples(), 4, use_graph=use_graph)
    before = states(model)

    found = train.evaluate(model, samples(8, 1))

    assert history["loss"][-1] < history["loss"][0]
    assert found["loss"] > 0
    for name, value in states(model).items():
        np.testing.assert_array_equal(before[name], value)


def test_a_model_may_say_how_it_is_evaluated():
    class Own(Line):
        def evaluate_one_batch(self, x, y):
            out = self.forward(x)
            return out, autograd.l1_loss(out, y)

    model = Own()
    history = fit(model, samples(), validation=samples(8, 1), metrics="mean_absolute_error")

    assert history["val_loss"] == pytest.approx(history["val_mean_absolute_error"], rel=1e-5)


@pytest.mark.parametrize("use_graph", [True, False])
def test_the_loss_of_an_evaluation_does_not_depend_on_the_batches(use_graph):
    class Ignoring(Line):
        def forward(self, x):
            return autograd.cat([self.linear(x), x], 1)

        def evaluate_one_batch(self, x, y):
            with autograd.no_grad():
                out = self.forward(x)
                loss = autograd.softmax_cross_entropy(out, y, ignore_index=0)
                penalty = (self.linear.W * self.linear.W).sum()
            return {"out": out, "loss": loss * 2.0 + penalty, "size": autograd.l1_loss(out, -out)}

    model = Ignoring()
    x, _ = samples(13)
    ids = np.array([0] * 6 + [1, 0, 2, 3, 0, 4, 1], np.int32)  # the first batches have only zeros
    model.compile([Tensor(data=x)], is_train=False, use_graph=use_graph)
    for param in model.get_params().values():
        param.requires_grad = param.stores_grad = False  # even if nothing is trained

    one, *others = (train.evaluate(model, (x, ids), batch_size=size) for size in (13, 5, 3))

    out = train.predict(model, x).astype(np.float64)
    losses = np.log(np.exp(out).sum(1)) - out[np.arange(13), ids]
    expected = 2 * losses[ids > 0].mean() + float((model.linear.W.to_numpy() ** 2).sum())
    assert one["loss"] == pytest.approx(expected, rel=1e-5)
    for other in others:
        assert other == pytest.approx(one, rel=1e-5)


def test_a_batch_in_which_nothing_counts_has_no_mean():
    class Ignoring(Line):
        def train_one_batch(self, x, y):
            out = autograd.cat([self.forward(x), x], 1)
            return out, autograd.softmax_cross_entropy(out, y, ignore_index=0)

    model = Ignoring()
    x, _ = samples(4)
    model.compile([Tensor(data=x)], is_train=False, use_graph=False)
    ids = np.zeros(4, np.int32)

    assert np.isnan(train.evaluate(model, (x, ids), batch_size=2)["loss"])
    ids[3] = 1
    assert np.isfinite(train.evaluate(model, (x, ids), batch_size=2)["loss"])


def test_prediction_leaves_the_mode_alone():
    model = Line()
    fit(model, samples())
    model.train()
    captures = model.captures

    assert train.predict(model, samples(21)[0], batch_size=8).shape == (21, 1)
    assert model.training is True
    assert model.captures == captures + 2  # batches of 8 and of 5


def test_forward_may_take_several_inputs():
    class Sum(Line):
        def forward(self, a, b):
            return self.linear(a + b)

        def train_one_batch(self, a, b, y):
            out = self.forward(a, b)
            loss = autograd.mse_loss(out, y)
            self.optimizer(loss)
            return out, loss

    x, y = samples()
    model = Sum()

    history = fit(model, (x / 2, x / 2, y), 2)

    assert history.steps["loss"] == pytest.approx(fit(Line(), (x, y), 2).steps["loss"], rel=1e-5)
    assert train.predict(model, (x, x)).shape == (32, 1)


# -- what it refuses, before any training -------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 0}, ArgumentError, "epochs is 0, at least 1"),
        ({"epochs": 1.5}, DTypeError, "epochs is a number of them, got 1.5"),
        ({"batch_size": 0}, ArgumentError, "batch_size is 0"),
        ({"batch_size": 33}, ArgumentError, "32 samples do not fill one batch of 33"),
        ({"metrics": "f2"}, ArgumentError, "no metric is named 'f2'; there are accuracy, f1"),
        ({"metrics": [metric.F1(), metric.F1(3, "macro")]}, ArgumentError, "two metrics are named"),
        ({"metrics": {"loss": "accuracy"}}, ArgumentError, "cannot be named 'loss'"),
        ({"metrics": metric.ConfusionMatrix(2)}, ArgumentError, "is several numbers"),
        ({"metrics": [3]}, DTypeError, "a metric is a name or a Metric, not 3"),
        ({"metrics": "perplexity"}, ShapeError, "Perplexity"),
        ({"callbacks": [print]}, DTypeError, "a callback is a train.Callback"),
        ({"about": {"x": np.ones(1)}}, DTypeError, "about has to be of JSON's types"),
        ({"resume": True}, ArgumentError, "resume=True goes on from the checkpoint= or the run="),
        ({"report": True}, ArgumentError, "name one with run="),
        ({"report": "no/page.html"}, ArgumentError, "report: there is no folder no"),
        ({"checkpoint": "no/a.zip"}, ArgumentError, "checkpoint: there is no folder no"),
        ({"checkpoint": "taken"}, ArgumentError, "checkpoint: taken exists; name another one"),
        ({"csv": "taken"}, ArgumentError, "csv: taken exists"),
        ({"run": "taken"}, ArgumentError, "run: taken exists; name another folder"),
        ({"run": "full"}, ArgumentError, "run: full exists"),
        ({"early_stopping": 0}, ArgumentError, "patience is 0"),
        (
            {"early_stopping": train.EarlyStopping(quantity="val_loss")},
            ArgumentError, "'val_loss' is to be watched, but there is no validation",
        ),
        ({"validation": (np.zeros((0, 4)), np.zeros((0, 1)))}, ArgumentError, "no samples"),
        ({"precision": "int8"}, ArgumentError, "int8"),
    ],
)  # fmt: skip
def test_arguments_that_are_refused(tmp_path, options, error, message):
    (tmp_path / "taken").write_text("precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("precious")
    model = Line()
    model.linear.register_states()
    options = {"epochs": 1} | options

    with pytest.raises(error, match=message):
        fit(model, samples(), **options)

    assert model.optimizer.step_counter.item() == 0
    assert (tmp_path / "taken").read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "taken"]


class _Dicts:
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"x": np.ones(4, np.float32)}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (3, "a DataLoader, a dataset, an array or a tuple of arrays is expected, got int"),
        (_Dicts(), "one for each argument of train_one_batch; there is a dict in it"),
    ],
)
def test_data_that_are_refused(source, message):
    with pytest.raises(DTypeError, match=message):
        train.fit(Line(), source, 1, progress=False)


def test_a_batch_size_beside_a_loader_is_refused():
    loader = data.DataLoader(data.ArrayDataset(*samples()), 8)

    with pytest.raises(ArgumentError, match="batch_size is 4, but the DataLoader has its own, 8"):
        fit(Line(), loader, batch_size=4)


def test_what_is_no_model_is_refused():
    with pytest.raises(DTypeError, match="fit: a Model is expected, got Linear"):
        fit(layer.Linear(1), samples())


def test_a_model_that_was_not_compiled_is_not_evaluated():
    with pytest.raises(ArgumentError, match="MLP was not compiled yet"):
        train.predict(models.MLP(), np.zeros((1, 4)))
