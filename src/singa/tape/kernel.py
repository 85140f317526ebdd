"""An operation's forward and backward, compiled once per class, configuration and shapes.

``forward`` runs under ``jax.jit`` on a fresh copy of the operation. What it leaves on the copy's
attributes is what ``backward`` will need, so the compiled forward returns that too: arrays as
residuals, anything else (shapes, flags) as part of the :class:`Trace`, of which there is one for
each set of input shapes. An array that is also an input or an output is not returned twice.

``backward`` is compiled per trace, and only for those gradients that are needed.

What a user's operation reads besides its configuration, such as globals and attributes of the
class, is guarded: when that changes, the kernel is compiled again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from functools import partial
from itertools import count
from operator import itemgetter
from typing import Any, TypeAlias
from weakref import ref

import jax
import jax.numpy as jnp
import numpy as np

from singa.core.exact import copied
from singa.core.guard import EagerGuard, guard_of, running
from singa.core.tensor import Tensor
from singa.device import CTensor, DType, float32, has_gradients
from singa.engine import memory, native
from singa.errors import CaptureError, DTypeError
from singa.placement import Part, announce
from singa.tape import differentiation
from singa.tape.arrays_only import arrays_only
from singa.tape.configuration import configuration, in_words
from singa.tape.likes import OperationLike, RecordLike
from singa.tape.precision import WIDE, converted
from singa.tape.returned import arrays_of, input_gradients, whole
from singa.tape.table import Table, Tracing

Arrays: TypeAlias = tuple[CTensor, ...]
Recorded: TypeAlias = "dict[ref[Trace], Arrays]"
Layout: TypeAlias = tuple[int, ...]
"""For each input's gradient, its index in the list of outputs' gradients and computed arrays."""

table = Table()
_numbers = count()

SMALL = 2**20
"""The largest size of an operation's inputs and outputs, in bytes, that is called small."""


class Kernel:
    """The compiled forward of one class of operations with one configuration.

    Args:
        operation: one with this configuration.
        precision: the type that the inputs are converted to; None for their own.
        names: the attributes that are arguments of the kernel; all others are constants.
        identity: the hash of the kernel's key.

    Attributes:
        infer: from the given attributes and the inputs, in this order, to ``{tracing: outputs}``.
        record: from the same to ``{trace: (*outputs, *residuals)}``. ``jax.jit`` stores a dict's
            keys with the structure of its result: this is how each call gets the trace for its
            shapes, without a look-up. The keys are weak references, because jax keeps them after
            the compiled code was freed.
        tracings: all that were made.
        guard: of what else the user's code reads; None if it reads nothing that could change.
    """

    __slots__ = ("__weakref__", "guard", "infer", "record", "tracings")

    def __init__(
        self,
        operation: OperationLike,
        precision: DType | None,
        names: Sequence[str],
        identity: int,
    ) -> None:
        # The compiled functions do not refer to the kernel: so it is freed without waiting for
        # garbage collection.
        tracings: list[Tracing] = []
        self.tracings = tracings
        operation = operation.copy()
        attributes = operation.__dict__
        for name in names:
            del attributes[name]
        attributes.update({name: copied(value) for name, value in attributes.items()})
        spread, exact = native.here.spread, native.here.exact
        guard = guard_of(
            type(operation), attributes, ("forward", "backward", "arithmetic", "complex_numbers")
        )
        self.guard = guard

        def traced(tracing: Tracing, is_recorded: bool, xs: Arrays, ys: Arrays) -> None:
            memory.new_shapes(sum(array.size * array.dtype.itemsize for array in (*xs, *ys)))
            avals = tuple(jax.typeof(x) for x in xs)
            table.traced(tracings, tracing, hash((identity, is_recorded, avals)))

        def infer(*args: Any) -> dict[Tracing, Arrays]:
            given, xs = dict(zip(names, args, strict=False)), args[len(names) :]
            with running(guard), native.spread(spread), native.exact(exact):
                ys = _forward(operation.copy(given), precision, *xs)
            tracing = Tracing()
            traced(tracing, False, xs, ys)
            return {tracing: ys}

        def record(*args: Any) -> Recorded:
            given, xs = dict(zip(names, args, strict=False)), args[len(names) :]
            called = operation.copy(given)
            before = dict(called.__dict__)
            with running(guard), native.spread(spread), native.exact(exact):
                ys = _forward_for_backward(called, precision, xs)
            left = {
                name: value
                for name, value in called.__dict__.items()
                if name not in before or before[name] is not value
            }
            trace = Trace(operation, guard, precision, left, xs, ys, given)
            traced(trace, True, xs, ys)
            return {_TraceRef(trace): (*ys, *trace.residuals(left))}

        title = type(operation).__name__
        self.infer: Callable[..., dict[Tracing, Arrays]] = jax.jit(named(infer, title))
        self.record: Callable[..., Recorded] = jax.jit(named(record, title))


