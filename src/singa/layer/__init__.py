"""The layers: parameters and state around operations."""

from singa import autograd
from singa.layer.attention import MultiHeadAttention
from singa.layer.base import Layer
from singa.layer.container import Sequential
from singa.layer.convolution import Conv2d, SeparableConv2d
from singa.layer.embedding import Embedding
from singa.layer.linear import Gemm, Linear
from singa.layer.normalization import BatchNorm2d, GroupNorm, InstanceNorm, LayerNorm, RMSNorm
from singa.layer.pooling import AvgPool1d, AvgPool2d, MaxPool1d, MaxPool2d, Pooling2d
from singa.layer.recurrent import GRU, LSTM, RNN, CudnnRNN, RNN_Base
from singa.layer.stateless import (
    Add,
    BinaryCrossEntropy,
    Cat,
    Dropout,
    Flatten,
    Identity,
    MeanSquareError,
    ReLU,
    Reshape,
    Sigmoid,
    SoftMax,
    SoftMaxCrossEntropy,
    Tanh,
)  # fmt: skip
from singa.layer.transformer import (
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)

__all__ = [
    "GRU", "LSTM", "RNN", "Add", "AvgPool1d", "AvgPool2d", "BatchNorm2d", "BinaryCrossEntropy",
    "Cat", "Conv2d", "CudnnRNN", "Dropout", "Embedding", "Flatten", "Gemm", "GroupNorm",
    "Identity", "InstanceNorm", "Layer", "LayerNorm", "Linear", "MaxPool1d", "MaxPool2d",
    "MeanSquareError", "MultiHeadAttention", "Pooling2d", "RMSNorm", "RNN_Base", "ReLU", "Reshape",
    "SeparableConv2d", "Sequential", "Sigmoid", "SoftMax", "SoftMaxCrossEntropy", "Tanh",
    "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder",
    "TransformerEncoderLayer",
]  # fmt: skip

# SINGA's programs know some layers as autograd.Conv2d. That face is below this floor and does not
# reach up for them: they are handed down.
autograd.adopt(
    Layer, Linear, Conv2d, SeparableConv2d, BatchNorm2d, Pooling2d, MaxPool2d, AvgPool2d,
    MaxPool1d, AvgPool1d, RNN_Base, RNN, LSTM,
)  # fmt: skip
