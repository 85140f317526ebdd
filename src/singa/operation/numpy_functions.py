"""NumPy's operators and functions on Tensors: recorded if there is an operation for them.

``ndarray - tensor`` and ``np.exp(tensor)`` give Tensors, and gradients flow through them. If there
is no operation, NumPy computes with the values. If a gradient would be lost then, an error is
raised.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import jax
import numpy as np

from singa.core.recorded import Axes
from singa.core.tensor import Tensor, as_tensor
from singa.device import bool_
from singa.errors import DTypeError, GradientError
from singa.operation import (
    activation,
    arranging,
    choosing,
    complex_numbers,
    cumulative,
    elementwise,
    exponential,
    fourier,
    fourier_axes,
    frequencies,
    joining,
    linear,
    logic,
    ordering,
    reduction,
    rounding,
    selection,
    shaping,
    statistics,
    trigonometric,
)
from singa.tape.modes import is_tracked


def of_bools(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The operator for bools only: for integers other libraries' ``&`` is bitwise."""

    def operator(self: Tensor, *other: Any) -> Tensor:
        xs = [self, *[as_tensor(x, self) for x in other]]
        if any(x.dtype != bool_ for x in xs):
            types = " and ".join(str(x.dtype) for x in xs)
            raise DTypeError(f"Tensor: & | ^ ~ are for bool Tensors, got {types}; x != 0 makes one")
        return function(*xs)

    return operator


UFUNCS: dict[Any, Callable[..., Tensor]] = {
    np.add: elementwise.add,
    np.subtract: elementwise.sub,
    np.multiply: elementwise.mul,
    np.true_divide: elementwise.div,
    np.floor_divide: elementwise.floor_divide,
    np.remainder: elementwise.remainder,
    np.fmod: elementwise.fmod,
    np.power: exponential.pow,
    np.matmul: linear.matmul,
    np.negative: elementwise.negative,
    np.absolute: elementwise.abs,
    np.conjugate: complex_numbers.conj,
    np.exp: exponential.exp,
    np.expm1: exponential.expm1,
    np.log: exponential.log,
    np.log1p: exponential.log1p,
    np.exp2: exponential.exp2,
    np.log2: exponential.log2,
    np.log10: exponential.log10,
    np.logaddexp: exponential.logaddexp,
    np.sqrt: exponential.sqrt,
    np.square: exponential.square,
    np.reciprocal: exponential.reciprocal,
    np.sign: elementwise.sign,
    np.floor: rounding.floor,
    np.ceil: rounding.ceil,
    np.trunc: rounding.trunc,
    np.rint: rounding.rounde,
    np.sin: trigonometric.sin,
    np.cos: trigonometric.cos,
    np.tan: trigonometric.tan,
    np.arcsin: trigonometric.asin,
    np.arccos: trigonometric.acos,
    np.arctan: trigonometric.atan,
    np.arctan2: trigonometric.atan2,
    np.hypot: trigonometric.hypot,
    np.sinh: trigonometric.sinh,
    np.cosh: trigonometric.cosh,
    np.tanh: activation.tanh,
    np.arcsinh: trigonometric.asinh,
    np.arccosh: trigonometric.acosh,
    np.arctanh: trigonometric.atanh,
    np.less: logic.less,
    np.less_equal: logic.less_equal,
    np.greater: logic.greater,
    np.greater_equal: logic.greater_equal,
    np.equal: logic.equal,
    np.not_equal: logic.not_equal,
    np.logical_and: logic._and,
    np.logical_or: logic._or,
    np.logical_xor: logic._xor,
    np.logical_not: logic._not,
    np.bitwise_and: of_bools(logic._and),
    np.bitwise_or: of_bools(logic._or),
    np.bitwise_xor: of_bools(logic._xor),
    np.invert: of_bools(logic._not),
    np.isnan: logic.isnan,
    np.isinf: logic.isinf,
    np.isfinite: logic.isfinite,
}


