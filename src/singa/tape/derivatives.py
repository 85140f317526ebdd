"""Derivatives of functions of Tensors, built from ``grad`` alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np

from singa.core.tensor import Tensor, TensorLike, as_tensor, wrap
from singa.device import is_complex
from singa.errors import DTypeError, GradientError, ShapeError
from singa.tape.backward import grad
from singa.tape.modes import enable_grad


def _leaf(x: TensorLike) -> Tensor:
    """``x`` itself if it can have a gradient, else a leaf with its values."""
    if not isinstance(x, Tensor):
        return Tensor(data=x, stores_grad=True)
    if x.requires_grad and (x.creator is not None or x.stores_grad):
        return x
    return Tensor(data=x.data, device=x.device, stores_grad=True)


def _called(what: str, f: Callable[..., Tensor], xs: Sequence[Tensor]) -> Tensor:
    with enable_grad():
        y = f(*xs)
    if not isinstance(y, Tensor):
        raise GradientError(f"{what}: the function must return a Tensor, got {type(y).__name__}")
    return y


def _is_constant(y: Tensor) -> bool:
    return not y.requires_grad or (y.creator is None and not y.stores_grad)


def vjp(
    f: Callable[..., Tensor], xs: Sequence[TensorLike], dy: TensorLike | None = None
) -> tuple[Tensor, list[Tensor]]:
    """``f(*xs)``, and the gradients of ``sum(f(*xs) * dy)`` with respect to each of ``xs``.

    Of complex results: the gradients of the real part of ``sum(f(*xs) * conj(dy))``.

    Args:
        f: from Tensors to one Tensor.
        xs: the arguments; they need not store gradients.
        dy: of the result's shape; 1 for a scalar if not given.

    Raises:
        GradientError: the result is not a Tensor; or it is not a scalar and there is no ``dy``.
        ShapeError: ``dy`` is not of the result's shape.

    Example:
        >>> y, [dx] = autograd.vjp(autograd.square, [[1.0, 2.0]], dy=[1.0, 10.0])
        >>> dx.tolist()
        [2.0, 40.0]
    """
    leaves = [_leaf(x) for x in xs]
    y = _called("vjp", f, leaves)
    return y, grad(y, leaves, None if dy is None else as_tensor(dy, y), create_graph=True)


def jvp(
    f: Callable[..., Tensor], xs: Sequence[TensorLike], vs: Sequence[TensorLike]
) -> tuple[Tensor, Tensor]:
    """``f(*xs)``, and its derivative in the direction ``vs``, of the result's shape.

    It is the derivative of a vector-Jacobian product with respect to the vector: two backward
    passes.

    Args:
        f: from Tensors to one Tensor.
        xs: the arguments; they need not store gradients.
        vs: a direction for each of ``xs``, of its shape.

    Raises:
        GradientError: the result is not a Tensor.
        ShapeError: a direction is not of the shape of its argument.

    Example:
        >>> y, dy = autograd.jvp(autograd.square, [[1.0, 2.0]], [[1.0, 10.0]])
        >>> dy.tolist()
        [2.0, 40.0]
    """
    leaves = [_leaf(x) for x in xs]
    directions = [as_tensor(v, x) for x, v in zip(leaves, vs, strict=True)]
    for i, (x, v) in enumerate(zip(leaves, directions, strict=True)):
        if x.shape != v.shape:
            raise ShapeError(f"jvp: vs[{i}] is of shape {v.shape}, xs[{i}] of {x.shape}")
    y = _called("jvp", f, leaves)
    dy = Tensor(y.shape, y.device, y.dtype, stores_grad=True)
    still = Tensor(y.shape, y.device, y.dtype, requires_grad=False)
    if _is_constant(y):
        return y, still
    moved = still
    for dx, v in zip(grad(y, leaves, dy, create_graph=True), directions, strict=True):
        if not _is_constant(dx):
            with enable_grad():
                moved = moved + grad(dx, dy, v, create_graph=True)
    return y, moved


def jacobian(f: Callable[[Tensor], Tensor], x: TensorLike) -> Tensor:
    """All derivatives of the elements of ``f(x)`` by those of ``x``.

    The shape is ``(*f(x).shape, *x.shape)``.

    One backward pass for each element of ``f(x)``. Of real functions of complex numbers, they are
    the derivatives by the real parts plus i times those by the imaginary parts.

    Raises:
        DTypeError: ``f(x)`` is complex: the derivatives by both parts are no complex numbers.

    Example:
        >>> autograd.jacobian(lambda x: x * x.sum(), [1.0, 2.0])
        Tensor([[4., 1.],
                [2., 5.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    leaf = _leaf(x)
    y = _called("jacobian", f, [leaf])
    if is_complex(y.dtype):
        raise DTypeError(
            f"jacobian: the function must be real, got {y.dtype}; autograd.view_as_real gives both "
            "parts of a complex one"
        )
    size, shape = y.size(), (*y.shape, *leaf.shape)
    if not size or _is_constant(y):
        return Tensor(shape, y.device, y.dtype, requires_grad=False)
    units = np.eye(size, dtype=y.dtype).reshape(size, *y.shape)
    rows = [grad(y, leaf, unit).data for unit in units]
    return wrap(jnp.stack(rows).reshape(shape), y.device)


def hessian(f: Callable[[Tensor], Tensor], x: TensorLike) -> Tensor:
    """All second derivatives of a scalar ``f(x)``: shape ``(*x.shape, *x.shape)``.

    Raises:
        GradientError: ``f(x)`` is not a scalar.
        DTypeError: ``x`` is complex; :func:`hvp` is for complex numbers, too.

    Example:
        >>> autograd.hessian(lambda x: (x * x * x).sum(), [1.0, 2.0])
        Tensor([[ 6.,  0.],
                [ 0., 12.]], shape=(2, 2), dtype=float32, device=cpu)
    """
    leaf = _leaf(x)
    if is_complex(leaf.dtype):
        raise DTypeError(
            f"hessian: real numbers are needed, got {leaf.dtype}; hvp is for complex ones, too"
        )

    def gradient(x: Tensor) -> Tensor:
        return vjp(f, [x])[1][0]

    return jacobian(gradient, leaf)


def hvp(f: Callable[[Tensor], Tensor], x: TensorLike, v: TensorLike) -> Tensor:
    """The Hessian of a scalar ``f`` at ``x`` times ``v``, which is of ``x``'s shape.

    It takes two backward passes, for any size.

    Example:
        >>> autograd.hvp(lambda x: (x * x * x).sum(), [1.0, 2.0], [1.0, 10.0])
        Tensor([  6., 120.], shape=(2,), dtype=float32, device=cpu)
    """
    leaf = _leaf(x)
    _, (dx,) = vjp(f, [leaf])
    if _is_constant(dx):
        return Tensor(leaf.shape, leaf.device, leaf.dtype, requires_grad=False)
    return grad(dx, leaf, as_tensor(v, leaf), create_graph=True)
