"""Loops of older files, beside onnxruntime, and loops in loops."""

import numpy as np
import onnx.parser
import onnxruntime
import pytest

from singa.errors import FormatError
from singa.sonnx import SONNXModel, bounds
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


NESTED = """<ir_version: 8, opset_import: ["" : 18]>
net (float[1] x) => (float[1] y) {
    five = Constant <value = int64 {5}> ()
    yes = Constant <value = bool {1}> ()
    y = Loop (five, yes, x) <
        body = outer (int64 i, bool c, float[1] a) => (bool d, float[1] b) {
            d = Identity(c)
            b = Loop (five, c, a) <
                body = inner (int64 j, bool e, float[1] p) => (bool f, float[1] q) {
                    f = Identity(e)
                    q = Add(p, p)
                }
            >
        }
    >
}"""


@pytest.mark.parametrize("most", [29, 30])
def test_the_steps_of_loops_in_loops_are_bounded_together(most, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_STEPS_IN_ALL", most)
    model = SONNXModel(onnx.parser.parse_model(NESTED))
    x = Tensor(data=np.ones(1, np.float32), requires_grad=False)
    for _ in range(2):  # each run counts for itself
        if most < 30:
            with pytest.raises(FormatError, match="all loops together take over 29 steps"):
                model.forward(x)
        else:
            assert model.forward(x)[0].item() == 2**25


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ("b = Reshape(x, tall) y = Add(b, x)", "Add_1 .* 1.6e[+]09 elements out of 8e[+]04"),
        ("b = Reshape(x, tall) c = Reshape(x, wide) y = MatMul(b, c)", "MatMul_2 .* 1.6e[+]09"),
        ("a = Concat <axis = 0> (x, x, x, x, x, x) y = Concat <axis = 0> (a, a, a, a, a, a, a, a)",
         r"Concat_1 .* 1.92e[+]06 elements out of 4e[+]04"),
    ],
)  # fmt: skip
def test_results_that_grow_are_bounded(nodes, message, monkeypatch):
    if "Concat" in nodes:
        monkeypatch.setattr(bounds, "MOST_ELEMENTS", 2**20)
        monkeypatch.setattr(bounds, "MOST_GROWTH", 16)
    proto = onnx.parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 18]> net (float[40000] x) => (float[N] y) {{
            tall = Constant <value = int64[2] {{-1, 1}}> ()
            wide = Constant <value = int64[2] {{1, -1}}> ()
            {nodes}
        }}"""
    )
    x = Tensor(data=np.ones(40000, np.float32), requires_grad=False)
    with pytest.raises(FormatError, match=message.replace("_1 ", r"_\d ").replace("_2 ", r"_\d ")):
        SONNXModel(proto).forward(x)
