"""The operations of a recorded step, one by one: what profiles list and drawings show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jax.extend.core import Literal

from singa.graph.capture import Capture, read_tensor
from singa.tensor import Tensor

FORWARD, BACKWARD, UPDATE, OTHER = "forward", "backward", "update", "other"

# Kernels that are no operations of the user's.
_INTERNAL = {
    "_blend": ("RunningAverage", FORWARD),
    "_next": ("StepCounter", UPDATE),
}


@dataclass(eq=False)
class Source:
    """An array that a step gets from outside.

    Attributes:
        kind: ``argument``, ``parameter``, ``state`` or ``constant``.
        name: the Tensor's.
        aval: its shape and data type, in jax's words.
    """

    kind: str
    name: str
    aval: Any


@dataclass(eq=False)
class Node:
    """One operation of a step.

    Attributes:
        name: its class, or the kernel's name: ``Convolution2d``, ``SGD``.
        direction: ``forward``, ``backward``, ``update``, or ``other``.
        number: which of its name it is, from 1. A backward has the number of its forward.
        layer: the path of the layer whose Tensors it takes; empty if it takes none.
        inputs: where each input comes from, and which of that operation's outputs it is.
        outputs: shapes and data types, in jax's words.
        forward: of a backward, the operation that it belongs to.
    """

    name: str
    direction: str
    number: int = 0
    layer: str = ""
    inputs: list[tuple[Source | Node, int]] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    forward: Node | None = None

    @property
    def key(self) -> Key:
        return self.direction, self.name, self.number


Key: TypeAlias = tuple[str, str, int]
"""What one operation is found again by: its direction, name and number."""


class Recording:
    """A recorded step, taken apart.

    Args:
        capture: the recorded step.
        names: what Tensors are called, where that is not their own name.
        arguments: what the step's arguments are called, as far as they have names.

    Attributes:
        nodes: its operations, in recorded order.
        sources: what it takes from outside, in order of first use.
        results: what it returns: for each array the operation, or what it was handed through
            from, and the number of the output.
        assigned: the names of the Tensors that it assigns, and where the new values come from.
    """

    def __init__(
        self,
        capture: Capture,
        names: Mapping[Tensor, str] | None = None,
        arguments: Sequence[str | None] = (),
    ) -> None:
        jaxpr = capture.jaxpr.jaxpr
        names = names or {}
        self.nodes: list[Node] = []
        self.sources: list[Source] = []
        made: dict[Any, tuple[Source | Node, int]] = {}
        for i, var in enumerate(jaxpr.invars):
            name = arguments[i] if i < len(arguments) else None
            made[var] = Source("argument", name or f"argument {i + 1}", var.aval), 0
        for var in jaxpr.constvars:
            made[var] = Source("constant", "constant", var.aval), 0
        equations = []
        for equation in jaxpr.eqns:
            if equation.primitive is read_tensor:
                tensor = capture.inputs[equation.params["index"]]
                [var] = equation.outvars
                made[var] = _source(tensor, names, var.aval), 0
            else:
                equations.append(equation)
        titles = sort_out([_kernel_name(equation) for equation in equations])
        for equation, (name, direction) in zip(equations, titles, strict=True):
            step = Node(name, direction, outputs=[var.aval for var in equation.outvars])
            step.inputs = [made[v] for v in equation.invars if not isinstance(v, Literal)]
            made.update((var, (step, i)) for i, var in enumerate(equation.outvars))
            self.nodes.append(step)
            for origin, _ in step.inputs:
                if isinstance(origin, Source) and origin not in self.sources:
                    self.sources.append(origin)
        outputs = [None if isinstance(v, Literal) else made[v] for v in jaxpr.outvars]
        first = len(capture.written) + len(capture.written_args)
        self.results = [output for output in outputs[first:] if output is not None]
        self.assigned = [
            (names.get(tensor) or tensor.name or "", output)
            for tensor, output in zip(capture.written, outputs, strict=False)
            if output is not None
        ]
        _number(self.nodes)
        _find_layers(self.nodes)


def sort_out(kernels: Sequence[str]) -> list[tuple[str, str]]:
    """For kernels in the order in which they run: each one's operation, and its direction."""
    backward = [i for i, name in enumerate(kernels) if name.endswith("_backward")]
    first, last = (backward[0], backward[-1]) if backward else (len(kernels), len(kernels))
    titles = []
    for i, name in enumerate(kernels):
        if name in _INTERNAL:
            titles.append(_INTERNAL[name])
        elif name.endswith("_backward"):
            titles.append((name.removesuffix("_backward"), BACKWARD))
        elif name.endswith("_update"):
            titles.append((name.removesuffix("_update"), UPDATE))
        elif name == "add" and i > first:
            titles.append(("GradientSum", BACKWARD))
        else:
            titles.append((name.lstrip("_"), UPDATE if i > last else FORWARD))
    return titles


def number_by_name(steps: Iterable[tuple[str, str]]) -> list[int]:
    """The numbers of operations of which only names and directions are known, in their order.

    A backward gets the number of a forward of its name: the last one first.
    """
    steps = list(steps)
    forwards: dict[str, int] = {}
    for name, direction in steps:
        if direction == FORWARD:
            forwards[name] = forwards.get(name, 0) + 1
    seen: dict[tuple[str, str], int] = {}
    numbers = []
    for title in steps:
        name, direction = title
        seen[title] = count = seen.get(title, 0) + 1
        backwards = direction == BACKWARD and count <= forwards.get(name, 0)
        numbers.append(forwards[name] + 1 - count if backwards else count)
    return numbers


def _kernel_name(equation: Any) -> str:
    name: str = equation.primitive.name
    return str(equation.params["name"]) if name in ("jit", "pjit") else name


def _source(tensor: Any, names: Mapping[Tensor, str], aval: Any) -> Source:
    if not isinstance(tensor, Tensor):
        return Source("constant", "constant", aval)
    kind = "parameter" if tensor.is_parameter else "state"
    return Source(kind, names.get(tensor) or tensor.name or kind, aval)


def _number(steps: Sequence[Node]) -> None:
    """Number the operations of each name, and give a backward the number of its forward."""
    unmatched: dict[str, list[Node]] = {}
    for step in steps:
        if step.direction == FORWARD:
            found = unmatched.setdefault(step.name, [])
            found.append(step)
            step.number = len(found)
    seen: dict[tuple[str, str], int] = {}
    for step in steps:
        if step.direction == FORWARD:
            continue
        candidates = unmatched.get(step.name, []) if step.direction == BACKWARD else []
        if candidates:
            # What it saved for its backward goes into that: its inputs, outputs and residuals.
            step.forward = max(reversed(candidates), key=lambda forward: _shared(forward, step))
            step.number = step.forward.number
            candidates.remove(step.forward)
        else:
            title = step.name, step.direction
            step.number = seen[title] = seen.get(title, 0) + 1


def _shared(forward: Node, backward: Node) -> int:
    own = sum(origin is forward for origin, _ in backward.inputs)
    return 2 * own + sum(taken in forward.inputs for taken in backward.inputs)


def _find_layers(steps: Sequence[Node]) -> None:
    for step in steps:
        if step.direction == UPDATE:
            continue
        if step.forward is not None:
            step.layer = step.forward.layer
        for origin, _ in step.inputs:
            if isinstance(origin, Source) and origin.kind in ("parameter", "state"):
                step.layer = step.layer or origin.name.rpartition(".")[0]
