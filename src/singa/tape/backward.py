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

_NO_TENSORS: dict[int, Tensor] = {}
_NO_TYPES: dict[int, DType] = {}
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
    """The pairs that :func:`backward` yields, faster: the caller gets them all at once."""
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
    else:
        yield from _Pass(y, dy, arithmetic, wanted).gradients(at_once)


class _Pass(Generic[G]):
    """A backward pass: the gradients that have arrived so far, and how many are missing."""

    def __init__(
        self, y: Tensor, dy: G, arithmetic: _Arithmetic[G], wanted: Sequence[Tensor] | None
    ) -> None:
        self._arithmetic: _Arithmetic[G] = arithmetic
        self._device = y.device
        self._edges, uses, self._leaf_uses, self._stored = ways_back(y, wanted)
        self._order = in_order(y.creator, self._edges, uses)
        # The gradients so far: for each record by output, and for each leaf.
        self._arrived: dict[Record, dict[int, G]] = {y.creator: {y.output_index: dy}}
        self._of_leaves: dict[Tensor, G] = {}
        # Sums of short gradients are computed in 32 bits, and then converted to these types.
        self._narrow: dict[Record, dict[int, DType]] = {}

    def gradients(self, at_once: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield them, each as soon as it is complete."""
        order = self._order
        in_programs = at_once and len(order) >= FEWEST and not self._stored
        if not in_programs or not _may_be_programs(self._device):
            yield from self._one_by_one(order)
            return
        for part in stretches(order):
            leaves = run(part, self._edges, self._arrived, self._of_leaves)
            if leaves is None:
                yield from self._one_by_one(part)
                continue
            for leaf in leaves:
                self._leaf_uses[leaf] -= 1
                if not self._leaf_uses[leaf] and leaf in self._of_leaves:
                    yield leaf, _of_leaf(leaf, self._of_leaves.pop(leaf), self._arithmetic)

    def _one_by_one(self, records: Sequence[Record]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what is complete after the backward of each of these records."""
        arithmetic, edges, narrow = self._arithmetic, self._edges, self._narrow
        arrived, of_leaves, leaf_uses = self._arrived, self._of_leaves, self._leaf_uses
        for record in records:
            dys = arrived.pop(record, None)
            if dys and (hooks.of_gradients or self._stored or (narrow and record in narrow)):
                yield from self._complete(record, dys)
            src = edges[record] if edges else record.src
            needed = tuple([edge is not None for edge in src])
            found = None
            if dys and any(needed):
                found = arithmetic.input_gradients(record, dys, needed)
                if hooks.backward:
                    self._tell(record, found, dys)
            dxs = repeat(None) if found is None else iter(found)
            for edge in src:
                if edge is None:
                    continue
                creator, index, leaf = edge
                dx = next(dxs)
                if creator is None:
                    assert leaf is not None  # it has an edge because it stores its gradient
                    if dx is not None:
                        sofar = of_leaves.get(leaf)
                        of_leaves[leaf] = dx if sofar is None else arithmetic.add(sofar, dx)
                    leaf_uses[leaf] -= 1
                    if not leaf_uses[leaf] and leaf in of_leaves:
                        yield leaf, _of_leaf(leaf, of_leaves.pop(leaf), arithmetic)
                elif dx is not None:
                    into = arrived.setdefault(creator, {})
                    if index in into:
                        self._add(creator, index, dx)
                    else:
                        into[index] = dx

    def _complete(self, record: Record, dys: dict[int, G]) -> Iterator[tuple[Tensor, Tensor]]:
        """The gradients of a record's outputs are complete: yield those of Tensors that store them.

        First the hooks see them, and may replace them.
        """
        for index, dtype in self._narrow.pop(record, _NO_TYPES).items():
            dys[index] = self._arithmetic.astype(dys[index], dtype)
        for index, of_output in hooks.of_gradients.get(id(record), _NO_HOOKS).items():
            if index in dys:
                seen = hooks.hooked(of_output, self._as_tensor(dys[index]))
                dys[index] = self._arithmetic.from_tensor(seen)
        for index, kept in self._stored.get(record, _NO_TENSORS).items():
            if index in dys:
                yield kept, self._arithmetic.as_tensor(dys[index], kept.device)

    def _add(self, record: Record, index: int, dx: G) -> None:
        """Add a further gradient of this output of a record."""
        into = self._arrived[record]
        into[index] = self._arithmetic.add(into[index], dx)
        if dx.dtype.itemsize < 4:
            self._narrow.setdefault(record, {})[index] = dx.dtype

    def _tell(self, record: Record, dxs: Sequence[G | None], dys: dict[int, G]) -> None:
        """Call the backward hooks of this operation's class."""
        for hook in hooks.for_class(hooks.backward, type(record.operation)):
            seen = [None if dx is None else self._as_tensor(dx) for dx in dxs]
            hook(record, seen, [*map(self._as_tensor, dys.values())])

    def _as_tensor(self, gradient: G) -> Tensor:
        return self._arithmetic.as_tensor(gradient, self._device)


def _may_be_programs(device: Device) -> bool:
    """Whether several backwards may be one program: without hooks, eagerly, on one CPU."""
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
