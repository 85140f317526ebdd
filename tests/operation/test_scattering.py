"""What is added up or combined for one place: ties, zeros, nothing, short types, no length."""

import math

import numpy as np
import pytest

from catalogue.tensors import gradient, param
from singa import autograd
from singa.errors import ArgumentError, BoundsError, CaptureError, DTypeError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor

NAN = np.nan

pytestmark = pytest.mark.usefixtures("recording")


def test_extremes_of_one_place_share_the_gradient_and_pass_nan_on():
    x, updates = param([2.0, 1.0, 9.0]), param([2.0, 2.0, 0.0, NAN])
    y = autograd.scatter_reduce(x, 0, [0, 0, 1, 2], updates, "amax")
    np.testing.assert_array_equal(y, [2, 1, NAN])
    dx, dupdates = gradient(y, x, updates)
    np.testing.assert_allclose(dx, [1 / 3, 1, 0], rtol=1e-6)
    np.testing.assert_allclose(dupdates, [1 / 3, 1 / 3, 0, 0], rtol=1e-6)
    y = autograd.segment_max(updates[:3], [1, 1, 1], 3)
    np.testing.assert_array_equal(y, [0, 2, 0])
    np.testing.assert_array_equal(gradient(y, updates)[0], [0.5, 0.5, 0, 0])


@pytest.mark.parametrize("include_self", [True, False])
def test_products_of_one_place_bear_zeros(include_self):
    x, updates = param([0.0, 2.0, 5.0, 7.0]), param([3.0, 0.0, 4.0, 0.0, 0.0])
    y = autograd.scatter_reduce(x, 0, [0, 1, 1, 2, 2], updates, "prod", include_self)
    dx, dupdates = gradient(y, x, updates)
    if include_self:
        np.testing.assert_array_equal(y, [0, 0, 0, 7])
        np.testing.assert_array_equal(dx, [3, 0, 0, 1])
        np.testing.assert_array_equal(dupdates, [0, 8, 0, 0, 0])
    else:
        np.testing.assert_array_equal(y, [3, 0, 0, 7])
        np.testing.assert_array_equal(dx, [0, 0, 0, 1])
        np.testing.assert_array_equal(dupdates, [1, 4, 0, 0, 0])


def test_many_small_updates_are_added_up_in_float32():
    ones = Tensor(data=np.ones(5000, np.float16))
    ids, nothing = np.zeros(5000, np.int32), Tensor(data=np.zeros(1, np.float16))
    for y in (
        autograd.scatter_add(nothing, 0, ids, ones),
        autograd.index_add(nothing, 0, ids, ones),
        autograd.index_put(nothing, (ids,), ones, accumulate=True),
        autograd.scatter_reduce(nothing, 0, ids, ones, "sum"),
        autograd.segment_sum(ones, ids),
    ):
        assert str(y.dtype) == "float16"
        assert y.tolist() == [5000]
    assert autograd.segment_mean(ones, ids).tolist() == [1]


def test_integers_stay_integers():
    x, ids = Tensor(data=np.array([100, 100, -7], np.int8)), Tensor(data=np.array([0, 0, 2], "u1"))
    assert autograd.segment_sum(x, ids).tolist() == [200, 0, -7]
    assert autograd.segment_min(x, ids).tolist() == [100, 0, -7]
    zeros = Tensor(data=np.zeros(3, np.int32))
    assert autograd.scatter_reduce(zeros, 0, ids, x, "amin", False).tolist() == [100, 0, -7]
    with pytest.raises(DTypeError, match="the input of a mean must be of a float type"):
        autograd.scatter_reduce(zeros, 0, ids, x, "mean")
    assert autograd.bincount(Tensor(data=[1, 3, 1]), minlength=6).tolist() == [0, 2, 0, 1, 0, 0]
    weights = param([0.5, 2.0, 1.0])
    y = autograd.bincount(Tensor(data=[1, 3, 1]), weights, length=3)
    np.testing.assert_array_equal(y, [0, 1.5, 0])
    np.testing.assert_array_equal(gradient(y, weights)[0], [1, 0, 1])
    with pytest.raises(BoundsError, match="bincount: numbers of at least 0 are expected, got -2"):
        autograd.bincount(Tensor(data=[1, -2]))


