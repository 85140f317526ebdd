"""What the initial values of a graph are: parameters, states, or constants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from onnx.helper import tensor_dtype_to_np_dtype

from singa.device import DTYPES, is_float
from singa.sonnx.folding import folded
from singa.sonnx.graph import Graph, Node, inner_graphs
from singa.sonnx.rules.rule import rule_of

Array = np.ndarray[Any, Any]

ARITHMETIC = {
    "Add", "Cast", "Concat", "Div", "Expand", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "Pow",
    "Reciprocal", "Reshape", "Sqrt", "Sub", "Sum", "Unsqueeze", "Where",
}  # fmt: skip
"""Operators of which a single number may be a number in the source code of the model."""

MADE_UP = re.compile(r"[_:]\d+$|^\d+$|Constant|^scalar")
"""Names that exporters give to numbers in source code; those of parameters are from the source."""

OF_SOURCE = re.compile(r"Constant|^\d+$|^onnx::")
"""Names of nodes of the kind Constant that PyTorch's exporter gives to tensors in source code."""

FAR = -1e4
"""Masks that are added to scores have numbers below this one."""


@dataclass(frozen=True)
class Roles:
    """A graph in which each parameter and state has a name of its own, and their first values."""

    graph: Graph
    parameters: Mapping[str, Array]
    states: Mapping[str, Array]
    constants: Mapping[str, Array]


def roles_of(graph: Graph) -> Roles:
    """Find out which initial values are learned. The file may say it, as ours do.

    Floats are parameters where a gradient can be wanted: not where all uses say that they are
    fixed, not where they decide about shapes, and not numbers of the source code, or masks.
    Those of graphs inside of nodes, and arrays that nodes of the kind Constant give, are like them.

    Exporters merge equal tensors, so that the scale of one normalization may be the running
    variance of another one. A tensor whose elements are all equal is one parameter for each node
    that uses it, unless the nodes share a matrix too: then they are the steps of a sequence. All
    other tensors that several nodes use are tied. A state is always one for each node.
    """
    if graph.said is not None:
        return _said(graph, *graph.said)
    finder = _Finder()
    made = finder.graph(graph, {}, frozenset())
    return Roles(made, finder.parameters, finder.states, finder.constants)


class _Finder:
    """Goes over a graph and those inside of it, and collects their initial values."""

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.states: dict[str, Array] = {}
        self.constants: dict[str, Array] = {}
        self._depth = 0
        self._all: dict[str, Array] = {}
        self._copies: dict[tuple[str, frozenset[str]], str] = {}

    def graph(self, graph: Graph, outer: Mapping[str, str], settled: Set[str]) -> Graph:
        """The graph with the names that its initial values have now.

        Args:
            graph: to go over.
            outer: the new names of the initial values around it.
            settled: what is around it and does not depend on the inputs' values.
        """
        graph = folded(graph)
        names = {name: new for name, new in outer.items() if name not in _inputs(graph)}
        is_inner = self._depth > 0
        self._depth += 1
        for name, array in graph.initial.items():
            names[name] = self._added(graph, name, array, is_inner)
        nodes = []
        for node in graph.nodes:
            given = self._given(node, names)
            if given is None:
                nodes.append(node)
            else:
                name = node.outputs[0]
                names[name] = self._added(graph, name, given, is_inner)
        settled = _settled(nodes, settled | names.keys())
        deciding = _deciding(nodes, settled)
        makers = {name: node for node in nodes for name in node.outputs}
        made = []
        for node in nodes:
            inputs = self._renamed(node, names, makers, not deciding.isdisjoint(node.outputs))
            inside = {
                key: self.graph(each, names, settled)
                for key, each in node.attributes.items()
                if isinstance(each, Graph)
            }
            attributes = {**node.attributes, **inside} if inside else node.attributes
            made.append(replace(node, inputs=inputs, attributes=attributes))
        outputs = [replace(each, name=self._output(each.name, names)) for each in graph.outputs]
        self._depth -= 1
        return replace(graph, nodes=tuple(made), outputs=tuple(outputs), initial={})

    def _output(self, name: str, names: Mapping[str, str]) -> str:
        """The name of an output, which may be an initial value."""
        name = names.get(name, name)
        if name in self._all and not self._is_placed(name):
            self._place(name, self.constants)
        return name

    def _added(self, graph: Graph, name: str, array: Array, is_inner: bool) -> str:
        """The name of an initial value, which is that of another one in no other graph."""
        unique, number = name, 0
        while unique in self._all:
            number += 1
            unique = f"{graph.name if is_inner else ''}.{name}{'' if number == 1 else f'.{number}'}"
        self._all[unique] = array
        return unique

    def _given(self, node: Node, names: Mapping[str, str]) -> Array | None:
        """The array that a node gives, if it is as good as an initial value."""
        if node.domain or len(node.outputs) != 1:
            return None
        if node.kind == "Constant":
            value: Any = node.attributes.get("value")
            if not isinstance(value, np.ndarray) or OF_SOURCE.search(node.outputs[0]):
                return None
            return value if value.size > 1 and _can_be_learned(value) else None
        if node.kind == "Identity" and names.keys() & {*node.inputs}:  # of merged tensors
            array = self._all[names[node.inputs[0]]]
            return array if _can_be_learned(array) and _is_uniform(array) else None
        return None

    def _renamed(
        self, node: Node, names: Mapping[str, str], makers: Mapping[str, Node], decides: bool
    ) -> tuple[str, ...]:
        """The names of a node's inputs; its initial values get their roles."""
        made = []
        for i, old in enumerate(node.inputs):
            name = names.get(old, old)
            if old in names:
                array = self._all[name]
                role = None if decides else _role(node, i, name, array)
                if role is None:
                    name = self._fixed(name)
                else:
                    name = self._learned(name, node, i, role, self._matrices(node, names, makers))
            made.append(name)
        return tuple(made)

    def _matrices(
        self, node: Node, names: Mapping[str, str], makers: Mapping[str, Node]
    ) -> frozenset[str]:
        """The matrices that a node multiplies by, or that have made what it adds to."""
        near = [node, *(makers[name] for name in node.inputs if name in makers)]
        found = {names[name] for each in near for name in each.inputs if name in names}
        arrays = self._all
        return frozenset(
            name for name in found if arrays[name].ndim > 1 and not _is_uniform(arrays[name])
        )

    def _fixed(self, name: str) -> str:
        """The name of a constant; another one if a parameter has it."""
        copy = f"{name}.fixed" if name in self.parameters or name in self.states else name
        self._all[copy] = self._all[name]
        self._place(copy, self.constants)
        return copy

    def _learned(
        self, name: str, node: Node, number: int, role: str, matrices: frozenset[str]
    ) -> str:
        """The name of a parameter or a state, which may be another one for each node."""
        array = self._all[name]
        if role == "state":
            made = self._unused(name, node)
            self._place(made, self.states, array)
            return made
        is_tied = not _is_uniform(array)
        key = (name, frozenset() if is_tied else matrices - {name})
        if (is_tied or key[1]) and key in self._copies:
            return self._copies[key]
        made = self._copies[key] = self._unused(name, node)
        self._place(made, self.parameters, array)
        return made

    def _unused(self, name: str, node: Node) -> str:
        made = name
        while self._is_placed(made):
            made = f"{name}.{node.name}" if made == name else f"{made}_"
        return made

    def _is_placed(self, name: str) -> bool:
        return name in self.parameters or name in self.states or name in self.constants

    def _place(self, name: str, where: dict[str, Array], array: Array | None = None) -> None:
        where[name] = self._all[name] if array is None else array
        self._all.setdefault(name, where[name])