def kernel_of(operation: OperationLike, precision: DType | None) -> tuple[Kernel, tuple[Any, ...]]:
    """The kernel for an operation's configuration, and the values that are its first arguments."""
    key, given = configuration(operation, precision)
    if native.here.spread is not None or native.here.exact:
        key = (key, native.here.spread, native.here.exact)
    kernel = table.kernels.get(key)
    if kernel is None or (kernel.guard is not None and not kernel.guard.holds_here()):
        kernel = table.kernels[key] = Kernel(operation, precision, tuple(given), hash(key))
    return kernel, (*given.values(),)


def _forward(operation: OperationLike, precision: DType | None, *xs: CTensor) -> Arrays:
    differentiation.refuse_complex(operation, xs)
    xs = tuple(whole(operation, xs))
    if precision is None and operation.arithmetic == WIDE:
        return _forward_in_float32(operation, xs)
    xs = converted(xs, precision)
    with _arrays_only(operation):
        return tuple(whole(operation, _as_outputs(operation, operation.forward(*xs))))


def _forward_in_float32(operation: OperationLike, xs: Arrays) -> Arrays:
    """Compute in at least float32; the outputs get the types that the unconverted inputs give."""
    plain = operation.copy()
    wide = converted(xs, float32)
    with _arrays_only(operation):
        ys = tuple(whole(operation, _as_outputs(operation, operation.forward(*wide))))
        if all(x is given for x, given in zip(wide, xs, strict=True)):
            return ys
        # Only types are wanted: that a constant does not fit into a short one is no fault here.
        with np.errstate(over="ignore"):
            likes = jax.eval_shape(lambda *xs: _as_outputs(plain, plain.forward(*xs)), *xs)
    return tuple(y.astype(like.dtype) for y, like in zip(ys, likes, strict=True))


def _forward_for_backward(operation: OperationLike, precision: DType | None, xs: Arrays) -> Arrays:
    """The outputs. What backward will need is stored on the operation."""
    if not differentiation.is_derived(operation, xs):
        return _forward(operation, precision, *xs)
    ys: Arrays
    ys, pullback = jax.vjp(partial(_forward, operation.copy(), precision), *xs)
    operation.__dict__[differentiation.PULLBACK] = pullback
    return ys