def test_a_mask_takes_what_there_is():
    x, source = param(np.ones((2, 2))), param([5.0, 6.0])
    y = autograd.masked_scatter(x, [[True, False], [True, True]], source)
    np.testing.assert_array_equal(y, [[5, 1], [6, NAN]])
    dx, dsource = gradient(y, x, source)
    np.testing.assert_array_equal(dx, [[0, 1], [0, 0]])
    np.testing.assert_array_equal(dsource, [1, 1])


def test_different_values_and_slices():
    values, places, counts = autograd.unique(Tensor(data=[[3.0, 1.0], [3.0, 3.0]]), True, True)
    assert (values.tolist(), counts.tolist()) == ([1, 3], [1, 3])
    assert places.tolist() == [[1, 0], [1, 1]]
    rows = autograd.unique(Tensor(data=[[1, 2], [0, 9], [1, 2]]), axis=0)
    assert rows.tolist() == [[0, 9], [1, 2]]
    sequences = Tensor(data=[[1.0, 2.0, 2.0], [5.0, 6.0, 7.0]])
    found = autograd.searchsorted(sequences, Tensor(data=[[2.0, 0.0], [9.0, 5.5]]), right=True)
    assert found.tolist() == [[3, 0], [3, 1]]
    with pytest.raises(ShapeError, match="one is needed, or one for each row of values"):
        autograd.searchsorted(sequences, Tensor(data=[1.0]))


@pytest.mark.parametrize(
    "function",
    [autograd.unique, autograd.bincount, lambda x: autograd.segment_sum(x, x)],
    ids=["unique", "bincount", "segment_sum"],
)
def test_a_length_that_depends_on_values_is_refused_in_a_compiled_step(function):
    with pytest.raises(CaptureError):
        Steps()(function, (Tensor(data=[1, 2]),), {}, False)


@pytest.mark.parametrize(
    "call",
    [
        lambda x, u: autograd.scatter_add(x, 0, [0], u),
        lambda x, u: autograd.scatter_reduce(x, 0, [0], u, "sum"),
        lambda x, u: autograd.index_add(x, 0, [0], u),
        lambda x, u: autograd.masked_scatter(x, [True, False], u),
    ],
)
def test_floats_are_not_cut_off_to_integers(call):
    x = Tensor(data=[1, 2])
    with pytest.raises(DTypeError, match="do not fit into int32"):
        call(x, Tensor(data=[1.7]))
    with pytest.raises(ArgumentError, match="alpha is no integer"):
        autograd.index_add(x, 0, [0], Tensor(data=[3]), alpha=0.5)
    np.testing.assert_array_equal(autograd.index_add(x, 0, [0], Tensor(data=[3]), 2), [7, 2])


def test_nothing_can_be_combined_and_written():
    x = param([1.0, 2.0])
    none = Tensor((0,))
    np.testing.assert_array_equal(autograd.masked_scatter(x, [False, False], none), [1, 2])
    ids = Tensor(data=[0, 1])
    for function in (autograd.segment_sum, autograd.segment_mean, autograd.segment_max):
        y = function(x, ids, 0)
        assert y.shape == (0,)
        np.testing.assert_array_equal(gradient(y, x)[0], [0, 0])
    np.testing.assert_array_equal(autograd.searchsorted(none, Tensor(data=[1.0])), [0])


@pytest.mark.parametrize("offsets", [[1, 2], [0, 2, 1], [0, 5], [0.0, 1.5]])
def test_offsets_of_bags_that_are_none_are_refused(offsets):
    w = Tensor(data=[[1.0], [2.0], [4.0]])
    with pytest.raises((BoundsError, DTypeError), match="embedding_bag: offsets"):
        autograd.embedding_bag([0, 1, 2], w, np.array(offsets), mode="sum")


def test_a_histogram_is_of_the_finite_elements():
    for extra in (math.nan, math.inf, -math.inf):
        counts, edges = autograd.histogram(Tensor(data=[1.0, 2.0, 3.0, extra]), 2)
        np.testing.assert_array_equal(counts, [1, 2])
        np.testing.assert_array_equal(edges, [1, 2, 3])
    with pytest.raises(ArgumentError, match="range must be finite"):
        autograd.histogram(Tensor(data=[1.0]), 2, (0, math.inf))
