"""What SINGA's Python programs take from its C++ library, ``from singa import singa_wrap``.

- Functions of arrays, for the ``forward`` and ``backward`` of operations: ``singa_wrap.Exp(x)`` is
  ``jax.numpy.exp(x)``. :data:`FUNCTIONS` has them all. They take Tensors as well, and are not
  recorded: for what is differentiated there is :mod:`singa.autograd`.
- Functions that change their last argument, such as ``Gaussian(mean, std, t)``: it is a Tensor.
- :func:`NcclIdHolder`, :class:`Platform`, the numbers of data types, ``USE_CUDA``, ``USE_DIST``.

All other names raise an AttributeError, which says what to use instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from singa import device, distributed
from singa.core.holding import changeable
from singa.core.tensor import Tensor
from singa.device import CTensor
from singa.device import Device as Device

__all__ = ["FUNCTIONS", "NcclIdHolder", "Platform"]

VecTensor = list
"""SINGA's class for a list of arrays."""

kFloat32, kFloat16, kDouble = device.float32, device.float16, device.float64
kInt, kChar, kUChar = device.int32, device.int8, device.uint8

USE_ONEDNN = USE_DNNL = USE_OPENCL = False


def NcclIdHolder() -> str:
    """An address on this machine by which processes can connect, for ``opt.DistOpt``.

    Example:
        >>> singa_wrap.NcclIdHolder().startswith("127.0.0.1:")
        True
    """
    return distributed.free_address()


class Platform:
    """The devices, by the names that they have in SINGA's C++ library.

    Example:
        >>> singa_wrap.Platform.GetDefaultDevice()
        <Device cpu>
        >>> singa_wrap.Platform.GetNumGPUs() == device.get_num_gpus()
        True
    """

    GetDefaultDevice = staticmethod(device.get_default_device)
    GetNumGPUs = staticmethod(device.get_num_gpus)
    GetGPUIDs = staticmethod(device.get_gpu_ids)
    GetGPUMemSize = staticmethod(device.get_gpu_mem_size)
    DeviceQuery = staticmethod(device.device_query)
    CreateCudaGPUs = staticmethod(device.create_cuda_gpus)
    CreateCudaGPUsOn = staticmethod(device.create_cuda_gpus_on)


# -- functions of arrays ------------------------------------------------------------------------


def _as_float(compare: Callable[..., CTensor]) -> Callable[..., CTensor]:
    """A comparison whose result is 0 and 1 in float32, as in SINGA."""
    return lambda x, y: compare(x, y).astype(jnp.float32)


def _round_away(x: CTensor) -> CTensor:
    return jnp.sign(x) * jnp.floor(jnp.abs(x) + 0.5)


def _softmax(x: CTensor, axis: int = 1) -> CTensor:
    """Along all axes from this one on, as one."""
    rows = x.reshape(int(np.prod(x.shape[: axis % x.ndim])), -1)
    return jax.nn.softmax(rows, axis=1).reshape(x.shape)


def _slice(x: CTensor, start: int, end: int, axis: int) -> CTensor:
    return jax.lax.slice_in_dim(x, start, end, axis=axis)


_FORMULAS: dict[str, Callable[..., Any]] = {
    "Abs": jnp.abs, "Ceil": jnp.ceil, "Floor": jnp.floor, "Round": _round_away,
    "RoundE": jnp.round, "Sign": jnp.sign, "Exp": jnp.exp, "Log": jnp.log, "Sqrt": jnp.sqrt,
    "Square": jnp.square, "Erf": jax.lax.erf, "Cos": jnp.cos, "Cosh": jnp.cosh, "Acos": jnp.arccos,
    "Acosh": jnp.arccosh, "Sin": jnp.sin, "Sinh": jnp.sinh, "Asin": jnp.arcsin,
    "Asinh": jnp.arcsinh, "Tan": jnp.tan, "Tanh": jnp.tanh, "Atan": jnp.arctan,
    "Atanh": jnp.arctanh, "Sigmoid": jax.nn.sigmoid, "ReLU": jax.nn.relu,
    "SoftPlus": jax.nn.softplus, "SoftSign": jax.nn.soft_sign, "SoftMax": _softmax,
    "Pow": jnp.power, "__add__": jnp.add, "__sub__": jnp.subtract, "__mul__": jnp.multiply,
    "__div__": jnp.divide, "__lt__": _as_float(jnp.less), "__le__": _as_float(jnp.less_equal),
    "__gt__": _as_float(jnp.greater), "__ge__": _as_float(jnp.greater_equal),
    "__eq__": _as_float(jnp.equal), "AddFloat": jnp.add, "SubFloat": jnp.subtract,
    "MultFloat": jnp.multiply, "DivFloat": jnp.divide, "PowFloat": jnp.power,
    "LTFloat": _as_float(jnp.less), "LEFloat": _as_float(jnp.less_equal),
    "GTFloat": _as_float(jnp.greater), "GEFloat": _as_float(jnp.greater_equal),
    "EQFloat": _as_float(jnp.equal), "Mult": jnp.matmul, "Sum": jnp.sum, "SumAll": jnp.sum,
    "Average": jnp.mean, "RowMax": lambda x: jnp.max(x, axis=1),
    "SumRows": lambda x: jnp.sum(x, axis=0), "SumColumns": lambda x: jnp.sum(x, axis=1),
    "Reshape": jnp.reshape, "Transpose": jnp.transpose, "DefaultTranspose": jnp.transpose,
    "Broadcast": jnp.broadcast_to, "Repeat": jnp.repeat, "ConcatOn": jnp.concatenate,
    "ConcatenateRows": jnp.concatenate, "SliceOn": _slice,
    "ConcatenateColumns": lambda xs: jnp.concatenate(xs, 1),
    "SliceRows": lambda x, start, end: _slice(x, start, end, 0),
    "CopyRows": lambda x, start, end: _slice(x, start, end, 0),
    "SliceColumns": lambda x, start, end: _slice(x, start, end, 1),
    "CopyColumns": lambda x, start, end: _slice(x, start, end, 1),
}  # fmt: skip


