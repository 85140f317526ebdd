"""Tensor: a named, mutable handle on an immutable array.

``t.data`` is the array (a :data:`CTensor`). Every change "in place" is an assignment of it:
copying a batch in, an optimizer's update, batch norm's running mean. Nothing else in the package
holds numeric state. So a training step can be captured into one program: a capture
(:mod:`singa.graph`) only has to watch which Tensors are read and which are assigned.

Arithmetic, indexing and the other recorded methods are declared in ``core/recorded.py``; importing
:mod:`singa.operation` defines them (``operation/methods.py``). The public module is
:mod:`singa.tensor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import numpy as np

from singa.core import random as _random
from singa.core.arrays import as_ctensor, as_shape, check_real, filled, move, number_array
from singa.core.guard import changed
from singa.core.recorded import ArrayLike as ArrayLike
from singa.core.recorded import Recorded
from singa.core.values import Valued
from singa.core.watching import local
from singa.device import CTensor as CTensor
from singa.device import (
    Device,
    DType,
    as_device,
    as_dtype,
    complex_type,
    get_default_device,
    is_float,
)
from singa.device import bfloat16 as bfloat16
from singa.device import bool_ as bool_
from singa.device import complex64 as complex64
from singa.device import complex128 as complex128
from singa.device import float16 as float16
from singa.device import float32 as float32
from singa.device import float64 as float64
from singa.device import int8 as int8
from singa.device import int16 as int16
from singa.device import int32 as int32
from singa.device import int64 as int64
from singa.device import uint8 as uint8
from singa.errors import ArgumentError, DTypeError, ShapeError, warn
from singa.placement import Place, Split, announce, put, split_as, split_of

TensorLike: TypeAlias = "Tensor | ArrayLike"


class Tensor(Valued, Recorded):
    """An array with a name, a device and a place in the record of operations.

    Args:
        shape: its shape, if there is no ``data``; the elements are then 0.
        device: its device, or the name of the device, such as ``"cpu"``. If not given, the device
            of ``data`` if that is a Tensor, else the CPU.
        dtype: its data type. If not given, that of ``data``; float32 without ``data``.
        data: a NumPy array, a CTensor, a Tensor, a number or nested lists. It is copied, unless
            it is a CTensor. Python floats become float32, complex numbers complex64, and Python
            ints int32, or int64 if one does not fit into 32 bits.
        requires_grad: whether gradients may flow through it.
        stores_grad: whether :func:`singa.autograd.backward` yields its gradient, as for a
            parameter. Needs ``requires_grad``.
        creator: the Record of the operation that computed it; None for a leaf.
        name: for messages and checkpoints. Tensors are not looked up by name.

    Raises:
        DTypeError: ``data`` is of a type that is not supported here, or complex for a real
            ``dtype``.
        ArgumentError: ``dtype`` cannot hold an integer in ``data``.
        ShapeError: both ``shape`` and ``data`` are given, and do not fit.
        DeviceError: no device has this name.
        ArgumentError: ``stores_grad`` without ``requires_grad``.

    Example:
        >>> Tensor(data=[[1, 2], [3, 4]])
        Tensor([[1, 2],
                [3, 4]], shape=(2, 2), dtype=int32, device=cpu)
        >>> Tensor((2,), dtype="float16", name="bias")
        Tensor([0., 0.], shape=(2,), dtype=float16, device=cpu, name='bias')
    """

    __slots__ = ("__weakref__",)

    def __init__(
        self,
        shape: Sequence[int] | int = (),
        device: Device | str | None = None,
        dtype: Any = None,
        data: TensorLike | None = None,
        requires_grad: bool = True,
        stores_grad: bool = False,
        creator: Any = None,
        name: str | None = None,
    ) -> None:
        if stores_grad and not requires_grad:
            raise ArgumentError("Tensor: stores_grad=True needs requires_grad=True")
        if device is None:
            device = data.device if isinstance(data, Tensor) else get_default_device()
        else:
            device = as_device(device)
        wanted = None if dtype is None else as_dtype(dtype)
        if data is None:
            if isinstance(shape, _ELEMENTS):
                _not_elements(shape)
            sizes = as_shape(shape)
            is_input = requires_grad and not stores_grad
            place = _place(device, sizes) if is_input else device.home
            self._data = filled(sizes, 0, wanted or float32, place)
        else:
            source = data.data if isinstance(data, Tensor) else data
            place = device.home
            if device.mesh is not None and not stores_grad:
                place = _place(device, np.shape(source))
            self._data = as_ctensor(source, device, wanted, place)
            if shape not in ((), None) and as_shape(shape) != self._data.shape:
                raise ShapeError(f"Tensor: shape {shape} given with data of {self._data.shape}")
        self.device = device
        self.creator = creator
        self.output_index = 0
        self.name = name
        self._requires_grad = requires_grad
        self._stores_grad = stores_grad
        if local.journal is not None:
            local.journal.made(self)

    # -- what it is -------------------------------------------------------------------------

    def is_dummy(self) -> bool:
        """Whether this is a leaf: no recorded operation has computed it.

        Example:
            >>> Tensor((2, 3)).is_dummy()
            True
        """
        return self.creator is None

    def is_transpose(self) -> bool:
        """Always False: the elements of every Tensor are in order, also after a transposition.

        Example:
            >>> Tensor((2, 3)).T().is_transpose()
            False
        """
        return False

    # -- changing it ------------------------------------------------------------------------

    def gaussian(self, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Fill with numbers from the normal distribution, in place.

        The numbers come from the device's random stream.

        Raises:
            DTypeError: this Tensor is not of a float type.

        Example:
            >>> t = Tensor((100, 100)).gaussian(5.0, 0.1)
            >>> round(t.mean().item(), 1), round(t.std().item(), 1)
            (5.0, 0.1)
        """
        return draw(self, _random.normal, mean, std)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Fill with numbers from the uniform distribution on [low, high), in place.

        The numbers come from the device's random stream.

        Raises:
            DTypeError: this Tensor is not of a float type.

        Example:
            >>> t = Tensor((100, 100)).uniform(-1.0, 1.0)
            >>> -1.0 <= t.min().item() < t.max().item() < 1.0
            True
        """
        return draw(self, _random.uniform, low, high)

    def bernoulli(self, p: float) -> Tensor:
        """Fill with zeros and ones, in place; each element is 1 with probability ``p``.

        The numbers come from the device's random stream.

        Raises:
            DTypeError: this Tensor is not of a float type.

        Example:
            >>> round(Tensor((100, 100)).bernoulli(0.3).mean().item(), 1)
            0.3
        """
        return draw(self, _random.bernoulli, p)

    def reset_like(self, t: Tensor) -> Tensor:
        """Change, in place, to zeros with another Tensor's shape, data type and device.

        Example:
            >>> Tensor((2,)).set_value(1.0).reset_like(Tensor((3,), dtype=tensor.int32))
            Tensor([0, 0, 0], shape=(3,), dtype=int32, device=cpu)
        """
        self._move(Tensor(t.shape, t.device, t.dtype).data, t.device)
        return self

    def to_device(self, device: Device | str) -> Tensor:
        """Move this Tensor to another device, in place. A name such as ``"cuda:1"`` works too.

        Example:
            >>> Tensor((2,)).to_device(device.create_cpu_device()).device
            <Device cpu>
        """
        device = as_device(device)
        is_input = self._requires_grad and not self._stores_grad
        place = _place(device, self.shape) if is_input else device.home
        self._move(move(self.data, device, place), device)
        return self

    def _move(self, value: CTensor, device: Device) -> None:
        self.assign(value)
        self.device = device
        changed(self, "device")

    def to_host(self) -> Tensor:
        """Move this Tensor to the CPU, in place.

        Example:
            >>> Tensor((2,)).to_host().device
            <Device cpu>
        """
        return self.to_device(get_default_device())

    def to_type(self, dtype: Any) -> Tensor:
        """Convert this Tensor to another data type, in place.

        Example:
            >>> Tensor(data=[1.7, -1.7]).to_type(tensor.int32)
            Tensor([ 1, -1], shape=(2,), dtype=int32, device=cpu)
        """
        wanted = as_dtype(dtype)
        check_real(self.data.dtype, wanted, "to_type")
        self.data = self.data.astype(wanted)
        return self

    # -- copies -------------------------------------------------------------------------------

    def deepcopy(self) -> Tensor:
        """A new leaf of the same shape, values and flags. It is not recorded; :meth:`clone` is.

        Example:
            >>> t = Tensor(data=[1.0, 2.0], stores_grad=True)
            >>> copy = t.deepcopy()
            >>> t.set_value(0.0).tolist(), copy.tolist(), copy.stores_grad
            ([0.0, 0.0], [1.0, 2.0], True)
        """
        copy = wrap(self.data, self.device, self._requires_grad)
        copy.name, copy._stores_grad = self.name, self._stores_grad
        return copy

    __copy__ = deepcopy

    def __deepcopy__(self, memo: object) -> Tensor:
        return self.deepcopy()

    def __reduce__(self) -> Any:
        # A leaf, as from deepcopy: the record of its computation is not pickled.
        values = self._value("pickle")
        split = None if self.device.mesh is None else split_of(self._data)
        flags = (self._requires_grad, self._stores_grad)
        return _unpickled, (values, self.device, *flags, self.name, split)

    def contiguous(self) -> Tensor:
        """The Tensor itself: the elements of every Tensor are in order.

        Example:
            >>> t = Tensor((2, 3))
            >>> t.contiguous() is t
            True
        """
        return self

    def detach(self) -> Tensor:
        """A new Tensor of the same shape and values, through which no gradient flows.

        Example:
            >>> Tensor(data=[1.0, 2.0], stores_grad=True).detach().requires_grad
            False
        """
        return wrap(self.data, self.device)

    # ``==`` compares elements, but dicts and sets need the identity of a Tensor.
    __hash__ = object.__hash__


def draw(tensor: Tensor, distribution: Any, *parameters: float) -> Tensor:
    """Fill a Tensor, in place, with numbers of a distribution of :mod:`singa.core.random`.

    The numbers come from the device's random stream.

    Raises:
        DTypeError: the Tensor is not of a float type.
    """
    dtype = tensor.dtype
    if not is_float(dtype):
        raise DTypeError(f"{distribution.__name__}: a float Tensor is needed, not {dtype}")
    # Pass arrays of this data type, so that another mean does not compile another kernel.
    numbers = [np.asarray(parameter, dtype) for parameter in parameters]
    key = next_key(tensor.device)
    fill = partial(_random.drawn, distribution) if tensor.device.mesh is None else distribution
    array = fill(key, *numbers, shape=tensor.shape, dtype=dtype)
    if isinstance(array, np.ndarray):
        array = put(array, tensor.device.home)
    tensor.data = array
    return tensor


def _place(device: Device, shape: Sequence[int]) -> Place:
    """Where a new Tensor goes that is no parameter: on a mesh it is split, if it is an input.

    What a step or a layer makes for itself, such as a mask or positions, is a constant.
    """
    here = local
    is_constant = here.making or here.capture is not None or here.journal is not None
    return device.home if is_constant else device.place_of_input(shape)


_ELEMENTS = (list, float, complex, np.ndarray, np.inexact, jax.Array, Tensor)
"""What is hardly meant as a shape: in PyTorch it would be the elements."""


def _not_elements(shape: Any) -> None:
    """Warn that elements are used as a shape; refuse them if they cannot be one."""
    sizes = shape.tolist() if isinstance(shape, np.ndarray) else shape
    if not isinstance(sizes, list) or not all(isinstance(n, (int, np.integer)) for n in sizes):
        got = repr(shape) if isinstance(shape, (list, float, complex)) else type(shape).__name__
        raise ShapeError(
            f"Tensor: a shape is made of sizes of 0 or more, got {got}; Tensor(data=...) makes "
            "one with these elements"
        )
    shown = tuple(sizes)
    warn(
        f"Tensor({shape!r}) is of shape {shown}, and 0; Tensor(data={sizes}) has these "
        f"elements. If it is a shape, give a tuple: Tensor({shown})",
        UserWarning,
    )


# -- making Tensors -----------------------------------------------------------------------------


def wrap(
    data: CTensor,
    device: Device,
    requires_grad: bool = False,
    creator: Any = None,
    output_index: int = 0,
) -> Tensor:
    """A Tensor of this array, which is not copied or checked; for results of the package itself."""
    tensor = Tensor.__new__(Tensor)
    tensor._data = data
    tensor.device = device
    tensor.creator = creator
    tensor.output_index = output_index
    tensor.name = None
    tensor._requires_grad = requires_grad
    tensor._stores_grad = False
    journal = local.journal
    if journal is not None:
        journal.made(tensor)
    return tensor


def _unpickled(
    values: np.ndarray[Any, Any],
    device: Device,
    requires_grad: bool,
    stores: bool,
    name: str,
    split: Split | None = None,
) -> Tensor:
    place = None
    if split is not None and device.mesh is not None:
        place = split_as(device.mesh, values.shape, split, name or "a Tensor")
    tensor = wrap(as_ctensor(values, device, None, place), device, requires_grad)
    tensor.name, tensor._stores_grad = name, stores
    return tensor


def number(value: complex, dtype: DType, device: Device) -> Tensor:
    """A constant of shape (). Constants that are used often are made once and cached."""
    return wrap(number_array(value, dtype, device), device)


def as_tensor(value: TensorLike, like: Tensor) -> Tensor:
    """``value`` itself if it is a Tensor, else a constant on ``like``'s device.

    A Python number gets ``like``'s data type if that can hold it, as in NumPy; a complex one the
    complex type with parts of that type.

    Example:
        >>> tensor.as_tensor(0.5, like=Tensor(data=[1.0, 2.0], dtype=tensor.float16))
        Tensor(0.5, shape=(), dtype=float16, device=cpu)
    """
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (bool, int, float)):
        dtype = like.dtype
        if isinstance(value, float) and not is_float(dtype):
            dtype = float32
        elif dtype == bool_:
            dtype = as_dtype(type(value))
        return number(value, dtype, like.device)
    if isinstance(value, complex):
        return number(value, complex_type(like.dtype), like.device)
    if isinstance(value, jax.core.Tracer):
        return wrap(value, like.device)
    if value is None:
        raise DTypeError("a Tensor, an array or a number is expected, got None")
    return Tensor(data=value, device=like.device, requires_grad=False)


def random_key(device: Device) -> Tensor:
    """The Tensor that holds the state of the device's random stream: uint32, of shape (2,).

    Example:
        >>> tensor.random_key(device.get_default_device()).shape
        (2,)
    """
    if device.random_key is None:
        device.random_key = wrap(device.initial_key(), device)
        device.random_key.name = f"random_key.{device.name}"
    key: Tensor = device.random_key
    return key


def next_key(device: Device) -> CTensor:
    """A new key, uint32 (2,), for jax.random; the device's random stream advances."""
    state = random_key(device)
    if device.mesh is not None:
        announce("random numbers", [state._data], device.mesh)
    state.data, key = _random.split(state.data)
    return key
