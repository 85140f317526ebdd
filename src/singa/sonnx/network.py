"""SONNXModel: an ONNX file as a Model, which predicts, trains, and is saved like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from singa.core.arrays import as_ctensor
from singa.core.tensor import Tensor
from singa.device import Device, as_device, get_default_device
from singa.errors import ArgumentError, FormatError
from singa.model import Model
from singa.sonnx.graph import Graph
from singa.sonnx.oddities import warn_of_shapes
from singa.sonnx.reading import Source, read
from singa.sonnx.roles import roles_of
from singa.sonnx.rules.rule import held
from singa.sonnx.running import Copies, Run, missing_operators


class SONNXModel(Model):
    """A model whose ``forward`` is an ONNX graph.

    Its parameters are the file's floats, under the file's names; running means and variances are
    states. In training, dropout drops and batch normalization uses the batch, also if the file was
    written for prediction.

    Args:
        onnx_model: the path of a file, its bytes, or what :func:`load` has returned.
        device: where its Tensors are; the default device if not given.
        fixed_statistics: whether batch normalization keeps the means and variances of the file, and
            uses them in training too: for fine-tuning with small batches.

    Attributes:
        onnx_graph: the graph: its nodes, inputs and outputs.
        device: where its Tensors are.

    Raises:
        FormatError: the file is damaged, or has operators that are not here; all are named.
        DependencyError: the package onnx is not installed.

    Shapes:
        xs, ys: those of the file's inputs and outputs.

    Example:
        >>> made = sonnx.to_onnx([Tensor((2, 3))], layer.Linear(4))
        >>> read = sonnx.SONNXModel(made)
        >>> read.forward(Tensor((2, 3)))[0].shape, list(read.get_params())
        ((2, 4), ['W', 'b'])
    """

    def __init__(
        self, onnx_model: Source, device: Device | str | None = None, *,
        fixed_statistics: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        graph = read(onnx_model)
        if missing := missing_operators(graph):
            names = ", ".join(map(str, missing))
            raise FormatError(f"{graph.name}: these operators are not here: {names}")
        roles = roles_of(graph)
        self.onnx_graph = roles.graph
        self.device = get_default_device() if device is None else as_device(device)
        self._fixed_statistics = fixed_statistics
        self._initial_names: dict[str, str] = {}
        for name, array in roles.parameters.items():
            made = Tensor(data=as_ctensor(array, self.device, None), device=self.device)
            made.stores_grad = True
            setattr(self, self._attribute(name), made)
        for name, array in roles.states.items():
            made = Tensor(
                data=as_ctensor(array, self.device, None), device=self.device, requires_grad=False
            )
            self.register_states(**{self._attribute(name): made})
        self._constants = dict(roles.constants)
        self._copies = Copies(self._constants.values())

    def _attribute(self, name: str) -> str:
        """The attribute for an initial value: its name, unless something else has it."""
        attribute = name
        while attribute in self._initial_names.values() or hasattr(type(self), attribute):
            attribute += "_"
        self._initial_names[name] = attribute
        return attribute

    def forward(
        self, *xs: Any, aux_output: Sequence[str] = (), last_layers: int | None = None
    ) -> list[Any]:
        """The outputs of the graph.

        Args:
            xs: its inputs: Tensors, NumPy arrays, and lists of them for sequences. Strings, and
                numbers of types that a Tensor does not have, are arrays. A Python number is known
                beforehand, so that branches and shapes may depend on it in a compiled step.
            aux_output: names of further values to return, after the outputs.
            last_layers: of the nodes, run all but the last: -1 is all of them, -2 all but the last
                one. The outputs are those of the last node that ran.
        """
        graph = self.onnx_graph
        if len(xs) > len(graph.inputs):
            raise ArgumentError(f"{graph.name}: it has {len(graph.inputs)} inputs, got {len(xs)}")
        count = None if last_layers is None else _count(graph, last_layers)
        values: dict[str, Any] = {name: getattr(self, a) for name, a in self._initial_names.items()}
        values |= self._constants
        for each, x in zip(graph.inputs, xs, strict=False):
            is_number = isinstance(x, (bool, int, float))
            values[each.name] = np.asarray(x, each.dtype) if is_number else self._held(x)
        ys = Run(
            graph, values, self.device, aux_output, self._copies,
            fixed_statistics=self._fixed_statistics,
        ).outputs(count)  # fmt: skip
        if count is None:
            warn_of_shapes(graph, [*map(_shape, xs)], [*map(_shape, ys)])
        return self._held(ys)

    def _held(self, x: Any) -> Any:
        """Arrays as Tensors, also results that follow from shapes; strings are arrays."""
        if isinstance(x, list):
            return [self._held(each) for each in x]
        is_numeric = isinstance(x, np.ndarray) and x.dtype.kind not in "OSUT"
        return held(x, self.device) if is_numeric else x


def _shape(x: Any) -> tuple[int, ...] | None:
    """The shape of an array or a Tensor; None for numbers and lists."""
    shape = getattr(x, "shape", None)
    return shape if isinstance(shape, tuple) else None


def _count(graph: Graph, last_layers: int) -> int:
    count = len(graph.nodes) + 1 + last_layers if last_layers < 0 else last_layers
    if not 0 < count <= len(graph.nodes):
        raise ArgumentError(
            f"last_layers: {last_layers} of {len(graph.nodes)} nodes; -1 is all of them"
        )
    return count
