"""checkpoint: saves memory by computing. The backward pass computes a segment's values again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import jax

from singa.core.tensor import Tensor
from singa.core.watching import FORWARD, calling, local
from singa.device import CTensor
from singa.engine.fusion import unfused
from singa.tape.kernel import Arrays, Kernel, Trace
from singa.tape.likes import OperationLike, RecordLike

P = ParamSpec("P")
R = TypeVar("R")


def checkpoint(function: Callable[P, R], *xs: P.args, **options: P.kwargs) -> R:
    """``function(*xs)``; of its values only the inputs are kept for the backward pass.

    When the backward pass reaches one of the function's operations, all of them are computed
    again, from the same arrays: parameters, inputs and random keys as they were. So the gradients
    are the same as without a checkpoint. The function's Python is not run again: what it assigns,
    such as running statistics, is assigned once. Memory is needed for one such segment at a time,
    and for the values between segments; in eager and in compiled steps.

    A checkpoint inside another one is a part of it. Operations that run on the host keep their
    values, and so do all operations after a backward pass with ``create_graph=True``.

    Args:
        function: any function, layer or model that computes with Tensors.
        xs, options: its arguments.

    Returns:
        What the function returns.

    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016.

    Example:
        >>> x = Tensor(data=[1.0, 2.0], stores_grad=True)
        >>> with autograd.enable_grad():
        ...     y = autograd.checkpoint(lambda x: autograd.exp(x * x).sum(), x)
        >>> autograd.grad(y, x)
        Tensor([  5.4366, 218.3926], shape=(2,), dtype=float32, device=cpu)
    """
    if local.segment is not None:
        return function(*xs, **options)
    local.segment = segment = Segment()
    try:
        return function(*xs, **options)
    finally:
        local.segment = None
        segment.end()


class Segment:
    """The calls that a function recorded, and how to compute them again.

    It refers to kernels and numbers, not to the records: the records refer to it.
    """

    def __init__(self) -> None:
        self._kernels: list[tuple[OperationLike, Kernel, tuple[Any, ...]]] = []
        # For each input: the array, or the number of the operation that made it and of its output.
        self._inputs: list[list[CTensor | tuple[int, int]]] = []
        self._numbers: dict[RecordLike, int] = {}
        self._made: dict[int, tuple[Arrays, Arrays]] = {}

    def add(
        self,
        record: RecordLike,
        kernel: tuple[Kernel, tuple[Any, ...]],
        arrays: Sequence[CTensor],
        xs: Sequence[Tensor],
    ) -> None:
        """Note a call that has just been recorded, and release what its record has saved."""
        trace = record._trace
        assert isinstance(trace, Trace)
        self._inputs.append(
            [
                (self._numbers[x.creator], x.output_index) if x.creator in self._numbers else array
                for x, array in zip(xs, arrays, strict=True)
            ]
        )
        record._trace = Recomputed(trace, self, len(self._kernels))
        record._saved = record._inputs = ()
        self._numbers[record] = len(self._kernels)
        self._kernels.append((record.operation, *kernel))

    def end(self) -> None:
        """Release the records: no more operations will come."""
        self._numbers = {}

    def take(self, number: int, dys: Sequence[CTensor]) -> tuple[Arrays, Arrays]:
        """The inputs of an operation and what it saves. They are not kept after this call."""
        if number not in self._made:
            self._make(dys)
        return self._made.pop(number)

    def _make(self, dys: Sequence[CTensor]) -> None:
        given = [x for xs in self._inputs for x in xs if not isinstance(x, tuple)]
        if any(isinstance(array, jax.core.Tracer) for array in (*given, *dys)):
            # XLA would see that this was computed before, and keep those values instead.
            # ``unfused`` makes them other arrays for XLA, which do not exist before the gradient.
            _, *given = unfused(lambda *arrays: arrays, *dys[:1], *given)
        arrays = iter(given)
        outputs: list[Arrays] = []
        for number, (operation, kernel, attributes) in enumerate(self._kernels):
            xs = [
                outputs[x[0]][x[1]] if isinstance(x, tuple) else next(arrays)
                for x in self._inputs[number]
            ]
            args = (*attributes, *xs)
            with calling(FORWARD, operation):
                [(reference, results)] = kernel.record(*args).items()
            trace = reference()
            assert trace is not None  # the kernel has it
            self._made[number] = tuple(xs) if trace.recomputes else (), trace.pick(args + results)
            outputs.append(results[: trace.outputs])


class Recomputed:
    """Takes the place of a record's :class:`Trace` if nothing was saved."""

    __slots__ = ("_number", "_segment", "_trace")

    is_small = False

    def __init__(self, trace: Trace, segment: Segment, number: int) -> None:
        self._trace, self._segment, self._number = trace, segment, number

    @contextmanager
    def restored(self, record: RecordLike, dys: Sequence[CTensor] = ()) -> Iterator[Trace]:
        """A block in which the record has its trace, its inputs and what forward has saved."""
        record._inputs, record._saved = self._segment.take(self._number, dys)
        record._trace = self._trace
        try:
            yield self._trace
        finally:
            record._trace = self
            record._saved = record._inputs = ()

    def after_forward(self, record: RecordLike) -> OperationLike:
        with self.restored(record) as trace:
            return trace.after_forward(record)

    def backward(
        self, record: RecordLike, dys: dict[int, CTensor], needed: tuple[bool, ...]
    ) -> Sequence[CTensor | None]:
        with self.restored(record, list(dys.values())) as trace:
            return trace.backward(record, dys, needed)
