"""SINGA's own names: prepare, run_node and the others."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from singa import autograd, layer, sonnx
from singa.errors import ArgumentError, FormatError
from singa.tensor import Tensor

X = np.array([[1.0, -2.0, 3.0]], np.float32)


@pytest.fixture(scope="module")
def made():
    linear = layer.Linear(2)
    function = layer.Sequential(linear, layer.ReLU())
    return sonnx.to_onnx([Tensor(data=X)], function, "net", dynamic=("batch",))


def test_a_prepared_model_runs_arrays_and_tensors(made):
    rep = sonnx.prepare(made)
    (name,), outputs = rep.inputs, rep.outputs
    assert outputs == ["output"]
    assert len(rep.layers) == 2
    assert len(rep.states) == 2
    (found,) = rep.run([X])
    assert isinstance(found, np.ndarray)
    assert found.shape == (1, 2)
    (again,) = rep.run(Tensor(data=X))
    assert isinstance(again, Tensor)
    np.testing.assert_array_equal(again.to_numpy(), found)
    np.testing.assert_array_equal(rep.run({name: X})[0], found)
    hidden = rep.run([X], last_layers=-2)[0]
    np.testing.assert_array_equal(np.maximum(hidden, 0), found)
    assert len(rep.run([X], aux_output=[name])) == 2
    rep.is_graph = True
    assert isinstance(rep.run([X])[0], Tensor)
    with pytest.raises(ArgumentError, match="the inputs are"):
        rep.run({"y": X})
    with pytest.raises(ArgumentError, match="no option"):
        rep.run([X], layers=2)


def test_the_backend_of_the_package_onnx(made):
    backend = sonnx.SingaBackend
    assert backend.is_compatible(made)
    unknown = helper.make_graph([helper.make_node("No", ["x"], ["y"])], "g", [], [])
    assert not backend.is_compatible(helper.make_model(unknown))
    assert backend.supports_device("CPU")
    assert not backend.supports_device("TPU")
    expected = sonnx.prepare(made).run([X])[0]
    np.testing.assert_array_equal(backend.run_model(made, [X])[0], expected)
    assert sonnx.SingaFrontend.singa_to_onnx_model([Tensor(data=X)], autograd.relu, "r").graph.name


def test_a_node_alone():
    node = helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2)
    found = sonnx.run_node(node, [X])
    np.testing.assert_array_equal(found.a, X[:, :2])
    older = helper.make_node("Squeeze", ["x"], ["y"], axes=[0])
    np.testing.assert_array_equal(sonnx.run_node(older, [X], opset_version=11).y, X[0])
    assert isinstance(sonnx.get_op(sonnx.OnnxNode(node))(Tensor(data=X))[0], Tensor)
    with pytest.raises(FormatError, match="No"):
        sonnx.run_node(helper.make_node("No", ["x"], ["y"]), [X])


def test_nodes_attributes_and_types():
    node = sonnx.OnnxNode(helper.make_node("Elu", ["x"], ["y"], "e", alpha=2.0, mode="m"))
    assert (node.name, node.op_type, node.inputs, node.outputs) == ("e", "Elu", ["x"], ["y"])
    assert node.attrs == {"alpha": 2.0, "mode": "m"}
    assert node.getattr("beta", 1) == 1
    assert sonnx.onnx_type_to_singa_type(TensorProto.INT64) == np.int64
    for wrong in (TensorProto.STRING, 1000):
        with pytest.raises(FormatError):
            sonnx.onnx_type_to_singa_type(wrong)
