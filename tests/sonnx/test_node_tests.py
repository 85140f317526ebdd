"""ONNX's own tests of its operators, run by SONNXModel."""

import re
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnx.backend.test.case import node

from singa import autograd
from singa.sonnx import SONNXModel


@pytest.fixture(autouse=True)
def _evaluating(monkeypatch):
    """A dropout of the file's obeys the mode, which a model that was compiled for training sets."""
    monkeypatch.setattr(autograd, "training", False)


EXCLUDED = {
    "test_training_dropout": "a dropout draws other numbers than NumPy's",
    "test_bernoulli": "it draws other numbers than NumPy's",
    "test_momentum": "no model has ONNX's preview of training operators: singa.opt is here",
    "test_nesterov_momentum": "the same",
    "test_adam": "the same",
    "test_adagrad": "the same",
    "test_gradient_of": "the same: gradients are the tape's",
    "test_image_decoder": "ImageDecoder is not here: image_tool and Pillow read images",
    "test_dft": "up to 2e-6 where 0 is expected: the rounding of another algorithm",
    "test_resize_downsample_scales_linear_align_corners": "its output width is a fraction there",
    "test_resize_downsample_scales_cubic_align_corners": "its output width is a fraction there",
}
"""Tests whose names begin so, and why they do not pass."""


SHORT = re.compile(r"test_attention.*(fp16|bf16)")
"""Attention in short types, which are rounded elsewhere here: by up to two units."""


EXPANDED = 20
"""So many of an operator's graphs of simpler operators there are to each one that runs.

Nine tenths of all nodes are in them, and the simpler operators have tests of their own.
"""


def is_excluded(name):
    return name.startswith(tuple(EXCLUDED)) or SHORT.match(name)


FOLDER = Path(node.__file__).parent
FILES = [
    ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in sorted(FOLDER.rglob("*.py"))
    if path.name[0] != "_"
]
"""A file has the cases of an operator.

They are made when it is imported, which takes seconds for some: not before a test needs them.
"""


def cases_of(file):
    first = len(node._NodeTestCases)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, in the making of the cases
        import_module(f"{node.__name__}.{file}")
    expanded = Counter()
    for case in node._NodeTestCases[first:]:
        if "_expanded" in case.name:
            operator = case.name.split("_")[1]
            expanded[operator] += 1
            if expanded[operator] % EXPANDED != 1:
                continue
        if case.model is not None and not is_excluded(case.name):
            yield case


def given(x):
    """An input, as a user gives it."""
    if isinstance(x, list):
        return [given(each) for each in x]
    if isinstance(x, onnx.TensorProto):
        x = numpy_helper.to_array(x)
    if isinstance(x, np.generic):
        x = np.asarray(x)
    return x


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


@pytest.mark.parametrize("file", FILES)
def test_an_operator_computes_what_onnx_says(file, request):
    if file.startswith("cast"):  # XLA's cheap emitters lose NaN of 8 bits
        request.getfixturevalue("optimized_once")
    failed = []
    for case in cases_of(file):
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