class _TraceRef(ref["Trace"]):
    """A weak reference that, like a tracing, has no address in its text."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "trace"


class Trace(Tracing):
    """The result of one tracing of forward: the layout of what forward left for backward.

    Attributes:
        recomputes: whether derivatives of backward need the inputs, because backward uses values
            that forward has computed and that are not outputs.
        has_gradients: of each output, whether it can have a gradient.
        pick: what backward takes, a tuple, from all arrays of a call: the kernel's arguments, the
            outputs and the residuals.
        outputs: the number of outputs; what a recorded call returns after them are residuals.
        number: of this trace only.
        is_small: whether its backward is a part of longer programs; see ``stretch.py``.
        exist: which inputs' gradients a recorded backward gives; by which outputs' gradients are
            given and which inputs' gradients are needed.
    """

    __slots__ = (
        "__weakref__", "_backwards", "_exact", "_given", "_guard", "_left_on", "_operation",
        "_places", "_precision", "_spread", "exist", "has_gradients", "input_avals", "is_small",
        "number", "output_avals", "outputs", "pick", "recomputes",
    )  # fmt: skip

    def __init__(
        self,
        operation: OperationLike,
        guard: EagerGuard | None,
        precision: DType | None,
        left: dict[str, Any],
        xs: Arrays,
        ys: Arrays,
        given: dict[str, CTensor],
    ) -> None:
        super().__init__()
        self._operation, self._guard = operation, guard
        self._precision, self._given = precision, tuple(given)
        self._spread, self._exact = native.here.spread, native.here.exact
        self.recomputes = False
        self.exist: dict[tuple[tuple[int, ...], tuple[bool, ...]], tuple[bool, ...]] = {}
        self.input_avals = tuple(jax.typeof(x) for x in xs)
        self.output_avals = tuple(jax.typeof(y) for y in ys)
        self.outputs = len(ys)
        self.has_gradients = tuple(has_gradients(y.dtype) for y in ys)
        self.number = next(_numbers)
        avals = *self.input_avals, *self.output_avals
        self.is_small = self._spread is None and _are_small(avals)
        self._backwards: dict[Any, Callable[..., dict[Layout, list[CTensor]]]] = {}
        leaves, treedef = jax.tree.flatten(left)
        # For each array among the leaves: where it is in (*given, *inputs, *outputs, *residuals).
        known = [*given.values(), *xs, *ys]
        self._places: list[int] = []
        constants: list[Any] = []  # the other leaves, with None where an array goes
        for leaf in leaves:
            if isinstance(leaf, Tensor):
                raise CaptureError(
                    f"{operation.name}.forward leaves a Tensor for backward: its array is "
                    "expected, `.data`"
                )
            if not isinstance(leaf, jax.core.Tracer):
                constants.append(leaf)
                continue
            constants.append(None)
            place = next((i for i, array in enumerate(known) if array is leaf), len(known))
            if place == len(known):
                known.append(leaf)
                self.recomputes = self.recomputes or has_gradients(leaf.dtype)
            self._places.append(place)
        self.pick = _picker([*range(len(given)), *self._places])
        # The compiled functions refer to this, not to the trace: the trace refers to them.
        self._left_on: Callable[[OperationLike, Sequence[Any]], OperationLike]
        self._left_on = partial(_with_what_was_left, self._given, treedef, constants)

    @property
    def saves(self) -> int:
        """The number of arrays that a record saves."""
        return len(self._given) + len(self._places)

    def residuals(self, left: dict[str, Any]) -> Arrays:
        """The arrays that forward has to return besides its outputs."""
        arrays = [leaf for leaf in jax.tree.leaves(left) if isinstance(leaf, jax.core.Tracer)]
        first = len(self._given) + len(self.input_avals) + len(self.output_avals)
        found = {
            place: array
            for place, array in zip(self._places, arrays, strict=True)
            if place >= first
        }
        return tuple(found[place] for place in sorted(found))

    def after_forward(self, record: RecordLike) -> OperationLike:
        """The operation as forward left it."""
        return self._left_on(self._operation.copy(), _gathered(record._saved))

    def sources(self, record: RecordLike) -> Iterator[tuple[CTensor, int | None, int | None]]:
        """The arrays that backward depends on, and which input or output each of them is."""
        first = len(self._given)
        inputs, outputs = len(self.input_avals), len(self.output_avals)
        saved = _gathered(record._saved)
        given, left = saved[:first], saved[first:]
        yield from ((jnp.asarray(x), None, None) for x in given)
        if self.recomputes:
            yield from ((x, i, None) for i, x in enumerate(record._inputs))
        for place, array in zip(self._places, left, strict=True):
            number = place - first
            if 0 <= number < inputs and not self.recomputes:
                yield array, number, None
            elif inputs <= number < inputs + outputs and not self.recomputes:
                yield array, None, number - inputs
            else:
                yield array, None, None

    def differentiable(self, sources: Sequence[CTensor]) -> OperationLike:
        """The operation as forward left it, as a differentiable function of its ``sources``."""
        operation = self._operation.copy()
        if not self.recomputes:
            return self._left_on(operation, sources)
        first = len(self._given)
        operation.__dict__.update(zip(self._given, sources, strict=False))
        xs = tuple(sources[first : first + len(self.input_avals)])
        _forward_for_backward(operation, self._precision, xs)
        return operation

    def backward(
        self, record: RecordLike, dys: dict[int, CTensor], needed: tuple[bool, ...]
    ) -> Sequence[CTensor | None]:
        """The gradients of the needed inputs, in order; None where there is none.

        ``dys`` holds the outputs' gradients by the outputs' numbers. If an output was not used,
        its gradient is missing; the kernel makes the zeros, where they cost nothing.
        """
        arrived = list(dys.values())
        saved = record._saved
        if self._spread is not None:
            if self._spread.mesh.is_multi_process:
                words = f"the gradient of {in_words(self._operation)}"
                announce(words, arrived, self._spread.mesh)
            saved = _gathered(saved, arrived[0])
        kernel = self._backwards.get((needed, *dys)) or self.kernel(saved, dys, needed)
        ((layout, computed),) = kernel(saved, arrived).items()
        arrived += computed
        return [arrived[i] for i in layout]

    def kernel(
        self, saved: Arrays, dys: dict[int, CTensor], needed: tuple[bool, ...]
    ) -> Callable[..., dict[Layout, list[CTensor]]]:
        """The compiled :meth:`backward`, a function of the saved arrays and the given gradients.

        It returns the arrays that it has computed. The key says, for each needed input, where its
        gradient is among the given gradients and these.
        """
        key = (needed, *dys)
        kernel = self._backwards.get(key)
        if kernel is None:
            kernel = self._compile(tuple(dys), needed)
            table.compiled_backward(self)
            ((layout, computed),) = jax.eval_shape(kernel, saved, list(dys.values())).items()
            if not computed:
                kernel = partial(_nothing_but, layout)
            self._backwards[key] = kernel
        return kernel

    def _compile(self, given: tuple[int, ...], needed: tuple[bool, ...]) -> Callable[..., Any]:
        configured, guard, left_on = self._operation, self._guard, self._left_on
        input_avals, output_avals = self.input_avals, self.output_avals
        spread, exact = self._spread, self._exact

        def backward(saved: Arrays, dys: list[CTensor]) -> Any:
            operation = left_on(configured.copy(), saved)
            arrived = dict(zip(given, dys, strict=True))
            with (
                running(guard),
                native.spread(spread),
                native.exact(exact),
                _arrays_only(operation),
            ):
                dxs = input_gradients(operation, arrived, input_avals, output_avals, needed)
            # A gradient that is passed on unchanged, or to several inputs, is not returned (again):
            # XLA would copy it.
            known: list[CTensor | None] = [*dys]
            layout = []
            for dx in dxs:
                place = next((i for i, array in enumerate(known) if array is dx), len(known))
                if place == len(known):
                    known.append(dx)
                layout.append(place)
            return {tuple(layout): known[len(dys) :]}

        return jax.jit(named(backward, f"{type(configured).__name__}_backward"))


def _are_small(avals: Sequence[Any]) -> bool:
    """Whether a call takes longer than the computation, and gradients are summed as they are."""
    size = sum(aval.size * aval.dtype.itemsize for aval in avals)
    return size <= SMALL and all(
        aval.dtype.itemsize >= 4 for aval in avals if has_gradients(aval.dtype)
    )


def _picker(places: Sequence[int]) -> Callable[[Arrays], Arrays]:
    """The function from a tuple to the tuple of its elements at these places."""
    if len(places) > 1:
        return itemgetter(*places)
    first = places[0] if places else 0
    return itemgetter(slice(first, first + len(places)))


def _gathered(saved: Sequence[Any], after: CTensor | None = None) -> Arrays:
    """What was saved, with parameters whole that are kept in parts along the batch's axes."""
    return tuple([x.gathered(after) if isinstance(x, Part) else x for x in saved])


