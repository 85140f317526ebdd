"""An ONNX graph as plain Python objects: nodes in order, their attributes, the initial values."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto

from singa.errors import FormatError, SingaError
from singa.sonnx.values import Weights

Array = np.ndarray[Any, Any]

PARAMETERS, STATES = "singa.parameters", "singa.states"
"""The keys under which a file says what its initial values are."""


@dataclass(frozen=True)
class Node:
    """One operator of a graph.

    Attributes:
        kind: the operator's name, such as ``"Conv"``.
        domain: of the operator; ``""`` is ONNX's own.
        version: of the domain's set of operators in the file.
        name: of the node; made from the kind and a number if the file has none.
        inputs, outputs: the names of values; ``""`` where an optional one is missing.
        attributes: numbers, strings, lists of them, arrays, and graphs.
        made: what its rule has made of the attributes, so that it is made once.
    """

    kind: str
    domain: str
    version: int
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(repr=False)
    made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.name} ({f'{self.domain}.' if self.domain else ''}{self.kind})"


@dataclass(frozen=True)
class Value:
    """The declaration of an input or an output: its name, type and shape.

    Attributes:
        dtype: None if it is not a tensor, or not said.
        shape: a number, a name or None for each axis; None if it is not said.
    """

    name: str
    dtype: np.dtype[Any] | None
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Graph:
    """Nodes, each after those whose results it takes.

    Attributes:
        inputs: those that are not among the initial values.
        initial: the initial values by name.
        said: the names of parameters and those of states, if the file says which they are.
    """

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    initial: Mapping[str, Array]
    said: tuple[frozenset[str], frozenset[str]] | None = None

    def used(self) -> set[str]:
        """The names of all values that are used, in graphs inside of it too."""
        names = {each.name for each in self.outputs}
        for node in self.nodes:
            names.update(node.inputs)
            for graph in inner_graphs(node):
                names |= graph.used()
        return names

    def all_nodes(self) -> Iterable[Node]:
        """Its nodes, and those of the graphs inside of it."""
        for node in self.nodes:
            yield node
            for graph in inner_graphs(node):
                yield from graph.all_nodes()


def inner_graphs(node: Node) -> list[Graph]:
    """The graphs among a node's attributes: branches and bodies of loops."""
    return [each for each in node.attributes.values() if isinstance(each, Graph)]


DAMAGED = (
    ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError,
    ValueError,
)  # fmt: skip
"""What Python and the package onnx raise for a file in which something does not fit."""


def graph_of(model: ModelProto, weights: Weights) -> Graph:
    """The graph of a model, whose functions have been inlined."""
    versions = {each.domain or "": each.version for each in model.opset_import}
    versions.setdefault("", versions.get("ai.onnx", 1))
    return replace(_graph(model.graph, versions, weights), said=_said(model))


def say(model: ModelProto, parameters: Iterable[str], states: Iterable[str]) -> None:
    """Write into a model which of its initial values are parameters, and which are states."""
    for key, names in ((PARAMETERS, parameters), (STATES, states)):
        model.metadata_props.add(key=key, value=json.dumps([*names]))


def _said(model: ModelProto) -> tuple[frozenset[str], frozenset[str]] | None:
    found = {each.key: each.value for each in model.metadata_props}
    try:
        lists = [json.loads(found[key]) for key in (PARAMETERS, STATES)]
    except (KeyError, ValueError, RecursionError):
        return None
    if not all(isinstance(x, list) and all(isinstance(y, str) for y in x) for x in lists):
        return None
    parameters, states = map(frozenset, lists)
    names = {each.name for each in model.graph.initializer}
    # Another tool may have changed the file: then its initial values are others.
    return (parameters, states) if parameters | states <= names else None


def _graph(proto: GraphProto, versions: Mapping[str, int], weights: Weights) -> Graph:
    initial: dict[str, Array] = {}
    for tensor in proto.initializer:
        initial[tensor.name] = weights.array(tensor)
    for sparse in proto.sparse_initializer:
        initial[sparse.values.name] = weights.dense(sparse)
    names: dict[str, int] = {}
    nodes = []
    for each in proto.node:
        try:
            nodes.append(_node(each, versions, weights, names))
        except DAMAGED as error:
            if isinstance(error, SingaError):
                raise
            name = each.name or each.op_type
            raise FormatError(f"{name}: it cannot be read: {error}") from None
    return Graph(
        proto.name,
        tuple(_sorted(nodes)),
        tuple(value_of(each) for each in proto.input if each.name not in initial),
        tuple(map(value_of, proto.output)),
        initial,
    )


