"""vmap: a function of one sample as a function of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import jax

from singa.core.guard import EagerGuard
from singa.core.tensor import Tensor, next_key, random_key, wrap
from singa.core.watching import local
from singa.device import CTensor
from singa.errors import ArgumentError, DTypeError, ShapeError
from singa.tape.backward import grad
from singa.tape.modes import enable_grad, mode
from singa.tape.samples import Input, Mapped, Modes, Sample, SampleFunction, may_have_gradient

MOST_PLANS = 32
"""The number of kinds of calls of one mapped function that are kept."""


def vmap(
    function: Callable[..., Any],
    in_axes: int | Sequence[int | None] | None = 0,
    out_axes: int = 0,
) -> Callable[..., Any]:
    """``function``, which is written for one sample, as a function of a batch of samples.

    It computes what a loop over the samples would, all at once. It is recorded as one operation.
    Parameters and other Tensors that the function reads have gradients; these are summed over the
    samples. The function may be any code with Tensors: operations, layers, ``forward`` of a model,
    :func:`grad`, :func:`jvp`, :func:`jacobian`, another ``vmap``. Random numbers differ from sample
    to sample. The gradient of a recorded call computes the function again, as :func:`checkpoint`
    does.

    Keep the result and call it many times: its program is compiled for each new kind of call. It is
    also compiled again if the function reads another Tensor from outside than before: pass a Tensor
    that is new in each call as an argument, with ``in_axes`` None for it.

    Args:
        function: from Tensors of one sample to a Tensor, or to Tensors in tuples, lists and dicts.
            It must not assign Tensors from outside, as batch norm does in training.
        in_axes: the axis of each argument along which the samples are; None for an argument that is
            the same for all samples. One value is for all arguments.
        out_axes: the axis of the results along which the samples are.

    Returns:
        From Tensors to what ``function`` returns, with one axis more.

    Raises:
        ArgumentError: ``in_axes`` has another length than there are arguments, or only Nones; an
            argument does not have this axis.
        CaptureError: the function assigns a Tensor or an attribute from outside, or looks at
            values.
        DTypeError: an argument or a result is no Tensor.
        ShapeError: the arguments have different numbers of samples.

    Example:
        >>> w = Tensor(data=[1.0, 2.0])
        >>> distance = autograd.vmap(lambda x: ((x - w) * (x - w)).sum())
        >>> distance(Tensor(data=[[1.0, 2.0], [1.0, 0.0], [4.0, 6.0]]))
        Tensor([ 0.,  4., 25.], shape=(3,), dtype=float32, device=cpu)
    """
    plans: dict[Any, _Plan] = {}

    @wraps(function)
    def mapped(*xs: Tensor) -> Any:
        axes = _axes(xs, in_axes)
        modes = Modes(xs[0].device, mode.training, mode.recording, local.precision)
        key = (modes, *[(jax.typeof(x.data), may_have_gradient(x)) for x in xs])
        plan = plans.get(key)
        if plan is None or not plan.guard.holds_here():
            plan = _Plan(function, xs, axes, out_axes, modes)
            if len(plans) >= MOST_PLANS:
                plans.clear()
            plans[key] = plan
        return plan(xs)

    return mapped


def per_sample_gradients(
    loss: Callable[..., Tensor], params: Iterable[Tensor]
) -> Callable[..., tuple[Tensor, dict[Tensor, Tensor]]]:
    r"""A function from a batch to each sample's loss and its gradients with respect to parameters.

    Keep the result and call it many times, as that of :func:`vmap`.

    Args:
        loss: from a batch of one sample to its loss, a scalar: ``loss(x, y)`` gets Tensors of shape
            (1, ...).
        params: the Tensors to differentiate with respect to.

    Returns:
        From Tensors, in which the samples are along the first axis, to the losses, of shape
        (samples,), and for each parameter the gradients, of shape (samples, \*parameter's shape).
        They are not recorded.

    Raises:
        GradientError: a parameter cannot have a gradient, or the loss is not a scalar.

    Example:
        >>> w = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> gradients_of = autograd.per_sample_gradients(lambda x: (x * w).sum(), [w])
        >>> losses, gradients = gradients_of(Tensor(data=[[1.0, 1.0], [2.0, 0.0]]))
        >>> losses.tolist(), gradients[w].tolist()
        ([3.0, 2.0], [[1.0, 1.0], [2.0, 0.0]])
    """
    wanted = list(params)

    def of_one(*xs: Tensor) -> tuple[Tensor, list[Tensor]]:
        alone = [wrap(x.data[None], x.device) for x in xs]
        with enable_grad():
            y = loss(*alone)
            return y.detach(), grad(y, wanted)

    mapped = vmap(of_one)

    def of_batch(*xs: Tensor) -> tuple[Tensor, dict[Tensor, Tensor]]:
        losses, gradients = mapped(*xs)
        return losses, dict(zip(wanted, gradients, strict=True))

    return of_batch


class _Plan:
    """The operation for one kind of call of a mapped function, found by running it once."""

    def __init__(
        self,
        function: Callable[..., Any],
        xs: Sequence[Tensor],
        in_axes: Sequence[int | None],
        out_axes: int,
        modes: Modes,
    ) -> None:
        self._modes = modes

        def flat(*xs: Tensor) -> list[Tensor]:
            leaves, self._structure = jax.tree.flatten(function(*xs), is_leaf=_is_tensor)
            for leaf in leaves:
                if not _is_tensor(leaf):
                    raise DTypeError(
                        f"vmap: the function must return Tensors, got {type(leaf).__name__}"
                    )
            return leaves

        def discover(*arrays: CTensor) -> list[CTensor]:
            with Sample(modes) as sample:
                ys = flat(*[sample.argument(*each) for each in zip(arrays, flags, strict=True)])
                self.outside = [*sample.outside]
                self.recorded = [may_have_gradient(y) for y in ys]
                return [sample.read(y) for y in ys]

        flags = [may_have_gradient(x) for x in xs]
        samples = [_sample_of(x.data, axis) for x, axis in zip(xs, in_axes, strict=True)]
        self.guard = EagerGuard()
        with self.guard:
            self.guard.value(function, "the function of vmap")
            jax.eval_shape(discover, *samples)
        if not self.recorded:
            raise DTypeError("vmap: the function returns no Tensor")
        inputs = [
            *[Input(axis, flag, None) for axis, flag in zip(in_axes, flags, strict=True)],
            *[Input(None, False, tensor) for tensor in self.outside],
        ]
        out = [out_axes for _ in self.recorded]
        self.operation = Mapped(SampleFunction(flat, inputs, out, modes))

    def __call__(self, xs: Sequence[Tensor]) -> Any:
        device = self._modes.device
        stream = random_key(device)
        outside = [wrap(next_key(device), device) if t is stream else t for t in self.outside]
        ys = self.operation(*xs, *outside)
        results = [y if known else y.detach() for y, known in zip(ys, self.recorded, strict=True)]
        return jax.tree.unflatten(self._structure, results)


def _axes(xs: Sequence[Any], in_axes: int | Sequence[int | None] | None) -> list[int | None]:
    """The axis of each argument along which the samples are, not negative."""
    if not xs:
        raise ArgumentError("vmap: the function needs at least one argument")
    given = [in_axes] * len(xs) if in_axes is None or isinstance(in_axes, int) else [*in_axes]
    if len(given) != len(xs):
        raise ArgumentError(f"vmap: in_axes has {len(given)} axes for {len(xs)} arguments")
    axes: list[int | None] = []
    counts: dict[int, int] = {}
    for i, (x, axis) in enumerate(zip(xs, given, strict=True)):
        if not isinstance(x, Tensor):
            raise DTypeError(f"vmap: the arguments must be Tensors, got {type(x).__name__}")
        if axis is not None:
            if not -len(x.shape) <= axis < len(x.shape):
                raise ArgumentError(
                    f"vmap: in_axes[{i}] is {axis}, but the argument is of shape {x.shape}"
                )
            axis %= len(x.shape)
            counts[i] = x.shape[axis]
        axes.append(axis)
    if not counts:
        raise ArgumentError("vmap: no argument has an axis of samples; in_axes has only None")
    if len({*counts.values()}) > 1:
        found = ", ".join(f"{count} in argument {i}" for i, count in counts.items())
        raise ShapeError(f"vmap: the arguments have different numbers of samples: {found}")
    return axes


def _sample_of(x: CTensor, axis: int | None) -> jax.ShapeDtypeStruct:
    """The shape and type of one sample."""
    shape = x.shape if axis is None else (*x.shape[:axis], *x.shape[axis + 1 :])
    return jax.ShapeDtypeStruct(shape, x.dtype)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)
