"""What other tools refuse in a file although its meaning is plain, and names that have none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set

from onnx import GraphProto, ModelProto

from singa.errors import FormatError, FormatWarning, warn
from singa.sonnx.graph import Graph, Value, inner_graphs


def warn_of_oddities(model: ModelProto) -> None:
    """Warn of what the checker of the package onnx, or ONNX Runtime, does not accept."""
    graph = model.graph
    found = [*_said_twice(graph)]
    if not graph.name:
        found.append("the graph has no name")
    if late := _out_of_order(graph):
        found.append(f"{late!r} is used before the node that gives it")
    if found:
        warn(f"{graph.name or 'an ONNX file'}: {'; '.join(found)}", FormatWarning)


def _said_twice(graph: GraphProto) -> Iterable[str]:
    nodes = Counter(node.name for node in graph.node if node.name)
    for name, count in nodes.items():
        if count > 1:
            yield f"{count} nodes are called {name!r}"
    for name, count in Counter(each.name for each in graph.initializer).items():
        if count > 1:
            yield f"the initial value {name!r} is there {count} times, and the last one is used"


def _out_of_order(graph: GraphProto) -> str | None:
    """A value that a node uses before it is there."""
    later = Counter(name for node in graph.node for name in node.output if name)
    for node in graph.node:
        for name in node.input:
            if later[name] > 0:
                return name
        later.subtract(node.output)
    return None


def check_names(graph: Graph, around: Set[str] = frozenset()) -> None:
    """Refuse a graph in which a value has no meaning.

    Args:
        graph: whose nodes are in order.
        around: the values that are outside of it.

    Raises:
        FormatError: nothing gives a value that is used, or two nodes give it.
    """
    there = {*around, *graph.initial, *(each.name for each in graph.inputs)}
    made: set[str] = set()
    for node in graph.nodes:
        for name in node.inputs:
            if name and name not in there:
                raise FormatError(f"{node}: nothing gives its input {name!r}")
        for inner in inner_graphs(node):
            check_names(inner, there)
        for name in node.outputs:
            if name in made:
                raise FormatError(f"{node}: another node gives {name!r} too")
            made.update([name] if name else ())
        there |= made
    for each in graph.outputs:
        if each.name not in there:
            raise FormatError(f"{graph.name}: nothing gives the value {each.name!r}")


def warn_of_shapes(
    graph: Graph, xs: Sequence[tuple[int, ...] | None], ys: Sequence[tuple[int, ...] | None]
) -> None:
    """Warn if results do not have the shapes that the file declares, although its inputs have."""
    if all(map(_fits, graph.inputs, xs)):
        for declared, shape in zip(graph.outputs, ys, strict=False):
            if not _fits(declared, shape):
                text = (
                    f"declares its output {declared.name!r} as {declared.shape}, and it is {shape}"
                )
                warn(f"{graph.name}: the file {text}", FormatWarning)


def _fits(declared: Value, shape: tuple[int, ...] | None) -> bool:
    if declared.shape is None or shape is None:
        return True
    return len(declared.shape) == len(shape) and all(
        not isinstance(said, int) or said == size
        for said, size in zip(declared.shape, shape, strict=True)
    )
