"""The reductions of losses: what is averaged, and what is only added up."""

import numpy as np
import pytest

from singa import autograd
from singa.errors import ArgumentError
from singa.tensor import Tensor

RNG = np.random.default_rng(0)
X, Y, Z = (RNG.uniform(0.1, 0.9, (3, 4)).astype(np.float32) for _ in range(3))
IDS, SIGNS = np.array([2, 0, 3]), np.array([1, -1, 1])
WEIGHT = np.array([2.0, 0.5, 1.5, 3.0], np.float32)
FRAMES = [np.log(RNG.dirichlet(np.ones(4), (5, 3))).astype(np.float32), np.ones((3, 2), np.int32)]

# The inputs of a loss, the shape of its values, and the divisor of its mean.
LOSSES = {
    **{
        name: ([X, Y], (3, 4), 12)
        for name in (
            "mse_loss", "l1_loss", "huber_loss", "smooth_l1_loss", "poisson_nll_loss", "hinge_loss",
            "soft_margin_loss", "hinge_embedding_loss", "ranking_loss",
        )
    },
    "gaussian_nll_loss": ([X, Y, Z], (3, 4), 12),
    "margin_ranking_loss": ([X, Y, Z], (3, 4), 12),
    **{
        name: ([X, Y], (3, 4), 3)
        for name in (
            "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div",
            "sigmoid_focal_loss",
        )
    },
    "softmax_cross_entropy": ([X, Y], (3,), 3),
    "cross_entropy": ([X, IDS], (3,), 3),
    "nll_loss": ([X, IDS, WEIGHT], (3,), WEIGHT[IDS].sum()),  # the only mean that is weighted
    "multi_margin_loss": ([X, IDS], (3,), 3),
    "cosine_embedding_loss": ([X, Y, SIGNS], (3,), 3),
    "contrastive_loss": ([X, Y, SIGNS > 0], (3,), 3),
    "triplet_loss": ([X, Y, Z], (3,), 3),
    "ctc_loss": ([*FRAMES, np.array([5, 4, 5]), np.array([2, 1, 1])], (3,), 3),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_a_mean_is_a_sum_is_what_the_values_add_up_to(name, monkeypatch):
    monkeypatch.setattr(autograd, "training", True)
    arrays, shape, count = LOSSES[name]
    loss = getattr(autograd, name)
    x, *others = (Tensor(data=a, stores_grad=i == 0) for i, a in enumerate(arrays))
    each, total, mean = (loss(x, *others, reduction=r) for r in ("none", "sum", "mean"))
    assert (each.shape, total.shape, mean.shape) == (shape, (), ())
    np.testing.assert_allclose(total, each.to_numpy().sum(), rtol=1e-6)
    np.testing.assert_allclose(mean, total.item() / count, rtol=1e-6)
    np.testing.assert_array_equal(mean, loss(x, *others))
    ones = Tensor(data=np.ones(shape, np.float32))
    slopes, of_mean = autograd.gradients(each, ones)[x], autograd.gradients(mean)[x]
    np.testing.assert_allclose(autograd.gradients(total)[x], slopes, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(of_mean, slopes.to_numpy() / count, rtol=1e-6, atol=1e-7)
    with pytest.raises(ArgumentError, match="reduction must be one of"):
        loss(x, *others, reduction="average")


def test_rows_that_are_ignored_have_a_loss_of_0_each(monkeypatch):
    monkeypatch.setattr(autograd, "training", True)
    x, ids = Tensor(data=X, stores_grad=True), Tensor(data=IDS)
    each = autograd.nll_loss(x, ids, ignore_index=0, reduction="none")
    np.testing.assert_array_equal(each, [-X[0, 2], 0, -X[2, 3]])
    slopes = autograd.gradients(each, Tensor(data=np.ones(3, np.float32)))[x]
    assert not slopes.to_numpy()[1].any()


def test_positive_targets_are_weighted_without_weights_of_all():
    x, t, pos_weight = (Tensor(data=a) for a in (X, Y, WEIGHT))
    found = autograd.binary_cross_entropy_with_logits(x, t, pos_weight=pos_weight, reduction="none")
    p = 1 / (1 + np.exp(-X))
    expected = -(WEIGHT * Y * np.log(p) + (1 - Y) * np.log(1 - p))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_variance_below_epsilon_still_has_a_gradient(monkeypatch):
    monkeypatch.setattr(autograd, "training", True)
    x, t, var = (Tensor(data=[v], stores_grad=True) for v in (1.0, 3.0, 0.0))
    loss = autograd.gaussian_nll_loss(x, t, var, epsilon=0.5)
    assert autograd.gradients(loss)[var].item() == pytest.approx((1 / 0.5 - 4 / 0.25) / 2)


def test_more_rows_than_float16_counts_are_no_overflow():
    x, t = np.zeros((70000, 2), np.float16), np.zeros(70000, np.int32)
    loss = autograd.softmax_cross_entropy(Tensor(data=x), Tensor(data=t))  # warnings are errors
    assert loss.item() == np.float16(np.log(2))
