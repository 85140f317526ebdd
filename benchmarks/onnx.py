"""Imported ONNX files beside ONNX Runtime: ``python -m benchmarks.onnx``.

A ResNet-18 as exporters write it (normalizations merged into convolutions) and a block of a
decoder are run compiled here and by ONNX Runtime, on two threads, in turns; their results are
compared first. Then a file of 100 MB is read, here and by the package onnx. Printed are medians of
times and of processor times, and ONNX Runtime's (or onnx's) divided by ours: more than 1 is faster.
ONNX Runtime's threads sleep while they wait, so that their processor time is work.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import contenders, machine
from benchmarks.timing import medians, run_of, take_turns

Array = np.ndarray[Any, Any]


class Writer:
    """Writes nodes and drawn weights into a graph."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.initial: dict[str, Array] = {}
        self._draw = np.random.default_rng(0)

    def weight(self, *shape: int, fan: int | None = None) -> str:
        """A drawn weight; numbers of a size that keeps that of the values."""
        name = f"w.{len(self.initial)}"
        scale = 0.02 if fan is None else (2 / fan) ** 0.5
        self.initial[name] = (scale * self._draw.normal(size=shape)).astype(np.float32)
        return name

    def given(self, values: Any) -> str:
        name = f"w.{len(self.initial)}"
        self.initial[name] = np.asarray(values)
        return name

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        from onnx import helper

        names = [f"v{len(self.nodes)}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def model(self, inputs: dict[str, Array], output: str) -> Any:
        from onnx import ValueInfoProto, helper, numpy_helper

        declared = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(x.dtype), list(x.shape)
            )
            for name, x in inputs.items()
        ]
        initial = [numpy_helper.from_array(x, name) for name, x in self.initial.items()]
        graph = helper.make_graph(
            self.nodes, "graph", declared, [ValueInfoProto(name=output)], initial
        )
        versions = [helper.make_opsetid("", 20)]
        return helper.make_model(graph, opset_imports=versions, ir_version=10)


