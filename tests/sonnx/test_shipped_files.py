"""Files that packages ship, beside onnxruntime. The packages are large: none is installed in CI."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.onnx_files import differences, inputs_of

FILES = {
    "magika": ["models/standard_v3_3/model.onnx"],
    "silero_vad": ["data/silero_vad.onnx", "data/silero_vad_16k_op15.onnx"],
    "faster_whisper": ["assets/silero_vad_v6.onnx"],
    "rapidocr_onnxruntime": [
        "models/ch_PP-OCRv4_det_infer.onnx", "models/ch_PP-OCRv4_rec_infer.onnx",
        "models/ch_ppocr_mobile_v2.0_cls_infer.onnx",
    ],
}  # fmt: skip


@pytest.mark.parametrize("package", FILES)
def test_a_package(package):
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed: python -m benchmarks.onnx_files runs its files")
    folder = Path(*find_spec(package).submodule_search_locations)
    for name in FILES[package]:
        _, found = differences(folder / name, inputs_of(f"{package}/{name}"))
        assert max(found) < 1e-4, name
