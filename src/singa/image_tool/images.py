"""Images for training: loading, cropping, resizing, and random variations of them.

::

    from singa import image_tool

    tool = image_tool.ImageTool(seed=0)
    for image in tool.load("cat.jpg").resize_by_list([112]).crop5((96, 96), 5).flip().get():
        ...

Images are Pillow's, which the extra ``images`` installs. Sizes are (width, height), as in Pillow,
unless a name says hw. Random numbers come from a NumPy Generator: ``random`` is one, or a seed for
one, or None for different numbers in every run.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from singa.errors import ArgumentError, DataError, DependencyError
from singa.formats.reading import open_file

if TYPE_CHECKING:
    from PIL.Image import Image

Random = np.random.Generator | int | None
Size = tuple[int, int]

T = TypeVar("T")

_BILINEAR = 2  # Pillow's Image.Resampling.BILINEAR

FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
"""The formats of image files that are read, by Pillow's names."""

_MOST_PIXELS = 2**26  # a copy of them in colour takes 256 MiB

CORNERS_AND_CENTER = ("left_top", "left_bottom", "right_top", "right_bottom", "center")
HORIZONTAL = ("left", "center", "right")
VERTICAL = ("top", "middle", "bottom")


def _pillow() -> Any:
    """Pillow's main module."""
    if find_spec("PIL") is None:
        raise DependencyError("images need Pillow: pip install 'singa-xla[images]'")
    from PIL import Image

    return Image


def load_img(
    path: str | os.PathLike[str], grayscale: bool = False, background: int | None = 255
) -> Image:
    """Read an image file, as RGB or as shades of gray (mode L).

    Only the formats of :data:`FORMATS` are read. With Pillow's other formats, untrusted files could
    run other programs (EPS) and rarely used decoders.

    Args:
        path: the file.
        grayscale: whether to make it gray.
        background: the shade on which a transparent image lies, from 0 for black to 255 for white.
            None: black or white, whichever differs more from what is drawn.

    Raises:
        ArgumentError: there is no such shade.
        DataError: it is damaged, of another format, or of more than 2**26 pixels.
        DependencyError: Pillow is not installed.
        OSError: it cannot be read.

    Example:
        >>> from PIL import Image
        >>> Image.new("RGB", (64, 48)).save("black.png")
        >>> image_tool.load_img("black.png", grayscale=True).mode
        'L'
    """
    pillow = _pillow()
    if background is not None and background not in range(256):
        raise ArgumentError(f"load_img: background is {background!r}, 0 to 255 or None is expected")
    with open_file(path) as file:
        try:
            image: Image = pillow.open(file, formats=FORMATS)
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(f"{path}: {image.width} x {image.height} pixels are too many")
            if image.mode.startswith("I;16"):  # Pillow would cut shades off at 255, of 65,535
                shades = np.round(np.asarray(image, np.float64) / 257)
                image = pillow.fromarray(shades.astype(np.uint8))
            if image.has_transparency_data:
                image = _on_background(image, background)
            return image.convert("L" if grayscale else "RGB")
        except DataError:
            raise
        except pillow.UnidentifiedImageError:
            raise DataError(f"{path}: not an image of a format that is read here") from None
        except Exception as error:  # any error of Pillow's decoders
            raise DataError(f"{path}: damaged image: {error}") from error


def _on_background(image: Image, shade: int | None) -> Image:
    """A transparent image on a background of one shade; see :func:`load_img`."""
    drawn = image.convert("RGBA")
    if shade is None:
        alpha = np.asarray(drawn.getchannel("A"), np.float64)
        light = np.asarray(drawn.convert("L"), np.float64)
        shade = 0 if alpha.any() and np.average(light, weights=alpha) > 127.5 else 255
    behind: Image = _pillow().new("RGBA", drawn.size, (shade, shade, shade, 255))
    behind.alpha_composite(drawn)
    return behind


