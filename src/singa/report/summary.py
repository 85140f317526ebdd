"""A summary of a model, layer by layer."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import jax

from singa import tape
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.graph import Capture
from singa.layer import Layer
from singa.placement import part_bytes
from singa.report import multiply_adds, readable
from singa.report.text import aligned

_SCOPE = "layer_"  # and its number, in the names that jax keeps with each equation


@dataclass
class LayerRow:
    """One layer of a model.

    Attributes:
        path: its path in the model, ``blocks.0.conv``; empty for the model itself.
        name: its path from the layer that it is in.
        kind: its class.
        depth: how many layers it is in.
        calls: how often it was called.
        outputs: the shapes of its outputs in the last call.
        parameters: the number of elements of its own parameters, without those of inner layers.
        frozen: how many of them are frozen.
        states: the number of elements of its other states.
        bytes: the memory of its parameters and states.
        device_bytes: what each device holds of it: all of it, or on a mesh a part.
        output_bytes: the memory of its outputs, of all calls together.
        multiply_adds: of its own matrix products and convolutions, of all calls together.

    Example:
        >>> from singa.models import MLP
        >>> row = MLP().summary([Tensor((1, 1, 8, 8))]).rows[2]
        >>> row.path, row.kind, row.outputs, row.parameters, row.multiply_adds
        ('linear1', 'Linear', [(1, 100)], 6500, 6400)
    """

    path: str
    name: str
    kind: str
    depth: int
    calls: int = 0
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    parameters: int = 0
    frozen: int = 0
    states: int = 0
    bytes: int = 0
    device_bytes: int = 0
    output_bytes: int = 0
    multiply_adds: int = 0

    def cells(self) -> tuple[str, str, str, str, str]:
        """The cells of its row in a table."""
        title = f"{self.name}: {self.kind}" if self.name else self.kind
        outputs = ", ".join(map(str, self.outputs)) if self.calls else "not called"
        is_frozen = self.frozen and self.frozen == self.parameters
        return (
            "  " * self.depth + title,
            outputs + (f" x{self.calls}" if self.calls > 1 else ""),
            f"{self.parameters:,}{' frozen' if is_frozen else ''}" if self.parameters else "",
            self._memory(),
            f"{self.multiply_adds:,}" if self.multiply_adds else "",
        )

    def _memory(self) -> str:
        if not self.bytes:
            return ""
        each = f" ({readable(self.device_bytes)} each)" if self.device_bytes != self.bytes else ""
        return readable(self.bytes) + each


class Summary:
    """The layers of a model; ``str()`` gives a table.

    Each number is in the row of one layer only, so that columns can be summed. A parameter that
    two layers share belongs to the first.

    Args:
        model: the model. Its parameters are made if it has none yet, as by ``compile``.
        inputs: Tensors with the shapes and types of ``forward``'s inputs; any values.

    Attributes:
        rows: a :class:`LayerRow` for each layer, outer ones before inner ones.
        inputs: the shapes of the inputs.

    Example:
        >>> net = layer.Sequential(layer.Linear(100), layer.ReLU(), layer.Linear(10))
        >>> print(summary.Summary(net, [Tensor((1, 64))]))
        inputs (1, 64)
        <BLANKLINE>
        layer        outputs   parameters    memory  multiply-adds
        ----------------------------------------------------------
        Sequential   (1, 10)
          0: Linear  (1, 100)       6,500  25.4 KiB          6,400
          1: ReLU    (1, 100)
          2: Linear  (1, 10)        1,010   3.9 KiB          1,000
        ----------------------------------------------------------
        parameters     7,510
        other states   0
        memory         29.3 KiB for parameters and states
        multiply-adds  7,400 in one forward pass
    """

    def __init__(self, model: Layer, inputs: Sequence[Tensor]) -> None:
        self.inputs = [x.shape for x in inputs]
        calls = _Calls()
        local.calls = calls
        try:
            with tape.training(False), tape.no_grad():
                captured = Capture(partial(Layer.__call__, model), inputs)
        finally:
            local.calls = None
        self.rows = []
        by_number: dict[int, LayerRow] = {}
        row_of: dict[Tensor, LayerRow] = {}
        for branch in model.tree():
            row = LayerRow(branch.path, branch.name, type(branch.layer).__name__, branch.depth)
            self.rows.append(row)
            rows = [(row, calls.found.get(branch.layer))]
            for part, made in calls.parts(branch.layer):
                path = ".".join(filter(None, (branch.path, part.name)))
                self.rows.append(LayerRow(path, part.name, part.kind, branch.depth + 1))
                rows.append((self.rows[-1], made))
                for t in made.inputs:
                    row_of.setdefault(t, self.rows[-1])
            for row, call in rows:
                if call is not None:
                    by_number[call.number] = row
                    row.calls, row.outputs, row.output_bytes = call.times, call.outputs, call.bytes
        for equation in captured.jaxpr.eqns:
            # The innermost layer of those that belong to the model.
            scopes = str(equation.source_info.name_stack).split("/")
            numbers = [int(scope.removeprefix(_SCOPE)) for scope in scopes if _SCOPE in scope]
            row = next(by_number[n] for n in reversed([0, *numbers]) if n in by_number)
            row.multiply_adds += multiply_adds(equation)
        prefixes = {f"{row.path}." if row.path else "": row for row in self.rows}
        for name, t in model.get_states().items():
            row = row_of.get(t) or prefixes[max(filter(name.startswith, prefixes), key=len)]
            row.bytes += t.memsize()
            row.device_bytes += part_bytes(t._data)
            if t.is_parameter:
                row.parameters += t.size()
                row.frozen += t.size() * (not t.requires_grad)
            else:
                row.states += t.size()

    def total(self, column: str) -> int:
        """The sum of a column: ``parameters``, ``multiply_adds``, ``bytes``, ..."""
        return sum(getattr(row, column) for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """The summary as lists, dicts, strings and numbers.

        Example:
            >>> from singa.models import MLP
            >>> row = MLP().summary([Tensor((1, 1, 8, 8))]).as_dict()["layers"][2]
            >>> row["path"], row["outputs"], row["parameters"]
            ('linear1', [(1, 100)], 6500)
        """
        return {"inputs": self.inputs, "layers": [asdict(row) for row in self.rows]}

    def __str__(self) -> str:
        table = [("layer", "outputs", "parameters", "memory", "multiply-adds")]
        table += [row.cells() for row in self.rows]
        head, *lines = aligned(table, right=range(2, 5))
        rule = "-" * max(map(len, (head, *lines)))
        frozen = self.total("frozen")
        total, each = self.total("bytes"), self.total("device_bytes")
        on_each = f", {readable(each)} on each device" if each != total else ""
        numbers = {
            "parameters": f"{self.total('parameters'):,}"
            + (f", {frozen:,} of them frozen" if frozen else ""),
            "other states": f"{self.total('states'):,}",
            "memory": f"{readable(total)} for parameters and states{on_each}",
            "multiply-adds": f"{self.total('multiply_adds'):,} in one forward pass",
        }
        return "\n".join(
            [
                f"inputs {', '.join(map(str, self.inputs))}", "",
                head, rule, *lines, rule,
                *(f"{name:15}{number}" for name, number in numbers.items()),
            ]
        )  # fmt: skip

    def _repr_html_(self) -> str:
        # Some pages show <pre> in another font, or break its lines, which would spoil the columns.
        style = "font-family:monospace;white-space:pre;overflow-x:auto"
        return f"<pre style='{style}'>{html.escape(str(self))}</pre>"


@dataclass
class _Call:
    """A layer's calls; ``number`` is the order of the first calls of layers.

    What is called inside of a layer without being one is a part of it, such as a node of a graph:
    it has a name and a kind, and its inputs are noted.
    """

    number: int
    owner: Layer | None = None
    inputs: list[Tensor] = field(default_factory=list)
    times: int = 0
    outputs: list[tuple[int, ...]] = field(default_factory=list)
    bytes: int = 0


class _Calls:
    """Notes the layers' calls, and marks the equations of each with the layer's number."""

    def __init__(self) -> None:
        self.found: dict[Any, _Call] = {}
        self._running: list[Layer] = []

    def parts(self, layer: Layer) -> list[tuple[Any, _Call]]:
        """The parts of a layer, with their calls."""
        return [(key[1], call) for key, call in self.found.items() if call.owner is layer]

    def call(self, layer: Any, xs: tuple[Any, ...], options: dict[str, Any]) -> Any:
        is_layer = isinstance(layer, Layer)
        owner = None if is_layer else self._running[-1]
        key = layer if is_layer else (owner, layer)
        call = self.found.setdefault(key, _Call(len(self.found), owner))
        if not is_layer:
            call.inputs += [t for t in jax.tree.leaves(xs) if isinstance(t, Tensor)]
        self._running += [layer] if is_layer else []
        with jax.named_scope(f"{_SCOPE}{call.number}"):
            outputs = layer.forward(*xs, **options)
        del self._running[len(self._running) - is_layer :]
        tensors = [t for t in jax.tree.leaves(outputs) if isinstance(t, Tensor)]
        call.times += 1
        call.outputs = [t.shape for t in tensors]
        call.bytes += sum(t.memsize() for t in tensors)
        return outputs
