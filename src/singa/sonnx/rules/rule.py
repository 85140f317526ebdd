"""What a rule is: how one operator of ONNX is computed, by operations of this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from singa.core.tensor import Tensor, wrap
from singa.core.watching import concrete, local
from singa.device import DTYPES, CTensor, Device, get_default_device
from singa.errors import CaptureError
from singa.sonnx.graph import Graph, Node
from singa.tape import Operation

Known = np.ndarray[Any, Any]
"""A value that is known before the step runs: a shape, or what follows from shapes."""


class Call(Protocol):
    """What a rule may use besides its inputs."""

    node: Node

    def __call__(self, name: str, default: Any = None) -> Any:
        """An attribute of the node."""
        ...

    @property
    def version(self) -> int:
        """Of the set of operators."""
        ...

    @property
    def training(self) -> bool:
        """Whether the model is in training."""
        ...

    @property
    def fixed_statistics(self) -> bool:
        """Whether batch normalization uses given means and variances in training too."""
        ...

    @property
    def device(self) -> Device:
        """Where constants are."""
        ...

    def run(self, graph: Graph, *inputs: Any) -> list[Any]:
        """The outputs of a graph inside the node."""
        ...

    def step(self, graph: Graph, *inputs: Any) -> list[Any]:
        """The same for a step of a loop: all steps of a model's run are counted."""
        ...

    def apart(
        self, graph: Graph, steps: int
    ) -> tuple[Callable[[Sequence[Any], Sequence[Tensor]], list[Any]], list[Tensor]]:
        """A graph inside the node as a function that holds no Tensor, and the Tensors it uses.

        Args:
            steps: of how many steps it is one; they are counted.

        Returns:
            From the graph's inputs, and the values of those Tensors, to its outputs. And the
            Tensors from outside of the graph.

        Raises:
            CaptureError: it uses a sequence.
        """
        ...


Function = Callable[..., Any]


@dataclass(frozen=True)
class Rule:
    """How an operator is computed.

    Attributes:
        function: from a :class:`Call` and the node's inputs to its output, or to a tuple of them.
            Inputs are Tensors, or lists of them for sequences; None if they are missing. Those
            that are ``known`` are NumPy arrays.
        known: the numbers of the inputs whose values must be known: shapes, axes.
        follows: whether the result is known if all inputs are.
        fixed: the numbers of further inputs that are not learned: bounds, scales of quantization.
        states: the numbers of the inputs that change in training without a gradient.
    """

    function: Function
    known: frozenset[int] = frozenset()
    follows: bool = True
    fixed: frozenset[int] = frozenset()
    states: frozenset[int] = frozenset()


_RULES: dict[tuple[str, str], list[tuple[int, Rule]]] = {}


def rule(
    *kinds: str,
    since: int = 1,
    domain: str = "",
    known: Sequence[int] = (),
    follows: bool = True,
    fixed: Sequence[int] = (),
    states: Sequence[int] = (),
) -> Callable[[Function], Function]:
    """Register a function as the rule of operators.

    Args:
        kinds: their names.
        since: the first version of the set of operators for which it holds.
        domain: of the operators.
        known, follows, fixed, states: see :class:`Rule`.
    """

    def register(function: Function) -> Function:
        made = Rule(function, frozenset(known), follows, frozenset(fixed), frozenset(states))
        for kind in kinds:
            versions = _RULES.setdefault((domain, kind), [])
            versions.append((since, made))
            versions.sort(key=lambda each: each[0])
        return function

    return register


def rule_of(node: Node) -> Rule | None:
    """The rule of a node's operator in its version; None if there is none."""
    found = None
    for since, made in _RULES.get((node.domain, node.kind), []):
        if since <= node.version:
            found = made
    return found


def operators() -> dict[tuple[str, str], list[int]]:
    """All operators that have rules, by domain and name, and since which versions."""
    return {key: [since for since, _ in versions] for key, versions in sorted(_RULES.items())}


def tensors(*values: Any) -> tuple[Tensor, ...]:
    """Values as Tensors; known ones become constants."""
    device = get_default_device()
    return tuple(v if isinstance(v, Tensor) else held(np.asarray(v), device) for v in values)


def held(array: Known, device: Device) -> Tensor:
    """An array as a Tensor without a gradient, also if its type is one of ONNX's only.

    Users cannot make Tensors of unsigned integers, or of types of 8 and fewer bits. Inside of a
    graph they are values like all others. Floats of 6 bits are in float32.
    """
    if array.dtype.name.startswith("float6_"):  # XLA does not have them
        array = array.astype(np.float32)
    if str(array.dtype) in DTYPES:
        return Tensor(data=array, device=device, requires_grad=False)
    with concrete():
        return wrap(jax.device_put(np.array(array, order="C"), device.home), device)


def looked_at(x: Any, what: str) -> Known:
    """The values of a Tensor on which shapes depend.

    Raises:
        CaptureError: in a compiled step, which cannot look at them.
    """
    if not isinstance(x, Tensor):
        return np.asarray(x)
    if local.capture is not None:
        raise CaptureError(
            f"{what}: a compiled step cannot look at the values of an input that decides about "
            "shapes; run the model eagerly: model.graph(False)"
        )
    return x.to_numpy()


class Formula(Operation):
    """A function of arrays with options as an operation; jax derives its backward."""

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        super().__init__(function.__name__.strip("_"))
        self.function, self.options = function, options

    def forward(self, *xs: CTensor) -> Any:
        return self.function(*xs, **self.options)


def formula(function: Callable[..., Any], *xs: Tensor, **options: Any) -> Any:
    """``function(*xs, **options)`` of arrays, on Tensors: a Tensor, or a tuple of several."""
    ys = Formula(function, options)(*xs)
    return ys[0] if len(ys) == 1 else ys
