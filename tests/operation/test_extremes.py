"""Values at the edge: zeros, infinities, NaN, huge and tiny numbers, empty Tensors."""

import jax.numpy as jnp
import numpy as np
import pytest

from catalogue.tensors import gradient, param
from singa import autograd, graph, layer
from singa.errors import BoundsError, ShapeError
from singa.tensor import Tensor

# What depends on how XLA computes, not on which elements go where.
as_for_users = pytest.mark.usefixtures("optimized_once")

INF, NAN = np.inf, np.nan

pytestmark = pytest.mark.usefixtures("recording")


@as_for_users
def test_relu_at_zero_and_nan():
    x = param([0.0, -0.0, NAN, INF, -INF])
    y = autograd.relu(x)
    np.testing.assert_array_equal(y, [0, 0, NAN, INF, 0])
    np.testing.assert_array_equal(gradient(y, x)[0], [0, 0, 0, 1, 0])


@as_for_users
@pytest.mark.parametrize("function", [autograd.sigmoid, autograd.tanh], ids=["sigmoid", "tanh"])
def test_saturating_functions_have_no_nan(function):
    x = param([1e4, -1e4, INF, -INF, 1e38])
    y = function(x)
    assert np.isfinite(y.to_numpy()).all()
    np.testing.assert_array_equal(gradient(y, x)[0], np.zeros(5))


@as_for_users
def test_softmax_and_its_loss_bear_huge_logits():
    x = param([[1e38, 0.0, -1e38], [1e4, 1e4, -INF]])
    np.testing.assert_allclose(autograd.softmax(x), [[1, 0, 0], [0.5, 0.5, 0]])
    x = param([[1000.0, 0.0], [0.0, 1000.0]])
    loss = autograd.softmax_cross_entropy(x, Tensor(data=[1, 1]))
    assert loss.item() == 500.0
    np.testing.assert_allclose(gradient(loss, x)[0], [[0.5, -0.5], [0, 0]])


CLASS_LOSSES = {
    autograd.softmax_cross_entropy: np.zeros((2, 3), np.float32),
    autograd.cross_entropy: np.full((2, 3), 1 / 3, np.float32),
    autograd.nll_loss: np.full((2, 3), -1.0, np.float32),
}


