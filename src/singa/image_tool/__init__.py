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

from singa.image_tool.images import (
    CORNERS_AND_CENTER,
    FORMATS,
    HORIZONTAL,
    VERTICAL,
    Random,
    Size,
    color_cast,
    crop,
    crop_and_resize,
    enhance,
    flip,
    flip_down,
    get_list_sample,
    load_img,
    resize,
    resize_by_hw,
    scale,
)
from singa.image_tool.tool import ImageTool

__all__ = [
    "CORNERS_AND_CENTER",
    "FORMATS",
    "HORIZONTAL",
    "VERTICAL",
    "ImageTool",
    "Random",
    "Size",
    "color_cast",
    "crop",
    "crop_and_resize",
    "enhance",
    "flip",
    "flip_down",
    "get_list_sample",
    "load_img",
    "resize",
    "resize_by_hw",
    "scale",
]
