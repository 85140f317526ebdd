"""Models of a single node, run here and by onnxruntime."""

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from singa.sonnx.network import SONNXModel
from singa.tensor import Tensor

onnxruntime.set_default_logger_severity(4)


def model_of(kind, inputs, outputs, version=21, **attributes):
    """A model of one node, whose inputs (by name; None if missing) are the graph's."""
    given = {name: x for name, x in inputs.items() if x is not None}
    declared = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(x.dtype), [None] * x.ndim
        )
        for name, x in given.items()
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    names = [name if name in given else "" for name in inputs]
    node = helper.make_node(kind, names, outputs, **attributes)
    graph = helper.make_graph([node], kind, declared, results)
    opset = helper.make_opsetid("", version)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def ours(model, *inputs):
    """The outputs as NumPy arrays."""
    given = [Tensor(data=x, requires_grad=False) for x in inputs if x is not None]
    return [y.to_numpy() for y in SONNXModel(model).forward(*given)]


def theirs(model, inputs):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {name: x for name, x in inputs.items() if x is not None})


def assert_same(model, inputs, **tolerances):
    """Assert that onnxruntime gives the same."""
    expected = theirs(model, inputs)
    for found, wanted in zip(ours(model, *inputs.values()), expected, strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, **tolerances)
