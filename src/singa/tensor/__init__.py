"""The public API of Tensors: the class, the data types, functions that make Tensors, SINGA's names.

``from singa import tensor``. The functions of one or more Tensors are recorded operations, the
same as in :mod:`singa.autograd`; here they have SINGA's names and arguments. If ``out`` or ``ret``
is given, that Tensor becomes the result and is returned, instead of a new one.

- ``making.py``: functions that make Tensors.
- ``shapes.py``: functions of shapes, and copies.
- ``arithmetic.py``: sums, products, comparisons.

Methods and operators of Tensors are in ``operation/methods.py``.
"""

from singa.core.tensor import ArrayLike as ArrayLike
from singa.core.tensor import CTensor as CTensor
from singa.core.tensor import Tensor as Tensor
from singa.core.tensor import TensorLike as TensorLike
from singa.core.tensor import as_tensor as as_tensor
from singa.core.tensor import random_key as random_key
from singa.device import bfloat16 as bfloat16
from singa.device import bool_ as bool_
from singa.device import complex64 as complex64
from singa.device import complex128 as complex128
from singa.device import float16 as float16
from singa.device import float32 as float32
from singa.device import float64 as float64
from singa.device import int8 as int8
from singa.device import int16 as int16
from singa.device import int32 as int32
from singa.device import int64 as int64
from singa.device import uint8 as uint8
from singa.operation import abs as abs
from singa.operation import ceil as ceil
from singa.operation import exp as exp
from singa.operation import log as log
from singa.operation import repeat as repeat
from singa.operation import sigmoid as sigmoid
from singa.operation import sign as sign
from singa.operation import sqrt as sqrt
from singa.operation import square as square
from singa.operation import tanh as tanh
from singa.tensor.arithmetic import add as add
from singa.tensor.arithmetic import add_column as add_column
from singa.tensor.arithmetic import add_row as add_row
from singa.tensor.arithmetic import average as average
from singa.tensor.arithmetic import axpy as axpy
from singa.tensor.arithmetic import div as div
from singa.tensor.arithmetic import einsum as einsum
from singa.tensor.arithmetic import eltwise_mult as eltwise_mult
from singa.tensor.arithmetic import eq as eq
from singa.tensor.arithmetic import ge as ge
from singa.tensor.arithmetic import gt as gt
from singa.tensor.arithmetic import le as le
from singa.tensor.arithmetic import lt as lt
from singa.tensor.arithmetic import mult as mult
from singa.tensor.arithmetic import pow as pow
from singa.tensor.arithmetic import softmax as softmax
from singa.tensor.arithmetic import sub as sub
from singa.tensor.arithmetic import sum as sum
from singa.tensor.arithmetic import sum_columns as sum_columns
from singa.tensor.arithmetic import sum_rows as sum_rows
from singa.tensor.arithmetic import tensordot as tensordot
from singa.tensor.making import arange as arange
from singa.tensor.making import bernoulli as bernoulli
from singa.tensor.making import from_dlpack as from_dlpack
from singa.tensor.making import from_numpy as from_numpy
from singa.tensor.making import from_raw_tensor as from_raw_tensor
from singa.tensor.making import from_raw_tensors as from_raw_tensors
from singa.tensor.making import full as full
from singa.tensor.making import gaussian as gaussian
from singa.tensor.making import ones as ones
from singa.tensor.making import ones_like as ones_like
from singa.tensor.making import random as random
from singa.tensor.making import to_host as to_host
from singa.tensor.making import to_numpy as to_numpy
from singa.tensor.making import uniform as uniform
from singa.tensor.making import zeros as zeros
from singa.tensor.making import zeros_like as zeros_like
from singa.tensor.shapes import concatenate as concatenate
from singa.tensor.shapes import contiguous as contiguous
from singa.tensor.shapes import copy_data_to_from as copy_data_to_from
from singa.tensor.shapes import copy_from_numpy as copy_from_numpy
from singa.tensor.shapes import product as product
from singa.tensor.shapes import reshape as reshape
from singa.tensor.shapes import sizeof as sizeof
from singa.tensor.shapes import transpose as transpose

PlaceHolder = Tensor
