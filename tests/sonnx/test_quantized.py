"""Quantized operators, and the types that only ONNX has, beside onnxruntime."""

import ml_dtypes
import numpy as np
import pytest

from singa.sonnx import SONNXModel
from singa.tensor import Tensor
from tests.sonnx.beside import check, model_of


def drawn(random, dtype, *shape):
    """Of int8 half the range: ONNX Runtime adds two products of uint8 and int8 in 16 bits, which
    are too few for larger ones, on processors with AVX2 only."""
    ends = np.iinfo(dtype)
    low, high = (-64, 64) if dtype == np.int8 else (ends.min, ends.max + 1)
    return random.integers(low, high, shape).astype(dtype)


def scales(random, *shape):
    return random.uniform(0.01, 0.1, shape).astype(np.float32)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
def test_quantization(dtype):
    random = np.random.default_rng(0)
    x = (random.standard_normal((3, 4)) * 3).astype(np.float32)
    zeros = drawn(random, dtype, 4)
    check("QuantizeLinear", [x, scales(random, 4), zeros], {"axis": -1}, fixed=[1, 2])
    inputs = [drawn(random, dtype, 3, 4), scales(random), zeros[0]]
    check("DequantizeLinear", inputs, fixed=[1, 2])


def test_quantization_of_blocks():
    random = np.random.default_rng(0)
    x = (random.standard_normal((4, 6)) * 3).astype(np.float32)
    check("QuantizeLinear", [x, scales(random, 4, 2)], {"axis": 1, "block_size": 3}, fixed=[1])
    inputs = [drawn(random, np.int8, 4, 6), scales(random, 2, 6)]
    check("DequantizeLinear", inputs, {"axis": 0, "block_size": 2}, fixed=[1])


def test_a_scale_divides():
    """XLA would multiply by its inverse, and -127.49999 would become -127.5."""
    x = np.array([0, 2, -3, -2.5, 1.34, 0.5], np.float32)
    check("DynamicQuantizeLinear", [x], version=11, outputs=3)


@pytest.mark.parametrize("groups", [1, 2])
def test_quantized_convolution(groups):
    random = np.random.default_rng(0)
    x, w = drawn(random, np.uint8, 1, 4, 6, 5), drawn(random, np.int8, 4, 4 // groups, 3, 3)
    zero = np.array(131, np.uint8)
    attributes = {"pads": [1, 0, 1, 2], "strides": [2, 1], "group": groups}
    bytes_ = drawn(random, np.uint8, *w.shape)
    check("ConvInteger", [x, bytes_, zero], attributes, version=10, fixed=[1, 2])
    inputs = [
        x, scales(random), zero, w, scales(random, 4), np.zeros(4, np.int8), np.float32(30.0),
        zero, random.integers(-500, 500, 4).astype(np.int32),
    ]  # fmt: skip
    check("QLinearConv", inputs, attributes, version=10, fixed=[*range(1, 9)], off=1)


def test_quantized_products():
    random = np.random.default_rng(0)
    a, b = drawn(random, np.uint8, 3, 5), drawn(random, np.int8, 5, 4)
    zero, zeros = np.array(131, np.uint8), drawn(random, np.int8, 4)
    check("MatMulInteger", [a, b, zero, zeros], version=10, fixed=[1, 3])
    inputs = [a, scales(random), zero, b, scales(random, 4), zeros, np.float32(9.0), zero]
    check("QLinearMatMul", inputs, version=10, fixed=[*range(1, 8)], off=1)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_unsigned_integers_are_given_as_arrays(dtype):
    a = np.array([3, np.iinfo(dtype).max], dtype)
    model = SONNXModel(model_of("Sub", [a, a], {}))
    (y,) = model.forward(a, np.array([5, 1], dtype))
    expected = np.array([np.iinfo(dtype).max - 1, np.iinfo(dtype).max - 1], dtype)
    assert y.to_numpy().dtype == dtype
    assert y.to_numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("saturate", [0, 1])
@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2"])
def test_casts_to_short_floats(kind, saturate):
    """All float16, beside ml_dtypes."""
    dtype = np.dtype(getattr(ml_dtypes, kind))
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    zero = np.zeros(1, dtype)
    model = SONNXModel(model_of("CastLike", [x, zero], {"saturate": saturate}, fixed=[1]))
    (y,) = model.forward(Tensor(data=x, requires_grad=False))
    most = float(ml_dtypes.finfo(dtype).max)
    with np.errstate(all="ignore"):
        expected = (np.clip(x, -most, most) if saturate else x).astype(dtype)
    np.testing.assert_array_equal(y.to_numpy().astype(np.float32), expected.astype(np.float32))
