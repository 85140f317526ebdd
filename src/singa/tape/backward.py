"""The backward pass over the record: yields each gradient as soon as it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Generic, NamedTuple, TypeVar, overload

import jax.numpy as jnp

from singa.core.arrays import check_real, constant
from singa.core.tensor import ArrayLike, Tensor, wrap
from singa.core.watching import BACKWARD, local
from singa.device import CTensor, Device, DType, is_complex
from singa.errors import DTypeError, GradientError, ShapeError
from singa.tape import hooks
from singa.tape.differentiation import OWN
from singa.tape.gradient import recorded_gradients
from singa.tape.modes import enable_grad, mode
from singa.tape.operation import Operation, computed
from singa.tape.order import in_order, ways_back
from singa.tape.precision import widened
from singa.tape.record import Record
from singa.tape.stretch import FEWEST, run, stretches

_NONE: dict[int, Tensor] = {}
_NO_HOOKS: hooks.ByOutput = {}


def backward(
    y: Tensor, dy: Tensor | ArrayLike | None = None, create_graph: bool = False
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield ``(tensor, gradient)`` for every Tensor with stores_grad that ``y`` depends on.

    Each gradient is yielded as soon as it is complete, before the rest of the backward pass has
    run. So the order is the reverse order of use. The Tensor may be assigned immediately. The
    record does not change, so it can be used by a second call.

    Args:
        y: the Tensor to differentiate; a real scalar, unless ``dy`` is given.
        dy: the gradient of ``y`` to start from, of its shape; 1 if not given.
        create_graph: record the backward pass too, so that the gradients can be differentiated.

    Raises:
        GradientError: nothing was recorded, or ``y`` is not a real scalar and there is no ``dy``.
        ShapeError: ``dy`` does not have the shape of ``y``.
        DTypeError: ``dy`` is complex, and ``y`` is real.

    Example:
        >>> w = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> autograd.training = True
        >>> for p, g in autograd.backward((w * w).sum()):
        ...     p -= 0.1 * g
        >>> w
        Tensor([0.8, 1.6], shape=(2,), dtype=float32, device=cpu, stores_grad=True)
    """
    # Check here and not in the generator, so that the call itself raises the error.
    start = _initial_gradient("backward", y, dy)
    if create_graph:
        return _walk(y, start, _recorded)
    return _walk(y, start.data, _computed)


def pairs(
    y: Tensor, dy: Tensor | ArrayLike | None = None, create_graph: bool = False
) -> list[tuple[Tensor, Tensor]]:
    """The pairs that :func:`backward` yields, faster: nobody looks between two of them."""
    if create_graph:
        return [*backward(y, dy, create_graph)]
    return [*_walk(y, _initial_gradient("backward", y, dy).data, _computed, at_once=True)]


class _Gradients(dict[Tensor, Tensor]):
    """Gradients by Tensor, and by its id. It holds the Tensors, so that their ids stay theirs."""

    _by_id: dict[int, Tensor] | None = None  # made when an id is looked up first

    def __missing__(self, key: object) -> Tensor:
        if not isinstance(key, int):
            raise KeyError(key)
        if self._by_id is None:
            self._by_id = {id(tensor): gradient for tensor, gradient in self.items()}
        return self._by_id[key]


def gradients(
    y: Tensor, dy: Tensor | ArrayLike | None = None, create_graph: bool = False
) -> dict[Tensor, Tensor]:
    """The pairs that :func:`backward` yields, as a dict: each Tensor's gradient, of its shape.

    It is also found by ``id(tensor)``, as SINGA's programs look it up.

    Example:
        >>> w = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> autograd.training = True
        >>> autograd.gradients((w * w).sum())[w]
        Tensor([2., 4.], shape=(2,), dtype=float32, device=cpu)
    """
    return _Gradients(pairs(y, dy, create_graph))


@overload
def grad(
    y: Tensor,
    xs: Tensor,
    dy: Tensor | ArrayLike | None = ...,
    create_graph: bool = ...,
) -> Tensor: ...
@overload
def grad(
    y: Tensor,
    xs: Sequence[Tensor],
    dy: Tensor | ArrayLike | None = ...,
    create_graph: bool = ...,
) -> list[Tensor]: ...
def grad(
    y: Tensor,
    xs: Tensor | Sequence[Tensor],
    dy: Tensor | ArrayLike | None = None,
    create_graph: bool = False,
) -> Tensor | list[Tensor]:
    """The gradients of ``y`` with respect to ``xs``. It computes only what these need.

    Args:
        y: the Tensor to differentiate; a real scalar, unless ``dy`` is given.
        xs: one Tensor or several: leaves with stores_grad, or recorded results, with or without
            stores_grad.
        dy: the gradient of ``y`` to start from, of its shape; 1 if not given.
        create_graph: record the backward pass too, so that the gradients can be differentiated.

    Returns:
        The gradients, each of the shape and type of its Tensor; zeros if ``y`` does not depend on
        that Tensor.

    Raises:
        GradientError: nothing was recorded; ``y`` is not a real scalar and there is no ``dy``; one
            of ``xs`` cannot have a gradient.
        ShapeError: ``dy`` does not have the shape of ``y``.
        DTypeError: ``dy`` is complex, and ``y`` is real.

    Example:
        >>> x = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> autograd.training = True
        >>> dx = autograd.grad((x * x * x).sum(), x, create_graph=True)
        >>> dx, autograd.grad(dx.sum(), x).tolist()
        (Tensor([ 3., 12.], shape=(2,), dtype=float32, device=cpu), [6.0, 12.0])
    """
    wanted = [xs] if isinstance(xs, Tensor) else list(xs)
    for i, x in enumerate(wanted):
        if not x.requires_grad or (x.creator is None and not x.stores_grad):
            raise GradientError(
                f"grad: xs[{i}], of shape {x.shape}, has no gradient: it is a leaf without "
                "stores_grad=True, or nothing of it was recorded"
            )
    start = _initial_gradient("grad", y, dy)
    if create_graph:
        walk = _walk(y, start, _recorded, wanted)
    else:
        walk = _walk(y, start.data, _computed, wanted, at_once=True)
    found = {_identity(x): dx for x, dx in walk}
    dxs = [found[_identity(x)] if _identity(x) in found else _zeros_like(x) for x in wanted]
    return dxs[0] if isinstance(xs, Tensor) else dxs


