"""Kernels that a file has in another layout: they are turned once, when it is read.

Keras keeps the channels of kernels in the last axes. Its exporter writes ``Transpose`` before each
convolution, for depthwise kernels after ``Reshape``. The parameter is the turned kernel then, under
the name in the file, so that no step turns it again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from singa.sonnx.graph import Graph, Node, all_inputs

Array = np.ndarray[Any, Any]

KERNELS = {"Conv", "ConvTranspose"}
"""Operators whose input 1 is a kernel."""


def folded(graph: Graph) -> Graph:
    """The graph without the nodes that turn kernels which nothing else uses."""
    uses = Counter(name for node in graph.nodes for name in all_inputs(node))
    uses.update(each.name for each in graph.outputs)
    makers = {node.outputs[0]: node for node in graph.nodes if len(node.outputs) == 1}
    initial = dict(graph.initial)
    kernels: dict[str, str] = {}  # the names of initial values by the names of kernels
    done: set[str] = set()
    for node in graph.nodes:
        if node.kind not in KERNELS or node.domain or len(node.inputs) < 2:
            continue
        kernel = name = node.inputs[1]
        chain: list[Node] = []
        while uses[name] == 1 and name in makers and _turns(makers[name], graph):
            chain.append(makers[name])
            name = makers[name].inputs[0]
        if not chain or name not in initial or uses[name] != 1:
            continue
        for each in reversed(chain):
            initial[name] = _turned(each, initial[name], graph)
        kernels[kernel] = name
        done.update(each.name for each in chain)
    if not done:
        return graph
    nodes = [
        replace(node, inputs=tuple([kernels.get(name, name) for name in node.inputs]))
        for node in graph.nodes
        if node.name not in done
    ]
    return replace(graph, nodes=tuple(nodes), initial=initial)


def _turns(node: Node, graph: Graph) -> bool:
    """Whether a node moves elements of its first input in a way that the file says."""
    if node.domain or node.kind not in {"Transpose", "Reshape"}:
        return False
    return all(name in graph.initial for name in node.inputs[1:])


def _turned(node: Node, x: Array, graph: Graph) -> Array:
    if node.kind == "Transpose":
        return np.ascontiguousarray(x.transpose(node.attributes.get("perm")))
    shape = graph.initial[node.inputs[1]] if len(node.inputs) > 1 else node.attributes["shape"]
    keeps = not node.attributes.get("allowzero", 0)  # a size of 0 is that of the input
    return x.reshape(
        [x.shape[i] if keeps and not size else int(size) for i, size in enumerate(shape)]
    )
