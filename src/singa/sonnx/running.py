"""Runs a graph: node by node, on Tensors, and on NumPy arrays where values follow from shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from singa.core.tensor import Tensor
from singa.core.watching import local, outside_capture
from singa.device import Device
from singa.errors import CaptureError, FormatError, SingaError
from singa.sonnx.bounds import Budget, check_sizes
from singa.sonnx.graph import Graph, Node, inner_graphs
from singa.sonnx.rules.rule import Rule, held, looked_at, rule_of
from singa.tape import mode

LARGEST_KNOWN = 2**16
"""Results with more elements are computed on the device, even if they are known beforehand."""

MOST_DEPTH = 3
"""Graphs inside of so many graphs are run by jax; each is traced several times."""

MOVING = {
    "Expand", "Flatten", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose",
    "Unsqueeze",
}  # fmt: skip
"""Operators that only move elements: of strings, they move the places."""


def missing_operators(graph: Graph) -> list[Node]:
    """The first node of each operator that has no rule."""
    found: dict[tuple[str, str], Node] = {}
    for node in graph.all_nodes():
        if rule_of(node) is None:
            found.setdefault((node.domain, node.kind), node)
    return [*found.values()]


class Copies:
    """The constants of a model on its device, so that they are copied there once.

    Args:
        arrays: the constants. All other arrays are copied each time.
    """

    def __init__(self, arrays: Iterable[np.ndarray[Any, Any]] = ()) -> None:
        self._arrays = {id(each): each for each in arrays}
        self._made: dict[int, Tensor] = {}

    def of(self, x: np.ndarray[Any, Any], device: Device) -> Tensor:
        """An array as a Tensor without a gradient."""
        if id(x) not in self._arrays:
            return held(x, device)
        if id(x) not in self._made:
            self._made[id(x)] = held(x, device)
        return self._made[id(x)]


class Run:
    """One run of a graph.

    Args:
        graph: to run.
        values: the values that its nodes may use, by name: Tensors, NumPy arrays that are known,
            or lists of them.
        device: for constants.
        kept: names of results to keep until the end; None: only the outputs.
        copies: what the runs of a model share.
        budget: of the run that this one is a part of.
        fixed_statistics: whether batch normalization uses the means and variances of the file.
        depth: how many graphs that jax runs it is inside of.
    """

    def __init__(
        self,
        graph: Graph,
        values: Mapping[str, Any],
        device: Device,
        kept: Sequence[str] = (),
        copies: Copies | None = None,
        budget: Budget | None = None,
        fixed_statistics: bool = False,
        depth: int = 0,
    ) -> None:
        self._graph, self.device = graph, device
        self.budget = Budget(values) if budget is None else budget
        self.fixed_statistics = fixed_statistics
        self._depth = depth
        self._values = dict(values)
        self._uses = Counter(name for node in graph.nodes for name in _all_inputs(node))
        self._uses.update(each.name for each in graph.outputs)
        self._uses.update(kept)
        self._kept = [*kept]
        self._copies = Copies() if copies is None else copies

    def outputs(self, count: int | None = None) -> list[Any]:
        """Run the nodes; the values of the outputs, then those that are kept.

        Args:
            count: how many nodes to run; all if None. The outputs are those of the last node then.
        """
        nodes = self._graph.nodes[:count]
        for node in nodes:
            self._run(node)
        names = [each.name for each in self._graph.outputs]
        if count is not None and nodes:
            names = [name for name in nodes[-1].outputs if name]
        return [self._value(name) for name in [*names, *self._kept]]

    def _value(self, name: str) -> Any:
        if name not in self._values:
            raise FormatError(f"{self._graph.name}: nothing gives the value {name!r}")
        return self._values[name]

    def _run(self, node: Node) -> None:
        found = rule_of(node)
        if found is None:
            raise FormatError(f"{node}: there is no such operator here")
        xs = [_plain(self._value(name)) if name else None for name in node.inputs]
        try:
            ys = self._computed(node, found, xs)
        except SingaError as error:
            error.add_note(f"in the node {node}")
            raise
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError,
                MemoryError, NotImplementedError) as error:  # fmt: skip
            lines = str(error).splitlines() or [type(error).__name__]
            made = FormatError(f"{node}: what it is given does not fit: {lines[0]}")
            made.add_note(f"in the node {node}")
            raise made from error
        for name, y in zip(node.outputs, ys, strict=False):
            if name:
                if isinstance(y, Tensor):
                    self.budget.check_result(node, y.size())
                self._values[name] = y
        for name in _all_inputs(node):
            self._uses[name] -= 1
            if not self._uses[name]:
                self._values.pop(name, None)

    def _computed(self, node: Node, found: Rule, xs: list[Any]) -> tuple[Any, ...]:
        if local.calls is None and local.capture is None:
            return self._ruled(node, found, xs)
        outer, local.part = local.part, node.name
        try:
            if local.calls is None:
                return self._ruled(node, found, xs)
            part = Part(node.name, node.kind, partial(self._ruled, node, found))
            return tuple(local.calls.call(part, (xs,), {}))
        finally:
            local.part = outer

    def _ruled(self, node: Node, found: Rule, xs: list[Any]) -> tuple[Any, ...]:
        call = NodeCall(node, self)
        if node.kind in MOVING and isinstance(xs[0], np.ndarray) and xs[0].dtype.kind in "OSU":
            places = np.arange(xs[0].size).reshape(xs[0].shape)
            (moved,) = self._computed(node, found, [places, *xs[1:]])
            return (xs[0].reshape(-1)[looked_at(moved, str(node))],)
        are_known = all(x is None or isinstance(x, np.ndarray) for x in xs)
        has_graphs = bool(inner_graphs(node))
        if has_graphs or not (are_known and found.follows):
            inputs = self._inputs(found, xs, has_graphs)
            check_sizes(node, inputs)
            return _as_tuple(found.function(call, *inputs))
        with outside_capture():
            inputs = self._inputs(found, xs)
            check_sizes(node, inputs)
            ys = _as_tuple(found.function(call, *inputs))
            return tuple([_known(y) for y in ys])

    def _inputs(self, found: Rule, xs: list[Any], are_plain: bool = False) -> list[Any]:
        """The inputs as a rule wants them.

        Args:
            found, xs: the rule, and the values.
            are_plain: whether what is known stays an array: for graphs inside of the node, whose
                conditions and counters may follow from shapes.
        """
        return [
            self._known_input(x) if i in found.known else x if are_plain else self._tensor(x)
            for i, x in enumerate(xs)
        ]

    def _known_input(self, x: Any) -> Any:
        if not isinstance(x, Tensor):
            return x
        if local.capture is not None:
            raise CaptureError(
                "a compiled step cannot look at the values of an input that decides about shapes; "
                "run the model eagerly: model.graph(False)"
            )
        return x.to_numpy()

    def _tensor(self, x: Any) -> Any:
        if isinstance(x, np.ndarray) and x.dtype.kind not in "OSU":
            # A compiled step has it as a constant, which XLA can compute with.
            return held(x, self.device) if local.capture else self._copies.of(x, self.device)
        return x

    def inside(self, graph: Graph, inputs: Sequence[Any]) -> list[Any]:
        """The outputs of a graph inside a node, which may use the values outside of it."""
        names = [each.name for each in graph.inputs]
        values = {**self._values, **graph.initial, **dict(zip(names, inputs, strict=False))}
        return Run(
            graph, values, self.device, copies=self._copies, budget=self.budget,
            fixed_statistics=self.fixed_statistics, depth=self._depth,
        ).outputs()  # fmt: skip

    def apart(
        self, node: Node, graph: Graph, steps: int
    ) -> tuple[Callable[[Sequence[Any], Sequence[Tensor]], list[Any]], list[Tensor]]:
        """A graph inside a node as a function that holds no Tensor; see :class:`Call`."""
        if self._depth == MOST_DEPTH:
            raise CaptureError(f"{node}: it is inside of {MOST_DEPTH} branches and loops")
        most = self.budget.steps_left // max(steps, 1)
        self.budget.take_step(node, steps)
        inputs = [each.name for each in graph.inputs]
        names = graph.used() - graph.initial.keys() - {*inputs}
        outer = {name: x for name, x in self._values.items() if name in names}
        if any(isinstance(x, list) for x in outer.values()):
            raise CaptureError(f"{node}: the graph inside of it uses a sequence")
        outside = {name: x for name, x in outer.items() if isinstance(x, Tensor)}
        known = {name: x for name, x in outer.items() if name not in outside}
        known |= graph.initial
        names_outside, device, is_fixed = [*outside], self.device, self.fixed_statistics
        depth = self._depth + 1

        def run(xs: Sequence[Any], others: Sequence[Tensor]) -> list[Any]:
            values = known | dict(zip(names_outside, others, strict=True))
            values |= dict(zip(inputs, xs, strict=False))
            budget = Budget(values, most)
            return Run(
                graph, values, device, budget=budget, fixed_statistics=is_fixed, depth=depth
            ).outputs()

        return run, [*outside.values()]


@dataclass(frozen=True)
class Part:
    """A node as a row of a summary."""

    name: str
    kind: str
    forward: Callable[..., Any] = field(compare=False)


class NodeCall:
    """A node's attributes, and what else its rule may use."""

    def __init__(self, node: Node, run: Run) -> None:
        self.node, self._run = node, run

    def __call__(self, name: str, default: Any = None) -> Any:
        return self.node.attributes.get(name, default)

    @property
    def version(self) -> int:
        return self.node.version

    @property
    def training(self) -> bool:
        return mode.training

    @property
    def fixed_statistics(self) -> bool:
        return self._run.fixed_statistics

    @property
    def device(self) -> Device:
        return self._run.device

    def run(self, graph: Graph, *inputs: Any) -> list[Any]:
        return self._run.inside(graph, inputs)

    def step(self, graph: Graph, *inputs: Any) -> list[Any]:
        self._run.budget.take_step(self.node)
        return self._run.inside(graph, inputs)

    def apart(
        self, graph: Graph, steps: int
    ) -> tuple[Callable[[Sequence[Any], Sequence[Tensor]], list[Any]], list[Tensor]]:
        return self._run.apart(self.node, graph, steps)


def _known(y: Any) -> Any:
    """A result that follows from known values, as an array; a large one stays a Tensor."""
    if isinstance(y, Tensor) and y.size() <= LARGEST_KNOWN:
        return np.array(y.to_numpy())
    return y


def _plain(x: Any) -> Any:
    """A NumPy scalar as an array."""
    return np.asarray(x) if isinstance(x, np.generic) else x


def _as_tuple(ys: Any) -> tuple[Any, ...]:
    return ys if isinstance(ys, tuple) else (ys,)


def _all_inputs(node: Node) -> list[str]:
    names = [name for name in node.inputs if name]
    for graph in inner_graphs(node):
        names += graph.used()
    return names
