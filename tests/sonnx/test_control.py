"""Loops of older files, beside onnxruntime."""

import numpy as np
import onnx.parser
import onnxruntime

from singa.sonnx import SONNXModel
from singa.tensor import Tensor

OF_BATCHES = """<ir_version: 3, opset_import: ["" : 8]>
net (int64[2] lengths, float[2, 1] start, float[2, 3, 1] a, float[2, 3, 1] b)
    => (float[2, 1] last, float[2, 3, 1] sums) {
    last, sums = Scan <
        num_scan_inputs = 2, directions = [0, 1],
        body = step (float[1] s, float[1] p, float[1] q) => (float[1] next, float[1] out) {
            sum = Add(s, p)
            next = Add(sum, q)
            out = Mul(next, q)
        }
    > (lengths, start, a, b)
}"""


def test_scan_of_a_batch():
    model = onnx.parser.parse_model(OF_BATCHES)
    draw = np.random.default_rng(0)
    xs = [np.array([3, 2]), *(draw.normal(size=s) for s in ((2, 1), (2, 3, 1), (2, 3, 1)))]
    xs[1:] = [x.astype(np.float32) for x in xs[1:]]
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in model.graph.input]
    theirs = session.run(None, dict(zip(names, xs, strict=True)))
    ours = SONNXModel(model).forward(*(Tensor(data=x, requires_grad=False) for x in xs))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.to_numpy(), b, 1e-6)
