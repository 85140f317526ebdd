"""Tensor: a named, mutable handle on an immutable array.

``t.data`` is the array (a :data:`CTensor`). Assigning it is how everything "in place" happens:
copying a batch in, an optimizer's update, batch norm's running mean. Nothing else in the package
holds numeric state, which is what lets a training step be captured into one program: a capture
(:mod:`singa.graph`) only has to watch which Tensors are read and which are assigned.

Arithmetic, indexing and the other recorded methods are declared in ``core/recorded.py``; importing
:mod:`singa.operation` defines them (``operation/methods.py``). What users see is
:mod:`singa.tensor`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from singa.core import hints, notebook
from singa.core import random as _random
from singa.core.arrays import (
    as_ctensor,
    as_shape,
    check_fits,
    converts,
    from_host,
    move,
    number_array,
    on_host,
)
from singa.core.guard import changed
from singa.core.recorded import ArrayLike as ArrayLike
from singa.core.recorded import Recorded
from singa.core.watching import Handle, concrete, local
from singa.device import CTensor as CTensor
from singa.device import Device, DType, as_device, as_dtype, get_default_device, is_float
from singa.device import bfloat16 as bfloat16
from singa.device import bool_ as bool_
from singa.device import float16 as float16
from singa.device import float32 as float32
from singa.device import float64 as float64
from singa.device import int8 as int8
from singa.device import int16 as int16
from singa.device import int32 as int32
from singa.device import int64 as int64
from singa.device import uint8 as uint8
from singa.errors import ArgumentError, CaptureError, DTypeError, ShapeError, warn

TensorLike: TypeAlias = "Tensor | ArrayLike"


class Count(int):
    """A number that may be called, which gives it: an attribute here, and a method in SINGA.

    Example:
        >>> Tensor((2, 3)).ndim == Tensor((2, 3)).ndim() == 2
        True
    """

    __slots__ = ()

    def __call__(self) -> int:
        return int(self)


class Tensor(Handle, Recorded):
    """An array with a name, a device and a place in the record of operations.

    Args:
        shape: its shape, if there is no ``data``; the elements are then 0.
        device: where it lives, or the name of that, such as ``"cpu"``; if not given, where
            ``data`` lives if it is a Tensor, or the CPU.
        dtype: its data type; that of ``data`` if not given, or float32.
        data: a NumPy array, a CTensor, a Tensor, a number or nested lists. It is copied, unless
            it is a CTensor. Python floats become float32, and Python ints int32, or int64 if one
            does not fit into 32 bits.
        requires_grad: whether gradients may flow through it.
        stores_grad: whether :func:`singa.autograd.backward` yields its gradient, as for a
            parameter. Needs ``requires_grad``.
        creator: the Record of the operation that computed it; None for a leaf.
        name: for people and checkpoints. Nothing is looked up by it.

    Raises:
        DTypeError: ``data`` is of a type that is not supported here.
        ArgumentError: there are integers in ``data`` that ``dtype`` does not have.
        ShapeError: both ``shape`` and ``data`` are given and do not fit.
        DeviceError: no device is named so.
        ArgumentError: ``stores_grad`` without ``requires_grad``.

    Example:
        >>> Tensor(data=[[1, 2], [3, 4]])
        Tensor([[1, 2],
                [3, 4]], shape=(2, 2), dtype=int32, device=cpu)
        >>> Tensor((2,), dtype="float16", name="bias")
        Tensor([0., 0.], shape=(2,), dtype=float16, device=cpu, name='bias')
    """

    __slots__ = (
        "__weakref__", "_data", "_requires_grad", "_stores_grad",
        "creator", "device", "name", "output_index",
    )  # fmt: skip

    device: Device
    creator: Any  # the Record of the operation that computed it; None for a leaf
    name: str | None
    output_index: int  # which of its creator's outputs it is

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
            if isinstance(shape, list):
                _not_elements(shape)
            with concrete():
                self._data: CTensor = jnp.zeros(
                    as_shape(shape), wanted or float32, device=device.jax_device
                )
        else:
            source = data.data if isinstance(data, Tensor) else data
            self._data = as_ctensor(source, device, wanted)
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

    @property
    def data(self) -> CTensor:
        """The array. Assigning another one is how a Tensor changes."""
        capture = local.capture
        return self._data if capture is None else capture.read(self)

    @data.setter
    def data(self, value: CTensor) -> None:
        if not isinstance(value, jax.Array):
            raise DTypeError(
                f"Tensor.data: a CTensor (jax.Array) is expected, got {type(value).__name__}; "
                "copy_from_numpy takes NumPy arrays"
            )
        self.assign(value)

    def assign(self, value: CTensor) -> None:
        """``self.data = value``, of any shape, unchecked: for what the package itself computed.

        The Tensor is a leaf from then on: nothing recorded has computed this value.

        Example:
            >>> t = Tensor((2,))
            >>> t.assign(jnp.ones(2))
        """
        here = local
        if here.journal is not None:
            here.journal.note(self)
        self.creator = None
        if here.capture is None:
            self._data = value
        else:
            here.capture.write(self, value)

    def as_it_is(self) -> tuple[Any, ...]:
        """All that :meth:`be_again` restores.

        Example:
            >>> x = Tensor(data=[1.0, 2.0])
            >>> before = x.as_it_is()
            >>> _ = x.set_value(0.0)
            >>> x.be_again(before)
            >>> x.to_numpy()
            array([1., 2.], dtype=float32)
        """
        value = self._data if local.capture is None else local.capture.peek(self)
        flags = self._requires_grad, self._stores_grad
        return value, self.creator, self.output_index, self.device, *flags

    def be_again(self, before: tuple[Any, ...]) -> None:
        """Become what :meth:`as_it_is` has returned: values, record, device and flags.

        Example:
            >>> x = Tensor(data=[1.0], stores_grad=True)
            >>> before = x.as_it_is()
            >>> x.stores_grad = False
            >>> x.be_again(before)
            >>> x.stores_grad
            True
        """
        value, *others = before
        if local.capture is None:
            self._data = value
        else:
            local.capture.put_back(self, value)
        self.be_again_but_for_its_value(others)

    def be_again_but_for_its_value(self, before: Sequence[Any]) -> None:
        """Get back record, device and flags.

        Example:
            >>> x = Tensor(data=[1.0], stores_grad=True)
            >>> _, *before = x.as_it_is()
            >>> x.stores_grad = False
            >>> x.be_again_but_for_its_value(before)
            >>> x.stores_grad
            True
        """
        self.creator, self.output_index, *flags = before
        self.set_flags(*flags)

    def set_flags(self, device: Device, requires_grad: bool, stores_grad: bool) -> None:
        """Set what a Tensor is other than its values and its record.

        Example:
            >>> x = Tensor((2,))
            >>> x.set_flags(x.device, requires_grad=True, stores_grad=True)
            >>> x.stores_grad
            True
        """
        if local.journal is not None:
            local.journal.note(self)
        self.device, self._requires_grad, self._stores_grad = device, requires_grad, stores_grad
        changed(self, "flags")
        changed(self, "device")

    def as_read(self, name: str) -> Any:
        """What a guard compares of a Tensor: what it is, other than its values.

        Example:
            >>> Tensor((2,), stores_grad=True).as_read("flags")
            (True, True)
        """
        return self.device if name == "device" else (self._requires_grad, self._stores_grad)

    def may_be_replaced_by(self, other: Tensor) -> bool:
        """Whether a compiled step may take the other one's value for this one's.

        It may if both are of one shape, type, device and flags, and this one is no parameter.

        Example:
            >>> Tensor((2,)).may_be_replaced_by(Tensor((2,)))
            True
            >>> Tensor((2,)).may_be_replaced_by(Tensor((3,)))
            False
        """
        return (
            not self._stores_grad
            and jax.typeof(self._data) == jax.typeof(other._data)
            and self._data.sharding == other._data.sharding
            and self._requires_grad == other._requires_grad
            and self.device is other.device
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each axis."""
        return self.data.shape

    @property
    def dtype(self) -> DType:
        """The data type of the elements, one of those that :mod:`singa.tensor` names."""
        return self.data.dtype

    @property
    def ndim(self) -> Count:
        """The number of axes. It may be called, as SINGA's method ``ndim()``.

        Example:
            >>> Tensor((2, 3)).ndim, Tensor((2, 3)).ndim()
            (2, 2)
        """
        return Count(self.data.ndim)

    @property
    def size(self) -> Count:
        """The number of elements. It may be called, as SINGA's method ``size()``.

        Example:
            >>> Tensor((2, 3)).size, Tensor((2, 3)).size()
            (6, 6)
        """
        return Count(self.data.size)

    def memsize(self) -> int:
        """The number of bytes.

        Example:
            >>> Tensor((2, 3)).memsize()
            24
        """
        return self.data.size * self.data.dtype.itemsize

    def is_empty(self) -> bool:
        """Whether there are no elements.

        Example:
            >>> Tensor((0, 3)).is_empty()
            True
        """
        return not self.size()

    def is_dummy(self) -> bool:
        """Whether this is a leaf: nothing recorded has computed it.

        Example:
            >>> Tensor((2, 3)).is_dummy()
            True
        """
        return self.creator is None

    def is_transpose(self) -> bool:
        """False: a transposed Tensor has its elements in order, like every other.

        Example:
            >>> Tensor((2, 3)).T().is_transpose()
            False
        """
        return False

    @property
    def requires_grad(self) -> bool:
        """Whether gradients may flow through this Tensor. False freezes a parameter."""
        self._note_flags()
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if bool(value) != self._requires_grad:
            self._will_change()
            self._requires_grad = bool(value)
            changed(self, "flags")

    @property
    def stores_grad(self) -> bool:
        """Whether ``backward`` yields this Tensor's gradient. Setting it sets requires_grad too.

        A frozen Tensor (requires_grad False) stores none; it does again when it is unfrozen.
        """
        self._note_flags()
        return self._stores_grad and self._requires_grad

    @stores_grad.setter
    def stores_grad(self, value: bool) -> None:
        if bool(value) != self.stores_grad:
            self._will_change()
            self._stores_grad = bool(value)
            self._requires_grad = self._requires_grad or self._stores_grad
            changed(self, "flags")

    def _note_flags(self) -> None:
        if local.guard is not None and not isinstance(self._data, jax.core.Tracer):
            local.guard.note(self, "flags")

    def _will_change(self) -> None:
        if local.journal is not None:
            local.journal.note(self)

    # -- changing it ------------------------------------------------------------------------

    @property
    def is_parameter(self) -> bool:
        """Whether it was made to store its gradient, be it frozen at present or not."""
        self._note_flags()
        return self._stores_grad

    def check_fits(self, array: np.ndarray[Any, Any], what: str) -> None:
        """Raise what :meth:`copy_from_numpy` would raise for ``array``; ``what`` begins it.

        Raises:
            ShapeError: it is not of this Tensor's shape.
            DTypeError: its values do not fit into this Tensor's data type.

        Example:
            >>> Tensor((2,)).check_fits(np.zeros(3), "my file")
            Traceback (most recent call last):
                ...
            singa.errors.ShapeError: my file: the Tensor is of shape (2,), the array of (3,)
        """
        if array.shape != self.shape:
            raise ShapeError(
                f"{what}: the Tensor is of shape {self.shape}, the array of {array.shape}"
            )
        if array.dtype != self.dtype and not converts(array.dtype, self.dtype):
            raise DTypeError(f"{what}: {array.dtype} values do not fit into a {self.dtype} Tensor")

    def copy_from_numpy(self, np_array: np.ndarray[Any, Any]) -> Tensor:
        """Copy an array in. Its shape must be this Tensor's; its values are converted.

        Raises:
            ShapeError: another shape. For batches of several sizes make a Tensor for each.
            DTypeError: the conversion would lose more than precision (float to int, say).

        Example:
            >>> Tensor((2,)).copy_from_numpy(np.array([1, 2]))
            Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
        """
        array = np.asarray(np_array)
        self.check_fits(array, "copy_from_numpy")
        self.data = from_host(array, self.device, self.dtype)
        return self

    def copy_data(self, t: Tensor) -> Tensor:
        """Take over another Tensor's values; shape, data type and device stay.

        Raises:
            ShapeError: the other one is of another shape.

        Example:
            >>> Tensor((2,)).copy_data(Tensor(data=[1, 2]))
            Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
        """
        if t.shape != self.shape:
            raise ShapeError(f"copy_data: {t.shape} into a Tensor of shape {self.shape}")
        self.data = move(t.data.astype(self.dtype), self.device)
        return self

    def copy_from(self, t: Tensor | np.ndarray[Any, Any]) -> Tensor:
        """:meth:`copy_data` of a Tensor, :meth:`copy_from_numpy` of an array, of this one's shape.

        Example:
            >>> Tensor((2,)).copy_from(np.array([1, 2]))
            Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
        """
        return self.copy_data(t) if isinstance(t, Tensor) else self.copy_from_numpy(t)

    def set_value(self, x: float | Tensor) -> Tensor:
        """Set every element to a number, in place.

        Example:
            >>> Tensor((2,)).set_value(0.5)
            Tensor([0.5, 0.5], shape=(2,), dtype=float32, device=cpu)
        """
        # Reading Tensors is a part of a step: only the array is made with real values.
        number = x.data if isinstance(x, Tensor) else x
        shape, dtype = self.shape, self.dtype
        if not isinstance(number, jax.Array):
            check_fits(np.asarray(number), dtype, "set_value")
        with concrete():
            value = jnp.full(shape, number, dtype, device=self.device.jax_device)
        self.data = value
        return self

    def gaussian(self, mean: float = 0.0, std: float = 1.0) -> Tensor:
        """Fill with numbers from the normal distribution, in place.

        They are from the device's random stream.

        Raises:
            DTypeError: this Tensor is not of a float type.

        Example:
            >>> t = Tensor((100, 100)).gaussian(5.0, 0.1)
            >>> round(t.mean().item(), 1), round(t.std().item(), 1)
            (5.0, 0.1)
        """
        return self._draw(_random.normal, mean, std)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Fill with numbers that are uniform in [low, high), in place.

        They are from the device's random stream.

        Raises:
            DTypeError: this Tensor is not of a float type.

        Example:
            >>> t = Tensor((100, 100)).uniform(-1.0, 1.0)
            >>> -1.0 <= t.min().item() < t.max().item() < 1.0
            True
        """
        return self._draw(_random.uniform, low, high)

    def bernoulli(self, p: float) -> Tensor:
        """Fill with ones, each with probability ``p``, and zeros, in place.

        They are from the device's random stream.

        Raises:
            DTypeError: this Tensor is not of a float type.

        Example:
            >>> round(Tensor((100, 100)).bernoulli(0.3).mean().item(), 1)
            0.3
        """
        return self._draw(_random.bernoulli, p)

    def _draw(self, distribution: Any, *parameters: float) -> Tensor:
        if not is_float(self.dtype):
            raise DTypeError(f"{distribution.__name__}: a float Tensor is needed, not {self.dtype}")
        # As arrays of this data type, so that another mean does not compile another kernel.
        numbers = [np.asarray(parameter, self.dtype) for parameter in parameters]
        self.data = distribution(
            next_key(self.device), *numbers, shape=self.shape, dtype=self.dtype
        )
        return self

    def reset_like(self, t: Tensor) -> Tensor:
        """Become zeros of another Tensor's shape and data type, on its device, in place.

        Example:
            >>> Tensor((2,)).set_value(1.0).reset_like(Tensor((3,), dtype=tensor.int32))
            Tensor([0, 0, 0], shape=(3,), dtype=int32, device=cpu)
        """
        self._move(Tensor(t.shape, t.device, t.dtype).data, t.device)
        return self

    def to_device(self, device: Device | str) -> Tensor:
        """Move this Tensor to another device, in place. ``"cuda:1"`` names one.

        Example:
            >>> Tensor((2,)).to_device(device.create_cpu_device()).device
            <Device cpu>
        """
        device = as_device(device)
        self._move(move(self.data, device), device)
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
        self.data = self.data.astype(as_dtype(dtype))
        return self

    # -- copies and other people's arrays -----------------------------------------------------

    def deepcopy(self) -> Tensor:
        """A new leaf of the same shape, values and flags; :meth:`clone` is recorded.

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
        # A leaf, as deepcopy gives: what has computed it is not put into files.
        values = self._value("pickle")
        return _unpickled, (values, self.device, self._requires_grad, self._stores_grad, self.name)

    def contiguous(self) -> Tensor:
        """Itself: every Tensor's elements are in order.

        Example:
            >>> t = Tensor((2, 3))
            >>> t.contiguous() is t
            True
        """
        return self

    def detach(self) -> Tensor:
        """A Tensor of the same shape and values, through which no gradient flows.

        Example:
            >>> Tensor(data=[1.0, 2.0], stores_grad=True).detach().requires_grad
            False
        """
        return wrap(self.data, self.device)

    @property
    def _has_no_value(self) -> bool:
        return isinstance(self._data, jax.core.Tracer) or local.capture is not None

    def _value(self, what: str) -> np.ndarray[Any, Any]:
        """The values, read-only and not copied if on the CPU."""
        if self._has_no_value:
            raise CaptureError(
                f"{what}: this Tensor{f' ({self.name})' if self.name else ''} has no value yet: "
                "its step is being compiled into one program. Return it from train_one_batch and "
                "read it there, or run the step eagerly with model.graph(False)"
            )
        return on_host(self._data)

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array, which is the caller's own.

        Raises:
            CaptureError: in a step that is being compiled there are no values yet.

        Example:
            >>> Tensor(data=[1.0, 2.0]).to_numpy()
            array([1., 2.], dtype=float32)
        """
        return self._value("to_numpy").copy()

    def item(self) -> float | int | bool:
        """The value of a one-element Tensor as a Python number.

        Raises:
            ShapeError: there are more elements, or none.
            CaptureError: in a step that is being compiled there are no values yet.

        Example:
            >>> Tensor(data=[[0.5]]).item()
            0.5
        """
        value = self._value("item")
        if value.size != 1:
            raise ShapeError(f"item: one element is needed, the Tensor is of shape {self.shape}")
        number: float | int | bool = value.item()
        return number

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a number if there are no axes.

        Example:
            >>> Tensor(data=[[1, 2], [3, 4]]).tolist()
            [[1, 2], [3, 4]]
        """
        return self._value("tolist").tolist()

    def l1(self) -> float:
        """The sum of the elements' absolute values, as a Python number.

        Example:
            >>> Tensor(data=[3.0, -4.0]).l1()
            7.0
        """
        return float(np.abs(self._value("l1")).sum(dtype=np.float64))

    def l2(self) -> float:
        """The square root of the sum of the elements' squares, as a Python number.

        Example:
            >>> Tensor(data=[3.0, -4.0]).l2()
            5.0
        """
        return float(np.sqrt(np.square(self._value("l2"), dtype=np.float64).sum()))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        return np.array(self._value("__array__"), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        self._value("__dlpack__")
        return self._data.__dlpack__(**kwargs)

    def __dlpack_device__(self) -> Any:
        array: Any = self._data  # jax's abstract type does not mention this method
        return array.__dlpack_device__()

    def __format__(self, how: str) -> str:
        return format(self.item(), how) if how else str(self)

    def __round__(self, digits: int | None = None) -> Any:
        return round(self.item(), digits)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hints.no_attribute(self, name, hints.TENSOR)

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len: a Tensor without axes has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        if self._has_no_value:
            return f"Tensor(<computed in the step being compiled>, {self._about()})"
        values = np.array2string(np.asarray(self._data), prefix="Tensor(", separator=", ")
        return f"Tensor({values}, {self._about()})"

    def _repr_html_(self) -> str | None:
        if self._has_no_value:
            return None  # Jupyter shows the other one
        return notebook.array(np.asarray(self._data), f"Tensor {self._about()}")

    def _about(self) -> str:
        about = f"shape={self.shape}, dtype={self.dtype}, device={self.device.name}"
        about += f", name={self.name!r}" if self.name else ""
        return about + (", stores_grad=True" if self.stores_grad else "")

    # Tensors are equal by value, element by element, but found by who they are.
    __hash__ = object.__hash__


def _not_elements(shape: list[Any]) -> None:
    """A list as the shape may have been meant as the elements, as it would be in PyTorch."""
    if not all(isinstance(size, (int, np.integer)) for size in shape):
        raise ShapeError(
            f"Tensor: a shape is made of sizes of 0 or more, got {shape!r}; Tensor(data=...) makes "
            "one with these elements"
        )
    warn(
        f"Tensor({shape}) is of shape {tuple(shape)}, and 0; Tensor(data={shape}) has these "
        f"elements. If it is a shape, give a tuple: Tensor({tuple(shape)})",
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
    """A Tensor on this very array; the short way for what the package itself computes."""
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
    values: np.ndarray[Any, Any], device: Device, requires_grad: bool, stores: bool, name: str
) -> Tensor:
    tensor = wrap(as_ctensor(values, device, None), device, requires_grad)
    tensor.name, tensor._stores_grad = name, stores
    return tensor


def number(value: float, dtype: DType, device: Device) -> Tensor:
    """A constant of shape (); those that are used again and again are made once."""
    return wrap(number_array(value, dtype, device), device)


def as_tensor(value: TensorLike, like: Tensor) -> Tensor:
    """``value`` itself if it is a Tensor, else a constant on ``like``'s device.

    A Python number takes ``like``'s data type where that can hold it, as in NumPy.

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
    """A fresh key, uint32 (2,), for jax.random; the device's stream moves on."""
    state = random_key(device)
    state.data, key = _random.split(state.data)
    return key
