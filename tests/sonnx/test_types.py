"""All types of numbers of ONNX: decoded from files, and cast."""

import numpy as np
import onnx
import onnx.reference
from onnx import TensorProto, helper, numpy_helper

from singa import sonnx
from singa.tensor import Tensor

TYPES = [
    (name, kind) for name, kind in TensorProto.DataType.items()
    if name not in ("UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128")
]  # fmt: skip
VALUES = np.array([[0.0, 1, 0.5, 1.75, 2], [3, 6.5, 7, 0.0625, 28]], np.float32)


def model_of(nodes, inputs, initial):
    outputs = [helper.make_tensor_value_info(n.output[0], TensorProto.FLOAT, None) for n in nodes]
    graph = helper.make_graph(nodes, "types", inputs, outputs, initial)
    opsets = [helper.make_opsetid("", onnx.defs.onnx_opset_version())]
    return helper.make_model(graph, opset_imports=opsets)


def test_initial_values_of_each_type_are_decoded(tmp_path):
    def array(name, kind):
        most = 1 if name.endswith("INT2") else 7
        return np.minimum(VALUES, most).astype(helper.tensor_dtype_to_np_dtype(kind))

    arrays = {name: array(name, kind) for name, kind in TYPES}
    assert len(arrays) >= 20
    made = model_of(
        [helper.make_node("Cast", [name], [f"{name}_"], to=TensorProto.FLOAT) for name in arrays],
        [], [numpy_helper.from_array(each, name) for name, each in arrays.items()],
    )  # fmt: skip
    content = made.SerializeToString()
    onnx.save(made, tmp_path / "m.onnx", save_as_external_data=True, size_threshold=0)
    for source in (content, tmp_path / "m.onnx"):
        found = sonnx.SONNXModel(source).forward()
        for (name, each), y in zip(arrays.items(), found, strict=True):
            np.testing.assert_array_equal(np.asarray(y), each.astype(np.float32), err_msg=name)


def test_numbers_are_cast_to_each_type():
    kinds = [(name, kind) for name, kind in TYPES if "INT" not in name]
    there = [helper.make_node("Cast", ["x"], [name], to=kind) for name, kind in kinds]
    back = [helper.make_node("Cast", [n], [f"{n}_"], to=TensorProto.FLOAT) for n, _ in kinds]
    x = np.concatenate([VALUES.ravel(), np.linspace(-9, 9, 577, dtype=np.float32)])
    given = [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)]
    made = model_of(back, given, [])
    del made.graph.node[:]
    made.graph.node.extend([*there, *back])
    expected = onnx.reference.ReferenceEvaluator(made).run(None, {"x": x})
    found = sonnx.SONNXModel(made).forward(Tensor(data=x))
    for (name, _), y, e in zip(kinds, found, expected, strict=True):
        np.testing.assert_array_equal(y.to_numpy(), e, err_msg=name)
