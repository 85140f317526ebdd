"""The layers: parameters and state around operations."""

from singa import autograd
from singa.layer.base import Layer
from singa.layer.convolution import Conv2d
from singa.layer.linear import Linear
from singa.layer.normalization import BatchNorm2d
from singa.layer.pooling import AvgPool2d, MaxPool2d, Pooling2d
from singa.layer.stateless import (
    Add,
    BinaryCrossEntropy,
    Cat,
    Dropout,
    Flatten,
    MeanSquareError,
    ReLU,
    Sigmoid,
    SoftMax,
    SoftMaxCrossEntropy,
    Tanh,
)  # fmt: skip

__all__ = [
    "Add", "AvgPool2d", "BatchNorm2d", "BinaryCrossEntropy", "Cat", "Conv2d", "Dropout", "Flatten",
    "Layer", "Linear", "MaxPool2d", "MeanSquareError", "Pooling2d", "ReLU", "Sigmoid", "SoftMax",
    "SoftMaxCrossEntropy", "Tanh",
]  # fmt: skip

# SINGA's programs know some layers as autograd.Conv2d. That face is below this floor and does not
# reach up for them: they are handed down.
autograd.adopt(Layer, Linear, Conv2d, BatchNorm2d, Pooling2d, MaxPool2d, AvgPool2d)
