"""The names of SINGA's own module: prepare, SingaRep, SingaBackend and SingaFrontend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from singa.core.tensor import Tensor
from singa.device import Device, as_device, get_default_device
from singa.errors import ArgumentError, DeviceError, FormatError
from singa.sonnx.exporting import to_onnx
from singa.sonnx.graph import Graph, Node, Value, graph_of
from singa.sonnx.network import SONNXModel
from singa.sonnx.reading import Source
from singa.sonnx.running import Run, missing_operators
from singa.sonnx.values import Weights
from singa.tape import no_grad, training

_DEVICES = {"CPU": "cpu", "CUDA": "cuda", "GPU": "cuda"}


class OnnxAttributes(dict[str, Any]):
    """The attributes of a node by name, as Python values.

    Example:
        >>> from onnx import helper
        >>> sonnx.OnnxAttributes.from_onnx(helper.make_node("Elu", "x", "y", alpha=2.0).attribute)
        {'alpha': 2.0}
    """

    def __init__(self) -> None:
        super().__init__()

    @staticmethod
    def from_onnx(args: Sequence[onnx.AttributeProto]) -> OnnxAttributes:
        """Those of a node of the package onnx."""
        found = OnnxAttributes()
        for each in args:
            value = helper.get_attribute_value(each)
            found[each.name] = value.decode() if isinstance(value, bytes) else value
        return found


class OnnxNode:
    """A node of an ONNX graph.

    Attributes:
        name, op_type: as in the file.
        attrs: its attributes.
        inputs, outputs: the names of values.

    Example:
        >>> from onnx import helper
        >>> node = sonnx.OnnxNode(helper.make_node("Elu", ["x"], ["y"], alpha=2.0))
        >>> node.op_type, node.inputs, node.getattr("alpha")
        ('Elu', ['x'], 2.0)
    """

    def __init__(self, node: NodeProto) -> None:
        self.name, self.op_type = str(node.name), str(node.op_type)
        self.attrs = OnnxAttributes.from_onnx(node.attribute)
        self.inputs, self.outputs = list(node.input), list(node.output)
        self.proto = node

    def getattr(self, key: str, default: Any = None) -> Any:
        """An attribute, or else the default."""
        return self.attrs.get(key, default)


class SingaRep(BackendRep):
    """A model that is ready to run: what :func:`prepare` returns.

    Attributes:
        model: the :class:`SONNXModel`.
        is_graph: whether :meth:`run` returns Tensors whatever it is given, in the present mode.

    Example:
        >>> rep = sonnx.prepare(sonnx.to_onnx([Tensor(data=[1.0])], autograd.exp))
        >>> rep.inputs, rep.outputs
        (['x'], ['output'])
    """

    def __init__(self, model: SONNXModel) -> None:
        self.model, self.is_graph = model, False

    @property
    def inputs(self) -> list[str]:
        """The names of the inputs."""
        return [each.name for each in self.model.onnx_graph.inputs]

    @property
    def outputs(self) -> list[str]:
        """The names of the outputs."""
        return [each.name for each in self.model.onnx_graph.outputs]

    @property
    def states(self) -> dict[str, Tensor]:
        """The parameters and states by name."""
        return self.model.get_states()

    @property
    def layers(self) -> list[tuple[Node, Callable[..., Any]]]:
        """The nodes in the order in which they run, with functions that compute them."""
        device = self.model.device
        return [(node, partial(_computed, node, device)) for node in self.model.onnx_graph.nodes]

    def run(  # type: ignore[override]  # SINGA's returns a list
        self, inputs: Any, last_layers: int | None = None, aux_output: Sequence[str] = (),
        **kwargs: Any,
    ) -> list[Any]:  # fmt: skip
        """The outputs of the model in evaluation mode, as NumPy arrays; as Tensors if given some.

        If ``is_graph`` is set, they are Tensors, and the mode is the present one: while
        ``autograd.training`` is on, a backward pass reaches the parameters.

        Args:
            inputs: an array or a Tensor, a list of them, or a dict by name.
            last_layers, aux_output: see :meth:`SONNXModel.forward`.
            kwargs: nothing else is understood.

        Raises:
            ArgumentError: an input is missing, or of a name that is none.

        Example:
            >>> x = Tensor(data=[[-1.0, 2.0]])
            >>> rep = sonnx.prepare(sonnx.to_onnx([x], autograd.relu))
            >>> rep.run([np.array([[3.0, -4.0]], np.float32)])
            [array([[3., 0.]], dtype=float32)]
        """
        if kwargs:
            raise ArgumentError(f"SingaRep.run: there is no option {', '.join(kwargs)}")
        given = self._in_order(inputs)
        are_tensors = any(isinstance(x, Tensor) for x in given)
        device = self.model.device
        xs = [x if isinstance(x, Tensor) else _tensor(x, device) for x in given]
        forward = partial(self.model.forward, last_layers=last_layers, aux_output=aux_output)
        if self.is_graph:
            return forward(*xs)
        with training(False), no_grad():
            ys = forward(*xs)
        return ys if are_tensors else [_array(y) for y in ys]

    def _in_order(self, inputs: Any) -> list[Any]:
        if isinstance(inputs, dict):
            if inputs.keys() != set(self.inputs):
                raise ArgumentError(f"SingaRep.run: the inputs are {self.inputs}, got {[*inputs]}")
            return [inputs[name] for name in self.inputs]
        return list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]


def _tensor(x: Any, device: Device) -> Tensor:
    return Tensor(data=np.asarray(x), device=device, requires_grad=False)


def _array(y: Any) -> Any:
    if isinstance(y, list):
        return [_array(each) for each in y]
    return y.to_numpy() if isinstance(y, Tensor) else y


def _device(device: Device | str | None) -> Device:
    """The device of one of ONNX's names, such as ``CUDA:1``, or of one of ours."""
    if device is None:
        return get_default_device()
    if isinstance(device, str):
        kind, _, number = device.partition(":")
        device = _DEVICES.get(kind, kind) + (f":{number}" if number not in ("", "0") else "")
    return as_device(device)


