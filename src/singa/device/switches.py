"""Settings of how all devices compute."""

from __future__ import annotations

from contextlib import _GeneratorContextManager

from singa.engine import native


def exact_convolutions() -> _GeneratorContextManager[None]:
    """A block, or with ``@exact_convolutions()`` a function, without Winograd's algorithm.

    The native kernels compute large float32 convolutions with windows of 3x3 and stride 1 by it on
    CPUs, and their gradients: that takes about half the time, and the rounding errors are up to
    twice as large, of filters' gradients seven times. They are relative to the largest number of
    the 6x6 pixels that a tile of the result is computed from: results next to much larger pixels
    have fewer digits. (If there are results beyond 2^20, NaN or infinities, all are exact.) In the
    block each product of a pixel and a filter's number is computed on its own. A backward pass is
    exact if its forward pass was. The block is for the calling thread; the environment variable
    ``SINGA_WINOGRAD=0`` is for the whole process.

    Example:
        >>> x, w = Tensor((1, 64, 8, 8)), Tensor((64, 64, 3, 3))
        >>> with device.exact_convolutions():
        ...     y = autograd.conv2d(x, w)
    """
    return native.exact(True)


def enable_lazy_alloc(enable: bool) -> None:
    """Does nothing: XLA plans a program's memory before it runs.

    Example:
        >>> device.enable_lazy_alloc(True)
    """