def _with_what_was_left(
    given: Sequence[str],
    treedef: Any,
    constants: Sequence[Any],
    operation: OperationLike,
    saved: Sequence[Any],
) -> OperationLike:
    """The operation, with the given attributes and what forward left on it."""
    arrays = iter(whole(operation, saved))
    attributes = operation.__dict__
    attributes.update((name, next(arrays)) for name in given)
    leaves = [next(arrays) if constant is None else constant for constant in constants]
    attributes.update(jax.tree.unflatten(treedef, leaves))
    return operation


def _nothing_but(layout: Layout, *_: Any) -> dict[Layout, list[CTensor]]:
    """A backward that computes nothing."""
    return {layout: []}


def _as_outputs(operation: OperationLike, ys: Any) -> Arrays:
    if not isinstance(ys, (tuple, list)):
        ys = (ys,)
    ys = arrays_of(ys)
    for y in ys:
        if not isinstance(y, (jax.Array, np.ndarray)):
            raise DTypeError(
                f"{operation.name}.forward returned {type(y).__name__}; a CTensor, or a tuple of "
                "them, is expected"
            )
    return tuple(map(jnp.asarray, ys))


def _arrays_only(operation: OperationLike) -> AbstractContextManager[None]:
    return arrays_only(
        f"{operation.name}: forward and backward", "Pass it as an input of the operation"
    )


def named(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """``function`` under another name, which profiles and graphs will show."""

    def renamed(*args: Any) -> Any:
        return function(*args)

    renamed.__name__ = renamed.__qualname__ = name
    return renamed
