#!/usr/bin/env bash
# onnxruntime 1.32.0: the scores of Attention have -3.4e38 where the mask excludes an element.
#
# ONNX 1.23 says of the operator Attention that the disallowed positions of a boolean mask contribute
# -inf to the bias. With qk_matmul_output_mode 2 the scores are an output after this addition. The
# reference implementation gives -inf there, onnxruntime's CPU kernel the lowest float32.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/env/bin/python" - << 'EOF'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def value(name, kind=TensorProto.FLOAT, shape=(1, 1, 2, 4)):
    return helper.make_tensor_value_info(name, kind, shape)


node = helper.make_node(
    "Attention", ["q", "k", "v", "mask"], ["y", "", "", "scores"], qk_matmul_output_mode=2
)
inputs = [value("q"), value("k"), value("v"), value("mask", TensorProto.BOOL, (2, 2))]
outputs = [value("y"), value("scores", shape=(1, 1, 2, 2))]
graph = helper.make_graph([node], "attention", inputs, outputs)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)
onnx.checker.check_model(model, full_check=True)
ones = np.ones((1, 1, 2, 4), np.float32)
feeds = {"q": ones, "k": ones, "v": ones, "mask": np.array([[True, False], [True, True]])}
session = onnxruntime.InferenceSession(
    model.SerializeToString(), providers=["CPUExecutionProvider"]
)
theirs = session.run(["scores"], feeds)[0]
expected = ReferenceEvaluator(model).run(["scores"], feeds)[0]
print(onnxruntime.__version__, theirs.tolist())
print("reference", onnx.__version__, expected.tolist())
assert expected[0, 0, 0, 1] == -np.inf
assert theirs[0, 0, 0, 1] == np.finfo(np.float32).min, "it is no longer the lowest float32"
EOF
# Seen:
# 1.32.0 [[[[2.0, -3.4028234663852886e+38], [2.0, 2.0]]]]
# reference 1.23.2 [[[[1.9999998807907104, -inf], [1.9999998807907104, 1.9999998807907104]]]]
