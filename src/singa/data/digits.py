"""The UCI handwritten digits, which come with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from singa.data.batching import permutation
from singa.data.dataset import Dataset
from singa.data.idx import read_idx
from singa.errors import ArgumentError

FOLDER = Path(__file__).parent / "optdigits"
_BRIGHTEST = 16
_CLASSES = 10


def load_digits(test_fraction: float = 0.2, seed: int = 0) -> Dataset:
    """The 1,797 images of 8x8 pixels of UCI's Optical Recognition of Handwritten Digits.

    The file has no split. Each class is split separately, so that training and test images have
    the classes in the same proportions, and both are shuffled.

    Args:
        test_fraction: the fraction of each class, rounded, for the test images; in (0, 1).
        seed: a non-negative integer; the split and the order depend on it.

    Returns:
        Images ``(N, 1, 8, 8)``, with classes "0" to "9".

    Raises:
        ArgumentError: ``test_fraction`` is not in (0, 1), or ``seed`` is negative.

    Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, https://doi.org/10.24432/C50P49, licensed under CC BY 4.0.

    Example:
        >>> digits = data.load_digits()
        >>> digits.train_images.shape, digits.test_images.shape
        ((1438, 1, 8, 8), (359, 1, 8, 8))
        >>> digits.test_labels[:8]
        array([5, 5, 9, 4, 8, 5, 4, 4], dtype=int32)
        >>> digits.class_names[9]
        '9'
    """
    if not 0 < test_fraction < 1:
        raise ArgumentError(
            f"load_digits: test_fraction is {test_fraction}, a number between 0 and 1 is expected"
        )
    if seed < 0:
        raise ArgumentError(f"load_digits: seed is {seed}, at least 0 is expected")
    images = read_idx(FOLDER / "images-idx3-ubyte.gz").astype(np.float32)[:, np.newaxis]
    images /= _BRIGHTEST
    labels = read_idx(FOLDER / "labels-idx1-ubyte.gz").astype(np.int32)

    order = permutation(len(labels), seed, 0)
    is_test = np.zeros(len(labels), bool)
    for digit in range(_CLASSES):
        of_class = order[labels[order] == digit]
        is_test[of_class[: round(len(of_class) * test_fraction)]] = True
    # A second random order: the first one has decided the split of each class.
    order = permutation(len(labels), seed, 1)
    train, test = order[~is_test[order]], order[is_test[order]]
    return Dataset(
        images[train],
        labels[train],
        images[test],
        labels[test],
        class_names=tuple(str(digit) for digit in range(_CLASSES)),
    )
