"""Functions of single elements where types and special numbers matter, beside onnxruntime."""

import numpy as np
import pytest
from onnx import helper

from tests.sonnx import beside

FLOATS = [0, -0.0, 1.5, -1.5, 300.7, -300.7, 70000, 3e9, -3e9, 1e19, np.nan, np.inf, -np.inf]


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "bool"])
def test_floats_become_integers_by_their_lower_bits(dtype):
    to = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    beside.check("Cast", [np.array(FLOATS, np.float32)], {"to": to})


def test_arithmetic_of_integers():
    a, b = np.array([-7, 5, 7, -1], np.int8), np.array([3, -3, 2, 5], np.int8)
    for kind in ("Div", "Mod", "Max", "Less"):
        beside.check(kind, [a, b])
    beside.check("Mod", [a, b], {"fmod": 1})
    large = np.array([2**53 + 1, 2**62], np.int64)
    beside.check("Greater", [large, large - 1])
    beside.check("Pow", [np.array([2, -3, 2, 5], np.int32), np.array([0.5, 2, 3, 1], np.float32)])


@pytest.mark.parametrize("kind", ["Max", "Min"])
def test_nan_is_passed_on(kind):
    a, b = np.array([np.nan, 1, -np.inf], np.float32), np.array([1, np.nan, 0], np.float32)
    beside.check(kind, [a, b])


@pytest.mark.parametrize("exclusive", [0, 1])
@pytest.mark.parametrize("reverse", [0, 1])
def test_cumulative_products(exclusive, reverse):
    x = np.array([[1, 2, 3], [-2, 0.5, 4]], np.float32)
    options = {"exclusive": exclusive, "reverse": reverse}
    beside.check("CumProd", [x, np.array(-1)], options, version=26)
