"""A detector's head: resized features, boxes and scores, and non-maximum suppression."""

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

from singa import autograd, opt
from singa.errors import CaptureError
from singa.sonnx import SONNXModel
from singa.tensor import Tensor

HEAD = """<ir_version: 8, opset_import: ["" : 18]>
net (float[batch, 3, 8, 8] x)
    => (float[batch, 64, 4] boxes, float[kept, 4] found, float[kept] best) {
    fine = Conv <pads = [1, 1, 1, 1]> (x, w_fine)
    coarse = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (fine)
    deep = Conv <pads = [1, 1, 1, 1]> (coarse, w_coarse)
    up = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (deep, , doubled)
    both = Concat <axis = 1> (fine, up)
    active = LeakyRelu(both)
    raw = Conv(active, w_head, b_head)
    flat = Reshape(raw, cells)
    places, logits = Split <axis = 1> (flat, parts)
    steps = Transpose <perm = [0, 2, 1]> (places)
    sizes = Exp(steps)
    boxes = Add(sizes, anchors)
    scores = Sigmoid(logits)
    chosen = NonMaxSuppression <center_point_box = 1> (boxes, scores, most, overlap, least)
    image = Gather <axis = 1> (chosen, i_0)
    class = Gather <axis = 1> (chosen, i_1)
    box = Gather <axis = 1> (chosen, i_2)
    of_box = Concat <axis = 1> (image, box)
    of_score = Concat <axis = 1> (image, class, box)
    found = GatherND(boxes, of_box)
    best = GatherND(scores, of_score)
}"""


def head(kind=SONNXModel):
    """A head with drawn weights, as a model of the package onnx and of ours."""
    draw = np.random.default_rng(3)

    def normal(*shape):
        return (0.3 * draw.normal(size=shape)).astype(np.float32)

    y, x = np.mgrid[:8, :8].reshape(2, 64).astype(np.float32)
    initial = {
        "w_fine": normal(4, 3, 3, 3), "w_coarse": normal(4, 4, 3, 3), "w_head": normal(6, 8, 1, 1),
        "b_head": normal(6), "anchors": np.stack([x, y, 0 * x, 0 * y], -1),
        "doubled": np.array([1, 1, 2, 2], np.float32), "cells": np.array([0, 6, -1]),
        "parts": np.array([4, 2]), "most": np.array([9]), "overlap": np.array([0.1], np.float32),
        "least": np.array([0.6], np.float32),
    }  # fmt: skip
    initial |= {f"i_{i}": np.array([i]) for i in range(3)}
    proto = onnx.parser.parse_model(HEAD)
    proto.graph.initializer.extend(
        [onnx.numpy_helper.from_array(array, name) for name, array in initial.items()]
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto, kind(proto)


def image(batch=2):
    return np.random.default_rng(0).normal(size=(batch, 3, 8, 8)).astype(np.float32)


class Trunk(SONNXModel):
    """What comes before the choice of boxes, which can be compiled and trained."""

    def forward(self, x):
        count = 1 + [node.kind for node in self.onnx_graph.nodes].index("Sigmoid")
        scores, boxes = super().forward(x, aux_output=["boxes"], last_layers=count)
        return boxes, scores

    def train_one_batch(self, x, y):
        loss = autograd.mse_loss(self.forward(x)[1], y)
        self.optimizer(loss)
        return loss


def test_a_detector_beside_onnxruntime():
    proto, model = head()
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    theirs = session.run(None, {"x": image()})
    x = Tensor(data=image(), requires_grad=False)
    assert 4 < len(theirs[1]) < 36  # some are chosen, and not as many as may be
    for a, b in zip(model.forward(x), theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a.to_numpy(), b, 1e-5, 1e-5)
    model.eval()
    model.graph(True)
    with pytest.raises(CaptureError, match="eagerly") as caught:
        model(x)
    assert "NonMaxSuppression" in caught.value.__notes__[0]


def test_its_trunk_is_compiled_and_trained():
    _, trunk = head(Trunk)
    x = Tensor(data=image(), requires_grad=False)
    expected = [y.to_numpy() for y in trunk.forward(x)]
    trunk.set_optimizer(opt.SGD(0.1))
    trunk.compile([x], is_train=False, use_graph=True)
    for a, b in zip(trunk(x), expected, strict=True):
        np.testing.assert_allclose(a.to_numpy(), b, 1e-5, 1e-5)
    trunk.compile([x], is_train=True, use_graph=True)
    target = Tensor(data=1 - expected[1])
    losses = [trunk(x, target).item() for _ in range(4)]
    trunk.eval()
    assert losses[-1] < losses[0]