def resnet() -> tuple[Any, dict[str, Array]]:
    """ResNet-18 of 8 images of 224x224."""
    w = Writer()

    def conv(x: str, inputs: int, outputs: int, size: int, stride: int) -> str:
        kernel = w.weight(outputs, inputs, size, size, fan=inputs * size * size)
        return w.add(
            "Conv", x, kernel, w.weight(outputs), kernel_shape=[size, size],
            strides=[stride, stride], pads=[size // 2] * 4,
        )  # fmt: skip

    x = w.add("Relu", conv("x", 3, 64, 7, 2))
    x = w.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    width = 64
    for wide in (64, 128, 256, 512):
        for stride in (1 if wide == 64 else 2, 1):
            y = w.add("Relu", conv(x, width, wide, 3, stride))
            y = conv(y, wide, wide, 3, 1)
            x = conv(x, width, wide, 1, stride) if width != wide else x
            x, width = w.add("Relu", w.add("Add", y, x)), wide
    x = w.add("Flatten", w.add("GlobalAveragePool", x))
    y = w.add("Gemm", x, w.weight(1000, 512), w.weight(1000), transB=1)
    images = np.random.default_rng(1).normal(size=(8, 3, 224, 224)).astype(np.float32)
    return w.model({"x": images}, y), {"x": images}


def decoder(batch: int = 4, steps: int = 128, wide: int = 512, heads: int = 8) -> Any:
    """A block of a decoder: attention with a mask, and two linear layers with GELU."""
    w = Writer()

    def linear(x: str, inputs: int, outputs: int) -> str:
        return w.add("Add", w.add("MatMul", x, w.weight(inputs, outputs)), w.weight(outputs))

    def norm(x: str) -> str:
        scale, shift = (w.given(np.full(wide, v, np.float32)) for v in (1, 0))
        return w.add("LayerNormalization", x, scale, shift)

    split = w.given(np.array([batch, steps, heads, wide // heads]))
    parts = w.add("Split", linear(norm("x"), wide, 3 * wide), outputs=3, axis=-1, num_outputs=3)
    q, k, v = (w.add("Reshape", part, split) for part in parts)
    q = w.add("Transpose", q, perm=[0, 2, 1, 3])
    k = w.add("Transpose", k, perm=[0, 2, 3, 1])
    v = w.add("Transpose", v, perm=[0, 2, 1, 3])
    scores = w.add("Mul", w.add("MatMul", q, k), w.given(np.float32((wide // heads) ** -0.5)))
    mask = w.given(np.triu(np.full((steps, steps), -np.inf, np.float32), 1))
    found = w.add("MatMul", w.add("Softmax", w.add("Add", scores, mask)), v)
    joined = w.given(np.array([batch, steps, wide]))
    found = w.add("Reshape", w.add("Transpose", found, perm=[0, 2, 1, 3]), joined)
    x = w.add("Add", "x", linear(found, wide, wide))
    inner = w.add("Gelu", linear(norm(x), wide, 4 * wide), approximate="tanh")
    y = w.add("Add", x, linear(inner, 4 * wide, wide))
    given = np.random.default_rng(1).normal(size=(batch, steps, wide)).astype(np.float32)
    return w.model({"x": given}, y), {"x": given}


Times = dict[str, dict[str, float]]
"""Seconds, and seconds of processors, of each contender."""


def run(model: Any, inputs: dict[str, Array], rounds: int) -> Times:
    """The times of one prediction."""
    import onnxruntime

    from singa.sonnx import SONNXModel
    from singa.tensor import Tensor

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = contenders.THREADS
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, ["CPUExecutionProvider"]
    )
    ours, xs = SONNXModel(model), [Tensor(data=x, requires_grad=False) for x in inputs.values()]
    ours.compile(xs, is_train=False, use_graph=True)
    steps = {
        "singa": lambda: ours(*xs)[0].to_numpy(),
        "ONNX Runtime": lambda: session.run(None, inputs)[0],
    }
    expected = steps["ONNX Runtime"]()
    np.testing.assert_allclose(steps["singa"](), expected, 2e-3, 2e-4 * np.abs(expected).max())
    found = medians(take_turns({who: run_of(step) for who, step in steps.items()}, rounds))
    work = {
        who: median(processor_time(step) for _ in range(2 * rounds)) for who, step in steps.items()
    }
    return {who: {"time": found[who], "processor": work[who]} for who in steps}


def processor_time(step: Any) -> float:
    """Seconds of this process's threads together."""
    start = time.process_time()
    step()
    return time.process_time() - start


def reading(rounds: int) -> Times:
    """The times until a file of 100 MB is a model."""
    import onnx

    from singa.sonnx import SONNXModel

    w = Writer()
    x = "x"
    for _ in range(25):
        x = w.add("Relu", w.add("MatMul", x, w.weight(1000, 1000)))
    model = w.model({"x": np.zeros((1, 1000), np.float32)}, x)
    ways = {"singa": SONNXModel, "onnx": onnx.load}
    found: dict[str, list[tuple[float, float]]] = {who: [] for who in ways}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.onnx"
        path.write_bytes(model.SerializeToString())
        for _ in range(rounds):
            for who, read in ways.items():
                start = time.perf_counter(), time.process_time()
                read(str(path))
                end = time.perf_counter(), time.process_time()
                found[who].append((end[0] - start[0], end[1] - start[1]))
    pairs = {who: [*map(median, zip(*times, strict=True))] for who, times in found.items()}
    return {who: {"time": seconds, "processor": work} for who, (seconds, work) in pairs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="(%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results")
    parser.add_argument("--only", choices=["resnet", "decoder", "reading"])
    chosen = parser.parse_args()
    machine.confine("cpu", contenders.THREADS)
    neighbours = machine.Neighbours()
    cases = {
        "resnet": lambda: run(*resnet(), chosen.rounds),
        "decoder": lambda: run(*decoder(), chosen.rounds),
        "reading": lambda: reading(chosen.rounds),
    }
    found = {}
    for name, case in cases.items():
        if chosen.only in (None, name):
            found[name] = times = case()
            for kind in ("time", "processor"):
                cells = [
                    f"{who} {1e3 * t[kind]:.1f} ms ({t[kind] / times['singa'][kind]:.2f})"
                    for who, t in times.items()
                ]
                print(f"{name}, {kind}:", ", ".join(cells), flush=True)
    if chosen.json:
        about = machine.describe("cpu", contenders.THREADS) | {"rounds": chosen.rounds}
        about["cores busy with other programs"] = neighbours.busy()
        about["onnxruntime"] = metadata.version("onnxruntime")
        chosen.json.write_text(json.dumps({"about": about, "results": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
