"""Capture: one run of a step under jax's tracing, with every Tensor that it touches noted.

No second graph language: the step's own Python runs once, on traced arrays. Because all numeric
state lives in Tensors, whatever the step reads is an input of the program and whatever it assigns
is an output, be it a parameter, a running mean, a momentum buffer or the random stream's key.

Nothing outside changes meanwhile. Assignments go into the capture's own table, so that a step
that fails leaves every Tensor as it was.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Primitive

from singa._tensor import Tensor, wrap
from singa.device import CTensor, Device
from singa.distributed import AXIS, Communicator, world_size
from singa.errors import CaptureError
from singa.watching import local

# Stands in the recorded program for a Tensor's value before the step; ``index`` says which.
read_tensor = Primitive("read_tensor")
read_tensor.def_abstract_eval(lambda *, index, aval: aval)


class Capture:
    """The record of one run of a function on Tensors of the shapes and types of ``args``.

    Attributes:
        jaxpr: the program. Its inputs are the arguments' values, and in ``read_tensor`` those of
            ``inputs``. Its outputs are the new values of ``written``, those of the arguments
            numbered in ``written_args``, and the results' arrays, one after the other.
        inputs: what the step read from outside: Tensors, or the value of a Tensor that the step
            made itself and did not keep.
        written: the Tensors outside that it assigned, or made and left there.
        written_args: the numbers of the arguments that it assigned.
        errors: for each condition, what makes the error to raise if it does not hold. Its outputs,
            after all others, are whether each does.
        communicator: by which the step exchanges something with other ranks; None if it does not.
        result: how to make from the results' arrays what the function returned.

    Example:
        >>> total, x = Tensor((2,), name="total"), Tensor(data=[1.0, 2.0])
        >>> def step(x):
        ...     total.data = (total + x).data
        ...     return x + x
        >>> captured = graph.Capture(step, [x])
        >>> [t.name for t in captured.inputs], [t.name for t in captured.written]
        (['total'], ['total'])
        >>> total.to_numpy()  # nothing has been computed yet
        array([0., 0.], dtype=float32)
    """

    def __init__(self, function: Callable[..., Any], args: Sequence[Tensor]) -> None:
        self.inputs: list[Tensor | CTensor] = []
        self.written: list[Tensor] = []
        self.written_args: list[int] = []
        self.errors: list[Callable[[], Exception]] = []
        self.communicator: Communicator | None = None
        self.result: Result
        # What the step sees of Tensors that were there before: by Tensor, the value that it read
        # or assigned, and which of them it assigned.
        self._values: dict[Tensor, CTensor] = {}
        self._assigned: dict[Tensor, None] = {}
        self._made: list[weakref.ref[Tensor]] = []
        self._conditions: list[CTensor] = []

        def run(*values: CTensor) -> list[CTensor]:
            # Fresh Tensors stand for the arguments: the next call will bring others.
            handles = [_handle(arg, value) for arg, value in zip(args, values, strict=True)]
            outer, local.capture = local.capture, self
            try:
                result = [function(*handles)]
                return self._finish(handles, values, result)
            finally:
                local.capture = outer

        avals = [jax.ShapeDtypeStruct(arg.shape, arg.dtype) for arg in args]
        # The axis is for what other ranks are told and asked.
        self.jaxpr: ClosedJaxpr = jax.make_jaxpr(run, axis_env=[(AXIS, world_size())])(*avals)
        del self._values, self._assigned, self._made, self._conditions

    # -- what Tensors tell it -----------------------------------------------------------------

    def check(self, holds: CTensor, error: Callable[[], Exception]) -> None:
        """Note a condition; ``holds`` is a bool of shape ()."""
        self._conditions.append(holds)
        self.errors.append(error)

    def communicates(self, communicator: Communicator) -> None:
        """Note by whom the step exchanges something with other ranks."""
        if self.communicator not in (None, communicator):
            raise CaptureError("a compiled step can communicate on one kind of device only")
        self.communicator = communicator

    def made(self, tensor: Tensor) -> None:
        """Note a Tensor that the step made."""
        self._made.append(weakref.ref(tensor))

    def read(self, tensor: Tensor) -> CTensor:
        """The value that the step sees of a Tensor; an input, if it is from outside."""
        data = tensor._data
        if isinstance(data, jax.core.Tracer):  # computed in the step
            return data
        value = self._values.get(tensor)
        if value is None:
            value = read_tensor.bind(index=len(self.inputs), aval=jax.typeof(data))
            self.inputs.append(tensor)
            self._values[tensor] = value
        return value

    def write(self, tensor: Tensor, value: CTensor) -> None:
        """Let the step see this value from now on; the Tensor outside stays as it is."""
        if isinstance(tensor._data, jax.core.Tracer):
            tensor._data = value
        else:
            self._values[tensor] = value
            self._assigned[tensor] = None

    # -- after the run ------------------------------------------------------------------------

    def _finish(
        self, handles: list[Tensor], values: Sequence[CTensor], box: list[Any]
    ) -> list[CTensor]:
        """Sort out what the program's outputs are, and return them."""
        self.result, results = Result.of(box.pop())
        changed = [i for i, value in enumerate(values) if handles[i]._data is not value]
        self.written_args = changed
        outputs = [*(handles[i].data for i in changed), *results]
        self._made += map(weakref.ref, handles)
        handles.clear()
        # Of the Tensors that the step made, only those that somebody else still holds matter
        # (a momentum buffer; a loss that was put on an attribute). To see which, let them go.
        made = {tensor for tensor in (ref() for ref in self._made) if tensor is not None}
        inputs = [
            (weakref.ref(t), t._data) if t in made else t
            for t in self.inputs
            if isinstance(t, Tensor)
        ]
        assigned = [
            (weakref.ref(t) if t in made else partial(_itself, t), self._values[t])
            for t in self._assigned
        ]
        for table in (self.inputs, self._values, self._assigned, made):
            table.clear()
        self.inputs = [_kept(*item) if isinstance(item, tuple) else item for item in inputs]
        written = [(tensor, value) for tensor, value in ((ref(), v) for ref, v in assigned)]
        computed = [tensor for tensor in (ref() for ref in self._made) if tensor is not None]
        written += [(t, t._data) for t in computed if isinstance(t._data, jax.core.Tracer)]
        new_values = []
        for tensor, value in written:
            if tensor is not None:
                tensor.creator = None  # the record has served; it would keep the tracers alive
                self.written.append(tensor)
                new_values.append(value)
        return [*new_values, *outputs, *self._conditions]