def _node(
    proto: NodeProto, versions: Mapping[str, int], weights: Weights, names: dict[str, int]
) -> Node:
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    name = proto.name or proto.op_type
    number = names[name] = names.get(name, -1) + 1
    if number or not proto.name:
        name = f"{name}_{number}"
    return Node(
        proto.op_type,
        domain,
        versions.get(domain, 1),
        name,
        tuple(proto.input),
        tuple(proto.output),
        {each.name: _attribute(each, versions, weights) for each in proto.attribute},
    )


def _attribute(proto: AttributeProto, versions: Mapping[str, int], weights: Weights) -> Any:
    match proto.type or _type_of(proto):
        case AttributeProto.GRAPH:
            return _graph(proto.g, versions, weights)
        case AttributeProto.GRAPHS:
            return [_graph(each, versions, weights) for each in proto.graphs]
        case AttributeProto.TENSOR:
            return weights.array(proto.t)
        case AttributeProto.TENSORS:
            return [weights.array(each) for each in proto.tensors]
        case AttributeProto.SPARSE_TENSOR:
            return weights.dense(proto.sparse_tensor)
        case AttributeProto.STRING:
            return proto.s.decode("utf-8", "replace")
        case AttributeProto.STRINGS:
            return [each.decode("utf-8", "replace") for each in proto.strings]
        case AttributeProto.FLOATS | AttributeProto.INTS:
            return list(onnx.helper.get_attribute_value(proto))
        case AttributeProto.FLOAT | AttributeProto.INT:
            return onnx.helper.get_attribute_value(proto)
    return proto  # a type, which only optional values have


def _type_of(proto: AttributeProto) -> int:
    """The type of an attribute that does not say it, as in the definitions of functions."""
    single = {"t": "TENSOR", "g": "GRAPH", "f": "FLOAT", "i": "INT", "s": "STRING"}
    found = next((kind for name, kind in single.items() if proto.HasField(name)), None)
    if found is None:
        found = next(
            (kind for kind in ("ints", "floats", "strings") if getattr(proto, kind)), "ints"
        )
    return int(AttributeProto.AttributeType.Value(found.upper()))


def _sorted(nodes: Sequence[Node]) -> list[Node]:
    """The nodes, each after those whose results it takes; otherwise in the file's order."""
    makers = {name: node for node in nodes for name in node.outputs if name}
    done: dict[str, None] = {}
    order: list[Node] = []
    for first in nodes:
        stack = [(first, False)]
        under_way: set[str] = set()
        while stack:
            node, inputs_are_done = stack.pop()
            if node.name in done:
                continue
            if inputs_are_done:
                done[node.name] = None
                order.append(node)
                continue
            if node.name in under_way:
                raise FormatError(f"{node}: it depends on its own result")
            under_way.add(node.name)
            stack.append((node, True))
            needed = [makers[name] for name in all_inputs(node) if name in makers]
            stack += [(each, False) for each in reversed(needed) if each.name not in done]
    return order


def all_inputs(node: Node) -> list[str]:
    """The names of the values that a node uses, in the graphs inside of it too."""
    names = list(node.inputs)
    for graph in inner_graphs(node):
        names += graph.used()
    return names


def value_of(proto: onnx.ValueInfoProto) -> Value:
    """The declaration of an input or output."""
    if not proto.type.HasField("tensor_type"):
        return Value(proto.name, None, None)
    kind = proto.type.tensor_type
    dtype = None
    if kind.elem_type not in (onnx.TensorProto.UNDEFINED, onnx.TensorProto.STRING):
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type))
    if not kind.HasField("shape"):
        return Value(proto.name, dtype, None)
    return Value(proto.name, dtype, tuple(map(_size, kind.shape.dim)))


def _size(proto: onnx.TensorShapeProto.Dimension) -> int | str | None:
    """A size, or its name; some tools write -1 for a size that is open."""
    if not proto.HasField("dim_value"):
        return proto.dim_param or None
    return proto.dim_value if proto.dim_value >= 0 else None
