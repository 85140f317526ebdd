"""Losses of classes in ONNX files, beside onnxruntime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa import autograd
from singa.sonnx.network import SONNXModel
from tests.sonnx import beside

CLASSES = 3
WEIGHT = np.array([0.5, 1, 2], np.float32)
KINDS = ("SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss")


def inputs_of(more, weight, ignored=None):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(4, CLASSES, *more)).astype(np.float32)
    ids = draw.integers(0, CLASSES, (4, *more))
    if ignored is not None:
        ids[0] = ignored
    return [x, ids, weight]


@settings(max_examples=8)
@given(
    st.sampled_from(KINDS),
    st.sampled_from([(), (2,), (2, 1)]),
    st.sampled_from([None, WEIGHT]),
    st.sampled_from([None, 1, -100]),
    st.sampled_from(["none", "sum", "mean"]),
)
def test_losses_are_those_of_onnxruntime(kind, more, weight, ignored, reduction):
    options = {"reduction": reduction}
    if ignored is not None:
        options["ignore_index"] = ignored
    outputs = 1 + (kind == KINDS[0])
    beside.check(kind, inputs_of(more, weight, ignored), options, version=13, outputs=outputs)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    inputs = inputs_of((2,), WEIGHT, -1)
    model = SONNXModel(beside.model_of(kind, inputs, {"ignore_index": -1}, fixed=(1, 2)))
    assert not model.get_params()
    autograd.check_gradients(model.forward, inputs[:1])
