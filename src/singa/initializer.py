"""Initializers: they fill a Tensor in place, from its device's random stream, and return it.

The standard deviation of most of them depends on the weight's fans: the number of inputs of each
output (fan_in), and the number of outputs of each input (fan_out). ``data_format`` says which axes
are which:

- ``"channels_first"``: (in, out) of a linear layer; (out, in / group, kernel...) of a convolution.
- ``"channels_last"``: (in, out); (kernel..., in / group, out).
- ``"transposed"``: (in, out, kernel...) of a transposed convolution.
- ``"embedding"``: (rows, features). A row is selected, not summed over: fan_in is 1.

"Truncated" means: truncated at two standard deviations, and made wider before, so that the standard
deviation after the truncation is the stated one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from singa.core import random as _random
from singa.core.tensor import Tensor, draw
from singa.errors import ArgumentError, ShapeError

__all__ = [
    "constant", "eye", "gaussian", "glorot", "glorot_normal", "glorot_uniform", "he_normal",
    "he_uniform", "lecun_normal", "lecun_uniform", "msra", "normal", "ones", "orthogonal",
    "trunc_normal", "uniform", "xavier", "zeros",
]  # fmt: skip


# -- for any shape ------------------------------------------------------------------------------


def constant(t: Tensor, value: float) -> Tensor:
    """Every element is ``value``.

    Example:
        >>> initializer.constant(Tensor((2,)), 0.5)
        Tensor([0.5, 0.5], shape=(2,), dtype=float32, device=cpu)
    """
    return t.set_value(value)


def zeros(t: Tensor) -> Tensor:
    """Every element is 0.

    Example:
        >>> initializer.zeros(Tensor((2,)))
        Tensor([0., 0.], shape=(2,), dtype=float32, device=cpu)
    """
    return t.set_value(0.0)


def ones(t: Tensor) -> Tensor:
    """Every element is 1.

    Example:
        >>> initializer.ones(Tensor((2,)))
        Tensor([1., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return t.set_value(1.0)


def uniform(t: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Fill ``t``, of any shape, with uniform numbers in [low, high).

    Example:
        >>> t = initializer.uniform(Tensor((100, 100)), -1.0, 1.0)
        >>> -1.0 <= t.min().item() < t.max().item() < 1.0
        True
    """
    return t.uniform(low, high)


def normal(t: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill ``t``, of any shape, with normal numbers of this mean and standard deviation.

    Example:
        >>> t = initializer.normal(Tensor((100, 100)), 5.0, 0.1)
        >>> round(t.mean().item(), 1), round(t.std().item(), 1)
        (5.0, 0.1)
    """
    return t.gaussian(mean, std)


def trunc_normal(t: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill ``t``, of any shape, with truncated normal numbers of this mean and standard deviation.

    Example:
        >>> t = initializer.trunc_normal(Tensor((100, 100)), 0.0, 0.1)
        >>> round(t.std().item(), 2), t.abs().max().item() < 0.3
        (0.1, True)
    """
    return draw(t, _random.truncated_normal, mean, std)


def eye(t: Tensor) -> Tensor:
    """Ones on the diagonal and zeros elsewhere.

    Raises:
        ShapeError: the Tensor does not have two axes.

    Example:
        >>> initializer.eye(Tensor((2, 3)))
        Tensor([[1., 0., 0.],
                [0., 1., 0.]], shape=(2, 3), dtype=float32, device=cpu)
    """
    if t.ndim() != 2:
        raise ShapeError(f"eye: a Tensor with two axes is needed, got shape {t.shape}")
    return t.copy_from_numpy(np.eye(*t.shape, dtype=t.dtype))


def orthogonal(t: Tensor, gain: float = 1.0) -> Tensor:
    """A random orthogonal matrix times ``gain`` (Saxe et al., 2014).

    The first axis is the matrix's rows, all others its columns. If there are fewer rows than
    columns, the rows are orthonormal, and otherwise the columns; times ``gain``.

    Raises:
        ShapeError: the Tensor has fewer than two axes.

    Example:
        >>> w = initializer.orthogonal(Tensor((2, 4)), gain=2.0)
        >>> (w @ w.T()).abs().round()
        Tensor([[4., 0.],
                [0., 4.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    if t.ndim() < 2:
        raise ShapeError(f"orthogonal: a Tensor with two or more axes is needed, got {t.shape}")
    return draw(t, _random.orthogonal, gain)


# -- by the fans --------------------------------------------------------------------------------


def lecun_uniform(t: Tensor, data_format: str = "channels_first") -> Tensor:
    """Fill ``t``, of any shape, uniformly, with variance 1 / fan_in (LeCun et al., 1998).

    Example:
        >>> round(initializer.lecun_uniform(Tensor((100, 100))).std().item(), 2)
        0.1
    """
    return _random_fill(t, 1.0, "fan_in", "uniform", data_format)


def lecun_normal(t: Tensor, data_format: str = "channels_first") -> Tensor:
    """Fill ``t``, of any shape, truncated normally, with variance 1 / fan_in (LeCun et al., 1998).

    Example:
        >>> round(initializer.lecun_normal(Tensor((100, 100))).std().item(), 2)
        0.1
    """
    return _random_fill(t, 1.0, "fan_in", "truncated_normal", data_format)


def glorot_uniform(t: Tensor, data_format: str = "channels_first") -> Tensor:
    """Fill ``t``, of any shape, uniformly, with variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio, Understanding the Difficulty of Training, 2010.

    Example:
        >>> round(initializer.glorot_uniform(Tensor((100, 100))).std().item(), 2)
        0.1
    """
    return _random_fill(t, 1.0, "fan_avg", "uniform", data_format)


def glorot_normal(t: Tensor, data_format: str = "channels_first") -> Tensor:
    """Fill ``t``, of any shape, truncated normally, with variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio, Understanding the Difficulty of Training, 2010.

    Example:
        >>> round(initializer.glorot_normal(Tensor((100, 100))).std().item(), 2)
        0.1
    """
    return _random_fill(t, 1.0, "fan_avg", "truncated_normal", data_format)


def he_uniform(t: Tensor, data_format: str = "channels_first") -> Tensor:
    """Fill ``t``, of any shape, uniformly, with variance 2 / fan_in (He et al., 2015).

    Example:
        >>> round(initializer.he_uniform(Tensor((100, 100))).std().item(), 2)
        0.14
    """
    return _random_fill(t, 2.0, "fan_in", "uniform", data_format)


def he_normal(t: Tensor, data_format: str = "channels_first") -> Tensor:
    """Fill ``t``, of any shape, truncated normally, with variance 2 / fan_in (He et al., 2015).

    Example:
        >>> round(initializer.he_normal(Tensor((100, 100))).std().item(), 2)
        0.14
    """
    return _random_fill(t, 2.0, "fan_in", "truncated_normal", data_format)


_CHANNELS = {"channels_first": (1, 0), "channels_last": (-2, -1), "transposed": (0, 1)}
"""The axes of the inputs and of the outputs; all others are the kernel's."""


def _compute_fans(shape: Sequence[int], data_format: str = "channels_first") -> tuple[float, float]:
    """The number of inputs of each output, and the number of outputs of each input.

    For Tensors of fewer than two axes both are sqrt(size), as in SINGA.

    Raises:
        ArgumentError: ``data_format`` is unknown; see the module's docstring.
    """
    if data_format != "embedding" and data_format not in _CHANNELS:
        known = ", ".join([*_CHANNELS, "embedding"])
        raise ArgumentError(f"initializer: data_format {data_format!r} is not one of {known}")
    if len(shape) < 2:
        return (math.sqrt(math.prod(shape)),) * 2
    if data_format == "embedding":
        return 1.0, float(shape[-1])
    inputs, outputs = _CHANNELS[data_format] if len(shape) > 2 else (0, 1)
    others = {inputs % len(shape), outputs % len(shape)} ^ set(range(len(shape)))
    kernel = math.prod(shape[axis] for axis in others)
    return float(shape[inputs] * kernel), float(shape[outputs] * kernel)


def _random_fill(
    t: Tensor, scale: float, mode: str, distribution: str, data_format: str = "channels_first"
) -> Tensor:
    """Random numbers of mean 0 and variance scale / fan.

    Args:
        mode: which fan: ``"fan_in"``, ``"fan_out"``, or ``"fan_avg"``, the mean of both.
        distribution: ``"uniform"``, ``"normal"`` or ``"truncated_normal"``.
    """
    fan_in, fan_out = _compute_fans(t.shape, data_format)
    fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
    std = math.sqrt(scale / max(fans[mode], 1.0))
    if distribution == "uniform":
        return t.uniform(-math.sqrt(3.0) * std, math.sqrt(3.0) * std)
    return {"normal": normal, "truncated_normal": trunc_normal}[distribution](t, 0.0, std)


# -- SINGA's older names, for matrices of (in, out) ---------------------------------------------


def gaussian(t: Tensor, fan_in: float = 0, fan_out: float = 0) -> Tensor:
    """Fill ``t``, of any shape, with normal numbers of variance 2 / (fan_in + fan_out).

    If one of the fans is 0, the variance is 1 / the other. Deprecated: use he_normal or
    glorot_normal, which choose the variance themselves.

    Raises:
        ArgumentError: both are 0, or one is negative.

    Example:
        >>> round(initializer.gaussian(Tensor((100, 100)), fan_in=100).std().item(), 2)
        0.1
    """
    if min(fan_in, fan_out) < 0 or fan_in + fan_out == 0:
        raise ArgumentError(f"gaussian: fan_in={fan_in} and fan_out={fan_out} give no variance")
    return t.gaussian(0.0, math.sqrt((2 if fan_in * fan_out else 1) / (fan_in + fan_out)))


def xavier(t: Tensor) -> Tensor:
    """Fill a matrix (in, out) uniformly, with variance 2 / (in + out).

    Deprecated: use glorot_uniform.

    Example:
        >>> round(initializer.xavier(Tensor((100, 100))).std().item(), 2)
        0.1
    """
    return _random_fill(_matrix("xavier", t), 1.0, "fan_avg", "uniform")


def glorot(t: Tensor) -> Tensor:
    """Fill a matrix (in, out) with normal numbers of variance 2 / (in + out).

    Deprecated: use glorot_normal, which is truncated.

    Example:
        >>> round(initializer.glorot(Tensor((100, 100))).std().item(), 2)
        0.1
    """
    return _random_fill(_matrix("glorot", t), 1.0, "fan_avg", "normal")


def msra(t: Tensor) -> Tensor:
    """Fill a matrix (in, out) with normal numbers of variance 2 / in.

    Deprecated: use he_normal, which is truncated.

    Example:
        >>> round(initializer.msra(Tensor((100, 100))).std().item(), 2)
        0.14
    """
    return _random_fill(_matrix("msra", t), 2.0, "fan_in", "normal")


def _matrix(name: str, t: Tensor) -> Tensor:
    if t.ndim() != 2:
        raise ShapeError(f"{name}: a Tensor with two axes is needed, got shape {t.shape}")
    return t
