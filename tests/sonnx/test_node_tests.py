"""ONNX's own tests of its operators, run by SONNXModel."""

from functools import cache

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from singa import autograd
from singa.sonnx import SONNXModel
from singa.tensor import Tensor

EXCLUDED = {
    "test_training_dropout": "a dropout draws other numbers than NumPy's",
    "test_image_decoder": "ImageDecoder is not here: image_tool and Pillow read images",
}
"""Tests whose names begin so, and why they do not pass."""


@cache
def cases():
    """The cases by the operator of their last node."""
    found = {}
    for case in collect_testcases(None):
        if case.model is not None:
            found.setdefault(case.model.graph.node[-1].op_type, []).append(case)
    return found


def given(x):
    """An input, as a user gives it."""
    if isinstance(x, list):
        return [given(each) for each in x]
    if isinstance(x, onnx.TensorProto):
        x = numpy_helper.to_array(x)
    if isinstance(x, np.generic):
        x = np.asarray(x)
    if isinstance(x, np.ndarray) and x.dtype.name in KNOWN:
        return Tensor(data=x, requires_grad=False)
    return x


KNOWN = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}


def compare(y, expected, case):
    if isinstance(expected, list):
        assert len(y) == len(expected)
        for one, other in zip(y, expected, strict=True):
            compare(one, other, case)
        return
    if expected is None:
        assert y is None
        return
    if isinstance(expected, onnx.TensorProto):
        expected = numpy_helper.to_array(expected)
    y, expected = np.asarray(y), np.asarray(expected)
    assert (y.dtype, y.shape) == (expected.dtype, expected.shape)
    if expected.dtype.kind in "biuOSU":
        np.testing.assert_array_equal(y, expected)
    else:
        wide = y.astype(np.float64), expected.astype(np.float64)
        np.testing.assert_allclose(*wide, rtol=case.rtol, atol=case.atol)


@pytest.mark.parametrize("kind", sorted(cases()))
def test_an_operator_computes_what_onnx_says(kind):
    failed = []
    for case in cases()[kind]:
        if case.name.startswith(tuple(EXCLUDED)):
            continue
        try:
            with autograd.no_grad():
                model = SONNXModel(case.model)
                for inputs, outputs in case.data_sets:
                    ys = model.forward(*map(given, inputs))
                    for y, expected in zip(ys, outputs, strict=True):
                        compare(y, expected, case)
        except Exception as error:  # all that fail are named at once
            failed.append(f"{case.name}: {type(error).__name__}: {str(error).strip()[:200]}")
    assert not failed, "\n".join(failed)