def _reducing(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(a: Tensor, axis: Axes = None, *, keepdims: bool = False) -> Tensor:
        return function(a, axis, keepdims)

    return reduce


def _deviation(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def reduce(a: Tensor, axis: Axes = None, *, ddof: int = 0, keepdims: bool = False) -> Tensor:
        return function(a, axis, keepdims, ddof)

    return reduce


def _locating(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def locate(a: Tensor, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        if axis is not None:
            return function(a, axis, keepdims)
        found = function(_ravel(a), 0)
        return shaping.reshape(found, (1,) * a.ndim()) if keepdims else found

    return locate


def _running(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def along(a: Tensor, axis: int | None = None) -> Tensor:
        return function(_ravel(a), 0) if axis is None else function(a, axis)

    return along


def _quantile(
    a: Tensor, q: float | Sequence[float], axis: Axes = None, *, keepdims: bool = False
) -> Tensor:
    return statistics.quantile(a, q, axis, keepdims)


def _joining(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def join(arrays: Sequence[Any], axis: int = 0) -> Tensor:
        like = next(x for x in arrays if isinstance(x, Tensor))
        return function([as_tensor(x, like) for x in arrays], axis)

    return join


def _several(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def join(tup: Sequence[Any]) -> Tensor:
        like = next(x for x in tup if isinstance(x, Tensor))
        return function([as_tensor(x, like) for x in tup])

    return join


def _of_two(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def of(a: Any, b: Any) -> Tensor:
        return function(as_tensor(a, b) if isinstance(b, Tensor) else a, b)

    return of


def _roll(a: Tensor, shift: Any, axis: Any = None) -> Tensor:
    if axis is None:
        return shaping.reshape(arranging.roll(_ravel(a), shift, 0), a.shape)
    return arranging.roll(a, shift, axis)


def _where(condition: Any, x: Any, y: Any) -> Tensor:
    like = next(each for each in (x, y, condition) if isinstance(each, Tensor))
    return choosing.where(as_tensor(x, like), y, condition)


def _expand_dims(a: Tensor, axis: int | Sequence[int]) -> Tensor:
    return shaping.unsqueeze(a, axis)


def _ravel(a: Tensor) -> Tensor:
    return shaping.reshape(a, (-1,))


def _nan_to_num(
    x: Tensor, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    return choosing.nan_to_num(x, nan, posinf, neginf)


FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    np.sum: _reducing(reduction.reduce_sum),
    np.mean: _reducing(reduction.reduce_mean),
    np.prod: _reducing(reduction.reduce_prod),
    np.max: _reducing(reduction.reduce_max),
    np.min: _reducing(reduction.reduce_min),
    np.all: _reducing(reduction.reduce_all),
    np.any: _reducing(reduction.reduce_any),
    np.var: _deviation(statistics.var),
    np.std: _deviation(statistics.std),
    np.median: _reducing(statistics.median),
    np.quantile: _quantile,
    np.nansum: _reducing(statistics.nansum),
    np.nanmean: _reducing(statistics.nanmean),
    np.cumsum: _running(cumulative.cumsum),
    np.cumprod: _running(cumulative.cumprod),
    np.argmax: _locating(ordering.argmax),
    np.argmin: _locating(ordering.argmin),
    np.reshape: shaping.reshape,
    np.transpose: shaping.transpose,
    np.squeeze: shaping.squeeze,
    np.expand_dims: _expand_dims,
    np.broadcast_to: shaping.expand,
    np.ravel: _ravel,
    np.moveaxis: shaping.moveaxis,
    np.swapaxes: shaping.swapaxes,
    np.diagonal: arranging.diagonal,
    np.diag: arranging.diag,
    np.trace: arranging.trace,
    np.tril: arranging.tril,
    np.triu: arranging.triu,
    np.flip: arranging.flip,
    np.roll: _roll,
    np.take: selection.take,
    np.take_along_axis: selection.take_along_axis,
    np.outer: _of_two(linear.outer),
    np.kron: _of_two(linear.kron),
    np.hstack: _several(joining.hstack),
    np.vstack: _several(joining.vstack),
    np.concatenate: _joining(joining.cat),
    np.stack: _joining(joining.stack),
    np.where: _where,
    np.clip: choosing.clip,
    np.round: rounding.rounde,
    np.nan_to_num: _nan_to_num,
    np.real: complex_numbers.real,
    np.imag: complex_numbers.imag,
    np.angle: complex_numbers.angle,
    np.fft.fft: fourier.fft,
    np.fft.ifft: fourier.ifft,
    np.fft.rfft: fourier.rfft,
    np.fft.irfft: fourier.irfft,
    np.fft.fftn: fourier_axes.fftn,
    np.fft.ifftn: fourier_axes.ifftn,
    np.fft.fftshift: frequencies.fftshift,
    np.fft.ifftshift: frequencies.ifftshift,
}


def array_ufunc(self: Tensor, ufunc: Any, method: str, *xs: Any, **options: Any) -> Any:
    """Called by NumPy for its operators and elementwise functions."""
    function = UFUNCS.get(ufunc)
    if function is not None and method == "__call__" and not options:
        return function(*[as_tensor(x, self) for x in xs])
    if any(isinstance(x, Tensor) for x in options.get("out", ())):
        _refuse(ufunc, "it cannot write into a Tensor")
    return _by_numpy(ufunc, getattr(ufunc, method), xs, options)


def array_function(self: Tensor, function: Any, types: Any, xs: Any, options: Any) -> Any:
    """Called by NumPy for its other functions."""
    ours = FUNCTIONS.get(function)
    if ours is not None:
        try:
            return ours(*xs, **options)
        except TypeError:  # arguments that NumPy's function has and ours does not
            if set(options) & {"axis", "keepdims"} == set(options):
                raise
    return _by_numpy(function, function, xs, options)


def jax_array(self: Tensor) -> jax.Array:
    """Called by jax when one of its arguments is a Tensor."""
    if is_tracked(self):
        raise GradientError(
            "jax would compute with this Tensor's values, without a record, so that its gradient "
            "is lost; autograd.from_jax(function) makes a function of jax an operation, and t.data "
            "is the array alone"
        )
    return self.data


def _by_numpy(named: Any, function: Any, xs: Any, options: Any) -> Any:
    """NumPy's result for the values; an error if a gradient would be lost."""
    tensors: list[Tensor] = []
    xs, options = _values(xs, tensors), _values(options, tensors)
    tracked = is_tracked(*tensors)
    if tracked and "out" in options:
        _refuse(named, "what it writes into an array has no record, so that the gradient is lost")
    result = function(*xs, **options)
    if tracked and _has_floats(result):
        _refuse(named, "NumPy would compute without a record, so that the gradient is lost")
    return result


def _values(given: Any, tensors: list[Tensor]) -> Any:
    """``given`` with an array in place of each Tensor; the Tensors are added to the list."""
    if isinstance(given, Tensor):
        tensors.append(given)
        return np.asarray(given)
    if isinstance(given, (tuple, list)):
        return type(given)([_values(each, tensors) for each in given])
    if isinstance(given, dict):
        return {name: _values(each, tensors) for name, each in given.items()}
    return given


def _has_floats(result: Any) -> bool:
    if isinstance(result, (tuple, list)):
        return any(map(_has_floats, result))
    return isinstance(result, (np.ndarray, np.generic)) and result.dtype.kind not in "biuSU"


def _refuse(function: Any, why: str) -> NoReturn:
    name = getattr(function, "__name__", str(function))
    raise GradientError(
        f"np.{name}: {why}; use an operation of singa.autograd or a method of the Tensor, or "
        "t.to_numpy() for the values alone"
    )
