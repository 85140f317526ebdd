"""What a model computes: the calls of operations in one run of its forward."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from singa.core.journal import Journal
from singa.core.tensor import Tensor
from singa.errors import ArgumentError
from singa.layer import Layer
from singa.operation import BatchNormalization2d, FrozenBatchNormalization2d
from singa.operation.batch_normalization import RunningAverage
from singa.tape import Operation, no_grad, training


@dataclass(frozen=True)
class Called:
    """One call of an operation, with the arrays that it took and gave."""

    operation: Operation
    xs: tuple[Any, ...]
    ys: tuple[Any, ...]


@dataclass
class Recording:
    """The calls in one run, in order.

    Arrays are identified by themselves: a Tensor may get another array, but an array never changes.
    What has only a shape and a type stands for an array whose values are not needed.

    Attributes:
        inputs, outputs: arrays by name.
        calls: in order.
        momenta: of running means, by the identity of their arrays.
        parameters: the names of Tensors that store gradients, in the same way.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any] = field(default_factory=dict)
    calls: list[Called] = field(default_factory=list)
    momenta: dict[int, float] = field(default_factory=dict)
    parameters: dict[int, str] = field(default_factory=dict)
    _averages: dict[int, Any] = field(default_factory=dict)
    _updated: dict[int, tuple[Any, Any]] = field(default_factory=dict)

    def average(self, operation: Any, average: Any, value: Any, updated: Any = None) -> None:
        """Note the running average of a result of batch normalization."""
        _, first = self._updated.get(id(average), (None, average))  # it may be used again
        self._updated[id(updated)] = updated, first
        self.momenta[id(first)] = operation.momentum
        self._averages.setdefault(id(value), first)

    def settle(self) -> None:
        """Make batch normalization with running averages that for prediction, which uses them."""
        for i, call in enumerate(self.calls):
            averages = [self._averages.get(id(y)) for y in call.ys[1:]]
            if type(call.operation) is BatchNormalization2d and None not in averages:
                frozen = FrozenBatchNormalization2d(call.operation.eps)
                self.calls[i] = Called(frozen, (*call.xs, *averages), call.ys[:1])

    def needed(self) -> list[Called]:
        """The calls that the outputs depend on."""
        wanted = {id(y) for y in self.outputs.values()}
        found = []
        for call in reversed(self.calls):
            if any(id(y) in wanted for y in call.ys):
                found.append(call)
                wanted.update(map(id, call.xs))
        return found[::-1]


def record(
    function: Callable[..., Any],
    inputs: Mapping[str, Tensor],
    is_training: bool = False,
    seed: int | None = None,
) -> Recording:
    """Run a function without records for gradients, and note its operations.

    Args:
        inputs: by name.
        is_training: whether dropout is called, and batch normalization updates its averages.
        seed: of random numbers; all Tensors and attributes are afterwards what they were. If None,
            they are left as they are, and nothing is undone.

    Raises:
        ArgumentError: it returns something else than Tensors.
    """
    thread = threading.get_ident()
    recording = Recording({name: x.data for name, x in inputs.items()})

    def note(operation: Operation, xs: Sequence[Tensor], ys: Sequence[Tensor]) -> None:
        if threading.get_ident() == thread:
            arrays = tuple(x.data for x in xs)
            if isinstance(operation, RunningAverage):
                recording.average(operation, arrays[0], arrays[1], ys[0].data)
                return
            results = tuple(y.data for y in ys)
            for x, array in zip(xs, arrays, strict=True):
                if x._stores_grad:
                    recording.parameters.setdefault(id(array), x.name or "parameter")
            recording.calls.append(Called(operation.copy(), arrays, results))

    with Journal() as before, training(is_training), no_grad():
        if seed is not None:
            for device in {x.device for x in inputs.values()}:
                device.set_rand_seed(seed)  # what is drawn is to differ from run to run
        handle = Operation.register_forward_hook(note)
        try:
            found = function(*inputs.values())
        finally:
            handle.remove()
        for name, y in _named(found):
            recording.outputs[name] = y.data
        if seed is not None:
            before.restore()
    recording.settle()
    return recording


def _named(found: Any) -> list[tuple[str, Tensor]]:
    """The Tensors that a function has returned, with names."""
    flat: list[Tensor] = []

    def add(item: Any) -> None:
        if isinstance(item, Tensor):
            flat.append(item)
        elif isinstance(item, (list, tuple)):
            for each in item:
                add(each)
        elif item is not None:
            raise ArgumentError(f"export: the outputs must be Tensors, got {type(item).__name__}")

    if isinstance(found, Mapping):
        for each in found.values():
            add(each)
        if len(flat) == len(found):
            return list(zip(map(str, found), flat, strict=True))
    else:
        add(found)
    if not flat:
        raise ArgumentError("export: the model returns no Tensor")
    if len(flat) == 1:
        return [("output", flat[0])]
    return [(f"output_{i}", y) for i, y in enumerate(flat)]


def input_names(function: Callable[..., Any], count: int) -> list[str]:
    """Names for the inputs: those of the function's parameters, as far as it names them."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = names[:count]
    return names + [f"input_{i}" for i in range(len(names), count)]


def unused(wanted: str, taken: Collection[str]) -> str:
    """A name that nothing has yet."""
    name, number = wanted, 0
    while name in taken:
        number += 1
        name = f"{wanted}_{number}"
    return name


def momenta(model: Layer) -> dict[int, float]:
    """The momentum of each running mean, by the identity of its array."""
    found = {}
    layers = [model]
    while layers:
        layer = layers.pop()
        mean, momentum = getattr(layer, "running_mean", None), getattr(layer, "momentum", None)
        if isinstance(mean, Tensor) and isinstance(momentum, float):
            found[id(mean.data)] = momentum
        layers += [each for _, each in layer.sublayers()]
    return found
