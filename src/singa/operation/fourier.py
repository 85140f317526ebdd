"""Fourier transforms, of real and of complex numbers.

``norm`` says what the results are multiplied by, n being the number of elements of the axes:

- ``"backward"``: 1 in the transform, and 1 / n in the inverse.
- ``"ortho"``: 1 / sqrt(n) in both, so that they keep lengths.
- ``"forward"``: 1 / n in the transform, and 1 in the inverse.

If a size (``n``, or one for each axis in ``s``) is given, the input is cut to it, or padded with
zeros at the end. Integers, float16 and bfloat16 are computed as float32 and complex64.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from singa.core.tensor import Tensor
from singa.device import CTensor, complex_type
from singa.errors import ArgumentError, ShapeError
from singa.operation import checks
from singa.operation.complex_numbers import conj
from singa.tape import Operation

__all__ = [
    "FourierTransform", "InverseFourierTransform", "InverseRealFourierTransform",
    "RealFourierTransform", "fft", "hfft", "ifft", "ihfft", "irfft", "rfft",
]  # fmt: skip

_OPPOSITE = {"backward": "forward", "ortho": "ortho", "forward": "backward"}
"""With it the inverse transform, and its half spectrum's weights, is the adjoint of a transform."""


class _Fourier(Operation):
    """The base: the axes, their sizes (None for those of the input) and the norm."""

    def __init__(
        self,
        sizes: Sequence[int] | None = None,
        axes: Sequence[int] | None = None,
        norm: str | None = "backward",
    ) -> None:
        super().__init__()
        self.sizes = None if sizes is None else checks.integers(f"{self.name}: sizes", sizes, 1)
        self.axes = None if axes is None else checks.integers(f"{self.name}: axes", axes, 1)
        self.norm = "backward" if norm is None else norm
        if self.norm not in _OPPOSITE:
            raise ArgumentError(
                f"{self.name}: norm must be 'backward', 'ortho' or 'forward', got {norm!r}"
            )
        if self.sizes is not None:
            if self.axes is None:
                self.axes = tuple(range(-len(self.sizes), 0))
            if len(self.axes) != len(self.sizes):
                raise ArgumentError(
                    f"{self.name}: {len(self.sizes)} sizes for {len(self.axes)} axes"
                )
            if any(size < 1 and size != -1 for size in self.sizes):
                raise ArgumentError(f"{self.name}: sizes must be 1 or more, got {self.sizes}")

    def transforms(self, x: CTensor, is_half: bool = False) -> tuple[int, ...]:
        """The sizes of the axes to transform; ``x`` has half of the last one, if ``is_half``."""
        self.from_shape = x.shape
        self.along = checks.axes(self, self.axes, x.ndim)
        found = [x.shape[axis] for axis in self.along]
        if found and is_half:
            found[-1] = 2 * (found[-1] - 1)
        for i, size in enumerate(self.sizes or ()):
            found[i] = found[i] if size == -1 else size
        if min(found, default=0) < 1 or not x.size:
            raise ShapeError(f"{self.name}: there is nothing to transform in shape {x.shape}")
        return tuple(found)

    def resized(self, x: CTensor, sizes: Sequence[int]) -> CTensor:
        """Cut the axes to these sizes, or pad them with zeros. Its adjoint restores the sizes."""
        index, pads = [slice(None)] * x.ndim, [(0, 0)] * x.ndim
        for axis, size in zip(self.along, sizes, strict=True):
            index[axis] = slice(size)
            pads[axis] = (0, max(size - x.shape[axis], 0))
        return jnp.pad(x[tuple(index)], pads)

    def restored(self, dx: CTensor) -> CTensor:
        """A gradient with the sizes that the input had."""
        return self.resized(dx, [self.from_shape[axis] for axis in self.along])


