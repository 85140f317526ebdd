"""The frequencies of Fourier transforms, and their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from singa.core.tensor import Tensor
from singa.device import Device, float32
from singa.errors import ArgumentError
from singa.operation import checks
from singa.operation.arranging import Roll

__all__ = ["fftfreq", "fftshift", "ifftshift", "rfftfreq"]


def fftfreq(n: int, d: float = 1.0, device: Device | None = None, dtype: Any = None) -> Tensor:
    """The frequency of each element of a transform of size ``n``, in cycles per unit of ``d``.

    Args:
        n: the size of the transform.
        d: the distance of the samples.

    Returns:
        (n,), float32 if no type is given: first the frequencies from 0 on, then the negative ones.

    Example:
        >>> fft.fftfreq(4)
        Tensor([ 0.  ,  0.25, -0.5 , -0.25], shape=(4,), dtype=float32, device=cpu)
    """
    return _frequencies("fftfreq", np.fft.fftfreq, n, d, device, dtype)


def rfftfreq(n: int, d: float = 1.0, device: Device | None = None, dtype: Any = None) -> Tensor:
    """The frequency of each element that :func:`rfft` returns, in cycles per unit of ``d``.

    Args:
        n: the size of the transform.
        d: the distance of the samples.

    Returns:
        (n // 2 + 1,), float32 if no type is given.

    Example:
        >>> fft.rfftfreq(4)
        Tensor([0.  , 0.25, 0.5 ], shape=(3,), dtype=float32, device=cpu)
    """
    return _frequencies("rfftfreq", np.fft.rfftfreq, n, d, device, dtype)


def fftshift(x: Tensor, axes: int | Sequence[int] | None = None) -> Tensor:
    """With the frequency 0 in the middle of the axes, all of them if None; of ``x``'s shape.

    Example:
        >>> fft.fftshift(fft.fftfreq(4))
        Tensor([-0.5 , -0.25,  0.  ,  0.25], shape=(4,), dtype=float32, device=cpu)
    """
    return _shifted("fftshift", x, axes, 1)


def ifftshift(x: Tensor, axes: int | Sequence[int] | None = None) -> Tensor:
    """The inverse of :func:`fftshift`, of ``x``'s shape.

    Example:
        >>> fft.ifftshift(fft.fftshift(fft.fftfreq(5))).tolist() == fft.fftfreq(5).tolist()
        True
    """
    return _shifted("ifftshift", x, axes, -1)


def _frequencies(
    name: str, numbers: Any, n: int, d: float, device: Device | None, dtype: Any
) -> Tensor:
    if checks.integer(f"{name}: n", n) < 1 or not checks.number(f"{name}: d", d):
        raise ArgumentError(f"{name}: n must be 1 or more, and d not 0; got {n} and {d}")
    return Tensor(data=numbers(n, d), device=device, dtype=float32 if dtype is None else dtype)


def _shifted(name: str, x: Tensor, axes: int | Sequence[int] | None, direction: int) -> Tensor:
    if axes is None:
        axes = range(x.ndim())
    wanted = checks.integers(f"{name}: axes", axes)
    if not wanted:
        return x
    along = checks.axes(Roll(0, 0), wanted, x.ndim())
    return Roll([direction * (x.shape[axis] // 2) for axis in along], along)(x)[0]
