"""The operators and methods of Tensors that are recorded.

They are operations, so they are defined here; importing this module adds them to the Tensor class.
``core/recorded.py`` declares them for type checkers; a test compares it with this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

from singa.core.arrays import check_real
from singa.core.recorded import Axes
from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import CTensor, Device, device_named
from singa.errors import DTypeError
from singa.operation import (
    activation,
    choosing,
    complex_numbers,
    cumulative,
    elementwise,
    exponential,
    indexing,
    joining,
    linear,
    logic,
    numpy_functions,
    ordering,
    reduction,
    rounding,
    shaping,
    statistics,
)
from singa.placement import put
from singa.tape import Operation
from singa.tape.hooks import register_hook
from singa.tape.modes import is_tracked


def _reflected(function: Callable[[Tensor, TensorLike], Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, other: TensorLike) -> Tensor:
        return function(as_tensor(other, self), self)

    return method


def become(target: Tensor, result: Tensor) -> Tensor:
    """Make ``target`` a handle of ``result``; its shape, type and device do not change.

    Raises:
        ShapeError: the result is of another shape.
        DTypeError: it is complex, and the target is real.
    """
    check_real(result.dtype, target.dtype, "in place")
    if result.shape != target.shape:
        result = shaping.reshape(result, target.shape)  # raises: it would not be in place
    target.data = result.data.astype(target.dtype)
    if not target.stores_grad or target.creator is not None:
        # A parameter stays a leaf: assigning it is an update, not a recorded operation.
        target.creator, target.output_index = result.creator, result.output_index
        target._requires_grad = target._requires_grad or result._requires_grad
    return target


def _in_place(function: Callable[[Tensor, TensorLike], Tensor]) -> Callable[..., Tensor]:
    return lambda self, other: become(self, function(self, other))


def _comparison(function: Callable[[Tensor, TensorLike], Tensor]) -> Callable[..., Any]:
    def method(self: Tensor, other: Any) -> Any:
        if other is None or isinstance(other, str):
            return NotImplemented
        return function(self, other)

    return method


def _after(function: Callable[..., Tensor], method: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method, with the name and the docstring of the function that it calls."""
    method.__name__, method.__doc__ = function.__name__, function.__doc__
    return method


def _unknown(function: Callable[..., Tensor], others: dict[str, Any]) -> NoReturn:
    name = function.__name__.removeprefix("reduce_")
    raise TypeError(
        f"Tensor.{name}: there is no argument named {', '.join(others)}; there are axis and "
        "keepdims, and the result is a Tensor of the same type or a wider one"
    )


def _reducing(function: Callable[[Tensor, Axes, bool], Tensor]) -> Callable[..., Tensor]:
    def method(self: Tensor, axis: Axes = None, keepdims: bool = False, **others: Any) -> Tensor:
        if others:
            _unknown(function, others)
        return function(self, axis, keepdims)

    return _after(function, method)


def _locating(function: Callable[[Tensor, int, bool], Tensor]) -> Callable[..., Tensor]:
    """The reduction along an axis; over all elements, flattened, if there is none."""

    def method(
        self: Tensor, axis: int | None = None, keepdims: bool = False, **others: Any
    ) -> Tensor:
        if others:
            _unknown(function, others)
        if axis is not None:
            return function(self, axis, keepdims)
        found = function(shaping.reshape(self, (-1,)), 0, keepdims)
        return shaping.reshape(found, (1,) * self.ndim()) if keepdims else found

    return _after(function, method)


def _shaping(function: Callable[[Tensor, Sequence[int]], Tensor]) -> Callable[..., Tensor]:
    """The method with the sizes as one sequence or as separate arguments."""

    def method(self: Tensor, shape: int | Sequence[int], *more: int) -> Tensor:
        return function(self, (shape, *more) if isinstance(shape, (int, np.integer)) else shape)

    return _after(function, method)


def _set(self: Tensor, index: Any, value: TensorLike) -> None:
    become(self, indexing.setitem(self, index, value))


def _iterate(self: Tensor) -> Iterator[Tensor]:
    if not self.shape:
        raise DTypeError("iter: a Tensor without axes cannot be iterated")
    return (indexing.getitem(self, i) for i in range(self.shape[0]))


