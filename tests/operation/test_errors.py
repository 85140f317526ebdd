"""The message of each error: the operation, the wrong values, and what it expects."""

import re

import numpy as np
import pytest

from singa import autograd, layer, opt, random
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
    (lambda: autograd.exp(t(2, dtype="bool")), DTypeError, "Exp: its input must be of a float"),
    (lambda: autograd.log(t(2, dtype="bool")), DTypeError, "Log: its input must be of a float"),
    (lambda: autograd.sqrt(t(2, dtype="bool")), DTypeError, "Sqrt: its input must be of a float"),
    (lambda: autograd.tanh(t(2, dtype="bool")), DTypeError, "Tanh: its input must be of a float"),
    (lambda: autograd.sigmoid(t(2, dtype="bool")), DTypeError, "type, got bool"),
    (lambda: autograd.softmax(t(2)), ShapeError, "SoftMax: axis 1 of a Tensor with 1 axes"),
    (lambda: t(2, 3) @ t(4, 5), ShapeError, "Matmul: (2, 3) times (4, 5): the last axis of the"),
    (lambda: t(2, 3) @ t(4), ShapeError, "the only one of the second of size 4"),
    (lambda: t(2, 3) @ t(2, 3).T, DTypeError, "got a method, which has to be called"),
    (lambda: t(2) * {}, DTypeError, "in nested lists, got dict"),
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
    (lambda: autograd.take(t(2), None), DTypeError, "Gather: indices must be integers, got None"),
    (lambda: autograd.take(t(2), [[0, 1], [0]]), ShapeError, "must be in lists of equal lengths"),
    (lambda: autograd.segment_sum(t(2), "a"), DTypeError, "segment_sum: indices must be integers"),
    (lambda: autograd.index_put(t(2), 1, 0.0), DTypeError, "index_put: a tuple of indices is expe"),
    (lambda: autograd.cross(t(3) > 0, t(3) > 0), DTypeError, "Cross: bools are no numbers"),
    (lambda: autograd.stft(t(9), None), ArgumentError, "stft: n_fft: an integer is expected, got"),
    (lambda: random.beta(None, 1.0), DTypeError, "beta: a must be above 0, and a number, got None"),
    (lambda: autograd.cat([]), ArgumentError, "cat: a sequence of at least one Tensor"),
    (lambda: autograd.cat(t(2)), ArgumentError, "cat: a sequence of at least one Tensor"),
    (lambda: autograd.squeeze(t(2, 1), 0), ShapeError, "Squeeze: axis 0 of shape (2, 1) is not of"),
    (lambda: autograd.squeeze(t(2, 1), 2), ShapeError, "Squeeze: axis 2 of a Tensor with 2 axes"),
    (lambda: autograd.squeeze(t(1), 0.0), ArgumentError, "Squeeze: axis: one or more integers"),
    (lambda: autograd.unsqueeze(t(2), 2), ShapeError, "Unsqueeze: axis 2 of a Tensor with 2 axes"),
    (lambda: autograd.unsqueeze(t(2), [0, -3]), ShapeError, "Unsqueeze: an axis is named twice"),
    (lambda: autograd.expand(t(2, 3), (2,)), ShapeError, "Expand: shapes (2, 3) and (2,) do not"),
    (lambda: autograd.constant_of_shape(t(2)), DTypeError, "ConstantOfShape: the shape must be of"),
    (lambda: autograd.constant_of_shape(Tensor(data=[-1])), ShapeError, "cannot be negative, got"),
    (lambda: autograd.stack((t(2), t(3))), ShapeError, "Stack: shapes (2,), (3,) must be equal"),
    (lambda: autograd.stack((t(2), t(2)), 2), ShapeError, "Stack: axis 2 of a Tensor with 2 axes"),
    (lambda: autograd.split(t(4), 0, [1, 2]), ShapeError, "Split: axis 0 of shape (4,) cannot be"),
    (lambda: autograd.split(t(4), 0, None, 3), ShapeError, "cannot be split into 3 equal parts"),
    (lambda: autograd.split(t(4), 1, [4]), ShapeError, "Split: axis 1 of a Tensor with 1 axes"),
    (lambda: autograd.split(t(4), 0), ArgumentError, "either parts or num_output has to be given"),
    (lambda: autograd.tile(t(2), -1), ArgumentError, "Tile: repeats cannot be negative, got -1"),
    (lambda: autograd.repeat(t(2), [1, 2, 3], 0), ShapeError, "3 repeats for an axis of size 2"),
    (lambda: autograd.pad(t(2), "mirror", [1, 1]), ArgumentError, "Pad: mode must be 'constant'"),
    (lambda: autograd.pad(t(2), "edge", [1]), ShapeError, "Pad: 1 pads for shape (2,); one before"),
    (lambda: autograd.pad(t(2), "edge", [-3, 1]), ShapeError, "leave nothing of shape (2,)"),
    (lambda: autograd.flip(t(2), 1), ShapeError, "Flip: axis 1 of a Tensor with 1 axes"),
    (lambda: autograd.roll(t(2), (1, 2), 0), ArgumentError, "Roll: 2 shift(s) for 1 axis (axes)"),
    (lambda: autograd.tril(t(2)), ShapeError, "Tril: the input must be (..., M, N), got shape"),
    (lambda: autograd.depth_to_space(t(1, 3, 2, 2), 2), ShapeError, "3 channels are not a multi"),
    (lambda: autograd.space_to_depth(t(1, 3, 3, 2), 2), ShapeError, "3 x 2 pixels are not a multi"),
    (lambda: autograd.space_to_depth(t(1), 0), ArgumentError, "blocksize must be 1 or more, got 0"),
    (lambda: autograd.depth_to_space(t(1), 2, "RDC"), ArgumentError, "'DCR' or 'CRD', got 'RDC'"),
    (lambda: autograd.slice(t(2), [0], [1], [1]), ShapeError, "Slice: axis 1 of a Tensor with 1"),
    (lambda: autograd.slice(t(2), [0], [1], [0], [0]), ArgumentError, "Slice: a step cannot be 0"),
    (lambda: autograd.slice(t(2), [0], [1, 2]), ArgumentError, "equal lengths, got 1, 2, 1 and 1"),
    (lambda: autograd.gather(t(2), 0, [2]), BoundsError, "Gather: index 2 is out of bounds for ax"),
    (lambda: autograd.gather(t(2), 1, [0]), ShapeError, "Gather: axis 1 of a Tensor with 1 axes"),
    (lambda: autograd.gather(t(2), 0, t(2)), DTypeError, "Gather: the indices must be of an integ"),
    (lambda: autograd.embedding([[5]], t(5, 2)), BoundsError, "Embedding: index 5 is out of bound"),
    (lambda: autograd.embedding([1], t(5)), ShapeError, "the table must be (vocabulary, features)"),
    (lambda: autograd.embedding(t(1), t(5, 2)), DTypeError, "Embedding: the ids must be of an"),
    (lambda: autograd.gather_elements(t(2, 2), [0]), ShapeError, "indices of shape (1,) do not fi"),
    (
        lambda: autograd.scatter_elements(t(2), [0, 1], [1.0]), ShapeError,
        "ScatterElements: updates of shape (1,) for indices of (2,)",
    ),
    (lambda: autograd.onehot(2, Tensor(data=[1]), 3), ShapeError, "OneHot: axis 2 of a Tensor wit"),
    (lambda: autograd.onehot(0, Tensor(data=[1]), 0), ArgumentError, "OneHot: depth must be 1 or"),
    (lambda: autograd.onehot(0, Tensor(data=[1]), 3, [1.0]), ShapeError, "values must be (off, on"),
    (lambda: autograd.gemm(t(2), t(2, 3)), ShapeError, "Gemm: A must be a matrix, got shape (2,)"),
    (lambda: autograd.gemm(t(2, 3), t(2, 3)), ShapeError, "Gemm: matrices of (2, 3) and (2, 3) do"),
    (lambda: autograd.gemm(t(2, 3), t(3, 4), t(3)), ShapeError, "Gemm: C of shape (3,) does not b"),
    (lambda: autograd.einsum("ij,jk", t(2, 3), t(2, 3)), ShapeError, "Einsum: 'ij,jk' does not fi"),
    (lambda: autograd.cast(t(2), "text"), DTypeError, "unknown data type 'text'"),
    (lambda: t(2, 3)[5], BoundsError, "index 5 is out of bounds for axis 0 of size 2"),
    (lambda: t(2, 3)[..., -4], BoundsError, "index -4 is out of bounds for axis 1 of size 3"),
    (lambda: t(2)[0, 0], BoundsError, "Tensor[...]: 2 indices for a Tensor of shape (2,)"),
    (lambda: t(2)[1.0], DTypeError, "arrays of integers or bools can index, not float64"),
    (lambda: t(2)["a":], DTypeError, "Tensor[...]: slices are made of integers, got 'a'"),
    (lambda: t(2)[[0, 5]], BoundsError, "index 5 is out of bounds for axis 0 of size 2"),
    (lambda: t(2)[np.ones(3, bool)], BoundsError, "a mask of shape (3,) for axes of (2,)"),
    (lambda: t(2)[..., ...], BoundsError, "Tensor[...]: an index can have one ellipsis only"),
    (lambda: t(2)[::0], ArgumentError, "Tensor[...]: a slice cannot have a step of 0"),
    (lambda: t(2)[True], DTypeError, "Tensor[...]: a single bool is not an index"),
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
    (lambda: autograd.conv1d(t(1, 2), t(1, 2, 1)), ShapeError, "the input must be (N, C, W), got"),
    (lambda: autograd.conv3d(t(1), t(1), stride=(1, 2)), ArgumentError, "stride: one or three int"),
    (lambda: autograd.conv1d(t(1), t(1), stride=0), ArgumentError, "conv1d: stride: one integer o"),
    (lambda: autograd.conv_transpose(t(1, 2), t(1)), ShapeError, "ConvolutionTranspose: the input"),
    (
        lambda: autograd.conv_transpose(t(1, 2, 3, 3), t(3, 2, 1, 1)), ShapeError,
        "ConvolutionTranspose: the input has 2 channels; a weight of shape (3, 2, 1, 1) needs 3",
    ),
    (
        lambda: autograd.conv_transpose(t(1, 2, 3), t(2, 2, 1), output_padding=1), ArgumentError,
        "ConvolutionTranspose: output_padding (1,) must be less than stride (1,)",
    ),
    (lambda: autograd.conv_transpose(t(1, 2, 3), t(2, 2, 1), padding=2), ShapeError, "would becom"),
    (lambda: autograd.max_pool_3d(t(2, 3), 2), ShapeError, "must be (N, C, D, H, W), got shape"),
    (lambda: autograd.adaptive_avg_pool(t(2, 3), 2), ShapeError, "must be (N, C, ...) with 3 to 5"),
    (
        lambda: autograd.nll_loss(t(2, 3), t(2, 3), label_smoothing=2), ArgumentError,
        "NegativeLogLikelihood: label_smoothing must be from 0 to 1, got 2",
    ),
    (
        lambda: autograd.softmax_cross_entropy(t(2, 3), t(2, 3), t(2)), ShapeError,
        "SoftMaxCrossEntropy: weight must be (3,), one for each class, got (2,)",
    ),
    (
        lambda: autograd.softmax_cross_entropy(t(2, 3), t(2, 3), ignore_index=0), ArgumentError,
        "SoftMaxCrossEntropy: ignore_index is for class ids; t is (2, 3)",
    ),
    (lambda: autograd.adaptive_max_pool(t(1, 1, 0), 2), ShapeError, "there is nothing to pool in"),
    (lambda: autograd.globalaveragepool(t(2, 3)), ShapeError, "GlobalAveragePool: the input must"),
    (lambda: autograd.globalaveragepool(t(2), "last"), ArgumentError, "data_format must be 'chann"),
    (lambda: autograd.resize(t(1, 1, 2, 2), 3, "lanczos"), ArgumentError, "mode must be one of"),
    (
        lambda: autograd.resize(t(1, 1, 3), 4, "area", align_corners=True), ArgumentError,
        "mode 'area' has neither align_corners nor antialias",
    ),
    (lambda: autograd.resize(t(1, 1, 3)), ArgumentError, "give either size or scale_factor"),
    (lambda: autograd.resize(t(1, 1), 3), ShapeError, "Resize: the input must be (N, C, ...)"),
    (lambda: autograd.upsample(t(2), "linear", [2]), ArgumentError, "UpSample: mode must be 'near"),
    (lambda: autograd.upsample(t(2), "nearest", [1.5]), ArgumentError, "must be whole numbers of"),
    (lambda: autograd.upsample(t(2), "nearest", [1, 2]), ShapeError, "one scale for each axis of"),
    (lambda: autograd.layer_norm(t(2, 3), t(2), t(2)), ShapeError, "scale must have the last axes"),
    (lambda: autograd.layer_norm(t(2, 3), t(3), t(2)), ShapeError, "bias must have the last axes"),
    (lambda: autograd.rms_norm(t(2, 3), t()), ShapeError, "RMSNormalization: scale must have the"),
    (lambda: autograd.group_norm(t(2, 3), 2, t(3), t(3)), ShapeError, "3 channels in 2 groups"),
    (lambda: autograd.group_norm(t(2, 3), 1, t(2), t(3)), ShapeError, "the input must be (N, C, ."),
    (lambda: autograd.group_norm(t(2), 0, t(2), t(3)), ArgumentError, "groups must be 1 or more"),
    (
        lambda: autograd.scaled_dot_product_attention(t(2, 3), t(2, 4), t(2, 3)), ShapeError,
        "ScaledDotProductAttention: (..., L, E), (..., S, E), (..., S, V) wanted, q (2, 3), k (2,",
    ),
    (
        lambda: autograd.scaled_dot_product_attention(*[t(2, 3)] * 3, mask=t(3, 2)), ShapeError,
        "ScaledDotProductAttention: a mask of shape (3, 2) for weights of (2, 2)",
    ),
    (
        lambda: autograd.scaled_dot_product_attention(*[t(2, 3)] * 3, dropout=1.5), ArgumentError,
        "ScaledDotProductAttention: dropout is a probability, got 1.5",
    ),
    (lambda: autograd.max_pool_2d(t(2, 3), 2), ShapeError, "MaxPooling2d: the input must be (N, C"),
    (lambda: autograd.avg_pool_2d(t(1, 1, 2, 2), 3), ShapeError, "AveragePooling2d: the window is"),
    (lambda: autograd.max_pool_2d(t(1, 1, 2, 2), 2, 1, 2), ArgumentError, "not smaller than the"),
    (lambda: autograd.avg_pool_2d(t(1, 1, 2, 2), 0), ArgumentError, "avg_pool_2d: kernel_size"),
    (
        lambda: autograd.batchnorm_2d(t(2, 3), t(4), t(3), t(3), t(3)), ShapeError,
        "scale must be (3,) for an input of shape (2, 3), got (4,)",
    ),
    (lambda: autograd.batchnorm_2d(t(3), *[t(3)] * 4), ShapeError, "(N, C), (N, C, W)"),
    (lambda: autograd.dropout(t(2), -0.1), ArgumentError, "Dropout: ratio is a probability"),
    (
        lambda: autograd.softmax_cross_entropy(t(2, 3), t(2, 4)), ShapeError,
        "SoftMaxCrossEntropy: for x of shape (2, 3) the targets are class ids of shape (2,), or",
    ),
    (
        lambda: autograd.softmax_cross_entropy(t(2, 3), t(2)), DTypeError,
        "SoftMaxCrossEntropy: class ids must be of an integer type, got float32",
    ),
    (lambda: autograd.softmax_cross_entropy(t(3), t(3)), ShapeError, "x must be (N, classes)"),
    (lambda: autograd.mse_loss(t(2), t(3)), ShapeError, "MeanSquareError: x is of shape (2,), the"),
    (lambda: autograd.binary_cross_entropy(t(2), t(3)), ShapeError, "BinaryCrossEntropy: x is of"),
    (lambda: autograd.cos(t(2, dtype="bool")), DTypeError, "Cos: its input must be of a float"),
    (lambda: autograd.sum(t(2), t(2), t(3)), ShapeError, "Sum: shapes (2,) and (2,) and (3,) do n"),
    (lambda: autograd.max(t(2), t(3)), ShapeError, "Max: shapes (2,) and (3,) do not broadcast"),
    (lambda: autograd.mean(), DTypeError, "Mean: at least one input Tensor is needed"),
    (lambda: autograd._and(t(2), t(3)), ShapeError, "And: shapes (2,) and (3,) do not broadcast"),
    (lambda: autograd.where(t(2), t(2), t(3)), ShapeError, "Where: shapes (2,) and (2,) and (3,)"),
    (lambda: autograd.clip(t(2, dtype="bool"), 0), DTypeError, "Clip: its input must be of a fl"),
    (lambda: autograd.gelu(t(2), "erf"), ArgumentError, "approximate must be 'none' or 'tanh'"),
    (lambda: autograd.glu(t(2, 3)), ShapeError, "GLU: axis 1 of (2, 3) does not have two halves"),
    (lambda: autograd.prelu(t(2, 3), t(2)), ShapeError, "PRelu: shapes (2, 3) and (2,) do not br"),
    (lambda: autograd.norm(t(2), np.nan), ArgumentError, "Norm: p must be a number, got nan"),
    (lambda: autograd.quantile(t(2), 1.5), ArgumentError, "q: shares from 0 to 1 are expected, g"),
    (lambda: autograd.quantile(t(2), 0.5, None, False, "up"), ArgumentError, "must be one of line"),
    (lambda: autograd.median(t(0)), ShapeError, "Quantile: there is nothing along axes"),
    (lambda: autograd.histogram(t(2), 2, (3, 1)), ArgumentError, "range is two numbers in order,"),
    (lambda: autograd.cumsum(t(2), 1), ShapeError, "CumSum: axis 1 of a Tensor with 1 axes"),
    (lambda: autograd.topk(t(2), 3), ShapeError, "TopK: k is 3, axis 0 of size 2"),
    (lambda: autograd.topk(t(2), 1.5), ArgumentError, "k must be an integer of at least 0, got"),
    (lambda: autograd.argmax(t(2), 1), ShapeError, "ArgMax: axis 1 of a Tensor with 1 axes"),
    (
        lambda: autograd.conv1d(t(1, 1, 4), t(1, 1, 3), padding=1, padding_mode="wrap"),
        ArgumentError, "conv1d: padding_mode must be one of 'zeros', 'reflect'",
    ),
    (lambda: autograd.huber_loss(t(2), t(2), 0), ArgumentError, "Huber: delta must be above 0"),
    (lambda: autograd.kl_div(t(2), t(3)), ShapeError, "KLDivergence: x is of shape (2,), the targ"),
    (lambda: autograd.nll_loss(t(2, 3), t(2)), DTypeError, "class ids must be of an integer type"),
    (lambda: autograd.ranking_loss(t(2), t(3)), ShapeError, "RankingLoss: Tensors, of one shape,"),
    (lambda: autograd.cossim(t(), t()), ShapeError, "CosSim: vectors along the last axis, of"),
    (
        lambda: autograd.contrastive_loss(t(2, 3), t(2, 3), t(3)), ShapeError,
        "Contrastive: t must have one element for each pair, be of shape (2,); got (3,)",
    ),
    (lambda: autograd.setitem(t(3, 4), ([0, 1], [0, 1, 2]), 0), ShapeError, "have to broadcast"),
    (lambda: t(3, 4)[[[0, 1], [0]]], ShapeError, "lists of an index are of unequal lengths"),
    (lambda: autograd.sign(t(2, dtype="bool")), DTypeError, "Sign: bools are no numbers to"),
    (lambda: autograd.relu(t(2, dtype="bool")), DTypeError, "ReLU: bools are no numbers to"),
    (lambda: t(2).transpose(dims=(0,)), TypeError, "Tensor.transpose() got an unexpected keyword"),
    (lambda: t(2).to(dtype="int8"), TypeError, "Tensor.to() got an unexpected keyword argument"),
    (lambda: layer.HuberLoss(beta=1), TypeError, "HuberLoss: got an unexpected keyword argument "),
    (lambda: layer.Conv2d(2, 3, strid=1), TypeError, "Conv2d.__init__() got an unexpected keyword"),
    (lambda: layer.MaxPool3d(), TypeError, "MaxPool3d.__init__() missing 1 required positional"),
    (lambda: opt.SGD(nestrov=True), TypeError, "SGD: got an unexpected keyword argument"),
    (lambda: autograd.ctc_loss(t(4, 2), t(2), t(2), t(2)), ShapeError, "must be (frames, N,"),
    (lambda: autograd.ctc_loss(t(4, 2, 3), t(1, 2), t(2), t(2)), ShapeError, "labels must be (2,"),
    (lambda: autograd.ctc_loss(t(4, 2, 3), t(2, 2), t(2), t(2)), DTypeError, "CTC: labels and le"),
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
