"""Defects of SINGA in operations on shapes, indices, images and matrices are fixed here.

The numbers are those of the list of its defects. Tests are named after the right behaviour.
"""

import re
from collections import Counter

import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd
from singa.errors import CaptureError, ShapeError
from singa.graph import Capture, Steps
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("recording")


def param(*shape, dtype=np.float32):
    size = int(np.prod(shape))
    return Tensor(data=np.arange(1, size + 1, dtype=dtype).reshape(shape), stores_grad=True)


def gradient(y, *xs):
    dy = np.arange(1, y.size() + 1, dtype=np.float32).reshape(y.shape)
    found = autograd.gradients(y, dy)
    return [found[x].to_numpy() for x in xs]


def test_add_bias_leaves_its_input_alone_so_that_its_creator_has_the_right_gradient():
    # 4: the sum was written into x
    x, b = param(2, 3), param(3)
    hidden = autograd.sigmoid(x)
    before = hidden.to_numpy().copy()
    y = autograd.add_bias(hidden, b)
    np.testing.assert_array_equal(hidden, before)
    dy = np.arange(1, 7).reshape(2, 3)
    np.testing.assert_allclose(gradient(y, x)[0], dy * before * (1 - before), rtol=1e-5)


def test_the_bias_of_columns_gets_the_sum_over_rows():
    # 9: axis 0 was summed for both
    b = param(2)
    np.testing.assert_array_equal(gradient(autograd.add_bias(param(2, 3), b, 1), b)[0], [6, 15])


def test_dropout_keeps_the_mean_and_draws_anew_each_time():
    # 7: scaled by 1 - ratio, and the device was seeded again in every call
    x = Tensor(data=np.ones((100, 100), np.float32), stores_grad=True)
    first, second = (autograd.dropout(x, ratio=0.25).to_numpy() for _ in range(2))
    assert first.mean() == pytest.approx(1, abs=0.05)
    assert first.max() == pytest.approx(4 / 3)
    assert (first != second).any()


@pytest.mark.parametrize("indices", [[1, 1, 1], [2, 0, 1], [-1, -3], [[0, 2], [2, 2]]])
def test_gather_has_its_gradient_for_repeated_unsorted_and_negative_indices(indices):
    # 9
    x = param(3, 2)
    y = autograd.gather(x, 0, indices)
    np.testing.assert_array_equal(y, x.to_numpy()[np.array(indices)])
    expected = np.zeros((3, 2))
    np.add.at(expected, np.array(indices), np.arange(1, y.size() + 1).reshape(y.shape))
    np.testing.assert_array_equal(gradient(y, x)[0], expected)


def test_the_gradient_of_a_slice_that_walks_backwards_is_reversed_too():
    # 9
    x = param(4)
    y = autograd.slice(x, [-1], [-5], [0], [-1])
    np.testing.assert_array_equal(y, [4, 3, 2, 1])
    np.testing.assert_array_equal(gradient(y, x)[0], [4, 3, 2, 1])


def test_a_slice_may_be_empty():
    # 1.3: an assertion failed
    x = param(4)
    y = autograd.slice(x, [3], [1])
    assert y.shape == (0,)
    np.testing.assert_array_equal(gradient(y, x)[0], np.zeros(4))


def test_expanding_to_more_axes_sums_the_gradient_over_them():
    # 9: wrong or a crash where the rank changes
    x = param(1, 3)
    y = autograd.expand(x, (2, 4, 1))
    assert y.shape == (2, 4, 3)
    dy = np.arange(1, 25).reshape(2, 4, 3)
    np.testing.assert_array_equal(gradient(y, x)[0], dy.sum((0, 1))[None])


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [("reflect", [3, 2, 1, 2, 3, 2], [3, 12, 6]), ("edge", [1, 1, 1, 2, 3, 3], [6, 4, 11])],
)
def test_padding_mirrors_at_the_border_and_gives_its_gradient_back(mode, values, expected):
    # 9: reflect copied the first cells as they were; both dropped the padding's gradient
    x = param(3)
    y = autograd.pad(x, mode, [2, 1])
    np.testing.assert_array_equal(y, values)
    np.testing.assert_array_equal(gradient(y, x)[0], expected)