def _transposed(self: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    """The axes of the shape in this order; reversed if none is given.

    Example:
        >>> Tensor((2, 3, 4)).transpose((0, 2, 1)).shape
        (2, 4, 3)
        >>> Tensor((2, 3)).T().shape
        (3, 2)
    """
    return shaping.transpose(self, axes)


def _add_row(self: Tensor, v: TensorLike) -> Tensor:
    """Add ``v`` (N,) to each row of this matrix (M, N), in place.

    Example:
        >>> Tensor(data=[[1.0, 2.0], [3.0, 4.0]]).add_row(Tensor(data=[10.0, 20.0]))
        Tensor([[11., 22.],
                [13., 24.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return become(self, elementwise.add(self, v))


def _mult_row(self: Tensor, v: TensorLike) -> Tensor:
    """Multiply each row of this matrix (M, N) with ``v`` (N,), in place.

    Example:
        >>> Tensor(data=[[1.0, 2.0], [3.0, 4.0]]).mult_row(Tensor(data=[10.0, 20.0]))
        Tensor([[10., 40.],
                [30., 80.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return become(self, elementwise.mul(self, v))


def _div_row(self: Tensor, v: TensorLike) -> Tensor:
    """Divide each row of this matrix (M, N) by ``v`` (N,), in place.

    Example:
        >>> Tensor(data=[[1.0, 2.0], [3.0, 4.0]]).div_row(Tensor(data=[10.0, 20.0]))
        Tensor([[0.1, 0.1],
                [0.3, 0.2]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return become(self, elementwise.div(self, v))


def _add_column(self: Tensor, v: TensorLike) -> Tensor:
    """Add ``v`` (M,) to each column of this matrix (M, N), in place.

    Example:
        >>> Tensor(data=[[1.0, 2.0], [3.0, 4.0]]).add_column(Tensor(data=[10.0, 20.0]))
        Tensor([[11., 12.],
                [23., 24.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return become(self, elementwise.add(self, _as_column(self, v)))


def _mult_column(self: Tensor, v: TensorLike) -> Tensor:
    """Multiply each column of this matrix (M, N) with ``v`` (M,), in place.

    Example:
        >>> Tensor(data=[[1.0, 2.0], [3.0, 4.0]]).mult_column(Tensor(data=[10.0, 20.0]))
        Tensor([[10., 20.],
                [60., 80.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return become(self, elementwise.mul(self, _as_column(self, v)))


def _div_column(self: Tensor, v: TensorLike) -> Tensor:
    """Divide each column of this matrix (M, N) by ``v`` (M,), in place.

    Example:
        >>> Tensor(data=[[1.0, 2.0], [3.0, 4.0]]).div_column(Tensor(data=[10.0, 20.0]))
        Tensor([[0.1 , 0.2 ],
                [0.15, 0.2 ]], shape=(2, 2), dtype=float32, device=cpu)
    """
    return become(self, elementwise.div(self, _as_column(self, v)))


def _as_column(matrix: Tensor, v: TensorLike) -> Tensor:
    return shaping.reshape(as_tensor(v, matrix), (-1, 1))


def _clone(self: Tensor) -> Tensor:
    """A new Tensor of the same shape and values. Unlike :meth:`detach`, gradients flow through it.

    If this Tensor needs no gradient at present, the new one is a leaf with the same flags.

    Example:
        >>> x = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> with autograd.enable_grad():
        ...     y = (x.clone() * 3.0).sum()
        >>> autograd.grad(y, x).to_numpy()
        array([3., 3.], dtype=float32)
    """
    return elementwise.identity(self) if is_tracked(self) else self.deepcopy()


class _Move(Operation):
    """y = x on another device; the gradient is moved back."""

    complex_numbers = "own"

    traceable = False

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device = device

    def forward(self, x: CTensor) -> CTensor:
        self.origin = x.sharding
        return put(x, self.device.place_of_input(x.shape))

    def backward(self, dy: CTensor) -> CTensor:
        return put(dy, self.origin)


def _to(self: Tensor, target: Any) -> Tensor:
    """This Tensor on another device, or in another data type; itself if nothing changes.

    Example:
        >>> Tensor(data=[1.7, -1.7]).to(tensor.int32)
        Tensor([ 1, -1], shape=(2,), dtype=int32, device=cpu)
    """
    if isinstance(target, str) and target.partition(":")[0] in ("cpu", "cuda", "gpu"):
        target = device_named(target)
    if not isinstance(target, Device):
        return shaping.cast(self, target)
    if target is self.device:
        return self
    (moved,) = _Move(target)(self)
    moved.device = target
    return moved


class Catalogue:
    """The methods by their names."""

    __add__ = elementwise.add
    __sub__ = elementwise.sub
    __mul__ = elementwise.mul
    __truediv__ = elementwise.div
    __floordiv__ = elementwise.floor_divide
    __mod__ = elementwise.remainder
    __pow__ = exponential.pow
    __matmul__ = linear.matmul
    __radd__ = _reflected(elementwise.add)
    __rsub__ = _reflected(elementwise.sub)
    __rmul__ = _reflected(elementwise.mul)
    __rtruediv__ = _reflected(elementwise.div)
    __rfloordiv__ = _reflected(elementwise.floor_divide)
    __rmod__ = _reflected(elementwise.remainder)
    __rpow__ = _reflected(exponential.pow)
    __rmatmul__ = _reflected(linear.matmul)
    __iadd__ = _in_place(elementwise.add)
    __isub__ = _in_place(elementwise.sub)
    __imul__ = _in_place(elementwise.mul)
    __itruediv__ = _in_place(elementwise.div)
    __neg__ = elementwise.negative
    __abs__ = elementwise.abs

    __lt__ = _comparison(logic.less)
    __le__ = _comparison(logic.less_equal)
    __gt__ = _comparison(logic.greater)
    __ge__ = _comparison(logic.greater_equal)
    __eq__ = _comparison(logic.equal)
    __ne__ = _comparison(logic.not_equal)
    __and__ = numpy_functions.of_bools(logic._and)
    __or__ = numpy_functions.of_bools(logic._or)
    __xor__ = numpy_functions.of_bools(logic._xor)
    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__
    __invert__ = numpy_functions.of_bools(logic._not)

    __array_ufunc__ = numpy_functions.array_ufunc
    __array_function__ = numpy_functions.array_function
    __jax_array__ = numpy_functions.jax_array

    __getitem__ = indexing.getitem
    __setitem__ = _set
    __iter__ = _iterate

    reshape = _shaping(shaping.reshape)
    expand = _shaping(shaping.expand)
    flatten = shaping.flatten
    squeeze = shaping.squeeze
    unsqueeze = shaping.unsqueeze
    transpose = _transposed
    T = _transposed
    repeat = joining.repeat
    register_hook = register_hook
    clone = _clone
    copy = _clone

    as_type = shaping.cast
    astype = shaping.cast
    to = _to

    sum = _reducing(reduction.reduce_sum)
    mean = _reducing(reduction.reduce_mean)
    prod = _reducing(reduction.reduce_prod)
    max = _reducing(reduction.reduce_max)
    min = _reducing(reduction.reduce_min)
    all = _reducing(reduction.reduce_all)
    any = _reducing(reduction.reduce_any)
    var = statistics.var
    std = statistics.std
    norm = reduction.norm
    cumsum = cumulative.cumsum
    argmax = _locating(ordering.argmax)
    argmin = _locating(ordering.argmin)

    real = property(complex_numbers.real)
    imag = property(complex_numbers.imag)
    conj = complex_numbers.conj
    angle = complex_numbers.angle

    matmul = linear.matmul
    pow = exponential.pow
    abs = elementwise.abs
    exp = exponential.exp
    log = exponential.log
    sqrt = exponential.sqrt
    square = exponential.square
    clip = choosing.clip
    masked_fill = choosing.masked_fill
    floor = rounding.floor
    ceil = rounding.ceil
    round = rounding.rounde
    relu = activation.relu
    sigmoid = activation.sigmoid
    tanh = activation.tanh
    softmax = activation.softmax

    # SINGA's, in place: a row or a column with each of a matrix.
    add_row = _add_row
    mult_row = _mult_row
    div_row = _div_row
    add_column = _add_column
    mult_column = _mult_column
    div_column = _div_column


for _name, _method in vars(Catalogue).items():
    if isinstance(_method, property):
        setattr(Tensor, _name, _method)
    elif callable(_method):
        _path = getattr(_method, "__qualname__", "")
        if "<locals>" in _path or _path.startswith("_"):
            _method.__qualname__ = f"Tensor.{_name}"  # in messages of Python's own
        setattr(Tensor, _name, _method)
