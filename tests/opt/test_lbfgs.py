"""L-BFGS beside PyTorch 2.13, whose losses and parameters after each step are stored here."""

import math
from functools import partial

import numpy as np
import pytest

from singa import autograd, graph, layer, model, opt, train
from singa.errors import ArgumentError, CaptureError
from singa.tensor import Tensor

ROSENBROCK = [
    (
        {"line_search_fn": "strong_wolfe", "max_iter": 5}, 26,
        [[24.2, -1.02761777, 1.05841208], [4.11181645, -0.774579735, 0.547625679],
         [3.42316546, -0.256089577, 0.0372619816], [1.65796264, 0.216827796, 0.066918814]],
    ),
    (
        {"lr": 0.125, "max_iter": 6, "history_size": 2}, 24,
        [[24.2, -1.07506517, 1.05238278], [5.37468625, -1.05059688, 1.06056881],
         [4.39144187, -1.03643599, 1.05985812], [4.16763927, -1.02183875, 1.04638819]],
    ),
]  # fmt: skip


def rosenbrock(p):
    return 100 * (p[1] - p[0] ** 2) ** 2 + (1 - p[0]) ** 2


def start():
    return Tensor(data=np.array([-1.2, 1.0]), stores_grad=True)


@pytest.mark.parametrize(("options", "evaluations", "expected"), ROSENBROCK)
def test_the_iterates_are_those_of_pytorch(options, evaluations, expected):
    """Also when the parameters and the state move to another optimizer in between."""
    autograd.training = False  # the step records nevertheless
    p, lbfgs = start(), opt.LBFGS(**options)
    for i, (loss, *point) in enumerate(expected):
        if i == 2:
            states, p = lbfgs.get_states({p: "p"}), Tensor(data=p.to_numpy(), stores_grad=True)
            lbfgs = opt.LBFGS(**options)
            lbfgs.set_states(states, {p: "p"})
        assert lbfgs.step(partial(rosenbrock, p)).item() == pytest.approx(loss, rel=1e-7)
        np.testing.assert_allclose(p, point, rtol=1e-6)
    assert (lbfgs.evaluations.item(), lbfgs.step_counter.item()) == (evaluations, 4)
    assert lbfgs.pairs.item() <= lbfgs.history_size


X = np.sin(np.arange(16.0)).reshape(8, 2)
Y = np.array([1.0, 1, 0, 0, 1, 0, 1, 1])


class Logistic(model.Model):
    """Logistic regression with a penalty, in a step of a model."""

    def __init__(self):
        super().__init__()
        self.linear = layer.Linear(1)
        self.optimizer = opt.LBFGS(max_iter=4, history_size=3, line_search_fn="strong_wolfe")

    def forward(self, x):
        return self.linear(x)

    def train_one_batch(self, x, t):
        def loss():
            y = self.forward(x)[:, 0]
            penalty = 0.01 * autograd.reduce_sum(self.linear.W**2)
            return autograd.binary_cross_entropy_with_logits(y, t, reduction="mean") + penalty

        return self.optimizer.step(loss)


def test_logistic_regression_is_that_of_pytorch_in_the_step_of_a_model():
    expected = [
        [0.693147181, 1.65521137, 1.36713185, 0.333652011],
        [0.362320309, 1.7335591, 1.33684019, 0.365920458],
        [0.362115209, 1.73342388, 1.33715002, 0.366002625],
    ]
    net = Logistic()
    x, t = Tensor(data=X), Tensor(data=Y)
    net.compile([x], use_graph=False)
    net.linear.W.set_value(0.0)
    for loss, *params in expected:
        assert net(x, t).item() == pytest.approx(loss, rel=1e-7)
        found = [*net.linear.W.to_numpy().ravel(), *net.linear.b.to_numpy()]
        np.testing.assert_allclose(found, params, rtol=1e-4)
    before = net.linear.W.to_numpy()
    found = train.evaluate(net, (X, Y))
    assert found["loss"] == pytest.approx(0.362115, rel=1e-4)
    np.testing.assert_array_equal(net.linear.W, before)


def test_it_goes_up_too_and_forgets_what_is_old():
    p = start()
    lbfgs = opt.LBFGS(maximize=True, history_size=1, line_search_fn="strong_wolfe")
    lbfgs.step(lambda: -rosenbrock(p))
    lbfgs.step(lambda: -rosenbrock(p))
    np.testing.assert_allclose(p, [1, 1], rtol=1e-3)
    assert lbfgs.pairs.item() == 1


def test_a_failure_changes_nothing():
    p, lbfgs, calls = start(), opt.LBFGS(), []

    def fails():
        calls.append(None)
        if len(calls) == 3:
            raise OSError("no data")
        return rosenbrock(p)

    with pytest.raises(OSError, match="no data"):
        lbfgs.step(fails)
    np.testing.assert_array_equal(p, [-1.2, 1.0])
    assert lbfgs.iterations.item() == lbfgs.evaluations.item() == lbfgs.step_counter.item() == 0


def test_values_that_are_not_finite_are_too_far():
    p = Tensor(data=np.array([0.5]), stores_grad=True)
    lbfgs = opt.LBFGS(lr=8.0, line_search_fn="strong_wolfe")
    lbfgs.step(lambda: autograd.reduce_sum(p - autograd.log(p) + 0.0))
    np.testing.assert_allclose(p, [1.0], rtol=1e-4)
    assert math.isfinite(lbfgs.last_size.item())


def test_other_uses_are_refused_in_words():
    p, lbfgs = start(), opt.LBFGS()
    with pytest.raises(CaptureError, match=r"run it eagerly, with use_graph=False"):
        graph.Steps()(lambda: lbfgs.step(lambda: rosenbrock(p)), (), {}, False)
    for use in (
        lambda: lbfgs(rosenbrock(p)),
        lambda: lbfgs.update(p, Tensor((2,), dtype="float64")),
    ):
        with pytest.raises(ArgumentError, match=r"several points: optimizer.step\(closure\)"):
            use()
    for options, words in (
        ({"clip_norm": 1.0}, "it has no clip_norm"),
        ({"accumulate": 2}, "no micro-batches"),
        ({"line_search_fn": "armijo"}, "must be None or 'strong_wolfe', got 'armijo'"),
        ({"max_iter": 0}, "max_iter must be an integer from 1, got 0"),
    ):
        with pytest.raises(ArgumentError, match=words):
            opt.LBFGS(**options)
    with pytest.raises(ArgumentError, match="a closure is expected"):
        lbfgs.step()
