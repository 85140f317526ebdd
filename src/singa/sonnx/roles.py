"""What the initial values of a graph are: parameters, states, or constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from singa.device import DTYPES, is_float
from singa.sonnx.graph import Graph, Node, inner_graphs
from singa.sonnx.rules.rule import rule_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Roles:
    """A graph in which each parameter and state has a name of its own, and their first values."""

    graph: Graph
    parameters: Mapping[str, Array]
    states: Mapping[str, Array]
    constants: Mapping[str, Array]


def roles_of(graph: Graph) -> Roles:
    """Find out which initial values are learned. The file may say it, as ours do.

    Floats are parameters unless all of their uses say that they are fixed. Exporters merge equal
    tensors, so that the scale of one normalization may be the running variance of another one: a
    vector or scalar is one parameter for each node that uses it, and a state is always one for
    each node. A matrix that several nodes use is one parameter: it is tied.
    """
    if graph.said is not None:
        return _said(graph, *graph.said)
    parameters: dict[str, Array] = {}
    states: dict[str, Array] = {}
    nodes = []
    inside = {name for node in graph.nodes for g in inner_graphs(node) for name in g.used()}
    for node in graph.nodes:
        names = list(node.inputs)
        for i, name in enumerate(names):
            array = graph.initial.get(name)
            if array is None or not _is_learned(array):
                continue
            role = _role(node, i)
            if role is None:
                continue
            made = states if role == "state" else parameters
            others = parameters if role == "state" else states
            is_shared = name in made and (role == "state" or array.ndim < 2)
            if is_shared or name in others:
                names[i] = f"{name}.{node.name}"
            made[names[i]] = array
        nodes.append(replace(node, inputs=tuple(names)))
    for name in inside & graph.initial.keys():
        if _is_learned(graph.initial[name]):
            parameters.setdefault(name, graph.initial[name])
    learned = parameters.keys() | states.keys()
    constants = {name: each for name, each in graph.initial.items() if name not in learned}
    return Roles(replace(graph, nodes=tuple(nodes)), parameters, states, constants)


def _said(graph: Graph, parameters: frozenset[str], states: frozenset[str]) -> Roles:
    """What the file says."""
    of = {name: array for name, array in graph.initial.items() if str(array.dtype) in DTYPES}
    return Roles(
        graph,
        {name: array for name, array in of.items() if name in parameters and is_float(array.dtype)},
        {name: array for name, array in of.items() if name in states - parameters},
        {name: array for name, array in graph.initial.items() if name not in parameters | states},
    )


def _is_learned(array: Array) -> bool:
    """Whether values of this type can be learned: floats, but not those of 8 and fewer bits."""
    return str(array.dtype) in DTYPES and is_float(array.dtype)


def _role(node: Node, number: int) -> str | None:
    """What an input of a node is: a parameter, a state, or None if it is fixed."""
    found = rule_of(node)
    if found is None or number in found.known or number in found.fixed:
        return None
    return "state" if number in found.states else "parameter"
