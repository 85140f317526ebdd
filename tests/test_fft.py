"""Fourier transforms: shapes, arguments, short times, and what is refused."""

import numpy as np
import pytest

from singa import autograd, fft, tensor
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tensor import Tensor

RANDOM = np.random.default_rng(3)
Z = RANDOM.standard_normal((3, 4)) + 1j * RANDOM.standard_normal((3, 4))
OF_REAL = {"rfft", "ihfft", "rfft2", "rfftn"}

# PyTorch 2.13's numbers, of the test below.
SPECTRA = [[0.3, 1.125, 6], [0.2 - 0.1j, -0.625 - 0.4j, -1.9 - 2.5j], [0.1, 0.325, 1]]
SIGNAL = [-0.0333333333, 0.3, 0.55625, 0.7666666667, 2.85, 2.975, 2.7666666667]
DX = [
    -0.0666666667, 0.4831597222, 0.9013888889, 1.7419270833, 4.95625, 6.9555555556, 6.6489583333, 0,
]  # fmt: skip
DWINDOW = [-16.8978125, -0.5684114583, 12.0230902778]
DSPECTRA = [
    1.0892361111 - 0.5446180556j, -0.7003472222 - 0.3451388889j, 0.5329861111 - 0.2664930556j,
]  # fmt: skip


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_along_one_axis_as_numpy(name):
    x = Z.real if name in OF_REAL else Z
    ours, numpys = getattr(fft, name), getattr(np.fft, name)
    for n, axis, norm in ((None, -1, "backward"), (5, 0, "ortho"), (2, 1, "forward"), (1, 1, None)):
        y = ours(Tensor(data=x), n, axis, norm)
        np.testing.assert_allclose(y, numpys(x, n, axis, norm), atol=1e-12)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft"])
def test_along_several_axes_as_numpy(name):
    x = Z.real if name in OF_REAL else Z
    for axes in (None, (0,), (1, 0)):
        for s, norm in ((None, "ortho"), ((5, 2), None), ((2, -1), "forward")):
            if (s is not None) and axes == (0,):
                s = s[:1]
            y = getattr(fft, f"{name}n")(Tensor(data=x), s, axes, norm)
            if s is not None and axes is None:
                axes = (0, 1)  # which newer versions of NumPy want to be told
            if name == "irfft" and s == (2, -1):
                s = (2, 2 * (x.shape[axes[-1]] - 1))  # as in PyTorch; NumPy does not double it
            expected = getattr(np.fft, f"{name}n")(x, s, axes, norm)
            np.testing.assert_allclose(y, expected, atol=1e-12)
    y = getattr(fft, f"{name}2")(Tensor(data=x))
    np.testing.assert_allclose(y, getattr(np.fft, f"{name}2")(x), atol=1e-12)


def test_the_types_of_results():
    for dtype, result in (
        ("float16", "complex64"), ("bfloat16", "complex64"), ("int32", "complex64"),
        ("float32", "complex64"), ("float64", "complex128"),
    ):  # fmt: skip
        x = tensor.ones(4, dtype=dtype)
        for transform in (fft.fft, fft.rfft, fft.ihfft):
            assert transform(x).dtype == result
        assert fft.irfft(x).dtype == ("float64" if dtype == "float64" else "float32")


def test_frequencies_and_their_order():
    for n in (1, 4, 5):
        np.testing.assert_allclose(fft.fftfreq(n, 0.5), np.fft.fftfreq(n, 0.5))
        np.testing.assert_allclose(fft.rfftfreq(n), np.fft.rfftfreq(n))
    assert fft.fftfreq(4).dtype == tensor.float32
    assert fft.rfftfreq(4, dtype="float64").dtype == tensor.float64
    x = np.arange(15).reshape(3, 5)
    for axes in (None, 0, (1, 0), ()):
        np.testing.assert_array_equal(fft.fftshift(Tensor(data=x), axes), np.fft.fftshift(x, axes))
        np.testing.assert_array_equal(
            fft.ifftshift(Tensor(data=x), axes), np.fft.ifftshift(x, axes)
        )


