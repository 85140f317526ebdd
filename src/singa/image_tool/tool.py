"""ImageTool: images, and chains of variations of them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from singa.errors import ArgumentError
from singa.image_tool.images import (
    BILINEAR,
    CORNERS_AND_CENTER,
    HORIZONTAL,
    VERTICAL,
    Random,
    Size,
    color_cast,
    crop,
    crop_and_resize,
    cut,
    enhance,
    flip,
    flip_down,
    get_list_sample,
    load_img,
    resize,
    resize_by_hw,
    room,
)

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")


class ImageTool:
    """Images, and chains of operations that make several variations of each.

    Every operation replaces the images by its results and returns the tool. With
    ``inplace=False`` it does not change them and returns the results, a list of images.

    An operation with ``num_case`` has several variations, and applies ``num_case`` different ones,
    chosen at random, to each image: usually 1 for training, and all for tests.

    Args:
        seed: of the random numbers; or a NumPy Generator, such as a DataLoader's transform gets.
            With None the numbers are different in every run.

    Example:
        >>> from PIL import Image
        >>> tool = image_tool.ImageTool(seed=0).set([Image.new("RGB", (64, 48))])
        >>> variations = tool.resize_by_list([32, 40], 2).crop5((24, 24), 5).get()
        >>> len(variations), variations[0].size, tool.num_augmentation()
        (10, (24, 24), 10)
    """

    def __init__(self, seed: Random = None) -> None:
        self.random = np.random.default_rng(seed)
        self.imgs: list[Image] = []
        self._augmentations = 1

    # -- images in and out --------------------------------------------------------------------

    def load(self, path: str | os.PathLike[str], grayscale: bool = False) -> ImageTool:
        """Replace the images by the image of this file; see :func:`load_img`.

        Example:
            >>> from PIL import Image
            >>> Image.new("RGB", (64, 48)).save("black.png")
            >>> image_tool.ImageTool().load("black.png").get()[0].size
            (64, 48)
        """
        return self.set([load_img(path, grayscale)])

    def set(self, imgs: Iterable[Image]) -> ImageTool:
        """Replace the images by these."""
        self.imgs = list(imgs)
        self._augmentations = 1
        return self

    def append(self, img: Image) -> ImageTool:
        """Add an image."""
        self.imgs.append(img)
        return self

    def get(self) -> list[Image]:
        """The images."""
        return self.imgs

    def num_augmentation(self) -> int:
        """The number of images made from each image since :meth:`load` or :meth:`set`."""
        return self._augmentations

    # -- sizes and angles ---------------------------------------------------------------------

    def resize_by_range(self, rng: Size, inplace: bool = True) -> Any:
        """:func:`resize` to a random size in [begin, end)."""
        return self.resize_by_list(range(*rng), 1, inplace)

    def resize_by_list(
        self, size_list: Sequence[int], num_case: int = 1, inplace: bool = True
    ) -> Any:
        """:func:`resize` to sizes of the list."""
        return self._vary(resize, size_list, num_case, inplace)

    scale_by_range = resize_by_range
    scale_by_list = resize_by_list

    def resize_by_hw_range(self, rng: tuple[Size, Size], inplace: bool = True) -> Any:
        """:func:`resize_by_hw` to a random size; ``rng`` is ((begin, end), (begin, end)).

        Heights and widths are paired: the first height goes with the first width.
        """
        heights, widths = (range(*one) for one in rng)
        return self.resize_by_hw_list(list(zip(heights, widths, strict=False)), 1, inplace)

    def resize_by_hw_list(
        self, size_list: Sequence[Size], num_case: int = 1, inplace: bool = True
    ) -> Any:
        """:func:`resize_by_hw` to sizes (height, width) of the list."""
        return self._vary(resize_by_hw, size_list, num_case, inplace)

    def rotate_by_range(self, rng: Size, inplace: bool = True) -> Any:
        """Rotate by a random number of degrees in [begin, end), counter-clockwise."""
        return self.rotate_by_list(range(*rng), 1, inplace)

    def rotate_by_list(
        self, angle_list: Sequence[float], num_case: int = 1, inplace: bool = True
    ) -> Any:
        """Rotate by degrees of the list, counter-clockwise; the corners become black."""
        return self._vary(lambda img, angle: img.rotate(angle), angle_list, num_case, inplace)

    # -- parts --------------------------------------------------------------------------------

    def crop5(self, patch: Size, num_case: int = 1, inplace: bool = True) -> Any:
        """:func:`crop` at the four corners and in the center.

        Example:
            >>> from PIL import Image
            >>> tool = image_tool.ImageTool().set([Image.new("RGB", (64, 48))])
            >>> [image.size for image in tool.crop5((32, 32), 2).get()]
            [(32, 32), (32, 32)]
        """
        return self._each(lambda img: _corners(img, patch), num_case, inplace)

    def crop3(self, patch: Size, num_case: int = 1, inplace: bool = True) -> Any:
        """:func:`crop_and_resize` to a square, at both ends and in the middle.

        Example:
            >>> from PIL import Image
            >>> tool = image_tool.ImageTool().set([Image.new("RGB", (64, 48))])
            >>> [image.size for image in tool.crop3((32, 32), 3).get()]
            [(32, 32), (32, 32), (32, 32)]
        """
        return self._each(lambda img: _squares(img, patch), num_case, inplace)

    def crop8(self, patch: Size, num_case: int = 1, inplace: bool = True) -> Any:
        """The variations of :meth:`crop5` and :meth:`crop3`."""
        return self._each(
            lambda img: [*_corners(img, patch), *_squares(img, patch)], num_case, inplace
        )

    def random_crop(self, patch: Size, inplace: bool = True) -> Any:
        """Cut out a patch at a random position."""
        return self._one(partial(self._random_crop, patch=patch), inplace)

    def random_crop_resize(self, patch: Size, inplace: bool = True) -> Any:
        """Cut out a random part, and resize it.

        Its area is 0.08 to 1 of the image's, and its width 3/4 to 4/3 of its height. It is the
        whole image if ten such parts do not fit into it.

        Example:
            >>> from PIL import Image
            >>> tool = image_tool.ImageTool().set([Image.new("RGB", (64, 48))])
            >>> tool.random_crop_resize((32, 32)).get()[0].size
            (32, 32)
        """
        return self._one(lambda img: self._random_part(img).resize(patch, BILINEAR), inplace)

    # -- mirrors and colours ------------------------------------------------------------------

    def flip(self, num_case: int = 1, inplace: bool = True) -> Any:
        """Exchange left and right with probability 1/2; with 2 cases, both images.

        Example:
            >>> from PIL import Image
            >>> tool = image_tool.ImageTool().set([Image.new("RGB", (64, 48))])
            >>> len(tool.flip(2, inplace=False)), len(tool.get())
            (2, 1)
        """
        return self._each(lambda img: [partial(flip, img), lambda: img], num_case, inplace)

    def flip_down(self, num_case: int = 1, inplace: bool = True) -> Any:
        """Exchange top and bottom with probability 1/2; with 2 cases, both images."""
        return self._each(lambda img: [partial(flip_down, img), lambda: img], num_case, inplace)

    def color_cast(self, offset: int = 20, inplace: bool = True) -> Any:
        """:func:`color_cast`, by at most ``offset``, in [0, 255]."""
        if not 0 <= offset <= 255:
            raise ArgumentError(f"color_cast: offset is {offset}, 0 to 255 is expected")
        return self._one(lambda img: color_cast(img, offset, self.random), inplace)

    def enhance(self, scale: float = 0.2, inplace: bool = True) -> Any:
        """:func:`enhance`, by factors from [1 - scale, 1 + scale]."""
        return self._one(lambda img: enhance(img, scale, self.random), inplace)

    # -- the common code of operations --------------------------------------------------------

    def _each(
        self, cases: Callable[[Image], Sequence[Callable[[], Image]]], num_case: int, inplace: bool
    ) -> Any:
        """Apply ``num_case`` of the variations to each image."""
        results = [
            case()
            for img in self.imgs
            for case in get_list_sample(cases(img), num_case, self.random)
        ]
        if not inplace:
            return results
        self.imgs = results
        self._augmentations *= num_case
        return self

    def _vary(
        self, change: Callable[[Image, T], Image], values: Sequence[T], cases: int, inplace: bool
    ) -> Any:
        return self._each(
            lambda img: [partial(change, img, value) for value in values], cases, inplace
        )

    def _one(self, change: Callable[[Image], Image], inplace: bool) -> Any:
        return self._each(lambda img: [partial(change, img)], 1, inplace)

    def _random_crop(self, img: Image, patch: Size) -> Image:
        right, lower = room(img, patch)
        left, upper = self.random.integers(0, (right + 1, lower + 1)).tolist()
        return cut(img, left, upper, patch)

    def _random_part(self, img: Image) -> Image:
        for _ in range(10):
            area = self.random.uniform(0.08, 1) * img.width * img.height
            aspect = self.random.uniform(3 / 4, 4 / 3)
            width, height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < width <= img.width and 0 < height <= img.height:
                return self._random_crop(img, (width, height))
        return img


def _corners(img: Image, patch: Size) -> list[Callable[[], Image]]:
    return [partial(crop, img, patch, position) for position in CORNERS_AND_CENTER]


def _squares(img: Image, patch: Size) -> list[Callable[[], Image]]:
    if patch[0] != patch[1]:
        raise ArgumentError(f"crop3: the patch is {patch}, a square is expected")
    positions = HORIZONTAL if img.width > img.height else VERTICAL
    return [partial(crop_and_resize, img, patch, position) for position in positions]
