"""Short-time Fourier transforms: of the parts of a signal, one after the other, and back.

A part is a *frame*: ``n_fft`` elements, times a window. The next one begins ``hop_length`` later.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.arrays import on_host
from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.core.watching import local
from singa.device import CTensor, is_complex, real_type
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.operation import checks
from singa.operation.complex_numbers import real
from singa.operation.elementwise import div, mul
from singa.operation.exponential import square
from singa.operation.fourier import fft, ifft, irfft, rfft
from singa.operation.indexing import getitem
from singa.operation.joining import pad
from singa.operation.shaping import expand, swapaxes
from singa.tape import Operation

__all__ = ["Frames", "OverlapAdd", "istft", "stft"]


class _Framing(Operation):
    """The base: the size of a frame, and the distance to the next one."""

    complex_numbers = "own"

    def __init__(self, size: int, hop: int) -> None:
        super().__init__()
        for name, value in (("size", size), ("hop", hop)):
            if checks.integer(f"{self.name}: {name}", value) < 1:
                raise ArgumentError(f"{self.name}: {name} must be 1 or more, got {value}")
        self.size, self.hop = int(size), int(hop)

    def cut(self, x: CTensor, count: int) -> CTensor:
        """(..., length) to (..., count, size)."""
        starts = self.hop * jax.lax.iota(np.int32, count)
        places = starts[:, None] + jax.lax.iota(np.int32, self.size)
        return x.at[..., places].get(mode="promise_in_bounds")

    def added(self, x: CTensor, length: int) -> CTensor:
        """(..., count, size) to (..., length): the adjoint of :meth:`cut`.

        A frame is so many pieces, blocks of ``hop`` elements, which are added without indices.
        """
        pieces = -(-self.size // self.hop)
        *batch, count, _ = x.shape
        none = [(0, 0)] * len(batch)
        x = jnp.pad(x, [*none, (0, 0), (0, pieces * self.hop - self.size)])
        total = jnp.zeros((*batch, count + pieces - 1, self.hop), x.dtype)
        for i in range(pieces):
            part = x[..., i * self.hop : (i + 1) * self.hop]
            total += jnp.pad(part, [*none, (i, pieces - 1 - i), (0, 0)])
        total = total.reshape(*batch, -1)[..., :length]
        return jnp.pad(total, [*none, (0, length - total.shape[-1])])


class Frames(_Framing):
    """y = the frames of the last axis: (..., length) to (..., frames, size).

    What is after the last whole frame is not used.
    """

    def forward(self, x: CTensor) -> CTensor:
        if not x.ndim or x.shape[-1] < self.size:
            raise ShapeError(f"{self.name}: frames of {self.size} in a signal of shape {x.shape}")
        self.length = x.shape[-1]
        return self.cut(x, 1 + (self.length - self.size) // self.hop)

    def backward(self, dy: CTensor) -> CTensor:
        return self.added(dy, self.length)


class OverlapAdd(_Framing):
    """y = the sum of frames in their places: (..., frames, size) to (..., length)."""

    def forward(self, x: CTensor) -> CTensor:
        if x.ndim < 2 or x.shape[-1] != self.size or not x.shape[-2]:
            raise ShapeError(
                f"{self.name}: the input must be (..., frames, {self.size}), got shape {x.shape}"
            )
        self.count = x.shape[-2]
        return self.added(x, self.size + self.hop * (self.count - 1))

    def backward(self, dy: CTensor) -> CTensor:
        return self.cut(dy, self.count)


def stft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: TensorLike | None = None,
    center: bool = True,
    pad_mode: str = "reflect",
    normalized: bool = False,
    onesided: bool | None = None,
) -> Tensor:
    """The short-time Fourier transform of signals: the spectrum of each frame.

    Args:
        x: (length,) or (batch, length), real or complex.
        n_fft: the size of a frame.
        hop_length: the distance between the beginnings of frames; ``n_fft // 4`` if None.
        win_length: the size of the window, at most ``n_fft``; ``n_fft`` if None. A shorter window
            has zeros on both sides.
        window: (win_length,); ones if None.
        center: pad the signal by ``n_fft // 2`` on both sides, so that frame t has its middle at
            ``t * hop_length``.
        pad_mode: of that padding: ``"reflect"``, ``"constant"`` (zeros), ``"replicate"`` or
            ``"circular"``.
        normalized: divide by ``sqrt(n_fft)``.
        onesided: only the first ``n_fft // 2 + 1`` frequencies, of which the others are
            conjugates; True if None, but False if the signal or the window is complex.

    Returns:
        Complex numbers, (..., frequencies, frames).

    Raises:
        ArgumentError: an argument is out of its range.
        ShapeError: the signal is shorter than a frame, or not one of these shapes.
        DTypeError: half of the spectrum of complex numbers is asked for.

    Example:
        >>> fft.stft(tensor.ones(16), n_fft=8).shape
        (5, 9)
    """
    hop, window = _arguments("stft", x, n_fft, hop_length, win_length, window)
    if x.ndim() not in (1, 2):
        raise ShapeError(f"stft: the signal must be (length,) or (batch, length), got {x.shape}")
    has_complex = is_complex(x.dtype) or is_complex(window.dtype)
    onesided = not has_complex if onesided is None else bool(onesided)
    if onesided and has_complex:
        raise DTypeError("stft: complex numbers have no half of a spectrum: onesided=False")
    if center:
        side = n_fft // 2
        if pad_mode == "reflect" and side >= x.shape[-1]:
            raise ShapeError(
                f"stft: a signal of {x.shape[-1]} elements cannot be reflected for {side} more"
            )
        before = [0] * (x.ndim() - 1) + [side]
        x = pad(x, pad_mode, before * 2)
    frames = mul(Frames(n_fft, hop)(x)[0], window)
    transform = rfft if onesided else fft
    return swapaxes(transform(frames, norm="ortho" if normalized else "backward"), -1, -2)


def istft(
    x: Tensor,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: TensorLike | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: int | None = None,
    return_complex: bool = False,
) -> Tensor:
    """The signals of spectra: the inverse of :func:`stft` with the same arguments.

    Of spectra that no signal has, it is the signal with the nearest ones.

    Args:
        x: (frequencies, frames) or (batch, frequencies, frames), complex.
        n_fft, hop_length, win_length, window, center, normalized: as for :func:`stft`.
        onesided: whether there are the first ``n_fft // 2 + 1`` frequencies only; if None, that is
            seen from their number, or is False with ``return_complex``.
        length: of the signals; if None what the frames cover, without the padding of ``center``.
        return_complex: the signals are complex; else their real parts.

    Returns:
        (length,) or (batch, length).

    Raises:
        ArgumentError: an argument is out of its range; or the windows do not cover the signal,
            which is looked for except in compiled steps (there NaN or infinity would result).
        ShapeError: the number of frequencies does not fit to ``n_fft``.
        DTypeError: half of the spectrum is for complex signals, or the window is.

    Example:
        >>> x = Tensor(data=[1.0, 2.0, 3.0, 4.0])
        >>> fft.istft(fft.stft(x, n_fft=4), n_fft=4)
        Tensor([1., 2., 3., 4.], shape=(4,), dtype=float32, device=cpu)
    """
    hop, window = _arguments("istft", x, n_fft, hop_length, win_length, window)
    if onesided is None:
        onesided = not return_complex and x.ndim() > 1 and x.shape[-2] != n_fft
    wanted = n_fft // 2 + 1 if onesided else n_fft
    if x.ndim() not in (2, 3) or x.shape[-2] != wanted or not x.shape[-1]:
        raise ShapeError(
            f"istft: spectra of n_fft={n_fft} are (..., {wanted}, frames), got shape {x.shape}"
        )
    if return_complex and onesided:
        raise DTypeError("istft: complex signals need the whole spectrum: onesided=False")
    if is_complex(window.dtype) and not return_complex:
        raise DTypeError("istft: a complex window needs return_complex=True")
    spectra, norm = swapaxes(x, -1, -2), "ortho" if normalized else "backward"
    frames = irfft(spectra, n_fft, norm=norm) if onesided else ifft(spectra, norm=norm)
    if not onesided and not return_complex:
        frames = real(frames)
    add = OverlapAdd(n_fft, hop)
    signal = add(mul(frames, window))[0]
    weight = add(expand(square(window), (x.shape[-1], n_fft)))[0]
    return _trimmed(signal, weight, n_fft // 2 if center else 0, length)


def _trimmed(signal: Tensor, weight: Tensor, side: int, length: int | None) -> Tensor:
    """The signal over the weights of its elements, without ``side`` elements at both ends."""
    whole = signal.shape[-1]
    end = whole - side if length is None else side + checks.integer("istft: length", length)
    if end <= side:
        raise ShapeError(f"istft: nothing is left of {whole} elements without {side} at each end")
    kept = slice(side, min(end, whole))
    weight = getitem(weight, kept)
    if local.capture is None and np.abs(on_host(weight._data)).min() < 1e-11:
        raise ArgumentError("istft: the windows do not cover the signal: some weights are 0")
    signal = div(getitem(signal, (..., kept)), weight)
    missing = end - whole
    return (
        pad(signal, "constant", [0] * (2 * signal.ndim() - 1) + [missing])
        if missing > 0
        else signal
    )


def _arguments(
    name: str,
    x: Tensor,
    n_fft: int,
    hop_length: int | None,
    win_length: int | None,
    window: TensorLike | None,
) -> tuple[int, Tensor]:
    """The distance of the frames, and the window with zeros up to their size."""
    n_fft = checks.integer(f"{name}: n_fft", n_fft)
    size = n_fft if win_length is None else win_length
    hop = n_fft // 4 if hop_length is None else hop_length
    for what, value in (("n_fft", n_fft), ("win_length", size), ("hop_length", hop)):
        if checks.integer(f"{name}: {what}", value) < 1:
            raise ArgumentError(f"{name}: {what} must be 1 or more, got {value}")
    if size > n_fft:
        raise ArgumentError(f"{name}: win_length {size} is above n_fft {n_fft}")
    if window is None:
        window = np.ones(size, real_type(x.dtype))
    window = as_tensor(window, x)
    if window.shape != (size,):
        raise ShapeError(f"{name}: the window must be ({size},), got shape {window.shape}")
    left = (n_fft - size) // 2
    return hop, pad(window, "constant", [left, n_fft - size - left]) if size < n_fft else window
