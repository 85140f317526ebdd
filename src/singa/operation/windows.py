"""Windows that move over images: checks and sizes for convolutions and poolings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.checks import Sizes
from singa.tape import Operation

Padding: TypeAlias = tuple[tuple[int, int], ...]
"""The padding before and after each spatial axis."""

AXES = ("depth", "height", "width")
"""The names of the spatial axes. With fewer axes, the last of these names are used."""

LETTERS = {1: "W", 2: "H, W", 3: "D, H, W"}
"""The letters of the spatial axes in shapes, by the number of these axes."""


PAD_MODES = ("NOTSET", "SAME_UPPER", "SAME_LOWER")
"""ONNX's automatic padding, which depends on the size of the input."""

_NAMES = {"same": "SAME_UPPER", "valid": "NOTSET"}


def checked_pad_mode(name: str, mode: str) -> str:
    """``mode``, which is checked to be one of :data:`PAD_MODES`."""
    if mode not in PAD_MODES:
        raise ArgumentError(f"{name}: pad_mode must be one of {', '.join(PAD_MODES)}, got {mode!r}")
    return mode


def named_padding(name: str, padding: Sizes | str, mode: str = "NOTSET") -> tuple[Sizes, str]:
    """Padding as numbers, and the mode: ``"same"`` and ``"valid"`` are other words for modes."""
    if not isinstance(padding, str):
        return padding, checked_pad_mode(name, mode)
    if padding.lower() not in _NAMES:
        raise ArgumentError(
            f"{name}: padding is numbers, or one of {', '.join(map(repr, _NAMES))}, got {padding!r}"
        )
    return 0, _NAMES[padding.lower()]


def same_padding(
    mode: str,
    shape: tuple[int, ...],
    window: Sizes,
    stride: Sizes,
    dilation: Sizes = 1,
) -> tuple[int, ...]:
    """Padding before and after each spatial axis that gives size / stride windows, rounded up."""
    pads: list[int] = []
    space = shape[2:]
    sizes = (
        checks.each(f"pad_mode {mode}", each, len(space), 1) for each in (window, stride, dilation)
    )
    for each in zip(space, *sizes, strict=True):
        pads += same_ends(mode, *each)
    return tuple(pads)


def same_ends(mode: str, size: int, window: int, stride: int, dilation: int) -> tuple[int, int]:
    """The padding before and after one axis that gives size / stride windows, rounded up.

    If it is odd, the end has one more in ``SAME_UPPER``, the beginning in ``SAME_LOWER``.
    """
    reach = (-(-size // stride) - 1) * stride + dilation * (window - 1) + 1
    total = max(reach - size, 0)
    less, more = total // 2, total - total // 2
    return (less, more) if mode == "SAME_UPPER" else (more, less)


def as_padding(name: str, value: Sizes, rank: int = 2) -> Padding:
    """The padding of each axis, before and after it.

    ``value`` is one number, one number for each axis, or two numbers, before and after, for each
    axis. For height and width the last form is (top, bottom, left, right).
    """
    if isinstance(value, Iterable) and len(pads := tuple(value)) == 2 * rank:
        pads = checks.integers(f"{name}: padding", pads)
        if min(pads) < 0:
            raise ArgumentError(f"{name}: padding cannot be negative, got {pads}")
        return tuple(zip(pads[::2], pads[1::2], strict=True))
    return tuple((pad, pad) for pad in checks.each(f"{name}: padding", value, rank, 0))


def extents(window: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """The sizes of a window, from its first to its last element."""
    return [gap * (size - 1) + 1 for size, gap in zip(window, dilation, strict=True)]


def counts(
    operation: Operation,
    space: Sequence[int],
    sizes: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
) -> tuple[int, ...]:
    """How many windows fit along each axis.

    Args:
        operation: the operation, for messages.
        space: the sizes of an image.
        sizes: the extents of a window.
        stride: the distances between windows.
        padding: the padding of the image.

    Raises:
        ShapeError: no window fits.
    """
    found = []
    for name, size, window, step, pads in zip(
        AXES[-len(space) :], space, sizes, stride, padding, strict=True
    ):
        padded = size + sum(pads)
        if padded < window:
            raise ShapeError(
                f"{operation.name}: the window is {window} in {name}, the padded input only "
                f"{padded}"
            )
        found.append((padded - window) // step + 1)
    return tuple(found)
