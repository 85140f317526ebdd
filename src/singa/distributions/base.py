"""The base class of distributions: shapes, sampling, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from singa.core.arrays import as_shape
from singa.core.tensor import Tensor, TensorLike, as_tensor
from singa.device import float32, is_float
from singa.errors import ArgumentError, GradientError, ShapeError
from singa.operation import cast, expand, sqrt
from singa.operation.pointwise import as_tensors
from singa.tape import no_grad


class Distribution:
    """A distribution, or a batch of them; the base class of all.

    A subclass sets its parameters in ``__init__``, and defines ``draw``, ``log_prob`` and what of
    ``mean``, ``variance``, ``entropy`` and ``divergence`` has a formula.

    Attributes:
        batch_shape: the shape to which the parameters broadcast.
        event_shape: the shape of one thing that is drawn: () for numbers, (n,) for vectors.
        reparametrized: whether gradients flow from what is drawn to the parameters.

    Example:
        >>> normal = distributions.Normal([0.0, 5.0], 1.0)
        >>> normal.batch_shape, normal.event_shape, normal.sample((3,)).shape
        ((2,), (), (3, 2))
    """

    reparametrized: ClassVar[bool] = True
    batch_shape: tuple[int, ...] = ()
    event_shape: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name in messages: the class's name."""
        return type(self).__name__

    def sample(self, shape: Sequence[int] | int = ()) -> Tensor:
        """Draw from the device's random stream: (*shape, *batch_shape, *event_shape).

        No gradient flows to the parameters.
        """
        with no_grad():
            return self.draw((*as_shape(shape), *self.batch_shape))

    def rsample(self, shape: Sequence[int] | int = ()) -> Tensor:
        """Draw as :meth:`sample` does; gradients flow to the parameters.

        Raises:
            GradientError: what is drawn has no gradient, as it is of whole numbers.
        """
        if not self.reparametrized:
            raise GradientError(
                f"{self.name}.rsample: whole numbers have no gradient; use sample, and the "
                "gradient of log_prob of what it draws"
            )
        return self.draw((*as_shape(shape), *self.batch_shape))

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        """Draw (*shape, *event_shape), with gradients if it has any; ``shape`` has the batch's."""
        raise NotImplementedError

    def log_prob(self, x: TensorLike) -> Tensor:
        """The logarithm of the density at ``x``, or of its probability.

        Args:
            x: a shape that broadcasts with (*batch_shape, *event_shape).

        Returns:
            The broadcast shape, without the event's axes; -infinity where ``x`` is never drawn.
        """
        raise NotImplementedError

    @property
    def mean(self) -> Tensor:
        """The mean, (*batch_shape, *event_shape)."""
        self.refuse("mean")

    @property
    def variance(self) -> Tensor:
        """The variance of each element, (*batch_shape, *event_shape)."""
        self.refuse("variance")

    @property
    def std(self) -> Tensor:
        """The standard deviation of each element, (*batch_shape, *event_shape)."""
        return sqrt(self.variance)

    def entropy(self) -> Tensor:
        """The mean of ``-log_prob`` of what is drawn, of the batch's shape."""
        self.refuse("entropy")

    def divergence(self, other: Any) -> Tensor:
        """The divergence of Kullback and Leibler from one of the same class; see :func:`kl`."""
        self.refuse("divergence")

    def refuse(self, what: str) -> NoReturn:
        """Raise the error of what has no formula."""
        raise ArgumentError(f"{self.name}.{what}: there is no formula for it")

    def value(self, x: TensorLike, like: Tensor) -> Tensor:
        """``x`` as a Tensor of a float type, whose last axes are an event's."""
        x = as_tensor(x, like)
        last = len(self.event_shape)
        if last and x.shape[-last:] != self.event_shape:
            raise ShapeError(
                f"{self.name}.log_prob: the last axes are those of an event, {self.event_shape}, "
                f"got shape {x.shape}"
            )
        return x if is_float(x.dtype) else cast(x, like.dtype)

    def __repr__(self) -> str:
        return f"{self.name}(batch_shape={self.batch_shape}, event_shape={self.event_shape})"


def parameters(name: str, *given: TensorLike, last: Sequence[int] = (0, 0)) -> list[Tensor]:
    """The parameters as Tensors of a float type, which have the shape of the batch.

    Args:
        name: of the distribution, for messages.
        given: numbers, arrays or Tensors.
        last: for each, the number of its last axes that are no axes of the batch.
    """
    numbers = [float(x) if isinstance(x, int) else x for x in given]
    tensors = [x if is_float(x.dtype) else cast(x, float32) for x in as_tensors(*numbers)]
    pairs = list(zip(tensors, last, strict=False))
    if any(x.ndim() < axes for x, axes in pairs):
        raise ShapeError(f"{name}: vectors are along the last axis, and matrices along two")
    try:
        batch = np.broadcast_shapes(*[x.shape[: x.ndim() - axes] for x, axes in pairs])
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in tensors)
        raise ShapeError(f"{name}: parameters {shapes} do not broadcast together") from None
    whole = [(*batch, *x.shape[x.ndim() - axes :]) for x, axes in pairs]
    return [
        x if x.shape == shape else expand(x, shape) for x, shape in zip(tensors, whole, strict=True)
    ]


def within(
    x: Tensor, outside: Tensor, at: float, log_density: Callable[[Tensor], Tensor]
) -> Tensor:
    """``log_density(x)``, and -infinity ``outside``, where ``at`` is computed instead.

    So NaN from there comes neither into the values nor into the gradients.
    """
    return log_density(x.masked_fill(outside, at)).masked_fill(outside, -math.inf)


def kl(p: Distribution, q: Distribution) -> Tensor:
    """The divergence of Kullback and Leibler: the mean of ``log p(x) - log q(x)`` over x from p.

    Args:
        p, q: of the same class; their batches broadcast.

    Returns:
        The broadcast shape of the batches; infinite if p draws what q never does.

    Raises:
        ArgumentError: they are of different classes.

    Example:
        >>> distributions.kl(distributions.Normal(0.0, 1.0), distributions.Normal(1.0, 1.0))
        Tensor(0.5, shape=(), dtype=float32, device=cpu)
    """
    if type(p) is not type(q):
        raise ArgumentError(
            f"kl: there is no formula for {p.name} and {q.name}; for x = p.sample((n,)) the mean "
            "of p.log_prob(x) - q.log_prob(x) estimates it"
        )
    return p.divergence(q)