def _zeros_like(x: Tensor) -> Tensor:
    return Tensor(x.shape, x.device, x.dtype, requires_grad=False)


def _identity(x: Tensor) -> object:
    """A key for a Tensor in the record: several Tensors may be handles of one result."""
    return x if x.creator is None else (x.creator, x.output_index)


def _initial_gradient(what: str, y: Tensor, dy: Tensor | ArrayLike | None) -> Tensor:
    if not isinstance(y, Tensor):
        raise DTypeError(f"{what}: a Tensor is expected, got {type(y).__name__}")
    if not y.requires_grad or (y.creator is None and not y.stores_grad):
        why = (
            "none of the Tensors it was computed from has stores_grad=True, or it was computed in "
            "a block of no_grad or while autograd.training was False"
            if mode.recording
            else "autograd.training was False, or it was in a block of no_grad"
        )
        raise GradientError(f"{what}: nothing was recorded for this Tensor: {why}")
    value = y.data
    shape, dtype = value.shape, value.dtype
    if dy is None:
        if value.size != 1:
            raise GradientError(
                f"{what}: y is of shape {shape}; without dy a scalar is needed "
                "(reduce_sum or reduce_mean makes one)"
            )
        if is_complex(dtype):
            raise GradientError(
                f"{what}: y is complex ({dtype}); without dy a real scalar is needed, such as "
                "its real part or its absolute value"
            )
        return wrap(constant(shape, 1, dtype, y.device), y.device)
    given = dy.data if isinstance(dy, Tensor) else jnp.asarray(dy)
    if given.shape != shape and not (isinstance(dy, (int, float)) and value.size == 1):
        raise ShapeError(f"{what}: dy is of shape {given.shape}, y of {shape}")
    if isinstance(dy, Tensor) and given.dtype == dtype:
        return dy
    check_real(given.dtype, dtype, f"{what}: dy")
    return wrap(jnp.broadcast_to(given, shape).astype(dtype), y.device)


G = TypeVar("G", CTensor, Tensor)
"""The type of gradients in the backward pass: arrays, or Tensors if it is recorded."""


class _Arithmetic(NamedTuple, Generic[G]):
    """The functions with which the backward pass computes with gradients."""

    input_gradients: Callable[[Record, dict[int, G], tuple[bool, ...]], Sequence[G | None]]
    add: Callable[[G, G], G]
    astype: Callable[[G, DType], G]
    as_tensor: Callable[[G, Device], Tensor]
    from_tensor: Callable[[Tensor], G]


class GradientSum(Operation):
    """The sum of two gradients of the same value, computed and returned in at least 32 bits."""

    complex_numbers = OWN

    def forward(self, a: CTensor, b: CTensor) -> CTensor:
        return widened(a) + widened(b)

    def backward(self, dy: CTensor) -> tuple[CTensor, CTensor]:
        return dy, dy


_SUM = GradientSum()


def _sum(a: CTensor, b: CTensor) -> CTensor:
    return computed(_SUM, (a, b), BACKWARD)[0]


def _recorded_sum(a: Tensor, b: Tensor) -> Tensor:
    with enable_grad():
        return _SUM(a, b)[0]


class GradientConversion(Operation):
    """Converts a sum of gradients of a value to the type of that value."""

    complex_numbers = OWN

    def __init__(self, dtype: DType) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, dx: CTensor) -> CTensor:
        return dx.astype(self.dtype)

    def backward(self, dy: CTensor) -> CTensor:
        return dy


def _converted(dx: CTensor, dtype: DType) -> CTensor:
    return computed(GradientConversion(dtype), (dx,), BACKWARD)[0]


def _recorded_conversion(dx: Tensor, dtype: DType) -> Tensor:
    with enable_grad():
        return GradientConversion(dtype)(dx)[0]