@pytest.mark.parametrize(
    "options",
    [
        {"n_fft": 8},
        {"n_fft": 8, "hop_length": 3, "normalized": True},
        {"n_fft": 7, "hop_length": 2, "win_length": 4, "pad_mode": "constant"},
        {"n_fft": 6, "hop_length": 1, "center": False},
    ],
)
def test_of_short_times_and_back(options):
    size = options.get("win_length", options["n_fft"])
    window = np.hamming(size)
    x = RANDOM.standard_normal((2, 20))
    back = {name: value for name, value in options.items() if name != "pad_mode"}
    if options.get("center", True):
        back["length"] = 20
    for signal, more in ((x, {}), (x + 1j * x[::-1], {"return_complex": True})):
        spectra = fft.stft(Tensor(data=signal), window=window, **options)
        assert spectra.shape[1] == (options["n_fft"] if more else options["n_fft"] // 2 + 1)
        again = fft.istft(spectra, window=window, **back, **more)
        np.testing.assert_allclose(again, signal, atol=1e-12)
    alone = fft.stft(Tensor(data=x[0]), window=window, **options)
    np.testing.assert_allclose(
        alone, fft.stft(Tensor(data=x), window=window, **options)[0], atol=1e-12
    )


def test_the_numbers_that_pytorch_gives():
    x = Tensor(data=np.arange(8.0) ** 2 / 10, stores_grad=True)
    window = Tensor(data=np.array([0.5, 1.0, 0.75]), stores_grad=True)
    options = {"n_fft": 4, "hop_length": 3, "win_length": 3, "window": window}
    with autograd.enable_grad():
        spectra = fft.stft(x, **options)
        signal = fft.istft(spectra * (1 + 0.5j), length=7, **options)
        dx, dwindow = autograd.grad((signal * signal).sum(), [x, window])
        dspectra = autograd.grad((signal * signal).sum(), spectra)
    np.testing.assert_allclose(spectra, SPECTRA, atol=1e-9)
    np.testing.assert_allclose(signal, SIGNAL, atol=1e-9)
    np.testing.assert_allclose(dx, DX, atol=1e-9)
    np.testing.assert_allclose(dwindow, DWINDOW, atol=1e-9)
    np.testing.assert_allclose(dspectra.to_numpy()[:, 1], DSPECTRA, atol=1e-9)


def test_mistakes_are_refused_with_words():
    x, z = tensor.ones(8), Tensor(data=Z)
    for mistake, error, words in (
        (lambda: fft.rfft(z), DTypeError, "RealFourierTransform: real numbers"),
        (lambda: fft.fft(x > 0), DTypeError, "float"),
        (lambda: fft.fft(x, 0), ArgumentError, "n must be 1"),
        (lambda: fft.fft(x, norm="unit"), ArgumentError, "norm must be"),
        (lambda: fft.hfft(x, norm="unit"), ArgumentError, "norm must be"),
        (lambda: fft.fft(x, axis=1), ShapeError, "axis 1"),
        (lambda: fft.fftn(z, (3,), (0, 1)), ArgumentError, "1 sizes for 2 axes"),
        (lambda: fft.fftn(z, (0, 2)), ArgumentError, "sizes"),
        (lambda: fft.fftn(z, axes=(0, -2)), ShapeError, "twice"),
        (lambda: fft.irfft(x[:1]), ShapeError, "nothing to transform"),
        (lambda: fft.fft(tensor.ones((0, 2))), ShapeError, "nothing to transform"),
        (lambda: fft.fftn(tensor.ones(())), ShapeError, "nothing to transform"),
        (lambda: fft.fftfreq(0), ArgumentError, "fftfreq"),
        (lambda: fft.stft(x, 0), ArgumentError, "n_fft must be"),
        (lambda: fft.stft(x, 4, 0), ArgumentError, "hop_length must be"),
        (lambda: fft.stft(x, 4, win_length=5), ArgumentError, "win_length 5 is above"),
        (lambda: fft.stft(x, 4, window=[1.0]), ShapeError, r"the window must be \(4,\)"),
        (lambda: fft.stft(x, 9, center=False), ShapeError, "frames of 9"),
        (lambda: fft.stft(x, 16), ShapeError, "cannot be reflected"),
        (lambda: fft.stft(tensor.ones((1, 1, 8)), 4), ShapeError, "stft: the signal"),
        (lambda: fft.stft(z, 4, onesided=True), DTypeError, "half of a spectrum"),
        (lambda: fft.istft(z, 9), ShapeError, "spectra of n_fft=9"),
        (lambda: fft.istft(z, 4, onesided=True, return_complex=True), DTypeError, "whole"),
        (lambda: fft.istft(z, 4, length=0), ShapeError, "nothing is left"),
        (
            lambda: fft.istft(z, 4, 1, window=[0.0, 1, 0, 0], center=False),
            ArgumentError,
            "do not cover",
        ),
    ):
        with pytest.raises(error, match=words):
            mistake()
