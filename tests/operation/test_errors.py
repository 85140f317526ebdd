"""Each mistake has its message: which operation, what it got, what it wanted."""

import re

import numpy as np
import pytest

from singa import autograd
from singa.errors import ArgumentError, BoundsError, DTypeError, ShapeError
from singa.tensor import Tensor


def t(*shape, dtype="float32"):
    return Tensor(shape, dtype=dtype)


MISTAKES = [
    (lambda: t(2, 3) + t(4), ShapeError, "Add: shapes (2, 3) and (4,) do not broadcast"),
    (lambda: autograd.sub(t(2), t(3)), ShapeError, "Sub: shapes (2,) and (3,)"),
    (lambda: t(2) * t(3), ShapeError, "Mul: shapes"),
    (lambda: t(2) / t(3), ShapeError, "Div: shapes"),
    (lambda: t(2) ** t(3), ShapeError, "Pow: shapes"),
    (lambda: t(2) < t(3), ShapeError, "Less: shapes"),
    (lambda: autograd.exp(t(2, dtype="int32")), DTypeError, "Exp: its input must be of a float"),
    (lambda: autograd.log(t(2, dtype="int32")), DTypeError, "Log: its input must be of a float"),
    (lambda: autograd.sqrt(t(2, dtype="bool")), DTypeError, "Sqrt: its input must be of a float"),
    (lambda: autograd.tanh(t(2, dtype="int8")), DTypeError, "Tanh: its input must be of a float"),
    (lambda: autograd.sigmoid(t(2, dtype="int8")), DTypeError, "type, got int8"),
    (lambda: autograd.softmax(t(2)), ShapeError, "SoftMax: axis 1 of a Tensor with 1 axes"),
    (lambda: t(2, 3) @ t(4, 5), ShapeError, "Matmul: (2, 3) times (4, 5): the last axis of the"),
    (lambda: t(2, 3) @ t(4), ShapeError, "the only one of the second of size 4"),
    (lambda: t() @ t(4), ShapeError, "Matmul: got shapes () and (4,), one has no axes"),
    (lambda: t(2, 3, 4) @ t(5, 4, 1), ShapeError, "the leading axes do not broadcast"),
    (lambda: autograd.affine(t(2, 3), t(2, 3), t(3)), ShapeError, "needs an input of shape (..., "),
    (lambda: autograd.affine(t(2, 3), t(3, 4), t(3)), ShapeError, "bias must be of shape (4,), go"),
    (lambda: autograd.affine(t(2, 3), t(3), t(3)), ShapeError, "the weight must be (features, out"),
    (lambda: autograd.add_bias(t(2, 3), t(2)), ShapeError, "must be of shape (3,) or (1, 3), got"),
    (lambda: autograd.add_bias(t(2, 3), t(3), 1), ShapeError, "of shape (2,) or (2, 1), got (3,)"),
    (lambda: autograd.add_bias(t(2), t(2), 1), ShapeError, "AddBias: the input must be (M, N)"),
    (lambda: autograd.add_bias(t(2, 3), t(3), 2), ArgumentError, "axis must be 0 (rows) or 1"),
    (lambda: t(2, 3).reshape((4, 2)), ShapeError, "Reshape: 6 elements of shape (2, 3) do not fit"),
    (lambda: t(2, 3).reshape((-1, -1)), ShapeError, "do not fit into (-1, -1)"),
    (lambda: autograd.flatten(t(2), 3), ShapeError, "Flatten: axis 3 of a Tensor with 1 axes"),
    (lambda: t(2, 3).transpose((0,)), ShapeError, "Transpose: (0,) does not name all axes of"),
    (lambda: t(2, 3).transpose((0, 0)), ShapeError, "Transpose: an axis is named twice in (0, 0)"),
    (lambda: autograd.cat((t(2, 3), t(3, 3)), 1), ShapeError, "Concat: shapes (2, 3), (3, 3) must"),
    (lambda: autograd.cat([]), ArgumentError, "cat: a sequence of at least one Tensor"),
    (lambda: autograd.cat(t(2)), ArgumentError, "cat: a sequence of at least one Tensor"),
    (lambda: autograd.cast(t(2), "text"), DTypeError, "unknown data type 'text'"),
    (lambda: t(2, 3)[5], BoundsError, "GetItem: index 5 is out of bounds for axis 0 of size 2"),
    (lambda: t(2, 3)[..., -4], BoundsError, "index -4 is out of bounds for axis 1 of size 3"),
    (lambda: t(2)[0, 0], BoundsError, "GetItem: 2 indices for a Tensor of shape (2,)"),
    (lambda: t(2)[1.0], DTypeError, "arrays of integers or bools can index, not float64"),
    (lambda: t(2)["a":], DTypeError, "GetItem: slices are made of integers, got 'a'"),
    (lambda: t(2)[[0, 5]], BoundsError, "GetItem: index 5 is out of bounds for axis 0 of size 2"),
    (lambda: t(2)[np.ones(3, bool)], BoundsError, "a mask of shape (3,) for axes of (2,)"),
    (lambda: t(2)[..., ...], BoundsError, "GetItem: an index can have one ellipsis only"),
    (lambda: t(2)[::0], ArgumentError, "GetItem: a slice cannot have a step of 0"),
    (lambda: t(2)[True], DTypeError, "GetItem: a single bool is no index"),
    (lambda: autograd.reduce_sum(t(2), 1), ShapeError, "ReduceSum: axis 1 of a Tensor with 1"),
    (lambda: autograd.conv2d(t(2, 3), t(1, 1, 1, 1)), ShapeError, "must be (N, C, H, W), got"),
    (lambda: autograd.conv2d(t(1, 3, 4, 4), t(2, 3)), ShapeError, "(O, C / groups, KH, KW), got"),
    (
        lambda: autograd.conv2d(t(1, 3, 4, 4), t(2, 2, 3, 3)), ShapeError,
        "Convolution2d: the input has 3 channels; a weight of shape (2, 2, 3, 3) with 1 group(s)",
    ),
    (
        lambda: autograd.conv2d(t(1, 3, 4, 4), t(2, 3, 3, 3), t(3)), ShapeError,
        "Convolution2d: the bias must be (2,), got (3,)",
    ),
    (lambda: autograd.conv2d(t(1, 3, 2, 4), t(2, 3, 3, 3)), ShapeError, "window is 3 in height"),
    (
        lambda: autograd.conv2d(t(1, 1, 4, 4, dtype="int32"), t(1, 1, 3, 3)), DTypeError,
        "Convolution2d: the input must be of a float type, got int32",
    ),
    (lambda: autograd.conv2d(t(1), t(1), stride=0), ArgumentError, "conv2d: stride: one or two"),
    (lambda: autograd.conv2d(t(1), t(1), padding=(1, 2, 3)), ArgumentError, "conv2d: padding"),
    (lambda: autograd.conv2d(t(1), t(1), padding=(1, 2, 3, -1)), ArgumentError, "cannot be negati"),
    (lambda: autograd.conv2d(t(1), t(1), groups=0), ArgumentError, "an integer of at least 1"),
    (lambda: autograd.conv2d(t(1), t(1), groups=1.5), ArgumentError, "at least 1, got 1.5"),
    (lambda: autograd.max_pool_2d(t(2, 3), 2), ShapeError, "MaxPooling2d: the input must be (N, C"),
    (lambda: autograd.avg_pool_2d(t(1, 1, 2, 2), 3), ShapeError, "AveragePooling2d: the window is"),
    (lambda: autograd.max_pool_2d(t(1, 1, 2, 2), 2, 1, 2), ArgumentError, "not smaller than the"),
    (lambda: autograd.avg_pool_2d(t(1, 1, 2, 2), 0), ArgumentError, "avg_pool_2d: kernel_size"),
    (
        lambda: autograd.batchnorm_2d(t(2, 3), t(4), t(3), t(3), t(3)), ShapeError,
        "scale must be (3,) for an input of shape (2, 3), got (4,)",
    ),
    (lambda: autograd.batchnorm_2d(t(3), *[t(3)] * 4), ShapeError, "(N, C) or (N, C, H, W)"),
    (lambda: autograd.dropout(t(2), -0.1), ArgumentError, "Dropout: ratio is a probability"),
    (
        lambda: autograd.softmax_cross_entropy(t(2, 3), t(2, 4)), ShapeError,
        "SoftMaxCrossEntropy: for x of shape (2, 3) the targets are class ids of shape (2,), or",
    ),
    (
        lambda: autograd.softmax_cross_entropy(t(2, 3), t(2)), DTypeError,
        "SoftMaxCrossEntropy: class ids must be integers, got float32",
    ),
    (lambda: autograd.softmax_cross_entropy(t(3), t(3)), ShapeError, "x must be (N, classes)"),
    (lambda: autograd.mse_loss(t(2), t(3)), ShapeError, "MeanSquareError: x is of shape (2,), the"),
    (lambda: autograd.binary_cross_entropy(t(2), t(3)), ShapeError, "BinaryCrossEntropy: x is of"),
    (lambda: autograd.binary_cross_entropy(t(), t()), ShapeError, "x must be (N, ...), got"),
    (lambda: autograd.cos(t(2, dtype="int32")), DTypeError, "Cos: its input must be of a float"),
    (lambda: autograd.sum(t(2), t(2), t(3)), ShapeError, "Sum: shapes (2,) and (2,) and (3,) do n"),
    (lambda: autograd.max(t(2), t(3)), ShapeError, "Max: shapes (2,) and (3,) do not broadcast"),
    (lambda: autograd.mean(), DTypeError, "Mean: at least one input Tensor is needed"),
    (lambda: autograd._and(t(2), t(3)), ShapeError, "And: shapes (2,) and (3,) do not broadcast"),
    (lambda: autograd.where(t(2), t(2), t(3)), ShapeError, "Where: shapes (2,) and (2,) and (3,)"),
    (lambda: autograd.clip(t(2, dtype="int32"), 0), DTypeError, "Clip: its input must be of a fl"),
    (lambda: autograd.gelu(t(2), "erf"), ArgumentError, "approximate must be 'none' or 'tanh'"),
    (lambda: autograd.glu(t(2, 3)), ShapeError, "GLU: axis 1 of (2, 3) does not have two halves"),
    (lambda: autograd.prelu(t(2, 3), t(2)), ShapeError, "PRelu: shapes (2, 3) and (2,) do not br"),
    (lambda: autograd.norm(t(2), 3), ArgumentError, "Norm: p must be 1, 2 or infinity, got 3"),
    (lambda: autograd.cumsum(t(2), 1), ShapeError, "CumSum: axis 1 of a Tensor with 1 axes"),
    (lambda: autograd.topk(t(2), 3), ShapeError, "TopK: k is 3, axis 0 of size 2"),
    (lambda: autograd.topk(t(2), 1.5), ArgumentError, "k must be an integer of at least 0, got"),
    (lambda: autograd.argmax(t(2), 1), ShapeError, "ArgMax: axis 1 of a Tensor with 1 axes"),
    (lambda: autograd.huber_loss(t(2), t(2), 0), ArgumentError, "Huber: delta must be above 0"),
    (lambda: autograd.kl_div(t(2), t(3)), ShapeError, "KLDivergence: x is of shape (2,), the targ"),
    (lambda: autograd.nll_loss(t(2, 3), t(2)), DTypeError, "class ids must be integers, got float"),
    (lambda: autograd.ranking_loss(t(2), t(3)), ShapeError, "RankingLoss: Tensors, of one shape,"),
    (lambda: autograd.cossim(t(), t()), ShapeError, "CosSim: vectors along the last axis, of"),
    (
        lambda: autograd.contrastive_loss(t(2, 3), t(2, 3), t(3)), ShapeError,
        "Contrastive: t must have one element for each pair, be of shape (2,); got (3,)",
    ),
    (lambda: autograd.ctc_loss(t(4, 2), t(2), t(2), t(2)), ShapeError, "must be (frames, N,"),
    (lambda: autograd.ctc_loss(t(4, 2, 3), t(1, 2), t(2), t(2)), ShapeError, "labels must be (2,"),
    (lambda: autograd.ctc_loss(t(4, 2, 3), t(2, 2), t(2), t(2)), DTypeError, "must be integers"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_a_mistake_is_named(number):
    do, error, words = MISTAKES[number]
    with pytest.raises(error, match=re.escape(words)):
        do()


def test_in_training_the_running_statistics_are_checked_and_an_empty_batch_is_refused():
    autograd.training = True
    try:
        with pytest.raises(ShapeError, match=r"running mean and variance must be \(3,\), got"):
            autograd.batchnorm_2d(t(2, 3), t(3), t(3), t(4), t(3))
        with pytest.raises(ShapeError, match="an empty batch has no mean"):
            autograd.batchnorm_2d(t(0, 3), t(3), t(3), t(3), t(3))
    finally:
        autograd.training = False


def test_a_failing_call_leaves_its_inputs_alone():
    a = Tensor(data=np.ones((2, 3)))
    with pytest.raises(ShapeError):
        a += Tensor((5,))
    np.testing.assert_array_equal(a, np.ones((2, 3)))