def _inputs(graph: Graph) -> set[str]:
    return {each.name for each in graph.inputs}


def _settled(nodes: Sequence[Node], before: Set[str]) -> set[str]:
    """What does not depend on the values of the graph's inputs."""
    found = {"", *before}
    for node in nodes:
        rule = rule_of(node)
        is_shape = node.kind in ("Shape", "Size") and not node.domain
        follows = rule is not None and rule.follows and not inner_graphs(node)
        if is_shape or (follows and found.issuperset(node.inputs)):
            found.update(node.outputs)
    return found


def _deciding(nodes: Sequence[Node], settled: Set[str]) -> set[str]:
    """What decides about shapes and branches, and what that is computed from."""
    found: set[str] = set()
    for node in reversed(nodes):
        rule = rule_of(node)
        numbers = {"If": {0}, "Loop": {0, 1}}.get(node.kind, rule.known if rule else ())
        found |= {name for i, name in enumerate(node.inputs) if i in numbers and name in settled}
        is_shape = node.kind in ("Shape", "Size") and not node.domain
        if not is_shape and not found.isdisjoint(node.outputs):
            found |= settled & {*node.inputs}
    return found - {""}


def _said(graph: Graph, parameters: frozenset[str], states: frozenset[str]) -> Roles:
    """What the file says."""
    of = {name: array for name, array in graph.initial.items() if str(array.dtype) in DTYPES}
    return Roles(
        graph,
        {name: array for name, array in of.items() if name in parameters and is_float(array.dtype)},
        {name: array for name, array in of.items() if name in states - parameters},
        {name: array for name, array in graph.initial.items() if name not in parameters | states},
    )


def _can_be_learned(array: Array) -> bool:
    """Whether values of this type can be learned: floats, but not those of 8 and fewer bits."""
    return str(array.dtype) in DTYPES and is_float(array.dtype)


def _is_uniform(array: Array) -> bool:
    """Whether all elements are equal, as before a training."""
    return array.size < 2 or bool((array == array.flat[0]).all())


def _role(node: Node, number: int, name: str, array: Array) -> str | None:
    """What an input of a node is: a parameter, a state, or None if it is fixed."""
    found = rule_of(node)
    if found is None or number in found.known or number in found.fixed:
        return None
    if not _can_be_learned(array):
        return None
    if number in found.states:
        return "state"
    if node.kind == "Cast" and not is_float(tensor_dtype_to_np_dtype(node.attributes["to"])):
        return None
    if node.kind in ARITHMETIC and not node.domain and _is_of_source(name, array):
        return None
    return "parameter"


def _is_of_source(name: str, array: Array) -> bool:
    """Whether it is a number in the source code of a model, or a mask."""
    if array.size == 1:
        is_number = bool(MADE_UP.search(name)) if not array.ndim else name.startswith("val_")
        return is_number or not np.isfinite(array).all()
    return bool(array.size) and (array.min() <= FAR or not np.isfinite(array).all())
