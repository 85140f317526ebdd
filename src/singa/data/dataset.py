"""What every loader of this package returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Labelled images, split for training and testing.

    Attributes:
        train_images: float32, ``(N, C, H, W)``, in [0, 1].
        train_labels: int32, ``(N,)``; an index into ``class_names``.
        test_images: as ``train_images``.
        test_labels: as ``train_labels``.
        class_names: one name per class.
    """

    train_images: npt.NDArray[np.float32]
    train_labels: npt.NDArray[np.int32]
    test_images: npt.NDArray[np.float32]
    test_labels: npt.NDArray[np.int32]
    class_names: tuple[str, ...]

    def __repr__(self) -> str:
        return (
            f"Dataset(train={len(self.train_images)}, test={len(self.test_images)}, "
            f"image_shape={self.train_images.shape[1:]}, classes={len(self.class_names)})"
        )