def crop(img: Image, patch: Size, position: str) -> Image:
    """Cut a patch out.

    Args:
        img: the image.
        patch: width and height.
        position: left_top, left_bottom, right_top, right_bottom or center.

    Raises:
        ArgumentError: the position is unknown, or the patch is larger than the image.

    Example:
        >>> from PIL import Image
        >>> image_tool.crop(Image.new("RGB", (64, 48)), (32, 24), "center").size
        (32, 24)
    """
    _check_position(position, CORNERS_AND_CENTER)
    right, lower = _room(img, patch)
    at = {"left": 0, "right": right, "top": 0, "bottom": lower}
    side, _, end = position.partition("_")
    left, upper = (at[side], at[end]) if end else (right // 2, lower // 2)
    return _cut(img, left, upper, patch)


def crop_and_resize(img: Image, patch: Size, position: str) -> Image:
    """Cut out the largest square, and resize it.

    Args:
        img: the image.
        patch: width and height of the result.
        position: left, center or right, if the image is at least as wide as high; top, middle
            or bottom, if it is at least as high as wide.

    Raises:
        ArgumentError: the position is unknown.

    Example:
        >>> from PIL import Image
        >>> image_tool.crop_and_resize(Image.new("RGB", (64, 48)), (24, 24), "left").size
        (24, 24)
    """
    side = min(img.size)
    across, down = (size - side for size in img.size)
    _check_position(position, HORIZONTAL * (not down) + VERTICAL * (not across))
    share = {"left": 0, "top": 0, "center": 1, "middle": 1, "right": 2, "bottom": 2}[position]
    square = _cut(img, across * share // 2, down * share // 2, (side, side))
    return square.resize(patch, _BILINEAR)


def resize(img: Image, small_size: int) -> Image:
    """Resize the image so that its smaller side is ``small_size``; the aspect ratio is kept.

    Example:
        >>> from PIL import Image
        >>> image_tool.resize(Image.new("RGB", (64, 48)), 24).size
        (32, 24)
    """
    small = min(img.size)
    width, height = (size * small_size // small for size in img.size)
    return img.resize((width, height), _BILINEAR)


scale = resize


def resize_by_hw(img: Image, size: Size) -> Image:
    """Resize the image to a height and a width; the aspect ratio may change.

    Example:
        >>> from PIL import Image
        >>> image_tool.resize_by_hw(Image.new("RGB", (64, 48)), (20, 30)).size
        (30, 20)
    """
    height, width = size
    return img.resize((width, height), _BILINEAR)


def color_cast(img: Image, offset: int, random: Random = None) -> Image:
    """Add to each channel, with probability 1/2, a random integer in [-offset, offset].

    Example:
        >>> from PIL import Image
        >>> cast = image_tool.color_cast(Image.new("RGB", (2, 1), (100, 100, 100)), 20, random=0)
        >>> all(80 <= channel <= 120 for channel in cast.getpixel((0, 0)))
        True
    """
    generator = np.random.default_rng(random)
    pixels = np.asarray(img).astype(np.int16)
    channels = pixels.shape[2:]
    cast = generator.integers(-offset, offset + 1, channels) * generator.integers(0, 2, channels)
    pixels = np.clip(pixels + cast, 0, 255).astype(np.uint8)
    image: Image = _pillow().fromarray(pixels)
    return image


def enhance(img: Image, scale: float, random: Random = None) -> Image:
    """Change colour, contrast, brightness and sharpness, each with probability 1/2.

    The factors are from [1 - scale, 1 + scale].

    Example:
        >>> from PIL import Image
        >>> image_tool.enhance(Image.new("RGB", (64, 48)), 0.2, random=0).size
        (64, 48)
    """
    from PIL import ImageEnhance as change

    generator = np.random.default_rng(random)
    for enhancer in (change.Color, change.Contrast, change.Brightness, change.Sharpness):
        if generator.integers(2):
            img = enhancer(img).enhance(generator.uniform(1 - scale, 1 + scale))
    return img


def flip(img: Image) -> Image:
    """The image with left and right exchanged.

    Example:
        >>> from PIL import Image
        >>> image = Image.new("L", (2, 1))
        >>> image.putpixel((0, 0), 255)
        >>> np.asarray(image_tool.flip(image))
        array([[  0, 255]], dtype=uint8)
    """
    return img.transpose(_pillow().Transpose.FLIP_LEFT_RIGHT)


def flip_down(img: Image) -> Image:
    """The image with top and bottom exchanged.

    Example:
        >>> from PIL import Image
        >>> image = Image.new("L", (1, 2))
        >>> image.putpixel((0, 0), 255)
        >>> np.asarray(image_tool.flip_down(image))
        array([[  0],
               [255]], dtype=uint8)
    """
    return img.transpose(_pillow().Transpose.FLIP_TOP_BOTTOM)


def get_list_sample(l: Sequence[T], sample_size: int, random: Random = None) -> list[T]:  # noqa: E741 (SINGA's)
    """``sample_size`` different items of a list, chosen at random, in the list's order.

    Example:
        >>> len(image_tool.get_list_sample(["a", "b", "c"], 2, random=0))
        2
    """
    _check_cases("get_list_sample", sample_size, len(l))
    chosen = np.random.default_rng(random).permutation(len(l))[:sample_size]
    return [l[i] for i in sorted(chosen.tolist())]


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
        return self._one(lambda img: self._random_part(img).resize(patch, _BILINEAR), inplace)

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
        right, lower = _room(img, patch)
        left, upper = self.random.integers(0, (right + 1, lower + 1)).tolist()
        return _cut(img, left, upper, patch)

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


def _cut(img: Image, left: int, upper: int, patch: Size) -> Image:
    width, height = patch
    return img.crop((left, upper, left + width, upper + height))


def _room(img: Image, patch: Size) -> Size:
    """The image's width and height minus the patch's."""
    right, lower = img.width - patch[0], img.height - patch[1]
    if right < 0 or lower < 0:
        raise ArgumentError(
            f"crop: a patch of {tuple(patch)} does not fit into an image of {img.size}"
        )
    return right, lower


def _check_position(position: str, expected: Sequence[str]) -> None:
    if position not in expected:
        raise ArgumentError(
            f"crop: position is {position!r}; {', '.join(expected)} are possible for this image"
        )


def _check_cases(name: str, number: int, most: int) -> None:
    if not 1 <= number <= most:
        raise ArgumentError(f"{name}: num_case is {number}, 1 to {most} is expected")
