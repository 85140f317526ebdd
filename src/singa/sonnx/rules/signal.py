"""Signals: Fourier transforms, of frames too, and filters of the mel scale."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.errors import FormatError
from singa.sonnx.rules.rule import Call, formula, rule
from singa.sonnx.rules.types import dtype_of

Known = np.ndarray[Any, Any]


@rule("DFT", since=20, known=(1, 2))
def _dft(call: Call, x: Tensor, length: Any = None, axis: Any = None) -> Tensor:
    return _transform(call, x, length, -2 if axis is None else _number(axis))


@rule("DFT", known=(1,))
def _dft_of_attribute(call: Call, x: Tensor, length: Any = None) -> Tensor:
    return _transform(call, x, length, call("axis", 1))


def _number(x: Known) -> int:
    return int(x.reshape(-1)[0])


def _transform(call: Call, x: Tensor, length: Any, axis: int) -> Tensor:
    axis %= x.ndim
    if axis == x.ndim - 1:
        raise FormatError("DFT: the last axis has the real and imaginary parts")
    inverse, onesided = bool(call("inverse", 0)), bool(call("onesided", 0))
    if length is not None:
        count = _number(length)
    else:
        count = 2 * (x.shape[axis] - 1) if inverse and onesided else x.shape[axis]
    return formula(_fourier, x, length=count, axis=axis, inverse=inverse, onesided=onesided)


def _fourier(x: CTensor, length: int, axis: int, inverse: bool, onesided: bool) -> CTensor:
    """The last axis of x and of the result has a real part, or a real and an imaginary one."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    is_real = x.shape[-1] == 1
    z = wide[..., 0] if is_real else jnp.asarray(wide[..., 0] + 1j * wide[..., 1])
    if inverse and onesided:
        return jnp.fft.irfft(z, length, axis)[..., None].astype(x.dtype)
    if inverse:
        y = jnp.fft.ifft(z, length, axis)
    elif onesided and is_real:
        y = jnp.fft.rfft(z, length, axis)
    else:
        y = jnp.fft.fft(z, length, axis)
        if onesided:
            y = jnp.take(y, jnp.arange(length // 2 + 1), axis)
    return jnp.stack([y.real, y.imag], -1).astype(x.dtype)


@rule("STFT", known=(1, 3))
def _stft(call: Call, x: Tensor, step: Known, window: Any = None, length: Any = None) -> Tensor:
    if length is not None:
        size = _number(length)
    else:
        size = x.shape[1] if window is None else window.shape[0]
    onesided = bool(call("onesided", 1))
    given = [x] if window is None else [x, window]
    return formula(_of_frames, *given, step=_number(step), length=size, onesided=onesided)


def _of_frames(
    x: CTensor, window: CTensor | None = None, *, step: int, length: int, onesided: bool
) -> CTensor:
    """x: (batch, samples, 1 or 2); the result (batch, frames, frequencies, 2)."""
    if x.ndim == 2:
        x = x[..., None]
    count = 1 + (x.shape[1] - length) // step
    places = np.arange(count)[:, None] * step + np.arange(length)
    frames = x[:, places]
    if window is not None:
        frames = frames * window[:, None]
    return _fourier(frames, length, 2, False, onesided)


@rule("MelWeightMatrix", known=(0, 1, 2, 3, 4))
def _mel_weight_matrix(
    call: Call, bins: Known, length: Known, rate: Known, low: Known, high: Known
) -> Known:
    count, size = _number(bins), _number(length)
    ends = [2595 * np.log10(1 + float(each.reshape(-1)[0]) / 700) for each in (low, high)]
    mels = ends[0] + np.arange(count + 2) * ((ends[1] - ends[0]) / (count + 2))
    hertz = 700 * (10 ** (mels / 2595) - 1)
    places = ((size + 1) * hertz // _number(rate)).astype(int)
    numbers = np.arange(size // 2 + 1)[:, None]
    first, middle, last = places[:-2], places[1:-1], places[2:]
    rising = (numbers - first) / np.maximum(middle - first, 1)
    rising = np.where(middle == first, 1.0, rising)
    falling = (last - numbers) / np.maximum(last - middle, 1)
    matrix = np.where((numbers >= first) & (numbers <= middle), rising, 0.0)
    matrix = np.where((numbers >= middle) & (numbers < last), falling, matrix)
    return matrix.astype(dtype_of(call("output_datatype", 1)))