@pytest.mark.parametrize(
    ("axis", "shape"),
    [(-1, (2, 3, 1)), ([-1], (2, 3, 1)), (0, (1, 2, 3)), ([0, 2, -1], (1, 2, 1, 3, 1))],
)
def test_unsqueeze_takes_one_axis_or_several_and_counts_those_of_the_result(axis, shape):
    # 9, 27: an int was a TypeError, -1 went before the last axis
    x = param(2, 3)
    y = autograd.unsqueeze(x, axis)
    assert y.shape == shape
    assert gradient(y, x)[0].shape == (2, 3)


def test_unsqueeze_of_a_vector_is_a_row():
    # 9: nothing happened
    assert autograd.unsqueeze(param(3), [0]).shape == (1, 3)


def test_squeeze_leaves_the_callers_list_alone_and_goes_down_to_a_scalar():
    # 1.3
    axes = [-1, 0]
    assert autograd.squeeze(param(1, 2, 1), axes).shape == (2,)
    assert axes == [-1, 0]
    assert autograd.squeeze(param(1, 1)).shape == ()


@pytest.mark.parametrize("lead", [(2,), (2, 2), (1, 2)])
def test_products_of_batches_have_the_gradients_of_matrices(lead):
    # 10: all axes were reversed, and nothing was summed over broadcast ones
    a, b = param(*lead, 2, 2), param(2, 2, 2)
    y = autograd.matmul(a, b)
    dy = np.arange(1, y.size() + 1).reshape(y.shape)
    da, db = gradient(y, a, b)
    full = dy @ b.to_numpy().swapaxes(-1, -2)
    np.testing.assert_allclose(
        da, full.reshape(-1, *a.shape).sum(0) if full.shape != a.shape else full
    )
    full = a.to_numpy().swapaxes(-1, -2) @ dy
    np.testing.assert_allclose(db, full.reshape(-1, *b.shape).sum(0))


def test_what_is_indexed_stays_in_the_graph():
    # 13: the gradient silently vanished
    x = param(3)
    np.testing.assert_array_equal(gradient(x[1:] * 2.0, x)[0], [0, 2, 4])


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: autograd.conv2d(x, w),
        lambda x, w: autograd.max_pool_2d(x, 2),
        lambda x, w: autograd.avg_pool_2d(x, 2),
        lambda x, w: autograd.instance_norm(x, param(1), param(1)),
    ],
    ids=["conv2d", "max_pool_2d", "avg_pool_2d", "instance_norm"],
)
def test_any_batch_size_follows_any_other(function):
    # 21: handles kept the first one, and read beyond the end
    w, image = param(1, 1, 2, 2), param(1, 1, 4, 4)
    one = function(image, w).to_numpy()
    for batch in (3, 1, 2):
        images = Tensor(data=np.repeat(image.to_numpy(), batch, 0))
        np.testing.assert_allclose(function(images, w), np.repeat(one, batch, 0), rtol=1e-5)


def test_an_output_of_split_that_nobody_uses_has_a_gradient_of_zeros():
    # 25: None arrived where a Tensor was expected
    x = param(2, 5)
    _, middle, _ = autograd.split(x, 1, [1, 2, 2])
    np.testing.assert_array_equal(gradient(middle, x)[0], [[0, 1, 2, 0, 0], [0, 3, 4, 0, 0]])


@pytest.mark.parametrize("dtype", [np.int32, np.float16, np.float32])
def test_repeat_takes_a_list_and_keeps_the_type(dtype):
    # 27: a list was a TypeError; 41: integers became float32
    x = param(2, 3, dtype=dtype)
    for repeats, axis in (([1, 0, 2], 1), (2, 0), (2, None)):
        y = autograd.repeat(x, repeats, axis)
        np.testing.assert_array_equal(y, x.to_numpy().repeat(repeats, axis))
        assert y.dtype == dtype


