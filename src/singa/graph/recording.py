"""The operations of a recorded step, one by one: what profiles list and drawings show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from jax.extend.core import Literal

from singa.core.tensor import Tensor
from singa.core.watching import BACKWARD as BACKWARD
from singa.core.watching import FORWARD as FORWARD
from singa.core.watching import UPDATE as UPDATE
from singa.graph.capture import Capture, call_of, read_tensor

OTHER = "other"

# How an operation gets the whole of a parameter of which each device has a part; see
# singa.placement.Part. It is not the main part of the operation's call.
_GATHERING = {"sharding_constraint": "GatherParameter", "optimization_barrier": "WaitForGradient"}


@dataclass(eq=False)
class Source:
    """An array that a step gets from outside.

    Attributes:
        kind: ``argument``, ``parameter``, ``state`` or ``constant``.
        name: the Tensor's.
        aval: its shape and data type, as a jax aval.
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
        number: its number among those of its name, from 1. A backward has that of its forward.
        layer: the path of the layer whose Tensors it takes, or the node of an imported graph;
            empty if it takes none.
        inputs: where each input comes from, and which of that operation's outputs it is.
        outputs: shapes and data types, as jax avals.
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
"""Identifies an operation of a step: its direction, name and number."""


class Recording:
    """The operations of a captured step.

    Args:
        capture: the captured step.
        names: names of Tensors, if they differ from the Tensors' own names.
        arguments: the names of the step's arguments, as far as they have names.

    Attributes:
        nodes: its operations, in recorded order.
        results: what it returns: for each array the operation (or the source, if it is returned
            unchanged), and the number of the output.
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
        for node, equation in zip(_nodes(capture, equations), equations, strict=True):
            node.inputs = [made[v] for v in equation.invars if not isinstance(v, Literal)]
            made.update((var, (node, i)) for i, var in enumerate(equation.outvars))
            self.nodes.append(node)
        outputs = [None if isinstance(v, Literal) else made[v] for v in jaxpr.outvars]
        first = len(capture.written) + len(capture.written_args)
        self.results = [output for output in outputs[first:] if output is not None]
        self.assigned = [
            (names.get(tensor) or tensor.name or "", output)
            for tensor, output in zip(capture.written, outputs, strict=False)
            if output is not None
        ]
        _directions(self.nodes)
        self.is_training = any(node.direction == BACKWARD for node in self.nodes)
        _number(self.nodes)
        _find_layers(self.nodes)


def _nodes(capture: Capture, equations: Sequence[Any]) -> list[Node]:
    """A node for each equation, with its operation and direction.

    The direction is certain for backward passes, updates, and forward passes that come before the
    first backward pass or have a backward pass themselves. The others get :data:`OTHER`.
    """
    calls = capture.calls
    walked = {call.forward for call in calls if call.kind == BACKWARD}
    nodes: list[Node] = []
    of_calls: dict[int, Node] = {}
    is_walking = False
    for equation in equations:
        number = call_of(equation)
        direction = OTHER if is_walking else FORWARD
        node = Node(_kernel_name(equation), direction)
        node.outputs = [var.aval for var in equation.outvars]
        if number is not None:
            call = calls[number]
            if call.kind != FORWARD or number in walked:
                node.direction = call.kind
            if equation.primitive.name in _GATHERING:
                node.layer = call.part
            elif number not in of_calls:  # the main part of the call; there may be others
                of_calls[number] = node
                node.name = call.owner.__name__
                node.is_rule = call.kind == UPDATE
                node.forward = None if call.forward is None else of_calls.get(call.forward)
                node.layer = call.part
            is_walking = is_walking or call.kind == BACKWARD
        nodes.append(node)
    return nodes


def _kernel_name(equation: Any) -> str:
    name: str = equation.primitive.name
    if name in _GATHERING:
        return _GATHERING[name]
    return str(equation.params["name"]) if name in ("jit", "pjit") else name


def _source(tensor: Any, names: Mapping[Tensor, str], aval: Any) -> Source:
    if not isinstance(tensor, Tensor):
        return Source("constant", f"{tensor}" if not aval.shape else "constant", aval)
    kind = "parameter" if tensor.is_parameter else "state"
    return Source(kind, names.get(tensor) or tensor.name or kind, aval)


def _directions(nodes: Sequence[Node]) -> None:
    """Set the direction of nodes that have :data:`OTHER`.

    A node belongs to the pass that uses its results. If nothing uses them, or only an update, it is
    an update if it depends on a gradient or an update.
    """
    is_late: set[Source | Node] = set()
    for node in nodes:
        if node.direction in (BACKWARD, UPDATE) or any(x in is_late for x, _ in node.inputs):
            is_late.add(node)
    users: dict[Source | Node, set[str]] = {}
    for node in reversed(nodes):
        if node.direction == OTHER:
            kinds = users.get(node, set())
            if FORWARD in kinds or BACKWARD in kinds:
                node.direction = FORWARD if FORWARD in kinds else BACKWARD
            else:
                node.direction = UPDATE if kinds or node in is_late else FORWARD
        for origin, _ in node.inputs:
            users.setdefault(origin, set()).add(node.direction)


def _number(nodes: Sequence[Node]) -> None:
    places = {node: place for place, node in enumerate(nodes)}
    forwards = [None if node.forward is None else places[node.forward] for node in nodes]
    numbers = numbers_of([(node.name, node.direction) for node in nodes], forwards)
    for node, number in zip(nodes, numbers, strict=True):
        node.number = number


def numbers_of(operations: Sequence[tuple[str, str]], forwards: Sequence[int | None]) -> list[int]:
    """Which of its name and direction each operation is, from 1; a backward is as its forward.

    Args:
        operations: the name and the direction of each, in recorded order.
        forwards: of each backward the place of its forward, where that is known, else None.
    """
    seen: Counter[tuple[str, str]] = Counter()
    numbers: list[int] = []
    for operation, forward in zip(operations, forwards, strict=True):
        if forward is None:
            seen[operation] += 1
        numbers.append(seen[operation] if forward is None else numbers[forward])
    return numbers


def _find_layers(steps: Sequence[Node]) -> None:
    for step in steps:
        if step.direction == UPDATE:
            continue
        if step.forward is not None:
            step.layer = step.layer or step.forward.layer
        for origin, _ in step.inputs:
            if isinstance(origin, Source) and origin.kind in ("parameter", "state"):
                step.layer = step.layer or origin.name.rpartition(".")[0]
