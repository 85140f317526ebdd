"""The task of a checkpoint of the command line: the model, and the images of its training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from singa import image_tool, opt, train
from singa.core.tensor import Tensor
from singa.data import NAMES, Dataset
from singa.data.images import channels_first
from singa.device import Device
from singa.errors import CheckpointError
from singa.model import Model
from singa.models import MODELS
from singa.train.run import BEST, CHECKPOINT

_MOST_CLASSES = 100_000
_MOST_PIXELS = 2**24


@dataclass(frozen=True)
class Task:
    """The task that a model was trained for.

    Attributes:
        model: its name in :data:`singa.models.MODELS`.
        data: the name of the data set.
        classes: the classes' names.
        shape: of its images: channels, height, width.
        pixels: the values of black and of white.
        background: the mean of its images' borders, between 0 for black and 1 for white.
    """

    model: str
    data: str
    classes: tuple[str, ...]
    shape: tuple[int, int, int]
    pixels: tuple[float, float]
    background: float

    @classmethod
    def of(cls, model: str, data: str, dataset: Dataset) -> Task:
        """The task of training a model with this name on a data set."""
        images = dataset.train_images
        edges = (images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1])
        background = float(np.mean([edge.mean(dtype=np.float64) for edge in edges]))
        _, channels, height, width = images.shape
        shape = (channels, height, width)
        return cls(model, data, dataset.class_names, shape, (0.0, 1.0), round(background, 4))

    def about(self) -> dict[str, Any]:
        """The task as entries for a checkpoint."""
        return {
            "model": self.model,
            "data": self.data,
            "classes": list(self.classes),
            "images": {
                "shape": list(self.shape),
                "pixels": list(self.pixels),
                "background": self.background,
            },
        }

    @staticmethod
    def file(path: Path) -> Path:
        """The checkpoint at a path: in a run folder that of the best epoch, or else the last one.

        Raises:
            CheckpointError: it is a folder without a checkpoint.
        """
        if not path.is_dir():
            return path
        found = [path / name for name in (BEST, CHECKPOINT) if (path / name).is_file()]
        if not found:
            raise CheckpointError(f"{path}: a run folder has {BEST} or {CHECKPOINT}, this has none")
        return found[0]

    @classmethod
    def read(cls, path: Path) -> Task:
        """The task in a checkpoint.

        Raises:
            CheckpointError: the checkpoint has none, or is damaged.
            OSError: it cannot be read.
        """
        about = train.read_about(path)
        try:
            images = about["images"]
            channels, height, width = images["shape"]
            low, high = map(float, images["pixels"])
            task = cls(
                about["model"],
                about["data"],
                tuple(about["classes"]),
                (channels, height, width),
                (low, high),
                float(images["background"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise _unknown(path, f"{type(error).__name__}: {error}") from None
        if task.model not in [*MODELS] or task.data not in NAMES:
            raise _unknown(path, f"no model {task.model!r} or no data set {task.data!r} is known")
        if not all(isinstance(name, str) for name in task.classes) or not (
            0 < len(task.classes) <= _MOST_CLASSES
        ):
            raise _unknown(path, "its classes have no names")
        if (
            not all(type(size) is int and size > 0 for size in task.shape)
            or np.prod(task.shape, dtype=object) > _MOST_PIXELS
            or channels not in (1, 3)
        ):
            raise _unknown(path, f"images of the shape {task.shape}")
        return task

    def load(self, path: Path, device: Device) -> Model:
        """The model with the parameters and states of a checkpoint, ready to predict."""
        net = MODELS[self.model](num_classes=len(self.classes))
        net.set_optimizer(opt.SGD())  # it updates nothing in an evaluation
        example = Tensor((1, *self.shape), device)
        net.compile([example], is_train=False, use_graph=True)
        net.load_states(path, resume=False)
        return net

    def picture(self, path: Path, invert: bool | None) -> npt.NDArray[np.float32]:
        """An image file in the format of the training images: float32 (C, H, W).

        It is made grey if those were grey, and resized to their size. A transparent one lies on
        white, or on black if it is grey and what is drawn is light.

        Args:
            path: the file.
            invert: whether to exchange black and white. If None, they are exchanged in a grey
                picture if its border is then more similar to theirs.

        Raises:
            DataError: it is not an image, or damaged.
            OSError: it cannot be read.
        """
        channels, height, width = self.shape
        background = None if channels == 1 else 255
        image = image_tool.load_img(path, grayscale=channels == 1, background=background)
        grey = channels_first(image_tool.resize_by_hw(image, (height, width))) / np.float32(255)
        if invert is None:
            edges = (grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1])
            border = np.mean([edge.mean() for edge in edges])
            is_further = abs(border - self.background) > abs(1 - border - self.background)
            invert = channels == 1 and bool(is_further)
        low, high = self.pixels
        return (1 - grey if invert else grey) * np.float32(high - low) + np.float32(low)


def _unknown(path: Path, why: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: it does not say which model it is of, and of which images ({why}); checkpoints "
        "of 'singa train' do"
    )
