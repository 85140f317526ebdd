"""Integers that do not fit are a wider type, or an error: never other numbers without a word."""

import numpy as np
import pytest

from singa import autograd, tensor
from singa.errors import ArgumentError, DTypeError
from singa.tensor import Tensor

INTEGERS = ["int8", "int16", "int32", "int64", "uint8"]


def test_pythons_integers_are_int64_where_int32_does_not_hold_them():
    for value in (2**31, -(2**31) - 1, 2**40):
        t = Tensor(data=[1, value])
        assert (t.dtype, t.tolist()) == (tensor.int64, [1, value])
    for value in (2**31 - 1, -(2**31)):
        assert Tensor(data=value).dtype == tensor.int32
    assert tensor.arange(2**31, 2**31 + 2).tolist() == [2**31, 2**31 + 1]
    assert tensor.arange(3).dtype == tensor.int32


@pytest.mark.parametrize("dtype", INTEGERS)
def test_what_a_type_does_not_have_is_refused(dtype):
    ends = np.iinfo(dtype)
    for value in (int(ends.min), int(ends.max)):
        assert Tensor(data=value, dtype=dtype).item() == value
        assert Tensor((2,), dtype=dtype).set_value(value).tolist() == [value, value]
        assert (Tensor(data=[0], dtype=dtype) + value).tolist() == [value]
    for value in (int(ends.min) - 1, int(ends.max) + 1):
        with pytest.raises((ArgumentError, DTypeError)):
            Tensor(data=value, dtype=dtype)
        with pytest.raises(ArgumentError, match=f"{dtype} holds integers from {ends.min} to"):
            Tensor((2,), dtype=dtype).set_value(value)
        with pytest.raises(ArgumentError, match=f"{dtype} holds integers from {ends.min} to"):
            Tensor(data=[0], dtype=dtype) + value


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("source", ["int64", "float32", "float64"])
def test_arrays_are_checked_when_they_are_converted(dtype, source):
    ends = np.iinfo(dtype)
    given = np.array([0, 100], source)
    assert Tensor(data=given, dtype=dtype).tolist() == [0, 100]
    assert Tensor((2,), dtype=dtype).copy_from_numpy(given.astype("int64")).tolist() == [0, 100]
    if dtype == "int64":
        too_large = np.array([0, np.nan]) if source != "int64" else None
    else:
        too_large = np.array([0, ends.max + 1], source)
    if too_large is not None:
        with pytest.raises(ArgumentError, match="holds integers from"):
            Tensor(data=too_large, dtype=dtype)


def test_none_is_no_operand():
    t = Tensor(data=[1.0])
    for compute in (autograd.add, autograd.mul, autograd.sub, autograd.div, autograd.pow):
        with pytest.raises(DTypeError, match="got None"):
            compute(t, None)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_quotients_by_zero_are_numpys(dtype):
    low = -2 if dtype != "uint8" else 2
    a, b = np.array([low, 7, 0], dtype), np.array([0, 2, 0], dtype)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal((Tensor(data=a) // Tensor(data=b)).to_numpy(), a // b)
        np.testing.assert_array_equal((Tensor(data=a) % Tensor(data=b)).to_numpy(), a % b)
    for compute in (autograd.floor_divide, autograd.remainder):
        with pytest.raises(ArgumentError, match="cannot be divided by 0"):
            compute(Tensor(data=a), 0)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64"])
def test_powers_below_zero_have_no_fraction(dtype):
    a = np.array([-2, -1, -1, 0, 1, 2, 3], dtype)
    b = np.array([-1, -1, -2, -1, -5, -1, 2], dtype)
    expected = [0, -1, 1, 0, 1, 0, 9]
    assert (Tensor(data=a) ** Tensor(data=b)).tolist() == expected
    with pytest.raises(ArgumentError, match="are no integers"):
        Tensor(data=a) ** -1


def test_bools_are_not_subtracted():
    a = Tensor(data=[True, False])
    with pytest.raises(DTypeError, match=r"Sub: bools .* a \^ b"):
        autograd.sub(a, a)
    with pytest.raises(DTypeError, match=r"Negative: bools .* ~x"):
        autograd.negative(a)
    assert (Tensor(data=[2, 3]) - a).tolist() == [1, 3]
