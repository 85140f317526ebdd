"""ImageBatchIter: SINGA's iterator over listed images, on a DataLoader."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.images import ImageList, joined
from singa.data.loader import DataLoader
from singa.errors import ArgumentError

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]


class ImageBatchIter:
    r"""Batches of the images in a list, made by another process ahead of time.

    ::

        batches = ImageBatchIter("train.txt", 32, image_transform, image_folder="images")
        batches.start()
        for epoch in range(10):
            for x, y in batches:  # x: float32 (N, 3, H, W) in [0, 255], y: int32 (N,)
                ...
        batches.end()

    An iteration ends after each epoch, and the next iteration is the next epoch. If an iteration is
    left early, the next one continues the epoch. The last batch of an epoch is smaller if the
    images do not fill it. :meth:`next` never ends: after an epoch comes the next.

    Args:
        img_list_file: a text file, a line for each image: its path, the delimiter, its label.
        batch_size: images per batch.
        image_transform: makes a list of Pillow images from a path; the number and the size of the
            images must be the same for all paths. ``ImageTool``'s chains do this. It must be
            defined at the top level of a module, so that the other process can import it.
        shuffle: whether each epoch has its own random order.
        delimiter: between path and label.
        image_folder: the folder of relative paths in the list; the current folder if None.
        capacity: the number of batches that are made ahead.
        seed: of the orders.

    Attributes:
        num_samples: the number of files in the list.

    Raises:
        DataError: a line of the list does not have that form.
        ArgumentError: a number out of range.
        OSError: the list cannot be read.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.new("RGB", (64, 48), "red").save("red.png")
        >>> _ = Path("list.txt").write_text("red.png 0\n")
        >>> tool = image_tool.ImageTool()
        >>> def five(path):
        ...     return tool.load(path).crop5((32, 32), 5).get()
        >>> batches = data.ImageBatchIter("list.txt", 5, five)
        >>> x, y = next(batches.run())
        >>> x.shape, y
        ((5, 3, 32, 32), array([0, 0, 0, 0, 0], dtype=int32))
    """

    def __init__(
        self,
        img_list_file: str | os.PathLike[str],
        batch_size: int,
        image_transform: Callable[[str], Sequence[Any]],
        shuffle: bool = True,
        delimiter: str = " ",
        image_folder: str | os.PathLike[str] | None = None,
        capacity: int = 10,
        seed: int = 0,
    ) -> None:
        self.batch_size = batch_size
        self._images = ImageList(img_list_file, image_transform, delimiter, image_folder)
        self.num_samples = len(self._images)
        self._options: dict[str, Any] = {
            "shuffle": shuffle, "seed": seed, "prefetch": capacity, "collate": joined,
        }  # fmt: skip
        DataLoader(self._images, batch_size, **self._options)  # raises now if arguments are wrong
        self._loader: DataLoader | None = None
        self._epoch: Iterator[Batch] | None = None

    def start(self) -> None:
        """Start the process. The first file is transformed here, to count its images.

        Raises:
            ArgumentError: ``batch_size`` is not a multiple of the number of images of a file; or
                ``image_transform`` cannot be sent to a process.
        """
        if self._loader is None:
            self._loader = self._make_loader(workers=1)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """The next batch of this epoch.

        Raises:
            StopIteration: the epoch is over. The call after this one begins the next.
            WorkerError: the process died.
        """
        if self._loader is None:
            raise ArgumentError("ImageBatchIter: call start() before the first batch")
        if self._epoch is None:
            self._epoch = iter(self._loader)
        try:
            return next(self._epoch)
        except BaseException:
            self._epoch = None
            raise

    def next(self) -> Batch:
        """The next batch, of the next epoch if this one is over."""
        batch = next(self, None)
        return next(self) if batch is None else batch

    def end(self) -> None:
        """End the process immediately. :meth:`start` starts another."""
        if self._loader is not None:
            self._loader.close()
        self._loader = self._epoch = None

    def run(self) -> Iterator[Batch]:
        """The batches of the first epoch, made in this process, for debugging."""
        return iter(self._make_loader(workers=0))

    def _make_loader(self, workers: int) -> DataLoader:
        of_each = len(self._images[0][1])
        files, rest = divmod(self.batch_size, of_each)
        if rest:
            raise ArgumentError(
                f"ImageBatchIter: image_transform makes {of_each} images of each, and batch_size "
                f"{self.batch_size} is not a multiple of that"
            )
        return DataLoader(self._images, files, workers=workers, **self._options)