class SingaBackend(Backend):
    """Runs ONNX models, by the interface of the package onnx.

    Example:
        >>> model = sonnx.to_onnx([Tensor(data=[1.0])], autograd.exp)
        >>> sonnx.SingaBackend.is_compatible(model)
        True
    """

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether all operators of a model are here."""
        try:
            return not missing_operators(graph_of(model, Weights(None)))
        except FormatError:
            return False

    @classmethod
    def prepare(cls, model: Source, device: Device | str | None = "CPU", **kwargs: Any) -> SingaRep:
        """A model that is ready to run; see :func:`prepare`."""
        return SingaRep(SONNXModel(model, _device(device)))

    @classmethod
    def run_model(
        cls, model: Source, inputs: Any, device: Device | str | None = "CPU", **kwargs: Any
    ) -> tuple[Any, ...]:
        """The outputs of a model."""
        return tuple(cls.prepare(model, device).run(inputs, **kwargs))

    @classmethod
    def run_node(
        cls, node: NodeProto, inputs: Sequence[Any], device: Device | str | None = "CPU",
        outputs_info: Any = None, **kwargs: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        """The outputs of one node, in a tuple whose elements have the outputs' names.

        Args:
            node: of the package onnx.
            inputs: arrays or Tensors.
            device: where it is computed.
            outputs_info: not needed.
            kwargs: ``opset_version``: of its operator; the newest if not given.
        """
        version = kwargs.get("opset_version", onnx.defs.onnx_opset_version())
        names = [name for name in node.input if name]
        graph = helper.make_graph(
            [node], "node", [onnx.ValueInfoProto(name=name) for name in names],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
        )  # fmt: skip
        domains = [helper.make_opsetid("", version)]
        if node.domain:
            domains.append(helper.make_opsetid(node.domain, 1))
        read = graph_of(helper.make_model(graph, opset_imports=domains), Weights(None))
        if missing := missing_operators(read):
            raise FormatError(f"these operators are not here: {', '.join(map(str, missing))}")
        place = _device(device)
        are_tensors = any(isinstance(x, Tensor) for x in inputs)
        values = dict(zip(names, inputs, strict=True))
        with training(False), no_grad():
            ys = Run(read, values, place).outputs()
        found = [y if are_tensors else _array(y) for y in ys]
        return namedtupledict("Outputs", [name for name in node.output if name])(*found)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether there is such a device: ``"CPU"``, ``"CUDA"`` or ``"CUDA:1"``."""
        try:
            _device(device)
        except (ArgumentError, DeviceError):
            return False
        return True