def test_a_shape_that_does_not_fit_is_an_exception_that_can_be_caught():
    # 28: the process was aborted
    for call in (
        lambda: autograd.matmul(param(2, 3), param(2, 3)),
        lambda: autograd.conv2d(param(1, 2, 3, 3), param(1, 1, 2, 2)),
        lambda: autograd.gemm(param(2, 3), param(2, 3)),
    ):
        with pytest.raises(ShapeError):
            call()


def test_operations_with_indices_never_look_at_values_on_the_host():
    # 29: they ran on the host. What is captured cannot even read a value.
    x, w, ids = param(3, 2), param(4, 2), Tensor(data=[[2, 0], [1, 1]])

    def step(x, w, ids):
        rows = autograd.embedding(ids, w)
        picked = autograd.gather_elements(autograd.gather(x, 0, ids), ids[:, :, None], 1)
        written = autograd.scatter_elements(x, ids, autograd.slice(x, [1], [3]))
        hot = autograd.onehot(-1, ids, 3, (0.0, 1.0))
        return rows, picked, written, hot

    compiled = Steps()(step, (x, w, ids), {}, False)
    for one, other in zip(compiled, step(x, w, ids), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_convolution_without_a_bias_adds_none():
    # 33: zeros were allocated, filled and added on every call
    x, w, b = param(1, 1, 3, 3), param(1, 1, 2, 2), param(1)

    def primitives(*args):
        jaxpr = Capture(autograd.conv2d, args).jaxpr.jaxpr
        return Counter(re.findall(r"= (\w+)", str(jaxpr)))

    added = primitives(x, w, b) - primitives(x, w)
    assert added["add"] == 1
    assert primitives(x, w)["add"] == 0
    assert autograd.conv2d(x, w).creator.src[2:] == ()


def test_scatter_elements_has_a_gradient_for_updates_and_any_rank():
    # 1.3: two axes only, and updates were constants
    x, updates = param(1, 2, 2), param(1, 2, 1)
    y = autograd.scatter_elements(x, [[[1], [0]]], updates, axis=2)
    np.testing.assert_array_equal(y, [[[1, 1], [2, 4]]])
    dx, dupdates = gradient(y, x, updates)
    np.testing.assert_array_equal(dx, [[[1, 0], [0, 4]]])
    np.testing.assert_array_equal(dupdates, [[[2], [3]]])


def test_einsum_takes_any_number_of_operands():
    # 31: two operands, and the whole broadcast product in memory
    x = param(2, 3)
    values = x.to_numpy()
    np.testing.assert_array_equal(
        autograd.einsum("ij,kj,kl", x, x, x), np.einsum("ij,kj,kl", values, values, values)
    )
    wide = Tensor((1, 2**10))  # the product of all, before it is summed, would be 4 TiB
    assert autograd.einsum("ai,aj,ak,al->", wide, wide, wide, wide).item() == 0


@pytest.mark.parametrize(
    "function", [autograd.nonzero, lambda x: autograd.constant_of_shape(autograd.cast(x, int))],
    ids=["nonzero", "constant_of_shape"],
)  # fmt: skip
def test_shapes_that_depend_on_values_are_refused_in_a_compiled_step(function):
    x = param(2)
    function(x)
    with pytest.raises(CaptureError, match="runs as Python on the host"):
        Capture(function, (x,))


def test_space_to_depth_works_outside_of_training():
    # 1.3: the shape was remembered in training only
    autograd.training = False
    x = param(1, 4, 2, 2)
    y = autograd.depth_to_space(x, 2)
    np.testing.assert_array_equal(autograd.space_to_depth(y, 2), x)


def test_tiling_with_fewer_repeats_than_axes_is_numpys():
    # 1.3: they were taken for the leading axes
    x = param(2, 3)
    np.testing.assert_array_equal(autograd.tile(x, 2), np.tile(x.to_numpy(), 2))


def test_ids_get_no_gradient_from_an_embedding():
    # 1.3: they got one of their own
    ids, w = Tensor(data=[1, 1], stores_grad=False), param(2, 2)
    y = autograd.embedding(ids, w)
    assert set(autograd.gradients(y, jnp.ones((2, 2)))) == {w}
