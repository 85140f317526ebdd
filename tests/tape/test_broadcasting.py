"""SINGA's helpers for gradients of broadcast inputs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import broadcastable_shapes

from singa import autograd
from singa.errors import ShapeError

WIDE = (2, 3, 1, 4)


@given(broadcastable_shapes(WIDE, max_dims=4))
def test_what_was_repeated_is_summed(shape):
    y_shape = np.broadcast_shapes(WIDE, shape)
    dy = np.random.default_rng(0).normal(size=y_shape)
    axes = autograd.axis_helper(y_shape, shape)

    padded = (1,) * (len(y_shape) - len(shape)) + shape
    assert all(padded[axis] == 1 for axis in axes)
    wanted = dy.sum(axes).reshape(shape)
    np.testing.assert_allclose(autograd.back_broadcast(y_shape, shape, dy), wanted, rtol=1e-12)


@pytest.mark.parametrize(("y", "x"), [((2, 3), (2,)), ((3,), (2, 3)), ((1, 3), (2, 3))])
def test_what_does_not_broadcast_is_refused(y, x):
    with pytest.raises(ShapeError, match="does not broadcast to"):
        autograd.axis_helper(y, x)


def test_a_ctensors_copy_can_be_written_to():
    x = autograd.ctensor2numpy(autograd.back_broadcast((2,), (2,), np.ones(2, np.float32)))
    x[0] = 5
    assert x.tolist() == [5, 1]
