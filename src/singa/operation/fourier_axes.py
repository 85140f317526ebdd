"""Fourier transforms along two and along any number of axes.

The argument ``norm``, and what sizes mean, is as for those along one axis.
"""

from __future__ import annotations

from collections.abc import Sequence

from singa.core.tensor import Tensor
from singa.operation.fourier import (
    FourierTransform,
    InverseFourierTransform,
    InverseRealFourierTransform,
    RealFourierTransform,
)

__all__ = ["fft2", "fftn", "ifft2", "ifftn", "irfft2", "irfftn", "rfft2", "rfftn"]


def fft2(
    x: Tensor,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = (-2, -1),
    norm: str | None = "backward",
) -> Tensor:
    """:func:`fftn` along two axes, the last ones if none are given.

    Args:
        x, s, norm: as in :func:`fftn`, which has the shapes.
        axes: the two axes.

    Example:
        >>> fft.fft2(tensor.ones((2, 3))).shape
        (2, 3)
    """
    return fftn(x, s, axes, norm)


def ifft2(
    x: Tensor,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = (-2, -1),
    norm: str | None = "backward",
) -> Tensor:
    """:func:`ifftn` along two axes, the last ones if none are given.

    Args:
        x, s, norm: as in :func:`ifftn`, which has the shapes.
        axes: the two axes.

    Example:
        >>> fft.ifft2(tensor.ones((2, 3))).shape
        (2, 3)
    """
    return ifftn(x, s, axes, norm)


def rfft2(
    x: Tensor,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = (-2, -1),
    norm: str | None = "backward",
) -> Tensor:
    """:func:`rfftn` along two axes, the last ones if none are given.

    Args:
        x, s, norm: as in :func:`rfftn`, which has the shapes.
        axes: the two axes.

    Example:
        >>> fft.rfft2(tensor.ones((2, 4))).shape
        (2, 3)
    """
    return rfftn(x, s, axes, norm)


def irfft2(
    x: Tensor,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = (-2, -1),
    norm: str | None = "backward",
) -> Tensor:
    """:func:`irfftn` along two axes, the last ones if none are given.

    Args:
        x, s, norm: as in :func:`irfftn`, which has the shapes.
        axes: the two axes.

    Example:
        >>> fft.irfft2(tensor.ones((2, 3))).shape
        (2, 4)
    """
    return irfftn(x, s, axes, norm)


def fftn(
    x: Tensor,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = "backward",
) -> Tensor:
    """The Fourier transform along some axes.

    Args:
        x: any shape, real or complex.
        s: the size of each axis, to which ``x`` is cut, or padded with zeros; -1 for that of ``x``.
        axes: the axes to transform; if None the last ones, as many as there are sizes, or all.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Complex numbers, of the shape of ``x`` with the sizes ``s``.

    Example:
        >>> fft.fftn(tensor.ones((2, 3))).shape
        (2, 3)
    """
    return FourierTransform(s, axes, norm)(x)[0]


def ifftn(
    x: Tensor,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = "backward",
) -> Tensor:
    """The inverse of :func:`fftn`, along some axes.

    Args:
        x: any shape, real or complex.
        s: the size of each axis, to which ``x`` is cut, or padded with zeros; -1 for that of ``x``.
        axes: the axes to transform; if None the last ones, as many as there are sizes, or all.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Complex numbers, of the shape of ``x`` with the sizes ``s``.

    Example:
        >>> fft.ifftn(tensor.ones((2, 3))).shape
        (2, 3)
    """
    return InverseFourierTransform(s, axes, norm)(x)[0]


def rfftn(
    x: Tensor,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = "backward",
) -> Tensor:
    """The Fourier transform of real numbers along some axes, without half of the last one.

    Args:
        x: any shape, real.
        s: the size of each axis, to which ``x`` is cut, or padded with zeros; -1 for that of ``x``.
        axes: the axes to transform; if None the last ones, as many as there are sizes, or all.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Complex numbers, of the shape of ``x`` with the sizes ``s``, but the last of them halved:
        ``s[-1] // 2 + 1``.

    Example:
        >>> fft.rfftn(tensor.ones((2, 4))).shape
        (2, 3)
    """
    return RealFourierTransform(s, axes, norm)(x)[0]


def irfftn(
    x: Tensor,
    s: Sequence[int] | None = None,
    axes: Sequence[int] | None = None,
    norm: str | None = "backward",
) -> Tensor:
    """The inverse of :func:`rfftn`: real numbers.

    Args:
        x: what :func:`rfftn` returns, with m elements along the last axis.
        s: the size of each axis, ``2 * (m - 1)`` for the last one if None; -1 for that of ``x``.
        axes: the axes to transform; if None the last ones, as many as there are sizes, or all.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Real numbers, of the shape of ``x`` with the sizes ``s``.

    Example:
        >>> fft.irfftn(tensor.ones((2, 3))).shape
        (2, 4)
    """
    return InverseRealFourierTransform(s, axes, norm)(x)[0]
