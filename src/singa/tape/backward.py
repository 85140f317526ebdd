"""The walk back over the record, yielding each gradient the moment it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import repeat

import jax
import jax.numpy as jnp

from singa._tensor import ArrayLike, Tensor, wrap
from singa.device import CTensor, Device, DType
from singa.errors import DTypeError, GradientError, ShapeError
from singa.tape.operation import Operation, mode

_add = jax.jit(jnp.add)
_NONE: dict[int, Tensor] = {}


def backward(y: Tensor, dy: Tensor | ArrayLike | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``(tensor, gradient)`` for every Tensor with stores_grad that ``y`` depends on.

    Each comes the moment its last use has delivered, that is in reverse order of use and while
    the rest of the backward pass is still to come; it may be assigned at once. The record stays
    as it is: a second call walks it again.

    Args:
        y: the Tensor to differentiate; a scalar, unless ``dy`` is given.
        dy: the gradient of ``y`` to start from, of its shape; 1 if not given.

    Raises:
        GradientError: nothing was recorded, or ``y`` is not a scalar and there is no ``dy``.
        ShapeError: ``dy`` is not of ``y``'s shape.
    """
    if not isinstance(y, Tensor):
        raise DTypeError(f"backward: a Tensor is expected, got {type(y).__name__}")
    if not y.requires_grad or (y.creator is None and not y.stores_grad):
        why = (
            "none of the Tensors it was computed from has stores_grad=True"
            if mode.training
            else "autograd.training was False"
        )
        raise GradientError(f"backward: nothing was recorded for this Tensor: {why}")
    # Checked here and not in the generator, so that a mistake shows at the call.
    return _walk(y, _initial_gradient(y, dy))


def gradients(y: Tensor, dy: Tensor | ArrayLike | None = None) -> dict[Tensor, Tensor]:
    """All that :func:`backward` yields, as a dict from Tensor to gradient."""
    return dict(backward(y, dy))


def _initial_gradient(y: Tensor, dy: Tensor | ArrayLike | None) -> CTensor:
    if dy is None:
        if y.size() != 1:
            raise GradientError(
                f"backward: y is of shape {y.shape}; without dy a scalar is needed "
                "(reduce_sum or reduce_mean makes one)"
            )
        return _one(y.shape, y.dtype, y.device)
    given = dy.data if isinstance(dy, Tensor) else jnp.asarray(dy)
    if given.shape != y.shape and not (isinstance(dy, (int, float)) and y.size() == 1):
        raise ShapeError(f"backward: dy is of shape {given.shape}, y of {y.shape}")
    return jnp.broadcast_to(given, y.shape).astype(y.dtype)


@cache
def _one(shape: tuple[int, ...], dtype: DType, device: Device) -> CTensor:
    with jax.ensure_compile_time_eval():
        return jnp.ones(shape, dtype, device=device.jax_device)


def _walk(y: Tensor, dy: CTensor) -> Iterator[tuple[Tensor, Tensor]]:
    if y.creator is None:
        yield y, wrap(dy, y.device)
        return
    uses, leaf_uses, stored = _count_uses(y.creator)
    if y.stores_grad:
        stored.setdefault(y.creator, {})[y.output_index] = y
    # Gradients that have arrived: for each operation one per output, for each leaf its own.
    arrived: dict[Operation, dict[int, CTensor]] = {y.creator: {y.output_index: dy}}
    leaf_gradients: dict[Tensor, CTensor] = {}
    ready = [y.creator]
    while ready:
        operation = ready.pop()
        dys = arrived.pop(operation, None)
        if stored and dys:
            for index, kept in stored.get(operation, _NONE).items():
                if index in dys:
                    yield kept, wrap(dys[index], kept.device)
        dxs = iter(operation.needed_gradients(dys) if dys else repeat(None))
        for edge in operation.src:
            if edge is None:
                continue
            creator, index, tensor = edge
            dx = next(dxs)
            if creator is not None:
                if dx is not None:
                    into = arrived.get(creator)
                    if into is None:
                        arrived[creator] = {index: dx}
                    else:
                        into[index] = _add(into[index], dx) if index in into else dx
                uses[creator] -= 1
                if not uses[creator]:
                    ready.append(creator)
            else:
                assert tensor is not None  # a leaf has an edge because it stores its gradient
                if dx is not None:
                    sofar = leaf_gradients.get(tensor)
                    leaf_gradients[tensor] = dx if sofar is None else _add(sofar, dx)
                leaf_uses[tensor] -= 1
                if not leaf_uses[tensor] and tensor in leaf_gradients:
                    yield tensor, wrap(leaf_gradients.pop(tensor), tensor.device)


def _count_uses(
    last: Operation,
) -> tuple[dict[Operation, int], dict[Tensor, int], dict[Operation, dict[int, Tensor]]]:
    """How often each operation and each leaf is used on the way to ``last``.

    Also the intermediate Tensors whose gradient is to be yielded, by creator and output.
    """
    uses: dict[Operation, int] = {last: 0}
    leaf_uses: dict[Tensor, int] = {}
    stored: dict[Operation, dict[int, Tensor]] = {}
    stack = [last]
    while stack:
        for edge in stack.pop().src:
            if edge is None:
                continue
            creator, index, tensor = edge
            if creator is None:
                assert tensor is not None
                leaf_uses[tensor] = leaf_uses.get(tensor, 0) + 1
                continue
            if tensor is not None:
                stored.setdefault(creator, {})[index] = tensor
            if creator in uses:
                uses[creator] += 1
            else:
                uses[creator] = 1
                stack.append(creator)
    return uses, leaf_uses, stored