def _of_tensors_too(formula: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which also takes Tensors, also in a list; its result is a Tensor then."""

    def function(*args: Any) -> Any:
        first = args[0][0] if isinstance(args[0], (list, tuple)) else args[0]
        result = formula(*map(_array, args))
        return Tensor(data=result, requires_grad=False) if isinstance(first, Tensor) else result

    return function


def _array(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_array(each) for each in value]
    return value.data if isinstance(value, Tensor) else value


FUNCTIONS = {name: _of_tensors_too(formula) for name, formula in _FORMULAS.items()}
"""The functions of arrays that SINGA's library has, by name."""


# -- functions that change a Tensor ---------------------------------------------------------------


def _changing(name: str, change: Callable[..., Any], place: int) -> Callable[..., None]:
    """SINGA's function of this name, which changes the argument at this place."""

    def function(*args: Any) -> None:
        changed = changeable(args[place], name)
        change(*args[:place], changed, *args[place + 1 :])

    return function


def _axpy(alpha: Any, x: Any, y: Tensor) -> None:
    y.assign(y.data + _array(alpha) * _array(x))


def _copy_part(
    to: Tensor, source: Any, size: int, to_offset: int = 0, source_offset: int = 0
) -> None:
    part = _array(source).ravel()[source_offset : source_offset + size]
    flat = to.data.ravel().at[to_offset : to_offset + size].set(part.astype(to.dtype))
    to.assign(flat.reshape(to.shape))


_CHANGES = {
    "Gaussian": _changing("Gaussian", lambda mean, std, t: t.gaussian(mean, std), 2),
    "Uniform": _changing("Uniform", lambda low, high, t: t.uniform(low, high), 2),
    "Bernoulli": _changing("Bernoulli", lambda p, t: t.bernoulli(p), 1),
    "Axpy": _changing("Axpy", _axpy, 2),
    "CopyDataToFrom": _changing("CopyDataToFrom", _copy_part, 0),
}

_INSTEAD: Sequence[tuple[str, str]] = (
    ("Conv", "layer.Conv2d, or autograd.conv2d"),
    ("BatchNorm", "layer.BatchNorm2d, or autograd.batchnorm_2d"),
    ("Pool", "layer.MaxPool2d and AvgPool2d, or autograd.max_pool_2d and avg_pool_2d"),
    ("RNN", "layer.CudnnRNN, or autograd.lstm, gru and rnn"),
    ("CrossEntropy", "autograd.softmax_cross_entropy"),
    ("Communicator", "opt.DistOpt"),
    ("Row|Column", "operators on Tensors, which broadcast: t + row, t * column.reshape((-1, 1))"),
    ("Snapshot", "Model.save_states and load_states"),
    ("Backward", "autograd.backward, or an operation without a backward: jax derives it"),
)


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    if name in _CHANGES:
        return _CHANGES[name]
    if name in ("USE_CUDA", "USE_DIST"):  # looked up late: processes that train together connect
        return device.get_num_gpus() > 0
    found = [instead for pattern, instead in _INSTEAD if re.search(pattern, name)]
    hint = f"; use {found[0]}" if found else "; in an operation's forward, use jax.numpy"
    raise AttributeError(f"singa_wrap has no {name!r} here: XLA computes{hint}", name=name)
