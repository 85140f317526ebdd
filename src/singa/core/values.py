"""A Tensor's values: its array, how values are written, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from singa.core import hints, notebook
from singa.core.arrays import (
    are_merged,
    are_whole,
    check_fits,
    check_real,
    converts,
    from_host,
    move,
    on_host,
)
from singa.core.flags import Flagged
from singa.core.watching import concrete, local
from singa.device import CTensor, DType, is_complex, is_float
from singa.errors import CaptureError, DTypeError, ShapeError
from singa.placement import Place, as_before, is_on


class Count(int):
    """An integer that returns itself when called. It is an attribute here, a method in SINGA.

    Example:
        >>> Tensor((2, 3)).ndim == Tensor((2, 3)).ndim() == 2
        True
    """

    __slots__ = ()

    def __call__(self) -> int:
        return int(self)


class Valued(Flagged):
    """The part of a Tensor that is a handle on an array."""

    __slots__ = ("_data", "name")

    _data: CTensor
    name: str | None

    @property
    def data(self) -> CTensor:
        """The array. A Tensor changes when another array is assigned."""
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
        """``self.data = value``, of any shape, without a check: for results of the package itself.

        The Tensor becomes a leaf, because no recorded operation has computed this value.

        Example:
            >>> t = Tensor((2,))
            >>> t.assign(jnp.ones(2))
        """
        here = local
        if here.journal is not None:
            here.journal.note(self)
        self.creator = None
        if here.capture is not None:
            here.capture.write(self, value)
        elif self.device.mesh is None:
            self._data = value
        else:
            self._data = as_before(value, self._data)

    @classmethod
    def read_all(cls, tensors: Sequence[Self]) -> list[CTensor]:
        """The ``data`` of several Tensors, of any shapes: faster than one by one.

        Example:
            >>> Tensor.read_all([Tensor((2,)), Tensor((1,))])
            [Array([0., 0.], dtype=float32), Array([0.], dtype=float32)]
        """
        capture = local.capture
        if capture is None:
            return [tensor._data for tensor in tensors]
        return [capture.read(tensor) for tensor in tensors]

    @classmethod
    def assign_all(cls, tensors: Sequence[Self], values: Sequence[CTensor]) -> None:
        """:meth:`assign` several Tensors their values, of any shapes: faster than one by one.

        Example:
            >>> a, b = Tensor((2,)), Tensor((3,))
            >>> Tensor.assign_all([a, b], [jnp.ones(2), jnp.ones(3)])
        """
        here = local
        if here.journal is not None:
            here.journal.note_all(tensors)
        capture = here.capture
        for tensor, value in zip(tensors, values, strict=True):
            tensor.creator = None
            if capture is not None:
                capture.write(tensor, value)
            elif tensor.device.mesh is None:
                tensor._data = value
            else:
                tensor._data = as_before(value, tensor._data)

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
        """The number of axes. It can be called, like SINGA's method ``ndim()``.

        Example:
            >>> Tensor((2, 3)).ndim, Tensor((2, 3)).ndim()
            (2, 2)
        """
        return Count(self.data.ndim)

    @property
    def size(self) -> Count:
        """The number of elements. It can be called, like SINGA's method ``size()``.

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

    def is_floating_point(self) -> bool:
        """Whether the elements are of a type of real numbers with fractions.

        Example:
            >>> Tensor(data=[1.0]).is_floating_point(), Tensor(data=[1]).is_floating_point()
            (True, False)
        """
        return is_float(self.data.dtype)

    def is_complex(self) -> bool:
        """Whether the elements are of a type of complex numbers.

        Example:
            >>> Tensor(data=[1j]).is_complex(), Tensor(data=[1.0]).is_complex()
            (True, False)
        """
        return is_complex(self.data.dtype)

    # -- writing values -----------------------------------------------------------------------

    def check_fits(self, array: np.ndarray[Any, Any], what: str) -> None:
        """Raise the error that :meth:`copy_from_numpy` would raise for this array.

        Args:
            array: the array to check.
            what: the beginning of the message.

        Raises:
            ShapeError: the array does not have this Tensor's shape.
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

    def copy_from_numpy(self, np_array: np.ndarray[Any, Any]) -> Self:
        """Copy an array into this Tensor. It must have the same shape; its values are converted.

        As in SINGA's programs, the array may also have more axes than the Tensor, which are merged
        in it, or fewer: images (N, C, H, W) for a Tensor of (N, C * H * W).

        Raises:
            ShapeError: the shape differs. For batches of several sizes make a Tensor for each.
            DTypeError: the conversion would lose more than precision (for example 0.5 to int).

        Example:
            >>> Tensor((2,)).copy_from_numpy(np.array([1, 2]))
            Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
        """
        array = np.asarray(np_array)
        if array.shape != self.shape and are_merged(array.shape, self.shape):
            array = array.reshape(self.shape)
        if array.dtype.kind == "f" and self.dtype.kind in "iu" and are_whole(array, self.dtype):
            array = array.astype(self.dtype)
        self.check_fits(array, "copy_from_numpy")
        self.data = from_host(array, self.device, self.dtype, self._place())
        return self

    def copy_data(self, t: Self) -> Self:
        """Copy another Tensor's values into this one; shape, data type and device do not change.

        Raises:
            ShapeError: the other Tensor has another shape.
            DTypeError: it is complex, and this one is real.

        Example:
            >>> Tensor((2,)).copy_data(Tensor(data=[1, 2]))
            Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
        """
        if t.shape != self.shape:
            raise ShapeError(f"copy_data: {t.shape} into a Tensor of shape {self.shape}")
        check_real(t.dtype, self.dtype, "copy_data")
        self.data = move(t.data.astype(self.dtype), self.device, self._place())
        return self

    def copy_from(self, t: Self | np.ndarray[Any, Any]) -> Self:
        """Copy a Tensor or an array of the same shape: :meth:`copy_data`, :meth:`copy_from_numpy`.

        Example:
            >>> Tensor((2,)).copy_from(np.array([1, 2]))
            Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu)
        """
        return self.copy_data(t) if isinstance(t, Valued) else self.copy_from_numpy(t)

    def set_value(self, x: complex | Self) -> Self:
        """Set every element to a number, in place.

        Raises:
            ArgumentError: an integer that this Tensor's type cannot hold.
            DTypeError: a complex number for a real Tensor.

        Example:
            >>> Tensor((2,)).set_value(0.5)
            Tensor([0.5, 0.5], shape=(2,), dtype=float32, device=cpu)
        """
        # Only the array is made with real values. A read of a Tensor has to be captured.
        number: Any = x.data if isinstance(x, Valued) else x
        shape, dtype = self.shape, self.dtype
        if not isinstance(number, jax.Array):
            number = np.asarray(number)
            check_fits(number, dtype, "set_value")
        check_real(number.dtype, dtype, "set_value")
        with concrete():
            value = jnp.full(shape, number, dtype, device=self._place())
        self.data = value
        return self

    def _place(self) -> Place:
        """Where its values are: on its device, or spread over a mesh as they are at present."""
        home = self.device.home
        if self.device.mesh is None or isinstance(self._data, jax.core.Tracer):
            return home
        return self._data.sharding if is_on(self._data, home) else home

    # -- reading values -----------------------------------------------------------------------

    @property
    def _has_no_value(self) -> bool:
        return isinstance(self._data, jax.core.Tracer) or local.capture is not None

    def _value(self, what: str) -> np.ndarray[Any, Any]:
        """The values, read-only; they are not copied if they are on the CPU."""
        if self._has_no_value:
            raise CaptureError(
                f"{what}: this Tensor{f' ({self.name})' if self.name else ''} has no value yet: "
                "its step is being compiled into one program. Return it from train_one_batch and "
                "read it there, or run the step eagerly with model.graph(False)"
            )
        return on_host(self._data)

    def to_numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array: a copy, which the caller may change.

        Raises:
            CaptureError: in a step that is being compiled there are no values yet.

        Example:
            >>> Tensor(data=[1.0, 2.0]).to_numpy()
            array([1., 2.], dtype=float32)
        """
        return self._value("to_numpy").copy()

    def item(self) -> float:
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
        number: float = value.item()  # a complex one of a complex Tensor, which types cannot say
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
        """The square root of the sum of the squares of the absolute values, as a Python number.

        Example:
            >>> Tensor(data=[3.0, -4.0]).l2()
            5.0
        """
        return float(np.sqrt(np.square(np.abs(self._value("l2")), dtype=np.float64).sum()))

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

    def __complex__(self) -> complex:
        return complex(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ShapeError(
                f"bool: a Tensor of shape {self.shape} is neither true nor false; `t is not None` "
                "is whether there is one, and (t > 0).all() is about its elements"
            )
        return bool(self.item())

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len: a Tensor without axes has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        if self._has_no_value:
            return f"Tensor(<computed in the step being compiled>, {self._about()})"
        values = np.array2string(on_host(self._data), prefix="Tensor(", separator=", ")
        return f"Tensor({values}, {self._about()})"

    def _repr_html_(self) -> str | None:
        if self._has_no_value:
            return None  # Jupyter then shows the text of __repr__
        return notebook.array(on_host(self._data), f"Tensor {self._about()}")

    def _about(self) -> str:
        about = f"shape={self.shape}, dtype={self.dtype}, device={self.device.name}"
        about += f", name={self.name!r}" if self.name else ""
        return about + (", stores_grad=True" if self.stores_grad else "")
