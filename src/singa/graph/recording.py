"""The operations of a recorded step, one by one: what profiles list and drawings show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jax.extend.core import Literal

from singa._tensor import Tensor
from singa.graph.capture import Capture, read_tensor

FORWARD, BACKWARD, UPDATE, OTHER = "forward", "backward", "update", "other"

# Kernels that are no operations of the user's.
_INTERNAL = {
    "_blend": ("RunningAverage", FORWARD),
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
        is_rule: whether it is the update rule of an optimizer.
    """

    name: str
    direction: str
    number: int = 0
    layer: str = ""
    inputs: list[tuple[Source | Node, int]] = field(default_factory=list)
    outputs: list[Any] = field(default_factory=list)
    forward: Node | None = None
    is_rule: bool = False

    @property
    def key(self) -> Key:
        return self.direction, self.name, self.number

    @property
    def sources(self) -> list[Source]:
        """What it takes from outside."""
        return [origin for origin, _ in self.inputs if isinstance(origin, Source)]

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters that it takes."""
        return [source.name for source in self.sources if source.kind == "parameter"]


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
        results: what it returns: for each array the operation, or what it was handed through
            from, and the number of the output.
        is_training: whether it has a backward pass.
        assigned: the names of the Tensors that it assigns, and where the new values come from.

    Example:
        >>> captured = graph.Capture(lambda x: autograd.relu(2 * x), [Tensor((2,))])
        >>> [(node.name, node.direction) for node in graph.Recording(captured).nodes]
        [('Mul', 'forward'), ('ReLU', 'forward')]
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
        made: dict[Any, tuple[Source | Node, int]] = {}
        for i, var in enumerate(jaxpr.invars):
            name = arguments[i] if i < len(arguments) else None
            made[var] = Source("argument", name or f"argument {i + 1}", var.aval), 0
        for var, value in zip(jaxpr.constvars, capture.jaxpr.consts, strict=True):
            made[var] = _source(value, names, var.aval), 0
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
            node = Node(name, direction, outputs=[var.aval for var in equation.outvars])
            node.inputs = [made[v] for v in equation.invars if not isinstance(v, Literal)]
            node.is_rule = _kernel_name(equation).endswith("_update")
            made.update((var, (node, i)) for i, var in enumerate(equation.outvars))
            self.nodes.append(node)
        outputs = [None if isinstance(v, Literal) else made[v] for v in jaxpr.outvars]
        first = len(capture.written) + len(capture.written_args)
        self.results = [output for output in outputs[first:] if output is not None]
        self.is_training = any(node.direction == BACKWARD for node in self.nodes)
        self.assigned = [
            (names.get(tensor) or tensor.name or "", output)
            for tensor, output in zip(capture.written, outputs, strict=False)
            if output is not None
        ]
        _look_ahead(self.nodes)
        _number(self.nodes)
        _find_layers(self.nodes)


def sort_out(kernels: Sequence[str]) -> list[tuple[str, str]]:
    """For kernels in the order in which they run: each one's operation, and its direction."""
    first = next((i for i, name in enumerate(kernels) if name.endswith("_backward")), len(kernels))
    # After the first backward, an operation is forward if its own backward is still to come.
    to_come: Counter[str] = Counter()
    titles = []
    for i in reversed(range(len(kernels))):
        name = kernels[i]
        if name in _INTERNAL:
            titles.append(_INTERNAL[name])
        elif name.endswith("_backward"):
            name = name.removesuffix("_backward")
            to_come[name] += 1
            titles.append((name, BACKWARD))
        elif name.endswith("_update"):
            titles.append((name.removesuffix("_update"), UPDATE))
        elif name == "add" and i > first:
            titles.append(("GradientSum", BACKWARD))
        else:
            is_forward = i < first or to_come[name] > 0
            to_come[name] -= to_come[name] > 0
            titles.append((name.lstrip("_"), FORWARD if is_forward else UPDATE))
    return titles[::-1]


def number_by_name(steps: Iterable[tuple[str, str]]) -> list[int]:
    """The numbers of operations of which only names and directions are known, in their order.

    A backward gets the number of a forward of its name: the last one that has none yet.
    """
    seen: Counter[tuple[str, str]] = Counter()
    unmatched: dict[str, list[int]] = {}
    numbers = []
    for name, direction in steps:
        waiting = unmatched.setdefault(name, [])
        if direction == BACKWARD and waiting:
            numbers.append(waiting.pop())
            continue
        seen[name, direction] += 1
        numbers.append(seen[name, direction])
        if direction == FORWARD:
            waiting.append(numbers[-1])
    return numbers


def _kernel_name(equation: Any) -> str:
    name: str = equation.primitive.name
    return str(equation.params["name"]) if name in ("jit", "pjit") else name


def _source(tensor: Any, names: Mapping[Tensor, str], aval: Any) -> Source:
    if not isinstance(tensor, Tensor):
        return Source("constant", f"{tensor}" if not aval.shape else "constant", aval)
    kind = "parameter" if tensor.is_parameter else "state"
    return Source(kind, names.get(tensor) or tensor.name or kind, aval)


def _look_ahead(nodes: Sequence[Node]) -> None:
    """What forward needs is forward too, although its own backward is not to come."""
    needed: set[Source | Node] = set()
    for node in reversed(nodes):
        if node in needed and node.direction == UPDATE and not node.is_rule:
            node.direction = FORWARD
        if node.direction == FORWARD:
            needed.update(origin for origin, _ in node.inputs)


def _number(nodes: Sequence[Node]) -> None:
    """Number the operations of each name, and give a backward the number of its forward."""
    seen: Counter[tuple[str, str]] = Counter()
    unmatched: dict[str, list[Node]] = {}
    for node in nodes:
        waiting = unmatched.setdefault(node.name, [])
        if node.direction == BACKWARD and waiting:
            # What it saved for its backward goes into that: its inputs, outputs and residuals.
            shared = [_shared(forward, node) for forward in waiting]
            last = max(i for i, count in enumerate(shared) if count == max(shared))
            node.forward = waiting.pop(last)
            node.number = node.forward.number
            continue
        seen[node.name, node.direction] += 1
        node.number = seen[node.name, node.direction]
        if node.direction == FORWARD:
            waiting.append(node)


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