class FourierTransform(_Fourier):
    """y[k] = sum of x[j] e ** (-2 pi i j k / n) over j, along some axes."""

    complex_numbers = "own"
    is_inverse = False

    def forward(self, x: CTensor) -> CTensor:
        x = checks.as_float(self, "its input", x)
        x = self.resized(x, self.transforms(x)).astype(complex_type(x.dtype))
        return _transformed(x, self.along, self.norm, self.is_inverse)

    def backward(self, dy: CTensor) -> CTensor:
        return self.restored(
            _transformed(dy, self.along, _OPPOSITE[self.norm], not self.is_inverse)
        )


class InverseFourierTransform(FourierTransform):
    """y[j] = sum of x[k] e ** (2 pi i j k / n) / n over k, along some axes."""

    is_inverse = True


class RealFourierTransform(_Fourier):
    """The Fourier transform of real numbers: n // 2 + 1 elements of the last axis.

    The others are conjugates of these.
    """

    def forward(self, x: CTensor) -> CTensor:
        x = checks.real_input(self, "its input", x)
        self.found = self.transforms(x)
        y = jnp.fft.rfft(self.resized(x, self.found), axis=self.along[-1], norm=self.norm)
        return _transformed(y, self.along[:-1], self.norm, False)

    def backward(self, dy: CTensor) -> CTensor:
        *others, last = self.along
        norm = _OPPOSITE[self.norm]
        half = _weighted(_transformed(dy, others, norm, True), last, self.found[-1], 0.5)
        return self.restored(_real_inverse(half, last, self.found[-1], norm))


