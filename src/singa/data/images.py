"""Datasets of image files, which are read one by one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.files import read_lines
from singa.errors import ArgumentError, DataError
from singa.image_tool import load_img, resize_by_hw

SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""The suffixes of the files that :class:`ImageFolder` reads."""

_MOST_LIST = 2**26  # bytes of a list of images
_LABEL = "[0-9]{1,9}"  # an int32


class ImageFolder:
    """Images in folders, one folder for each class.

    ``dataset[i]`` is an image, float32 (C, H, W) in [0, 1], and its class, int32. Files and
    classes are in the order of their names.

    Args:
        folder: the folder with the classes' folders. Files are found at any depth below.
        size: height and width to which images are resized; if None, images are not resized.
        grayscale: whether images have one channel instead of three.

    Attributes:
        class_names: the folders' names.
        files: the images' files.
        labels: their classes, int32 (N,).

    Raises:
        DataError: there are no classes, or one without images. When an image is read: it is
            damaged.
        DependencyError: when an image is read: Pillow, the extra ``images``, is not installed.

    Example:
        >>> import os
        >>> from PIL import Image
        >>> for name in ("cats", "dogs"):
        ...     os.makedirs(f"pets/{name}")
        ...     Image.new("RGB", (64, 48)).save(f"pets/{name}/1.png")
        >>> pets = data.ImageFolder("pets", size=(24, 32))
        >>> image, label = pets[1]
        >>> image.shape, pets.class_names[label]
        ((3, 24, 32), 'dogs')
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        size: tuple[int, int] | None = None,
        grayscale: bool = False,
    ) -> None:
        self.folder, self.size, self.grayscale = Path(folder), size, grayscale
        if not self.folder.is_dir():
            raise DataError(f"{folder}: no such folder")
        classes = sorted(path for path in self.folder.iterdir() if path.is_dir())
        if not classes:
            raise DataError(f"{folder}: no folders are in it, one for each class is expected")
        self.class_names = tuple(path.name for path in classes)
        self.files: list[Path] = []
        labels: list[int] = []
        for label, path in enumerate(classes):
            files = sorted(
                file
                for file in path.rglob("*")
                if file.suffix.lower() in SUFFIXES and file.is_file()
            )
            if not files:
                raise DataError(f"{path}: no images are in it ({', '.join(sorted(SUFFIXES))})")
            self.files += files
            labels += [label] * len(files)
        self.labels = np.array(labels, np.int32)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], np.int32]:
        image = load_img(self.files[index], self.grayscale)
        if self.size is not None:
            image = resize_by_hw(image, self.size)
        return channels_first(image) / np.float32(255), self.labels[index]


class ImageList:
    """The images that a transform makes from each file in a list; see ImageBatchIter.

    ``dataset[i]`` is its images, float32 (K, C, H, W) in [0, 255], and its class, int32 (K,).
    """

    def __init__(
        self,
        img_list_file: str | os.PathLike[str],
        image_transform: Callable[[str], Sequence[Any]],
        delimiter: str,
        image_folder: str | os.PathLike[str] | None,
    ) -> None:
        self.image_transform = image_transform
        self.items: list[tuple[str, int]] = []
        for number, line in enumerate(read_lines(img_list_file, most=_MOST_LIST), 1):
            if not line.strip():
                continue
            # The label is the last field: a path may contain spaces.
            path, _, label = line.rstrip().rpartition(delimiter)
            if not path.strip() or not re.fullmatch(_LABEL, label.strip()):
                raise DataError(
                    f"{img_list_file}, line {number}: a path, {delimiter!r} and a label, 0 or "
                    f"more, are expected, found {line.rstrip()[:200]!r}"
                )
            self.items.append((os.path.join(image_folder or "", path.strip()), int(label)))
        if not self.items:
            raise DataError(f"{img_list_file}: no images are listed in it")

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
        path, label = self.items[index]
        images = [channels_first(image.convert("RGB")) for image in self.image_transform(path)]
        if not images:
            raise ArgumentError(f"ImageBatchIter: image_transform made no image of {path}")
        return np.stack(images), np.full(len(images), label, np.int32)


def channels_first(image: Any) -> npt.NDArray[np.float32]:
    """A Pillow image as float32 (C, H, W) in [0, 255]."""
    pixels = np.asarray(image, np.float32)
    return pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def joined(samples: Sequence[tuple[Any, Any]]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """A batch of samples of several images each, one after the other."""
    images, labels = zip(*samples, strict=True)
    if len({len(some) for some in images}) > 1:
        raise ArgumentError(
            "ImageBatchIter: image_transform makes more images of one file than of another"
        )
    return np.concatenate(images), np.concatenate(labels)