_computed: _Arithmetic[CTensor] = _Arithmetic(
    Record.input_gradients, _sum, _converted, wrap, lambda dx: dx.data
)
_recorded: _Arithmetic[Tensor] = _Arithmetic(
    recorded_gradients, _recorded_sum, _recorded_conversion, lambda dx, _: dx, lambda dx: dx
)


def _walk(
    y: Tensor,
    dy: G,
    arithmetic: _Arithmetic[G],
    wanted: Sequence[Tensor] | None = None,
    at_once: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the gradients of the wanted Tensors; if None, of all Tensors with stores_grad.

    ``at_once`` says that the caller takes all of them before it does anything else.
    """
    if y.creator is None:
        yield y, _of_leaf(y, dy, arithmetic)
        return
    input_gradients, add, astype, as_tensor, _ = arithmetic
    edges, uses, leaf_uses, stored = ways_back(y, wanted)
    # The gradients so far: for each record by output, and for each leaf.
    arrived: dict[Record, dict[int, G]] = {y.creator: {y.output_index: dy}}
    leaf_gradients: dict[Tensor, G] = {}
    # Sums of short gradients are computed in 32 bits; when complete, convert them to these types.
    narrow: dict[Record, dict[int, DType]] = {}
    order = in_order(y.creator, edges, uses)
    at_once = at_once and len(order) >= FEWEST and not stored and _may_be_programs(y.device)
    for part in stretches(order) if at_once else [order]:
        leaves = run(part, edges, arrived, leaf_gradients) if at_once else None
        if leaves is not None:
            for leaf in leaves:
                leaf_uses[leaf] -= 1
                if not leaf_uses[leaf] and leaf in leaf_gradients:
                    yield leaf, _of_leaf(leaf, leaf_gradients.pop(leaf), arithmetic)
            continue
        for record in part:
            dys = arrived.pop(record, None)
            if dys and narrow and record in narrow:
                for index, dtype in narrow.pop(record).items():
                    dys[index] = astype(dys[index], dtype)
            if hooks.of_gradients and dys:
                _look_at(record, dys, arithmetic, y.device)
            if stored and dys:
                for index, kept in stored.get(record, _NONE).items():
                    if index in dys:
                        yield kept, as_tensor(dys[index], kept.device)
            src = edges[record] if edges else record.src
            needed = tuple([edge is not None for edge in src])
            found = input_gradients(record, dys, needed) if dys and any(needed) else None
            if hooks.backward and found is not None and dys:
                _tell(record, found, dys, lambda g: None if g is None else as_tensor(g, y.device))
            dxs = repeat(None) if found is None else iter(found)
            for edge in src:
                if edge is None:
                    continue
                creator, index, tensor = edge
                dx = next(dxs)
                if creator is not None:
                    if dx is not None:
                        into = arrived.setdefault(creator, {})
                        if index not in into:
                            into[index] = dx
                        else:
                            into[index] = add(into[index], dx)
                            if dx.dtype.itemsize < 4:
                                narrow.setdefault(creator, {})[index] = dx.dtype
                else:
                    assert tensor is not None  # a leaf has an edge because it stores its gradient
                    if dx is not None:
                        sofar = leaf_gradients.get(tensor)
                        leaf_gradients[tensor] = dx if sofar is None else add(sofar, dx)
                    leaf_uses[tensor] -= 1
                    if not leaf_uses[tensor] and tensor in leaf_gradients:
                        yield tensor, _of_leaf(tensor, leaf_gradients.pop(tensor), arithmetic)


def _may_be_programs(device: Device) -> bool:
    """Whether several backwards may be one program: nobody looks, and it runs now, on one CPU."""
    is_seen = hooks.of_gradients or hooks.backward or local.capture is not None or local.singly
    return not is_seen and device.mesh is None and device.jax_device.platform == "cpu"


def _of_leaf(leaf: Tensor, total: G, arithmetic: _Arithmetic[G]) -> Tensor:
    """A leaf's gradient, after its hooks have seen it and may have replaced it."""
    if total.dtype != leaf._data.dtype:
        total = arithmetic.astype(total, leaf.dtype)
    gradient = arithmetic.as_tensor(total, leaf.device)
    hooks.looked_for(id(leaf))
    of_leaf = hooks.of_gradients.get(id(leaf))
    return gradient if of_leaf is None else hooks.hooked(of_leaf.get(0, ()), gradient)


def _look_at(record: Record, dys: dict[int, G], arithmetic: _Arithmetic[G], device: Device) -> None:
    """Call the hooks of a record's outputs with the gradients, which the hooks may replace."""
    for index, of_output in hooks.of_gradients.get(id(record), _NO_HOOKS).items():
        if index in dys:
            looked_at = hooks.hooked(of_output, arithmetic.as_tensor(dys[index], device))
            dys[index] = arithmetic.from_tensor(looked_at)


def _tell(
    record: Record,
    dxs: Sequence[G | None],
    dys: dict[int, G],
    as_tensor: Callable[[G | None], Tensor | None],
) -> None:
    """Call the backward hooks of this operation's class."""
    for hook in hooks.for_class(hooks.backward, type(record.operation)):
        hook(record, [*map(as_tensor, dxs)], [*map(as_tensor, dys.values())])
