"""singa onnx: what is in files, what they compute, and models as files."""

import json

import numpy as np
import onnx
import pytest
from onnx import helper

from singa import cli, data, layer, models, opt, sonnx, train
from singa.tensor import Tensor


@pytest.fixture
def file(tmp_path):
    sonnx.export(layer.Linear(3), tmp_path / "m.onnx", [Tensor((2, 4))], dynamic={"rows"})
    return tmp_path / "m.onnx"


def test_info(singa, file):
    status, out, err = singa("onnx", "info", file)
    assert (status, err) == (0, "")
    lines = [line.split() for line in out.splitlines() if line]
    assert lines[:2] == [
        ["input", "x", "float32['rows',", "4]"], ["output", "output", "float32['rows',", "3]"],
    ]  # fmt: skip
    assert "15 parameters in 2 tensors" in out
    assert "1 nodes of the operators ai.onnx 13" in out
    assert lines[-1] == ["Gemm", "1"]
    found = json.loads(singa("onnx", "info", file, "--json")[1])
    assert found["operators"] == {"Gemm": 1}
    assert found["missing"] == []
    assert found["inputs"] == [{"name": "x", "type": "float32", "shape": ["rows", 4]}]


def test_run_and_check(singa, file, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.ones((5, 4), np.float32))
    arguments = ("--inputs", tmp_path / "x.npz", "--outputs", tmp_path / "y.npz")
    status, out, err = singa("onnx", "run", file, *arguments)
    assert (status, err) == (0, "")
    assert out.startswith("output  float32[5, 3]")
    assert np.load(tmp_path / "y.npz")["output"].shape == (5, 3)
    status, out, err = singa("onnx", "check", file, "--size", 2)
    assert (status, err) == (0, "")
    assert "difference" in out
    np.savez(tmp_path / "x.npz", z=np.ones(3))
    status, _, err = singa("onnx", "run", file, *arguments)
    assert status != 0
    assert "does not have x" in err


def test_check_of_what_classifiers_give(singa, tmp_path):
    """Labels are strings, and their probabilities are in dicts; an open size may be -1."""
    ml = {"domain": "ai.onnx.ml"}
    graph = helper.make_graph(
        [
            helper.make_node("LinearClassifier", ["x"], ["label", "p"], **ml, intercepts=[0.1, 0.2],
                             coefficients=[1.0, -1.0, 0.5, 2.0], classlabels_strings=["a", "b"]),
            helper.make_node("ZipMap", ["p"], ["by_label"], **ml, classlabels_strings=["a", "b"]),
        ],
        "g", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [-1, 2])],
        [onnx.ValueInfoProto(name="label"), onnx.ValueInfoProto(name="by_label")],
    )  # fmt: skip
    versions = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    made = helper.make_model(graph, opset_imports=versions, ir_version=8)
    onnx.save(made, tmp_path / "m.onnx")
    status, out, err = singa("onnx", "check", tmp_path / "m.onnx", "--size", 3)
    assert (status, err) == (0, "")
    assert [line.split()[:2] for line in out.splitlines()] == [["label", "object[3]"],
                                                               ["by_label", "list"]]  # fmt: skip
    status, _, err = singa("onnx", "check", tmp_path / "m.onnx", "--tolerance", -1)
    assert status != 0


def test_operators_that_are_not_here_and_files_that_are_none(singa, tmp_path):
    graph = helper.make_graph(
        [helper.make_node("ImageDecoder", ["x"], ["y"], "decoder")], "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.UINT8, [None])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, None)],
    )  # fmt: skip
    onnx.save(helper.make_model(graph), tmp_path / "i.onnx")
    assert "not here: decoder (ImageDecoder)" in singa("onnx", "info", tmp_path / "i.onnx")[1]
    status, _, err = singa("onnx", "run", tmp_path / "i.onnx")
    assert status != 0
    assert "decoder (ImageDecoder)" in err
    (tmp_path / "t.onnx").write_text("no model")
    for command in ("info", "run", "check"):
        status, out, err = singa("onnx", command, tmp_path / "t.onnx")
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert "no ONNX model" in err


def test_export(singa, tmp_path):
    mlp, digits = models.MLP(), data.load_digits()
    mlp.set_optimizer(opt.SGD(0.05))
    task = cli.task.Task.of("mlp", "digits", digits)
    options = {"batch_size": 1024, "progress": False, "about": task.about()}
    train.fit(mlp, digits, 1, checkpoint=tmp_path / "c.zip", **options)
    status, out, err = singa("onnx", "export", "c.zip", "m.onnx", "--opset", 15, "--training")
    assert (status, out, err) == (0, "wrote m.onnx\n", "")
    read = sonnx.SONNXModel(tmp_path / "m.onnx")
    assert read.onnx_graph.inputs[0].shape == ("batch", 1, 8, 8)
    assert read.get_params().keys() == mlp.get_params().keys()
    assert "ai.onnx 15" in singa("onnx", "info", "m.onnx")[1]
