"""One-node models, run here and by onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from singa import autograd
from singa.device import DTYPES
from singa.sonnx import SONNXModel
from singa.tensor import Tensor

Array = np.ndarray[Any, Any]


def model_of(
    kind: str,
    inputs: Sequence[Array | None],
    attributes: Mapping[str, Any],
    domain: str = "",
    version: int = 21,
    outputs: int = 1,
    fixed: Sequence[int] = (),
) -> onnx.ModelProto:
    """A model of one node. The inputs with the numbers ``fixed`` are in the file."""
    names = ["" if x is None else f"x{i}" for i, x in enumerate(inputs)]
    results = [f"y{i}" for i in range(outputs)]
    node = helper.make_node(kind, names, results, domain=domain, **attributes)
    declared = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), list(x.shape))
        for i, (name, x) in enumerate(zip(names, inputs, strict=True))
        if x is not None and i not in fixed
    ]
    initial = [onnx.numpy_helper.from_array(inputs[i], names[i]) for i in fixed]
    ends = [onnx.ValueInfoProto(name=name) for name in results]
    graph = helper.make_graph([node], kind, declared, ends, initial)
    versions = [helper.make_opsetid("", 21 if domain else version)]
    if domain:
        versions.append(helper.make_opsetid(domain, version))
    return helper.make_model(graph, opset_imports=versions, ir_version=10)


def both(
    kind: str, inputs: Sequence[Array | None], attributes: Mapping[str, Any], **more: Any
) -> tuple[list[Any], list[Any]]:
    """The outputs here, as arrays, and those of onnxruntime."""
    model = model_of(kind, inputs, attributes, **more)
    fixed = more.get("fixed", ())
    given = {f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in fixed}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1  # a quantized LSTM rounds the rows of each thread together
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    theirs = session.run(None, given)
    with autograd.no_grad():
        ours = SONNXModel(model).forward(*map(_given, given.values()))
    return [y.to_numpy() if isinstance(y, Tensor) else y for y in ours], theirs


def _given(x: Array) -> Any:
    return Tensor(data=x, requires_grad=False) if str(x.dtype) in DTYPES else x


def check(kind: str, inputs: Sequence[Array | None], attributes: Any = None, **more: Any) -> None:
    """Ours and theirs are the same, up to the rounding of float32."""
    attributes = attributes or {}
    off = more.pop("off", 0)
    ours, theirs = both(kind, inputs, attributes, **more)
    what = f"{kind} {attributes}"
    assert len(ours) == len(theirs), what
    for a, b in zip(ours, theirs, strict=True):
        if isinstance(b, list):
            assert a == b, what
            continue
        assert a.shape == b.shape, (what, a.shape, b.shape)
        if b.dtype.kind in "OSU":
            assert a.tolist() == b.tolist(), what
        elif b.dtype.kind in "fV":
            assert a.dtype == b.dtype, (what, a.dtype, b.dtype)
            np.testing.assert_allclose(a, b, 2e-5, 2e-6, err_msg=what)
        else:
            assert a.dtype == b.dtype, (what, a.dtype, b.dtype)
            wide = a.astype(np.int64) - b.astype(np.int64)
            assert np.abs(wide).max(initial=0) <= off, (what, a, b)
