"""Files that the checker of the package onnx, or onnxruntime, does not accept."""

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from singa.errors import FormatError, FormatWarning
from singa.sonnx import SONNXModel
from singa.tensor import Tensor

HEAD = '<ir_version: 8, opset_import: ["" : 17, "my" : 1]>'
X = np.array([1.0, -2.0], np.float32)


def model_of(text):
    return onnx.parser.parse_model(f"{HEAD} net {text}")


def result(model):
    (y,) = model.forward(Tensor(data=X, requires_grad=False))
    return y.to_numpy().tolist()


def test_what_is_plain_is_read_with_a_warning():
    proto = model_of("""(float[2] x) => (float[2] y) {
        [one] y = Add(a, w)
        [one] a = Relu(x)
    }""")
    for value in (1, 5):
        proto.graph.initializer.append(numpy_helper.from_array(np.full(2, value, np.float32), "w"))
    proto.graph.name = ""
    with pytest.warns(FormatWarning) as caught:
        model = SONNXModel(proto)
    assert str(caught[0].message) == (
        "an ONNX file: 2 nodes are called 'one'; the initial value 'w' is there 2 times, and the "
        "last one is used; the graph has no name; 'a' is used before the node that gives it"
    )
    assert result(model) == [6, 5]
    assert len({node.name for node in model.onnx_graph.nodes}) == 2


def test_a_wrong_shape_of_an_output_is_read_with_a_warning():
    model = SONNXModel(model_of("(float[2] x) => (float[3] y) { y = Neg(x) }"))
    with pytest.warns(FormatWarning, match=r"output 'y' as \(3,\), and it is \(2,\)"):
        assert result(model) == [-1, 2]
    # A batch of another size than that in the file is nothing odd.
    other = SONNXModel(model_of("(float[1] x) => (float[1] y) { y = Neg(x) }"))
    assert result(other) == [-1, 2]


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ("y = Add(x, q)", r"Add_0 \(Add\): nothing gives its input 'q'"),
        ("z = Neg(x)", "nothing gives the value 'y'"),
        ("y = Neg(x) [two] y = Relu(x)", r"two \(Relu\): another node gives 'y' too"),
        ("y = Add(x, b) b = Neg(y)", "depends on its own result"),
        ("a = my.Foo(x) b = ImageDecoder(a) y = my.Bar(b)",
         r"not here: Foo_0 \(my.Foo\), ImageDecoder_0 \(ImageDecoder\), Bar_0 \(my.Bar\)"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_is_an_error_when_it_is_read(nodes, message):
    with pytest.raises(FormatError, match=message):
        SONNXModel(model_of(f"(float[2] x) => (float[2] y) {{ {nodes} }}"))
