"""Each operation as ONNX: written, checked, and run by onnxruntime, with the same numbers."""

import numpy as np
import onnx
import onnxruntime
import pytest

from catalogue import TABLE
from singa import operation, sonnx
from singa.errors import FormatError
from singa.sonnx.forms import OMITTED
from singa.tensor import Tensor

OPTIONS = onnxruntime.SessionOptions()
OPTIONS.log_severity_level = 4
OPTIONS.intra_op_num_threads = 1


ALONE = {
    "stft": lambda x, w: operation.Frames(4, 2)(x)[0],
    "istft": lambda a, b, w: operation.OverlapAdd(4, 2)(a)[0],
}
"""Operations that the table has among Fourier transforms, which are not in ONNX."""


def run(model, feeds):
    """The outputs by onnxruntime, after the package onnx has checked the model."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), OPTIONS, providers=["CPUExecutionProvider"]
    )
    used = {each.name for each in session.get_inputs()}
    return session.run(None, {name: x for name, x in feeds.items() if name in used})


def arguments(row):
    """Tensors for a row: no two elements are equal, none is 0."""
    rng = np.random.default_rng(len(row.shapes))
    low, high = row.range
    made = []
    for shape in row.shapes:
        size = int(np.prod(shape))
        spread = low + (high - low) * (np.arange(size) + rng.uniform(0.2, 0.8, size)) / size
        made.append(rng.permutation(spread).reshape(shape).astype(np.float32))
    return [Tensor(data=each) for each in (*made, *row.constants)]


WRITTEN = [
    name for name, row in TABLE.items()
    if row.op not in OMITTED and not issubclass(row.op, operation.Dropout)  # nothing is dropped
]  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_an_operation_gives_the_same_numbers_in_onnxruntime(name):
    row, args = TABLE[name], arguments(TABLE[name])
    function = ALONE.get(name, row.ours)
    model = sonnx.to_onnx(args, lambda *xs: function(*xs))
    feeds = {each.name: x.to_numpy() for each, x in zip(model.graph.input, args, strict=True)}
    expected = function(*args).to_numpy()
    found = run(model, feeds)[0]
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)


def test_each_operation_is_written_or_there_is_a_reason():
    assert OMITTED.keys() <= set(operation.OPERATIONS)
    for name in ("inv", "nonzero"):
        row = TABLE[name]
        with pytest.raises(FormatError, match=row.op.__name__):
            sonnx.to_onnx(arguments(row), lambda *xs, row=row: row.ours(*xs))
