"""Functions that make Tensors, or fill them with random numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from singa.core.arrays import fits
from singa.core.tensor import CTensor, Tensor
from singa.device import Device, complex64, float32, int32, int64


def from_numpy(np_array: np.ndarray[Any, Any], dev: Device | None = None) -> Tensor:
    """A Tensor with a copy of the array's values, of the same shape and data type.

    Example:
        >>> tensor.from_numpy(np.array([1.0, 2.0]))
        Tensor([1., 2.], shape=(2,), dtype=float64, device=cpu)
    """
    return Tensor(data=np.asarray(np_array), device=dev)


def from_dlpack(array: Any) -> Tensor:
    """A Tensor on another library's array, of its shape; not copied if both libraries allow it.

    Example:
        >>> tensor.from_dlpack(np.array([1, 2], np.int32))
        Tensor([1, 2], shape=(2,), dtype=int32, device=cpu)
    """
    data = jax.dlpack.from_dlpack(array)
    return from_raw_tensor(data)


def from_raw_tensor(t: CTensor) -> Tensor:
    """A Tensor on this CTensor, of its shape; nothing is copied.

    Example:
        >>> tensor.from_raw_tensor(jnp.ones(2, "float32"))
        Tensor([1., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    return Tensor(data=t)


def from_raw_tensors(tt: Iterable[CTensor]) -> list[Tensor]:
    """A Tensor on each of these CTensors, of its shape.

    Example:
        >>> [t.shape for t in tensor.from_raw_tensors([jnp.ones(2), jnp.ones((3, 4))])]
        [(2,), (3, 4)]
    """
    return [from_raw_tensor(t) for t in tt]


def to_numpy(t: Tensor) -> np.ndarray[Any, Any]:
    """An array of t's shape, which the caller may change; (1,) if ``t`` is a scalar.

    SINGA's scalars have an axis, so that its programs read a loss by ``to_numpy(loss)[0]``. The
    method ``t.to_numpy()`` adds no axis, and ``t.item()`` returns a number.

    Example:
        >>> loss = autograd.mse_loss(Tensor(data=[1.0, 2.0]), Tensor(data=[0.0, 0.0]))
        >>> tensor.to_numpy(loss)[0], loss.to_numpy().shape
        (np.float32(2.5), ())
    """
    return np.atleast_1d(t.to_numpy())


def to_host(t: Tensor) -> Tensor:
    """A copy of ``t`` on the CPU, of its shape.

    Example:
        >>> tensor.to_host(Tensor(data=[1.0, 2.0]))
        Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
    """
    return t.clone().to_host()


def zeros(shape: Sequence[int] | int, device: Device | None = None, dtype: Any = None) -> Tensor:
    """A Tensor of zeros, of this shape; float32 if no type is given.

    Example:
        >>> tensor.zeros((2, 2))
        Tensor([[0., 0.],
                [0., 0.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return Tensor(shape, device, dtype)


def ones(shape: Sequence[int] | int, device: Device | None = None, dtype: Any = None) -> Tensor:
    """A Tensor of ones, of this shape; float32 if no type is given.

    Example:
        >>> tensor.ones(2, dtype=tensor.int32)
        Tensor([1, 1], shape=(2,), dtype=int32, device=cpu)
    """
    return Tensor(shape, device, dtype).set_value(1)


def zeros_like(t: Tensor) -> Tensor:
    """Zeros of ``t``'s shape and data type, on its device.

    Example:
        >>> tensor.zeros_like(Tensor(data=[1, 2]))
        Tensor([0, 0], shape=(2,), dtype=int32, device=cpu)
    """
    return Tensor(t.shape, t.device, t.dtype)


def ones_like(t: Tensor) -> Tensor:
    """Ones of ``t``'s shape and data type, on its device.

    Example:
        >>> tensor.ones_like(Tensor(data=[1, 2]))
        Tensor([1, 1], shape=(2,), dtype=int32, device=cpu)
    """
    return zeros_like(t).set_value(1)


def full(
    shape: Sequence[int] | int, value: complex, device: Device | None = None, dtype: Any = None
) -> Tensor:
    """A Tensor of this shape, whose elements are all ``value``.

    If no type is given: float32, and complex64 for a complex number.

    Example:
        >>> tensor.full((2,), 0.5)
        Tensor([0.5, 0.5], shape=(2,), dtype=float32, device=cpu)
    """
    if dtype is None and isinstance(value, complex):
        dtype = complex64
    return Tensor(shape, device, dtype).set_value(value)


def arange(
    start: float, stop: float | None = None, step: float = 1, device: Device | None = None
) -> Tensor:
    """The numbers from ``start`` to before ``stop``, of shape (number of them,), int32 or float32.

    int64, if one of them does not fit into 32 bits. If only one number is given, it is ``stop``,
    and ``start`` is 0.

    Example:
        >>> tensor.arange(3)
        Tensor([0, 1, 2], shape=(3,), dtype=int32, device=cpu)
        >>> tensor.arange(0.0, 1.0, 0.25)
        Tensor([0.  , 0.25, 0.5 , 0.75], shape=(4,), dtype=float32, device=cpu)
    """
    numbers = np.arange(start, stop, step) if stop is not None else np.arange(start, step=step)
    dtype = float32 if numbers.dtype.kind != "i" else int32 if fits(numbers, int32) else int64
    return Tensor(data=numbers, device=device, dtype=dtype)


def random(shape: Sequence[int] | int, device: Device | None = None) -> Tensor:
    """Uniform numbers in [0, 1), of this shape, float32, from the device's random stream.

    Example:
        >>> t = tensor.random((100, 100))
        >>> 0.0 <= t.min().item() < t.max().item() < 1.0
        True
    """
    return Tensor(shape, device).uniform(0.0, 1.0)


def gaussian(mean: float, std: float, t: Tensor) -> Tensor:
    """Fill ``t`` in place with numbers from the normal distribution, and return it.

    Example:
        >>> t = tensor.gaussian(5.0, 0.1, Tensor((100, 100)))
        >>> round(t.mean().item(), 1), round(t.std().item(), 1)
        (5.0, 0.1)
    """
    return t.gaussian(mean, std)


def uniform(low: float, high: float, t: Tensor) -> Tensor:
    """Fill ``t`` in place with uniform numbers in [low, high), and return it.

    Example:
        >>> t = tensor.uniform(-1.0, 1.0, Tensor((100, 100)))
        >>> -1.0 <= t.min().item() < t.max().item() < 1.0
        True
    """
    return t.uniform(low, high)


def bernoulli(p: float, t: Tensor) -> Tensor:
    """Fill ``t`` in place with ones, each with probability ``p``, and zeros, and return it.

    Example:
        >>> round(tensor.bernoulli(0.3, Tensor((100, 100))).mean().item(), 1)
        0.3
    """
    return t.bernoulli(p)
