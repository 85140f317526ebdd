"""Random numbers: Tensors drawn from the random stream of a device.

``from singa import random``. The stream is seeded by ``dev.set_rand_seed(seed)``: the same seed
gives the same numbers, eagerly and in compiled steps. Parameters are numbers or Tensors, which
broadcast. Gradients flow to the parameters of ``normal``, ``uniform``, ``exponential``,
``laplace``, ``gumbel``, ``gamma``, ``beta``, ``dirichlet`` and ``multivariate_normal``.

Arguments of most functions:

- ``shape``: of the result, to which the parameters broadcast. If not given, the parameters' own.
- ``dtype``: of the result: if not given, that of parameters that are Tensors; else float32.
- ``device``: if no parameter is a Tensor; the CPU if not given.

Values of Tensors are checked eagerly, and in compiled steps under ``autograd.detect_anomaly``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from singa.core import random as _kernels
from singa.core.arrays import as_shape
from singa.core.tensor import Tensor, TensorLike, next_key, wrap
from singa.device import as_device, as_dtype, get_default_device, int32
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.operation import (
    checks,
    cholesky,
    exp,
    expand,
    gather,
    matmul,
    sigmoid,
    softmax,
    squeeze,
    tril,
    unsqueeze,
)
from singa.operation.drawing import Draw, Place, Shape

__all__ = [
    "bernoulli", "beta", "categorical", "dirichlet", "exponential", "gamma", "gumbel", "laplace",
    "multivariate_normal", "normal", "permutation", "poisson", "randint", "uniform",
]  # fmt: skip

# -- numbers on a line ----------------------------------------------------------------------------


def normal(
    mean: TensorLike = 0.0,
    std: TensorLike = 1.0,
    shape: Shape = None,
    *,
    dtype: Any = None,
    device: Place = None,
) -> Tensor:
    """Numbers of the normal distribution, of this shape; gradients flow to ``mean`` and ``std``.

    Raises:
        ArgumentError: ``std`` is negative.
        ShapeError: the parameters do not broadcast to ``shape``.

    Example:
        >>> t = random.normal(5.0, 0.1, (100, 100))
        >>> round(t.mean().item(), 1), round(t.std().item(), 1)
        (5.0, 0.1)
    """
    checks.values("normal", "std must be 0 or more", lambda x: x >= 0, std)
    draw = Draw("normal", (mean, std), shape, dtype, device)
    mean, std = draw.parameters
    return mean + std * draw.of(_kernels.standard_normal)


def uniform(
    low: TensorLike = 0.0,
    high: TensorLike = 1.0,
    shape: Shape = None,
    *,
    dtype: Any = None,
    device: Place = None,
) -> Tensor:
    """Numbers from ``low`` to below ``high``, all equally likely, of this shape.

    The greatest may be rounded to ``high``. Gradients flow to both.

    Raises:
        ArgumentError: ``low`` is above ``high``.

    Example:
        >>> t = random.uniform(-1.0, 1.0, (100, 100))
        >>> -1.0 <= t.min().item() < t.max().item() <= 1.0
        True
    """
    checks.values("uniform", "low must not be above high", lambda a, b: a <= b, low, high)
    draw = Draw("uniform", (low, high), shape, dtype, device)
    low, high = draw.parameters
    return low + (high - low) * draw.of(_kernels.standard_uniform)


def exponential(
    rate: TensorLike = 1.0, shape: Shape = None, *, dtype: Any = None, device: Place = None
) -> Tensor:
    """Numbers of the exponential distribution, of this shape, with the mean ``1 / rate``.

    Raises:
        ArgumentError: ``rate`` is not above 0.

    Example:
        >>> round(random.exponential(2.0, (100, 100)).mean().item(), 1)
        0.5
    """
    checks.positive("exponential", rate=rate)
    draw = Draw("exponential", (rate,), shape, dtype, device)
    (rate,) = draw.parameters
    return draw.of(_kernels.standard_exponential) / rate


def laplace(
    loc: TensorLike = 0.0,
    scale: TensorLike = 1.0,
    shape: Shape = None,
    *,
    dtype: Any = None,
    device: Place = None,
) -> Tensor:
    """Numbers of Laplace's distribution, of this shape: exponential on either side of ``loc``.

    Raises:
        ArgumentError: ``scale`` is not above 0.

    Example:
        >>> round(random.laplace(5.0, 0.1, (100, 100)).mean().item(), 1)
        5.0
    """
    checks.positive("laplace", scale=scale)
    draw = Draw("laplace", (loc, scale), shape, dtype, device)
    loc, scale = draw.parameters
    return loc + scale * draw.of(_kernels.standard_laplace)


def gumbel(
    loc: TensorLike = 0.0,
    scale: TensorLike = 1.0,
    shape: Shape = None,
    *,
    dtype: Any = None,
    device: Place = None,
) -> Tensor:
    """Numbers of Gumbel's distribution, of this shape: ``loc - scale * log(exponential number)``.

    The greatest of logits with such numbers is at a random index: see :func:`categorical`.

    Raises:
        ArgumentError: ``scale`` is not above 0.

    Example:
        >>> round(random.gumbel(1.0, 0.1, (100, 100)).mean().item(), 1)
        1.1
    """
    checks.positive("gumbel", scale=scale)
    draw = Draw("gumbel", (loc, scale), shape, dtype, device)
    loc, scale = draw.parameters
    return loc + scale * draw.of(_kernels.standard_gumbel)


def gamma(
    concentration: TensorLike,
    rate: TensorLike = 1.0,
    shape: Shape = None,
    *,
    dtype: Any = None,
    device: Place = None,
) -> Tensor:
    """Numbers of the gamma distribution, of this shape, with the mean ``concentration / rate``.

    The gradient to ``concentration`` is implicit: that of the quantile which the number is.

    Raises:
        ArgumentError: a parameter is not above 0.

    Source: Figurnov et al., Implicit Reparameterization Gradients, 2018.

    Example:
        >>> round(random.gamma(9.0, 3.0, (100, 100)).mean().item(), 1)
        3.0
    """
    checks.positive("gamma", concentration=concentration, rate=rate)
    draw = Draw("gamma", (concentration, rate), shape, dtype, device)
    concentration, rate = draw.parameters
    return exp(draw.log_gamma(expand(concentration, draw.shape))) / rate


def beta(
    a: TensorLike, b: TensorLike, shape: Shape = None, *, dtype: Any = None, device: Place = None
) -> Tensor:
    """Numbers from 0 to 1 of the beta distribution, of this shape, with the mean ``a / (a + b)``.

    Gradients flow as those of :func:`gamma`.

    Raises:
        ArgumentError: a parameter is not above 0.

    Example:
        >>> round(random.beta(6.0, 4.0, (100, 100)).mean().item(), 1)
        0.6
    """
    checks.positive("beta", a=a, b=b)
    draw = Draw("beta", (a, b), shape, dtype, device)
    a, b = [expand(x, draw.shape) for x in draw.parameters]
    return sigmoid(draw.log_gamma(a) - draw.log_gamma(b))


# -- vectors --------------------------------------------------------------------------------------


def dirichlet(
    concentration: TensorLike, shape: Shape = None, *, dtype: Any = None, device: Place = None
) -> Tensor:
    """Probabilities along the last axis, (..., classes), of Dirichlet's distribution.

    Gradients flow as those of :func:`gamma`.

    Args:
        concentration: (..., classes).
        shape: without the axis of the classes.

    Raises:
        ArgumentError: ``concentration`` is not above 0.

    Example:
        >>> random.dirichlet([1.0, 2.0, 3.0], (2,)).sum(-1)
        Tensor([1., 1.], shape=(2,), dtype=float32, device=cpu)
    """
    checks.positive("dirichlet", concentration=concentration)
    draw = Draw("dirichlet", (concentration,), shape, dtype, device, last=(1,))
    (concentration,) = draw.parameters
    whole = (*draw.shape, concentration.shape[-1])
    return softmax(draw.log_gamma(expand(concentration, whole)), -1)


def multivariate_normal(
    mean: TensorLike,
    covariance: TensorLike | None = None,
    shape: Shape = None,
    *,
    scale_tril: TensorLike | None = None,
    dtype: Any = None,
    device: Place = None,
) -> Tensor:
    """Vectors of the normal distribution along the last axis, (..., n).

    Args:
        mean: (..., n).
        covariance: (..., n, n); NaN results if it is not positive definite.
        shape: without the axis of the vectors.
        scale_tril: instead of it, the lower triangular factor of the covariance; what is above
            its diagonal is not used.

    Raises:
        ArgumentError: neither ``covariance`` nor ``scale_tril`` is given, or both.

    Example:
        >>> random.multivariate_normal([0.0, 5.0], [[1.0, 0.5], [0.5, 1.0]], (100,)).shape
        (100, 2)
    """
    if (covariance is None) == (scale_tril is None):
        raise ArgumentError("multivariate_normal: give either covariance or scale_tril")
    matrix = scale_tril if covariance is None else covariance
    assert matrix is not None
    draw = Draw("multivariate_normal", (mean, matrix), shape, dtype, device, last=(1, 2))
    mean, factor = draw.parameters
    size = mean.shape[-1]
    if factor.shape[-2:] != (size, size):
        raise ShapeError(
            f"multivariate_normal: of vectors {mean.shape}, the matrix is (..., {size}, {size}), "
            f"got shape {factor.shape}"
        )
    factor = cholesky(factor) if scale_tril is None else tril(factor)
    standard = draw.of(_kernels.standard_normal, last=(size,))
    return mean + squeeze(matmul(factor, unsqueeze(standard, -1)), -1)


# -- integers -------------------------------------------------------------------------------------


def bernoulli(
    p: TensorLike = 0.5, shape: Shape = None, *, dtype: Any = None, device: Place = None
) -> Tensor:
    """1 with the probability ``p``, else 0, as floats of this shape. They have no gradient.

    Raises:
        ArgumentError: ``p`` is not from 0 to 1; in compiled steps the result is NaN there.

    Example:
        >>> round(random.bernoulli(0.3, (100, 100)).mean().item(), 1)
        0.3
    """
    checks.values("bernoulli", "p must be from 0 to 1", lambda x: (x >= 0) & (x <= 1), p)
    draw = Draw("bernoulli", (p,), shape, dtype, device)
    (p,) = draw.parameters
    return draw.of(_kernels.trials, p.data)


def poisson(
    rate: TensorLike = 1.0, shape: Shape = None, *, dtype: Any = None, device: Place = None
) -> Tensor:
    """Whole numbers of Poisson's distribution, as floats of this shape. They have no gradient.

    Raises:
        ArgumentError: ``rate``, the mean, is below 0; in compiled steps the result is NaN there.

    Example:
        >>> round(random.poisson(2.0, (100, 100)).mean().item())
        2
    """
    checks.values("poisson", "rate must be 0 or more", lambda x: x >= 0, rate)
    draw = Draw("poisson", (rate,), shape, dtype, device)
    (rate,) = draw.parameters
    return draw.of(_kernels.poisson, rate.data)


def randint(
    low: int,
    high: int | None = None,
    shape: Sequence[int] | int = (),
    *,
    dtype: Any = int32,
    device: Place = None,
) -> Tensor:
    """Integers from ``low`` to ``high - 1``, all equally likely, of this shape.

    Args:
        low: 0 if only one number is given, which is then ``high``.
        high: the first integer that is not drawn.
        shape: of the result.
        dtype: an integer type that holds all of them.
        device: the CPU if not given.

    Raises:
        ArgumentError: there is no such integer, or ``dtype`` does not hold them.

    Example:
        >>> t = random.randint(3, 6, (100,))
        >>> t.min().item(), t.max().item()
        (3, 5)
    """
    if high is None:
        low, high = 0, low
    low, high = checks.integer("randint: low", low), checks.integer("randint: high", high)
    kind = as_dtype(dtype)
    if kind.kind not in "iu":
        raise DTypeError(f"randint: dtype must be an integer type, got {kind}")
    if low >= high:
        raise ArgumentError(f"randint: there are no integers from {low} to below {high}")
    if low < np.iinfo(kind).min or high > min(np.iinfo(kind).max + 1, 2**63 - 1):
        raise ArgumentError(f"randint: {kind} does not hold the integers from {low} to {high - 1}")
    where = get_default_device() if device is None else as_device(device)
    key = next_key(where)
    drawn = _kernels.randint(key, low, high, shape=as_shape(shape), dtype=kind)
    return wrap(drawn, where)


def permutation(x: int | Tensor, axis: int = 0, *, device: Place = None) -> Tensor:
    """The integers from 0 to ``x - 1`` in a random order, (x,); or a Tensor's slices along an axis.

    Gradients flow to the Tensor.

    Example:
        >>> sorted(random.permutation(4).tolist())
        [0, 1, 2, 3]
        >>> random.permutation(Tensor((2, 3)), axis=1).shape
        (2, 3)
    """
    if isinstance(x, Tensor):
        if not -x.ndim() <= axis < x.ndim():
            raise ShapeError(f"permutation: axis {axis} of a Tensor with {x.ndim()} axes")
        return gather(x, axis, permutation(x.shape[axis], device=x.device))
    count = checks.integer("permutation: the number", x)
    if count < 0:
        raise ArgumentError(f"permutation: a number of 0 or more is expected, got {count}")
    where = get_default_device() if device is None else as_device(device)
    return wrap(_kernels.permutation(next_key(where), count=count), where)


def categorical(
    logits: TensorLike, shape: Shape = None, axis: int = -1, *, replace: bool = True
) -> Tensor:
    """Indices along an axis, with the probabilities ``softmax(logits, axis)``: int32.

    They have no gradient. A logit of minus infinity is never drawn.

    Args:
        logits: of any shape; ``log(p)`` for probabilities p.
        shape: of the result: any axes, and then those of ``logits`` without ``axis``. Only the
            latter if not given.
        axis: of the logits that belong together.
        replace: if False, the indices along the first axes of ``shape`` are different.

    Raises:
        ArgumentError: along the axis, a logit is NaN or infinite, or too few are finite.
        ShapeError: ``shape`` does not end as ``logits`` without ``axis``.

    Example:
        >>> random.categorical([0.0, -np.inf, -np.inf], (2, 3))
        Tensor([[0, 0, 0],
                [0, 0, 0]], shape=(2, 3), dtype=int32, device=cpu)
        >>> sorted(random.categorical([0.0, 1.0, 2.0], 3, replace=False).tolist())
        [0, 1, 2]
    """
    given, (logits,) = logits, Draw("categorical", (logits,), None).parameters
    if not -logits.ndim() <= axis < logits.ndim():
        raise ShapeError(f"categorical: axis {axis} of logits with {logits.ndim()} axes")
    batch = list(logits.shape)
    del batch[axis]
    wanted = tuple(batch) if shape is None else as_shape(shape)
    first = len(wanted) - len(batch)
    if first < 0 or wanted[first:] != tuple(batch):
        raise ShapeError(f"categorical: shape {wanted} must end with {tuple(batch)}")
    least = 1 if replace else max(1, math.prod(wanted[:first]))
    if least > logits.shape[axis]:
        raise ArgumentError(
            f"categorical: {least} different indices of an axis of size {logits.shape[axis]}"
        )
    checks.values(
        "categorical", f"logits must be numbers, {least} or more of them above minus infinity",
        lambda x: (x < math.inf).all(axis) & ((x > -math.inf).sum(axis) >= least), given,
    )  # fmt: skip
    key = next_key(logits.device)
    drawn = _kernels.categorical(
        key, logits.data, prefix=wanted[:first], axis=axis, replace=bool(replace)
    )
    return wrap(drawn, logits.device)
