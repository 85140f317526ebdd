"""The operations, one file for each family: an Operation and its functional form side by side."""

from singa.operation import operators as operators
from singa.operation.activation import ReLU, Sigmoid, SoftMax, Tanh, relu, sigmoid, softmax, tanh
from singa.operation.convolution import Convolution2d, conv2d
from singa.operation.elementwise import (
    Abs,
    Add,
    Div,
    Exp,
    Log,
    Mul,
    Negative,
    Pow,
    Sqrt,
    Sub,
    abs,
    add,
    div,
    exp,
    log,
    mul,
    negative,
    pow,
    sqrt,
    sub,
)  # fmt: skip
from singa.operation.indexing import GetItem, getitem
from singa.operation.linear import AddBias, Affine, Matmul, add_bias, affine, matmul
from singa.operation.logic import (
    Compare,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    not_equal,
)  # fmt: skip
from singa.operation.loss import (
    BinaryCrossEntropy,
    MeanSquareError,
    SoftMaxCrossEntropy,
    binary_cross_entropy,
    mse_loss,
    softmax_cross_entropy,
)  # fmt: skip
from singa.operation.normalization import (
    BatchNormalization2d,
    FrozenBatchNormalization2d,
    batchnorm_2d,
)
from singa.operation.pooling import AveragePooling2d, MaxPooling2d, avg_pool_2d, max_pool_2d
from singa.operation.random import Dropout, dropout
from singa.operation.reduction import ReduceMean, ReduceSum, reduce_mean, reduce_sum
from singa.operation.shape import (
    Cast,
    Concat,
    Flatten,
    Reshape,
    Transpose,
    cast,
    cat,
    flatten,
    reshape,
    transpose,
)  # fmt: skip
from singa.tape import Operation

__all__ = [
    "Abs", "Add", "AddBias", "Affine", "AveragePooling2d", "BatchNormalization2d",
    "BinaryCrossEntropy", "Cast", "Compare", "Concat", "Convolution2d", "Div", "Dropout", "Exp",
    "Flatten", "FrozenBatchNormalization2d", "GetItem", "Log", "Matmul", "MaxPooling2d",
    "MeanSquareError", "Mul", "Negative", "Pow", "ReLU", "ReduceMean", "ReduceSum", "Reshape",
    "Sigmoid", "SoftMax", "SoftMaxCrossEntropy", "Sqrt", "Sub", "Tanh", "Transpose",
    "abs", "add", "add_bias", "affine", "avg_pool_2d", "batchnorm_2d", "binary_cross_entropy",
    "cast", "cat", "conv2d", "div", "dropout", "equal", "exp", "flatten", "getitem", "greater",
    "greater_equal", "less", "less_equal", "log", "matmul", "max_pool_2d", "mse_loss", "mul",
    "negative", "not_equal", "pow", "reduce_mean", "reduce_sum", "relu", "reshape", "sigmoid",
    "softmax", "softmax_cross_entropy", "sqrt", "sub", "tanh", "transpose",
]  # fmt: skip

OPERATIONS: tuple[type[Operation], ...] = tuple(
    item for name in __all__ if isinstance(item := globals()[name], type)
)
"""Every operation of the library. A test walks them; one that is not tested fails it."""
