"""ONNX's automatic padding, which depends on the size of the input."""

from __future__ import annotations

from singa.errors import ArgumentError
from singa.operation import checks
from singa.operation.checks import Sizes

_MODES = ("NOTSET", "SAME_UPPER", "SAME_LOWER")


def checked_pad_mode(name: str, mode: str) -> str:
    """``mode``, if it is a known one."""
    if mode not in _MODES:
        raise ArgumentError(f"{name}: pad_mode must be one of {', '.join(_MODES)}, got {mode!r}")
    return mode


def same_padding(
    mode: str,
    shape: tuple[int, ...],
    window: Sizes,
    stride: Sizes,
    dilation: Sizes = 1,
) -> tuple[int, ...]:
    """Padding before and after each spatial axis that gives size / stride windows, rounded up."""
    pads = []
    space = shape[2:]
    sizes = (
        checks.each(f"pad_mode {mode}", each, len(space), 1) for each in (window, stride, dilation)
    )
    for size, length, step, apart in zip(space, *sizes, strict=True):
        reach = (-(-size // step) - 1) * step + apart * (length - 1) + 1
        total = max(reach - size, 0)
        less, more = total // 2, total - total // 2
        pads += [less, more] if mode == "SAME_UPPER" else [more, less]
    return tuple(pads)
