#!/usr/bin/env bash
# onnxruntime 1.32.0: an output of type float8 is an array of uint8, without a word.
#
# InferenceSession.run returns NumPy arrays. For an output of type float8e4m3fn it returns the bits of
# the numbers as uint8: 1, 2 and 0.5 are 56, 64 and 48. For bfloat16 it raises an error instead. The
# type is known: ONNX's reference implementation returns an array of ml_dtypes.float8_e4m3fn.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
"$folder/env/bin/python" - << 'EOF'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x = np.array([1.0, 2.0, 0.5], np.float32)


def model_to(kind):
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=kind)],
        "cast",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (3,))],
        [helper.make_tensor_value_info("y", kind, (3,))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)


def run(model):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


model = model_to(TensorProto.FLOAT8E4M3FN)
theirs, expected = run(model), ReferenceEvaluator(model).run(None, {"x": x})[0]
print(onnxruntime.__version__, theirs.dtype, theirs.tolist())
print("reference", expected.dtype, expected.astype(np.float32).tolist())
assert expected.dtype.name == "float8_e4m3fn"
assert theirs.dtype == np.uint8 and theirs.tolist() == [56, 64, 48], "it is no longer the bits"
try:
    run(model_to(TensorProto.BFLOAT16))
except RuntimeError as error:
    print("bfloat16:", error)
else:
    raise SystemExit("bfloat16 is no longer refused")
EOF
# Seen:
# 1.32.0 uint8 [56, 64, 48]
# reference float8_e4m3fn [1.0, 2.0, 0.5]
# bfloat16: No corresponding Numpy type for Tensor Type. bfloat16