class SingaFrontend:
    """Writes models as ONNX, under SINGA's name of :func:`to_onnx`.

    Example:
        >>> x = Tensor(data=[1.0])
        >>> sonnx.SingaFrontend.singa_to_onnx_model([x], autograd.exp).graph.node[0].op_type
        'Exp'
    """

    @classmethod
    def singa_to_onnx_model(
        cls, inputs: Sequence[Tensor], y: Any, model_name: str = "sonnx"
    ) -> ModelProto:
        """See :func:`to_onnx`."""
        return to_onnx(inputs, y, model_name)


def _computed(node: Node, device: Device, *xs: Any) -> list[Any]:
    """The outputs of a node, from all of its inputs."""
    names = [name for name in node.inputs if name]
    ends = tuple(Value(name, None, None) for name in node.outputs if name)
    graph = Graph(node.name, (node,), (), ends, {})
    return Run(graph, dict(zip(names, xs, strict=True)), device).outputs()


def prepare(model: Source, device: Device | str | None = "CPU", **kwargs: Any) -> SingaRep:
    """A model that is ready to run.

    Args:
        model: the path of a file, its bytes, or what :func:`load` has returned.
        device: ``"CPU"``, ``"CUDA"``, or a device of this package.
        kwargs: for other backends.

    Returns:
        A :class:`SingaRep`, whose ``run`` takes and returns arrays.

    Raises:
        FormatError: the model is damaged, or has operators that are not here.

    Example:
        >>> rep = sonnx.prepare(sonnx.to_onnx([Tensor(data=[1.0, -2.0])], autograd.abs))
        >>> rep.inputs, rep.run([np.array([3.0, -4.0], np.float32)])
        (['x'], [array([3., 4.], dtype=float32)])
    """
    return SingaBackend.prepare(model, device, **kwargs)


def run_node(
    node: NodeProto, inputs: Sequence[Any], device: Device | str | None = "CPU", **kwargs: Any
) -> tuple[Any, ...]:
    """The outputs of one node of the package onnx; ``opset_version=`` is that of its operator.

    Example:
        >>> from onnx import helper
        >>> sonnx.run_node(helper.make_node("Neg", ["x"], ["y"]), [np.array([1, -2], np.int32)]).y
        array([-1,  2], dtype=int32)
    """
    return SingaBackend.run_node(node, inputs, device, **kwargs)


def get_op(node: OnnxNode | NodeProto) -> Callable[..., Any]:
    """A function of Tensors that computes a node.

    Example:
        >>> from onnx import helper
        >>> sonnx.get_op(helper.make_node("Neg", ["x"], ["y"]))(Tensor(data=[1.0]))
        (Tensor([-1.], shape=(1,), dtype=float32, device=cpu),)
    """
    proto = node.proto if isinstance(node, OnnxNode) else node

    def function(*xs: Tensor) -> tuple[Any, ...]:
        return tuple(run_node(proto, xs, xs[0].device if xs else None))

    return function


def onnx_type_to_singa_type(onnx_type: int) -> np.dtype[Any]:
    """The data type of an ONNX type.

    Raises:
        FormatError: it is none of arrays of numbers.

    Example:
        >>> from onnx import TensorProto
        >>> sonnx.onnx_type_to_singa_type(TensorProto.FLOAT)
        dtype('float32')
    """
    if onnx_type in (TensorProto.UNDEFINED, TensorProto.STRING):
        raise FormatError(f"the ONNX type {onnx_type} is no type of numbers")
    try:
        return np.dtype(helper.tensor_dtype_to_np_dtype(onnx_type))
    except KeyError:
        raise FormatError(f"there is no ONNX type {onnx_type}") from None
