"""Features that need an optional package name its extra. Run without any extra installed."""

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from singa import data, errors, image_tool, layer
from singa.formats import weights
from singa.tensor import Tensor
from singa.train import TensorBoardLog
from singa.train.picture import check_available
from singa.train.run import _image

OPTIONAL = ("matplotlib", "PIL", "safetensors", "tensorboardX")


def load_folder() -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "cats").mkdir()
    (folder / "cats" / "1.png").write_bytes(b"")
    data.ImageFolder(folder)[0]


def weights_of() -> layer.Layer:
    linear = layer.Linear(2)
    linear(Tensor((1, 3)))
    return linear


USES: dict[str, tuple[str, Callable[[], object]]] = {
    "a drawing": ("demo", check_available),
    "an image": ("images", lambda: image_tool.load_img("cat.png")),
    "an image of a folder": ("images", load_folder),
    "a picture in a run": ("images", lambda: _image(np.zeros((2, 2)))),
    "weights, saved": ("safetensors", lambda: weights.save(weights_of(), "w.safetensors")),
    "weights, loaded": ("safetensors", lambda: weights.load(weights_of(), "w.safetensors")),
    "logs for TensorBoard": ("tensorboard", lambda: TensorBoardLog("logs")),
}


def main() -> None:
    there = [name for name in OPTIONAL if find_spec(name)]
    assert not there, f"{there} installed, although no extra was asked for"
    for what, (extra, use) in USES.items():
        message = said(use)
        assert f"singa-xla[{extra}]" in message, f"{what}: {message!r}"
        print(f"{what} without its extra: {message}")


def said(use: Callable[[], object]) -> str:
    """What the error says."""
    try:
        use()
    except errors.DependencyError as error:
        return str(error)
    return "no error"


if __name__ == "__main__":
    main()