@pytest.mark.parametrize("loss_of", CLASS_LOSSES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("wrong", [3, -1, 200])
def test_an_id_that_is_no_class_is_an_error_and_nan_where_nobody_looks(loss_of, wrong):
    x, ids = param(CLASS_LOSSES[loss_of]), Tensor(data=[0, wrong])
    with pytest.raises(BoundsError, match=f"class ids are from 0 to 2, .*; got {wrong}"):
        loss_of(x, ids)
    assert np.isfinite(loss_of(x, ids, ignore_index=wrong).item())
    steps = graph.Steps()
    assert np.isnan(steps(loss_of, (x, ids), {}, sequential=False).item())
    with autograd.detect_anomaly(), pytest.raises(BoundsError, match="class ids are from 0 to 2"):
        steps(loss_of, (x, ids), {}, sequential=False)
    with autograd.detect_anomaly():
        steps(loss_of, (x, Tensor(data=[0, 2])), {}, sequential=False)


def test_layers_refuse_ids_that_are_none_too():
    x, ids = param(np.zeros((2, 3), np.float32)), Tensor(data=[0, 3])
    for loss in (layer.SoftMaxCrossEntropy(), layer.MultiMarginLoss()):
        with pytest.raises(BoundsError, match=r"class ids are from 0 to 2, .*; got 3"):
            loss(x, ids)
    with pytest.raises(BoundsError, match=r"Embedding: ids are from 0 to 2, .*; got 3"):
        layer.Embedding(3, 2)(ids)


@pytest.mark.parametrize("wrong", [3, -1, 200])
def test_an_id_that_an_embedding_lacks_is_an_error_and_nan_where_nobody_looks(wrong):
    w, ids = param(np.ones((3, 2), np.float32)), Tensor(data=[2, wrong])
    with pytest.raises(BoundsError, match=rf"ids are from 0 to 2, for a table .*; got {wrong}"):
        autograd.embedding(ids, w)
    with pytest.raises(BoundsError):
        autograd.embedding([2, wrong], w)

    def step(ids):
        y = autograd.embedding(ids, w)
        return y, autograd.gradients(y.sum())[w]

    autograd.training = True
    y, dw = graph.Steps()(step, (ids,), {}, sequential=False)
    np.testing.assert_array_equal(y, [[1, 1], [np.nan, np.nan]])
    np.testing.assert_array_equal(dw, [[0, 0], [0, 0], [1, 1]])
    with autograd.detect_anomaly(), pytest.raises(BoundsError, match="ids are from 0 to 2"):
        graph.Steps()(step, (ids,), {}, sequential=False)


def test_soft_labels_are_read_as_floats_and_not_as_bits():
    x = param([[0.0, 0.0]])
    loss = autograd.softmax_cross_entropy(x, Tensor(data=np.array([[0.3, 0.7]], np.float32)))
    np.testing.assert_allclose(gradient(loss, x)[0], [[0.2, -0.2]], rtol=1e-5)


@as_for_users
def test_power_at_zero_and_for_negative_bases():
    a, b = param([0.0, 0.0, -2.0, 2.0]), param([0.0, 2.0, 3.0, 0.0])
    y = autograd.pow(a, b)
    np.testing.assert_array_equal(y, [1, 0, -8, 1])
    da, db = gradient(y, a, b)
    np.testing.assert_allclose(da, [0, 0, 12, 0])
    np.testing.assert_allclose(db, [0, 0, 0, np.log(2)], rtol=1e-6)


@as_for_users
def test_the_exponents_gradient_is_zero_where_the_logarithm_does_not_exist():
    a, b = param([0.0, -2.0]), param([-1.0, 0.5])
    y = autograd.pow(a, b)
    np.testing.assert_array_equal(y, [INF, NAN])
    np.testing.assert_array_equal(gradient(y, b)[0], [0, 0])


@as_for_users
def test_an_impossible_class_that_is_not_wanted_leaves_the_loss_finite():
    x = param([[0.0, -INF]])
    loss = autograd.softmax_cross_entropy(x, Tensor(data=[0]))
    assert loss.item() == 0
    np.testing.assert_array_equal(gradient(loss, x)[0], [[0, 0]])


def test_integers_in_a_tensor_that_are_out_of_bounds_are_clamped_both_ways():
    x = param([1.0, 2.0, 3.0])
    y = x[Tensor(data=[1, 9])]
    np.testing.assert_array_equal(y, [2, 3])
    np.testing.assert_array_equal(gradient(y, x)[0], [0, 1, 1])


def test_a_convolution_of_mixed_types_has_gradients_of_its_inputs_types():
    x, w = param(np.ones((1, 1, 3, 3)), np.float16), param(np.ones((2, 1, 2, 2)), np.float16)
    b = param(np.zeros(2))
    y = autograd.conv2d(x, w, b)
    assert str(y.dtype) == "float32"
    assert [str(g.dtype) for g in gradient(y, x, w, b)] == ["float16", "float16", "float32"]


@as_for_users
def test_binary_cross_entropy_is_finite_and_points_the_right_way_at_both_ends():
    x = param([[0.0, 1.0, 0.0, 1.0, 0.9999]])
    t = Tensor(data=np.array([[1, 0, 0, 1, 0]], np.float32))
    loss = autograd.binary_cross_entropy(x, t)
    assert np.isfinite(loss.item())
    dx = gradient(loss, x)[0][0]
    assert np.isfinite(dx).all()
    assert dx[0] < 0 < dx[1]
    assert dx[2] == dx[3] == 0
    assert dx[4] == pytest.approx(1e4, rel=0.01)


@as_for_users
def test_division_logarithm_and_root_follow_ieee():
    x = param([1.0, -1.0, 0.0])
    np.testing.assert_array_equal(x / 0.0, [INF, -INF, NAN])
    np.testing.assert_array_equal(autograd.log(param([0.0, -1.0, INF])), [-INF, NAN, INF])
    np.testing.assert_array_equal(autograd.sqrt(param([0.0, -1.0, INF])), [0, NAN, INF])


@as_for_users
def test_max_pooling_passes_nan_on_and_gives_ties_to_the_first():
    x = param([[[[1.0, NAN], [3.0, 2.0]]]])
    assert np.isnan(autograd.max_pool_2d(x, 2).item())
    x = param([[[[5.0, 5.0], [5.0, 5.0]]]])
    np.testing.assert_array_equal(
        gradient(autograd.max_pool_2d(x, 2), x)[0][0, 0], [[1, 0], [0, 0]]
    )
    x = param([[[[-INF, -INF]]]])
    assert autograd.max_pool_2d(x, (1, 2)).item() == -INF


@as_for_users
def test_abs_and_mean_of_squares_at_zero():
    x = param([0.0, -3.0])
    np.testing.assert_array_equal(gradient(autograd.abs(x), x)[0], [0, -1])
    np.testing.assert_array_equal(gradient(autograd.mse_loss(x, x.clone()), x)[0], np.zeros(2))


def test_dropout_of_nothing_and_of_everything():
    x = param([1.0, 2.0])
    np.testing.assert_array_equal(autograd.dropout(x, 0.0), [1, 2])
    y = autograd.dropout(x, 1.0)
    np.testing.assert_array_equal(y, [0, 0])
    np.testing.assert_array_equal(gradient(y, x)[0], [0, 0])


def test_empty_tensors_work_where_they_mean_something():
    x = param(np.zeros((0, 3)))
    w = param(np.ones((3, 2)))
    y = autograd.relu(autograd.matmul(x, w))
    assert y.shape == (0, 2)
    np.testing.assert_array_equal(gradient(y, w)[0], np.zeros((3, 2)))
    assert autograd.reduce_sum(x).item() == 0
    assert autograd.reshape(x, (0, 1, 3)).shape == (0, 1, 3)
    assert autograd.cat((x, param(np.ones((2, 3)))), 0).shape == (2, 3)
    images = param(np.zeros((0, 2, 4, 4)))
    assert autograd.max_pool_2d(images, 2).shape == (0, 2, 2, 2)
    assert autograd.conv2d(images, param(np.ones((5, 2, 3, 3)))).shape == (0, 5, 2, 2)
    assert autograd.split(x, 0, None, 2)[1].shape == (0, 3)
    assert autograd.gather(x, 1, []).shape == (0, 0)
    assert autograd.pad(x, "constant", [1, 0, 0, 0]).shape == (1, 3)
    assert autograd.nonzero(x).shape == (2, 0)
    assert autograd.layer_norm(x, param(np.ones(3)), param(np.ones(3))).shape == (0, 3)
    with pytest.raises(ShapeError, match="not empty"):
        autograd.softmax_cross_entropy(x, Tensor((0,), dtype="int32"))


@as_for_users
def test_attention_without_features_is_the_mean_of_the_values():
    q, k, v = (param(np.ones(shape)) for shape in [(2, 0), (3, 0), (3, 1)])
    y = autograd.scaled_dot_product_attention(q, k, v)
    np.testing.assert_array_equal(y, [[1], [1]])
    dq, dk, dv = gradient(y, q, k, v)
    assert (dq.shape, dk.shape) == ((2, 0), (3, 0))
    np.testing.assert_allclose(dv, np.full((3, 1), 2 / 3), rtol=1e-6)


def test_one_element_batches_normalize_to_the_bias():
    x = param(np.full((1, 2, 1, 1), 7.0))
    y, _, var = autograd.BatchNormalization2d(1e-5)(x, param([1.0, 1.0]), param([3.0, 4.0]))
    np.testing.assert_array_equal(y.to_numpy().ravel(), [3, 4])
    np.testing.assert_array_equal(var, [0, 0])


@as_for_users
def test_attention_bears_huge_scores_and_queries_that_see_nothing():
    q, k, v = param([[300.0], [1.0]]), param([[300.0], [-300.0]]), param([[1.0], [2.0]])
    seen = Tensor(data=np.array([[True, True], [False, False]]))
    y = autograd.scaled_dot_product_attention(q, k, v, seen)
    np.testing.assert_array_equal(y, [[1], [0]])
    dq, dk, dv = gradient(y, q, k, v)
    np.testing.assert_array_equal(dv, [[1], [0]])
    np.testing.assert_array_equal(np.vstack([dq, dk]), np.zeros((4, 1)))


def test_attention_drops_weights_in_training_only():
    x = param(np.ones((64, 64)))
    y = autograd.scaled_dot_product_attention(x, x, x, dropout=0.5)
    assert y.to_numpy().mean() == pytest.approx(1, abs=0.1)
    assert np.isfinite(gradient(y, x)[0]).all()
    assert y.to_numpy().std() > 0
    autograd.training = False
    np.testing.assert_allclose(
        autograd.scaled_dot_product_attention(x, x, x, dropout=0.5), np.ones((64, 64)), rtol=1e-5
    )


@as_for_users
def test_norms_of_equal_and_of_huge_elements_are_finite():
    x = param(np.full((2, 4), 6e4), np.float16)
    one, zero = param(np.ones(4), np.float16), param(np.zeros(4), np.float16)
    y = autograd.layer_norm(x, one, zero)
    np.testing.assert_array_equal(y, np.zeros((2, 4)))
    np.testing.assert_array_equal(gradient(y, x)[0], np.zeros((2, 4)))
    np.testing.assert_allclose(autograd.rms_norm(x, one), np.ones((2, 4)), rtol=1e-3)
    assert np.isfinite(autograd.group_norm(x, 2, one, zero).to_numpy()).all()


@as_for_users
def test_nearest_pixels_and_repeated_elements_pass_infinities_on_alone():
    x = param([[[1.0, INF, NAN]]])
    expected = [[[1, 1, INF, INF, NAN, NAN]]]
    np.testing.assert_array_equal(autograd.resize(x, 6), expected)
    np.testing.assert_array_equal(autograd.upsample(x, "nearest", (1, 1, 2)), expected)
    np.testing.assert_array_equal(
        autograd.tril(param([[1.0, NAN], [INF, 2.0]])), [[1, 0], [INF, 2]]
    )


@as_for_users
def test_many_small_gradients_at_one_place_are_added_up_in_float32():
    w = param(np.ones((2, 1)), np.float16)
    y = autograd.embedding(Tensor(data=np.zeros(4096, np.int32)), w)
    assert gradient(y, w)[0][0, 0] == 4096  # in float16 the sum ends at 2048


def test_ids_that_are_nowhere_hot():
    hot = autograd.onehot(-1, Tensor(data=[0, -1, 3, -4]), 3)
    np.testing.assert_array_equal(hot, [[1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]])


def test_integers_stay_integers_and_divide_to_floats():
    i = Tensor(data=np.array([7, -2], np.int32))
    assert str((i * i + i - i).dtype) == "int32"
    assert str(autograd.reduce_sum(i).dtype) == "int32"
    assert str(autograd.reduce_mean(i).dtype) == "float32"
    assert str((i / i).dtype) == "float32"
    assert str(autograd.reduce_sum(i > 0).dtype) == "int32"
    assert autograd.reduce_mean(i).item() == 2.5
    assert jnp.result_type(i.data) == jnp.int32
    for function in (
        autograd.tril,
        lambda x: autograd.pad(x, "constant", [1, 1, 0, 0]),
        lambda x: autograd.repeat(x, 2, 0),
        lambda x: autograd.resize(autograd.unsqueeze(x, 0), 3),
        lambda x: autograd.gather(x, 0, [1, 0]),
        lambda x: autograd.scatter_elements(x, [[0, 0]], [[1, 0]]),
    ):
        for dtype in ("int8", "bool"):
            assert str(function(Tensor((2, 2), dtype=dtype)).dtype) == dtype
