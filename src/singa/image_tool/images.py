"""Functions of single images: loading, cropping, resizing, and random variations."""

from __future__ import annotations

import os
from collections.abc import Sequence
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

BILINEAR = 2  # Pillow's Image.Resampling.BILINEAR

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
    check_position(position, CORNERS_AND_CENTER)
    right, lower = room(img, patch)
    at = {"left": 0, "right": right, "top": 0, "bottom": lower}
    side, _, end = position.partition("_")
    left, upper = (at[side], at[end]) if end else (right // 2, lower // 2)
    return cut(img, left, upper, patch)


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
    check_position(position, HORIZONTAL * (not down) + VERTICAL * (not across))
    share = {"left": 0, "top": 0, "center": 1, "middle": 1, "right": 2, "bottom": 2}[position]
    square = cut(img, across * share // 2, down * share // 2, (side, side))
    return square.resize(patch, BILINEAR)


def resize(img: Image, small_size: int) -> Image:
    """Resize the image so that its smaller side is ``small_size``; the aspect ratio is kept.

    Example:
        >>> from PIL import Image
        >>> image_tool.resize(Image.new("RGB", (64, 48)), 24).size
        (32, 24)
    """
    small = min(img.size)
    width, height = (size * small_size // small for size in img.size)
    return img.resize((width, height), BILINEAR)


scale = resize


def resize_by_hw(img: Image, size: Size) -> Image:
    """Resize the image to a height and a width; the aspect ratio may change.

    Example:
        >>> from PIL import Image
        >>> image_tool.resize_by_hw(Image.new("RGB", (64, 48)), (20, 30)).size
        (30, 20)
    """
    height, width = size
    return img.resize((width, height), BILINEAR)


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
    check_cases("get_list_sample", sample_size, len(l))
    chosen = np.random.default_rng(random).permutation(len(l))[:sample_size]
    return [l[i] for i in sorted(chosen.tolist())]


def cut(img: Image, left: int, upper: int, patch: Size) -> Image:
    """The patch of an image whose left upper corner is there."""
    width, height = patch
    return img.crop((left, upper, left + width, upper + height))


def room(img: Image, patch: Size) -> Size:
    """The image's width and height minus the patch's."""
    right, lower = img.width - patch[0], img.height - patch[1]
    if right < 0 or lower < 0:
        raise ArgumentError(
            f"crop: a patch of {tuple(patch)} does not fit into an image of {img.size}"
        )
    return right, lower


def check_position(position: str, expected: Sequence[str]) -> None:
    """Raise unless the position is one of these."""
    if position not in expected:
        raise ArgumentError(
            f"crop: position is {position!r}; {', '.join(expected)} are possible for this image"
        )


def check_cases(name: str, number: int, most: int) -> None:
    """Raise unless the number of cases is from 1 to ``most``."""
    if not 1 <= number <= most:
        raise ArgumentError(f"{name}: num_case is {number}, 1 to {most} is expected")