def _kept(ref: weakref.ref[Tensor], data: CTensor) -> Tensor | CTensor:
    tensor = ref()
    return data if tensor is None else tensor


def _itself(tensor: Tensor) -> Tensor:
    return tensor


class Result:
    """What a step returned, without its arrays: any nesting of lists, tuples and dicts."""

    def __init__(self, leaves: list[Any], tree: Any) -> None:
        self._leaves = leaves
        self._tree = tree

    @staticmethod
    def of(result: Any) -> tuple[Result, list[CTensor]]:
        """Take the arrays out of ``result``; its Tensors lose their record."""
        leaves, tree = jax.tree.flatten(result)
        arrays: list[CTensor] = []
        for i, leaf in enumerate(leaves):
            if isinstance(leaf, Tensor):
                arrays.append(leaf.data)
                leaf.creator = None
                leaves[i] = _Hole(leaf.device)
            elif isinstance(leaf, jax.core.Tracer):
                arrays.append(leaf)
                leaves[i] = _Hole(None)
        return Result(leaves, tree), arrays

    def fill(self, arrays: Iterable[CTensor]) -> Any:
        """The same with these arrays, in new Tensors; what is not a Tensor is as it was."""
        values = iter(arrays)
        return self._tree.unflatten(
            [leaf.fill(next(values)) if type(leaf) is _Hole else leaf for leaf in self._leaves]
        )


class _Hole:
    """The place of an array in a result: of a Tensor on a device, or by itself."""

    __slots__ = ("device",)

    def __init__(self, device: Device | None) -> None:
        self.device = device

    def fill(self, array: CTensor) -> Any:
        return array if self.device is None else wrap(array, self.device)


def _handle(arg: Tensor, value: CTensor) -> Tensor:
    handle = wrap(value, arg.device, arg._requires_grad)
    handle.name, handle._stores_grad = arg.name, arg._stores_grad
    return handle
