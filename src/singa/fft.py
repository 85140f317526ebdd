"""Fourier transforms: of real and complex numbers, along one or more axes, and of short times.

``from singa import fft``. Transforms of complex numbers, of real numbers without the half of the
result that is conjugates of the other one, and of what is symmetric. All results have gradients.
"""

from singa.operation.fourier import fft, hfft, ifft, ihfft, irfft, rfft
from singa.operation.fourier_axes import (
    fft2,
    fftn,
    ifft2,
    ifftn,
    irfft2,
    irfftn,
    rfft2,
    rfftn,
)
from singa.operation.frequencies import fftfreq, fftshift, ifftshift, rfftfreq
from singa.operation.short_time import istft, stft

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "irfft", "irfft2", "irfftn", "istft", "rfft", "rfft2", "rfftfreq", "rfftn", "stft",
]  # fmt: skip