class InverseRealFourierTransform(_Fourier):
    """The inverse of :class:`RealFourierTransform`: real numbers from half of a transform.

    The last axis is of size n, or 2 (m - 1) if it is not given, and x has m elements. The
    imaginary parts of the first element, and of the last one if n is even, are not used.
    """

    complex_numbers = "own"

    def forward(self, x: CTensor) -> CTensor:
        x = checks.as_float(self, "its input", x)
        *sizes, self.count = self.transforms(x, is_half=True)
        half = self.resized(x, (*sizes, self.count // 2 + 1)).astype(complex_type(x.dtype))
        half = _transformed(half, self.along[:-1], self.norm, True)
        return _real_inverse(half, self.along[-1], self.count, self.norm)

    def backward(self, dy: CTensor) -> CTensor:
        *others, last = self.along
        norm = _OPPOSITE[self.norm]
        half = _weighted(jnp.fft.rfft(dy, axis=last, norm=norm), last, self.count, 2.0)
        return self.restored(_transformed(half, others, norm, False))


def _transformed(x: CTensor, axes: Sequence[int], norm: str, is_inverse: bool) -> CTensor:
    if not axes:
        return x
    return (jnp.fft.ifftn if is_inverse else jnp.fft.fftn)(x, axes=axes, norm=norm)


def _places(half: CTensor, axis: int) -> CTensor:
    """The numbers of the elements along an axis, in a shape that broadcasts to ``half``."""
    return jnp.arange(half.shape[axis], dtype=jnp.int32).reshape(-1, *[1] * (half.ndim - 1 - axis))


def _weighted(half: CTensor, axis: int, count: int, weight: float) -> CTensor:
    """Half of a transform of size ``count``, with a weight for those that have a conjugate."""
    place = _places(half, axis)
    return jnp.where((place > 0) & (2 * place < count), half * weight, half)


def _real_inverse(half: CTensor, axis: int, count: int, norm: str) -> CTensor:
    # What has no conjugate is real. Not all libraries of transforms ignore an imaginary part.
    place = _places(half, axis)
    half = jnp.where((place > 0) & (2 * place < count), half, half.real)
    return jnp.fft.irfft(half, count, axis=axis, norm=norm)


def _one(n: int | None) -> tuple[int] | None:
    if n is not None and checks.integer("n", n) < 1:
        raise ArgumentError(f"n must be 1 or more, got {n}")
    return None if n is None else (n,)


def _opposite(norm: str | None) -> str:
    return _OPPOSITE.get(norm or "backward", str(norm))


def fft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The Fourier transform along an axis.

    Args:
        x: any shape, real or complex.
        n: the size of the axis, to which ``x`` is cut, or padded with zeros; its own if None.
        axis: the axis to transform.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Complex numbers, of the shape of ``x`` with ``n`` for the axis.

    Example:
        >>> fft.fft(Tensor(data=[1.0, 2.0, 3.0, 4.0]))
        Tensor([10.+0.j, -2.+2.j, -2.+0.j, -2.-2.j], shape=(4,), dtype=complex64, device=cpu)
    """
    return FourierTransform(_one(n), (axis,), norm)(x)[0]


def ifft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of :func:`fft` along an axis.

    Args:
        x: any shape, real or complex.
        n: the size of the axis, to which ``x`` is cut, or padded with zeros; its own if None.
        axis: the axis to transform.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Complex numbers, of the shape of ``x`` with ``n`` for the axis.

    Example:
        >>> fft.ifft(Tensor(data=[10, -2 + 2j, -2, -2 - 2j])).tolist()
        [(1+0j), (2+0j), (3+0j), (4+0j)]
    """
    return InverseFourierTransform(_one(n), (axis,), norm)(x)[0]


def rfft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The Fourier transform of real numbers: its first half, as the rest are conjugates of it.

    Args:
        x: any shape, real.
        n: the size of the axis, to which ``x`` is cut, or padded with zeros; its own if None.
        axis: the axis to transform.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Complex numbers, of the shape of ``x`` with ``n // 2 + 1`` for the axis.

    Example:
        >>> fft.rfft(Tensor(data=[1.0, 2.0, 3.0, 4.0]))
        Tensor([10.+0.j, -2.+2.j, -2.+0.j], shape=(3,), dtype=complex64, device=cpu)
    """
    return RealFourierTransform(_one(n), (axis,), norm)(x)[0]


def irfft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of :func:`rfft`: real numbers.

    Args:
        x: (..., m, ...), the first half of a transform. The imaginary parts of its first element,
            and of the last one of an even size, are not used.
        n: the size of the result; ``2 * (m - 1)`` if None. An odd one has to be given.
        axis: the axis to transform.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Real numbers, of the shape of ``x`` with ``n`` for the axis.

    Example:
        >>> fft.irfft(Tensor(data=[10, -2 + 2j, -2]))
        Tensor([1., 2., 3., 4.], shape=(4,), dtype=float32, device=cpu)
    """
    return InverseRealFourierTransform(_one(n), (axis,), norm)(x)[0]


def hfft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The Fourier transform, which is real, of what is symmetric: x[-j] is the conjugate of x[j].

    Args:
        x: (..., m, ...), the first half of it.
        n: the size of the result; ``2 * (m - 1)`` if None. An odd one has to be given.
        axis: the axis to transform.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Real numbers, of the shape of ``x`` with ``n`` for the axis.

    Example:
        >>> fft.hfft(Tensor(data=[1.0, 1j, 0.0]))
        Tensor([ 1.,  3.,  1., -1.], shape=(4,), dtype=float32, device=cpu)
    """
    return irfft(conj(x), n, axis, _opposite(norm))


def ihfft(x: Tensor, n: int | None = None, axis: int = -1, norm: str | None = "backward") -> Tensor:
    """The inverse of :func:`hfft`: the first half of it.

    Args:
        x: any shape, real.
        n: the size of the axis, to which ``x`` is cut, or padded with zeros; its own if None.
        axis: the axis to transform.
        norm: ``"backward"``, ``"ortho"`` or ``"forward"``; see above.

    Returns:
        Complex numbers, of the shape of ``x`` with ``n // 2 + 1`` for the axis.

    Example:
        >>> fft.ihfft(Tensor(data=[1.0, 3.0, 1.0, -1.0])).abs()
        Tensor([1., 1., 0.], shape=(3,), dtype=float32, device=cpu)
    """
    return conj(rfft(x, n, axis, _opposite(norm)))
