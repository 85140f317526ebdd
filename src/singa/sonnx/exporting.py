"""Models as ONNX: to_onnx, save, and export."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from singa.core.journal import Journal
from singa.core.tensor import Tensor
from singa.errors import ArgumentError
from singa.formats.files import writing
from singa.layer import Layer
from singa.sonnx.batches import settle
from singa.sonnx.forms.writer import Array
from singa.sonnx.forms.writer import Written as Node
from singa.sonnx.graph import say
from singa.sonnx.history import recorded
from singa.sonnx.network import SONNXModel
from singa.sonnx.recording import Recording, input_names, momenta, record, unused
from singa.sonnx.writing import Written, written

LARGEST = 2**31 - 2**20
"""Weights of more bytes, with the rest of a model, are too many for one file."""

SMALL = 1024
"""Weights of fewer bytes stay in the model's file."""


def to_onnx(
    inputs: Sequence[Tensor],
    outputs: Layer | Callable[..., Any] | Tensor | Sequence[Tensor],
    model_name: str = "sonnx",
    *,
    opset: int | None = None,
    dynamic: str | Collection[str] = (),
    training: bool = False,
) -> ModelProto:
    """A model as an ONNX model, for prediction.

    Its forward is run in evaluation mode, with these inputs and with others of the same shapes: all
    that depends on the inputs has to be computed by operations. A model that has used its own
    numbers as constants, or chosen by an ``if``, is refused. The model itself does not change.

    Operations are written as ONNX's own operators where there are some, else by several simple
    ones. An operation of your own may have a method ``to_onnx(self, writer, *xs)``, which returns
    what ``writer.add("Relu", xs[0])`` returns; ``xs`` have a shape and a dtype.

    As in SINGA, the second argument may also be Tensors that were computed from the inputs while
    ``autograd.training`` was on: the operations since then are written. They are not run again, so
    that constants are not noticed. Parameters have their present values.

    Args:
        inputs: Tensors with the shapes and types of its inputs.
        outputs: the model, a layer, or a function of Tensors; or its results, a list of Tensors.
        model_name: of the graph.
        opset: the version of ONNX's operators, 13 to 28; the lowest that has those needed if None.
        dynamic: the name of the first axis of all inputs, such as ``("batch",)``: its size is open
            then. If there is none, all sizes are those given.
        training: dropout stays in the graph, for a tool that trains it; batch normalization is
            written for prediction, with its momentum, in each case.

    Returns:
        The model of the package onnx; :func:`save` writes it to a file.

    Raises:
        ArgumentError: the inputs are no Tensors or have no batch, or the opset is not known; the
            outputs are Tensors, and what they were computed from is not known.
        FormatError: ONNX has no operators for some operations; or the result depends on something
            that no operation has computed.

    Example:
        >>> linear = layer.Linear(2)
        >>> made = sonnx.to_onnx([Tensor(shape=(1, 3))], linear, dynamic=("batch",))
        >>> [node.op_type for node in made.graph.node]
        ['Gemm']
        >>> autograd.training = True
        >>> x = Tensor(data=[1.0, -1.0])
        >>> y = autograd.exp(autograd.relu(x))
        >>> [node.op_type for node in sonnx.to_onnx([x], [y]).graph.node]
        ['Relu', 'Exp']
    """
    batch = _axis_name(dynamic)
    is_past = not callable(outputs)
    if is_past and not isinstance(inputs, Tensor):  # SINGA's programs give shapes too
        inputs = [x for x in inputs if isinstance(x, Tensor)]
    if isinstance(inputs, Tensor) or not all(isinstance(x, Tensor) for x in inputs) or not inputs:
        raise ArgumentError("to_onnx: the inputs must be a list of Tensors")
    if is_past:
        if batch is not None:
            raise ArgumentError(
                "to_onnx: dynamic: the size of a batch can be open if the second argument is the "
                "model, which is run with several sizes"
            )
        recording, names = recorded(inputs, outputs)
        run = written(recording, names, opset, training=training)
        return _model(run, [recording], [1], model_name, None)
    return _of_function(inputs, outputs, model_name, opset, batch, training)


def _of_function(
    inputs: Sequence[Tensor], outputs: Any, model_name: str, opset: int | None, batch: str | None,
    is_training: bool,
) -> ModelProto:  # fmt: skip
    """The model of a layer or a function, which is run with several inputs."""
    function = forward = outputs
    if isinstance(outputs, Layer):
        # Not the call of a Model, which may train, but that of a layer, which makes its parameters.
        function, forward = partial(Layer.__call__, outputs), outputs.forward
    names = input_names(forward, len(inputs))
    if isinstance(outputs, SONNXModel) and type(outputs).forward is SONNXModel.forward:
        names[:] = [each.name for each in outputs.onnx_graph.inputs][: len(names)]
        function = partial(_results_by_name, outputs)
    samples, sizes = _samples(inputs, batch)
    with Journal() as before:
        known = _states(outputs).keys()
        first = record(function, dict(zip(names, inputs, strict=True)))
        makes = any(x._stores_grad for x in before.survivors())
        if not makes and known == _states(outputs).keys():
            before.restore()
    recordings: list[Recording] = []
    runs: list[Written] = []
    with Journal() as before:
        _unshare(_states(outputs).values())
        named = _names_of_states(outputs, first, names)
        for seed, sample in enumerate(samples):
            given = dict(zip(names, sample, strict=True))
            recordings.append(record(function, given, is_training, seed))
            if isinstance(outputs, Layer):
                recordings[-1].momenta |= momenta(outputs)
            version = runs[0].writer.opset if runs else opset
            runs.append(written(recordings[-1], named, version, batch is not None, is_training))
        before.restore()
    settle(runs, sizes, names[0])
    return _model(runs[0], recordings, sizes, model_name, batch)


def _results_by_name(model: SONNXModel, *xs: Tensor) -> dict[str, Any]:
    """The results of a model that was read, by their names in its file."""
    names = [each.name for each in model.onnx_graph.outputs]
    return dict(zip(names, Layer.__call__(model, *xs), strict=True))


def _axis_name(dynamic: str | Collection[str]) -> str | None:
    names = [dynamic] if isinstance(dynamic, str) else [*dynamic]
    if len(names) > 1 or not all(isinstance(name, str) and name for name in names):
        raise ArgumentError(f"to_onnx: dynamic: a name for the first axis, got {dynamic!r}")
    return names[0] if names else None


def _samples(inputs: Sequence[Tensor], dynamic: str | None) -> tuple[list[list[Tensor]], list[int]]:
    """Several inputs for the model, and the size of the batch in each."""
    arrays = [x.to_numpy() for x in inputs]
    if dynamic is None:
        made = [arrays, [_changed(array) for array in arrays]]
        sizes = [1, 1]
    else:
        batch = {array.shape[0] if array.ndim else 0 for array in arrays}
        if len(batch) != 1 or 0 in batch:
            raise ArgumentError(
                "to_onnx: dynamic: the first axis of all inputs is the batch, got shapes "
                f"{', '.join(str(array.shape) for array in arrays)}"
            )
        size = max(2, *batch)
        sizes = [size, size + 1, size + 3]
        made = [[_of_size(array, count) for array in arrays] for count in sizes]
        made[1] = [_changed(array) for array in made[1]]
    tensors = [
        [Tensor(data=a, device=x.device) for a, x in zip(each, inputs, strict=True)]
        for each in made
    ]
    return tensors, sizes


def _of_size(array: Array, count: int) -> Array:
    return np.take(array, np.arange(count) % len(array), 0)


def _changed(array: Array) -> Array:
    """Other values of the same kind: in another order, and floats with the other sign."""
    turned = np.ascontiguousarray(array.reshape(-1)[::-1]).reshape(array.shape)
    if array.dtype.kind in "iub":
        return turned
    return (turned * -0.75 + 0.0625).astype(array.dtype)


def _states(model: Any) -> dict[str, Tensor]:
    return dict(model.get_states()) if isinstance(model, Layer) else {}


def _unshare(states: Iterable[Tensor]) -> None:
    """Give each Tensor an array of its own: they are told apart by their arrays."""
    known: set[int] = set()
    for state in states:
        if id(state.data) in known:
            state.data = jax.numpy.copy(state.data)
        known.add(id(state.data))


def _names_of_states(model: Any, first: Recording, taken: Sequence[str]) -> dict[int, str]:
    """The names of parameters and states, by the identity of their arrays.

    Args:
        model: whose names are kept.
        first: a recording, with what else stores gradients.
        taken: names that are not free.
    """
    names: dict[int, str] = {}
    used = {*taken}
    own = {id(state.data): name for name, state in _states(model).items()}
    for array, name in [*own.items(), *first.parameters.items()]:
        if array not in names:
            names[array] = unused(name, used)
            used.add(names[array])
    return names


# -- the file's model -----------------------------------------------------------------------------


def _model(
    run: Written, recordings: Sequence[Recording], sizes: Sequence[int], name: str,
    dynamic: str | None,
) -> ModelProto:  # fmt: skip
    first = recordings[0]
    _prune(run)
    _name_outputs(run)
    inputs = [
        _declared(key, [each.inputs[key] for each in recordings], sizes, dynamic)
        for key in first.inputs
    ]
    outputs = [
        _declared(key, [each.outputs[key] for each in recordings], sizes, dynamic)
        for key in first.outputs
    ]
    constants = {key: np.asarray(array) for key, array in run.initial.items()}
    constants |= _merged(run)
    graph = helper.make_graph(
        [
            helper.make_node(node.kind, node.inputs, node.outputs, f"{node.kind}_{i}",
                             **node.attributes)
            for i, node in enumerate(run.writer.nodes)
        ],
        name, inputs, outputs,
    )  # fmt: skip
    opset = helper.make_opsetid("", run.writer.opset)
    version = helper.find_min_ir_version_for([opset])
    made = helper.make_model(
        graph, opset_imports=[opset], ir_version=version, producer_name="singa"
    )
    for key, array in constants.items():
        _add(made, key, array)
    learned = [key for key, array in run.initial.items() if id(array) in first.parameters]
    say(made, learned, [key for key in run.initial if key not in learned])
    return made


def _add(model: ModelProto, name: str, array: Array) -> None:
    """Add an initial value; a large one in place, because protobuf copies no 2 GiB."""
    if array.nbytes < SMALL or array.dtype.kind not in "fiub" or sys.byteorder == "big":
        model.graph.initializer.append(numpy_helper.from_array(array, name))
        return
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    entry = model.graph.initializer.add(name=name, dims=array.shape, data_type=kind)
    entry.raw_data = array.tobytes()


def _prune(run: Written) -> None:
    """Remove the nodes that no output needs."""
    wanted = {*run.outputs.values()}
    kept = []
    for node in reversed(run.writer.nodes):
        if wanted.intersection(node.outputs):
            kept.append(node)
            wanted.update(node.inputs)
    run.writer.nodes = kept[::-1]


def _name_outputs(run: Written) -> None:
    """Give the outputs their names."""
    nodes = run.writer.nodes
    made = {name for node in nodes for name in node.outputs}
    names: dict[str, str] = {}
    for output, value in run.outputs.items():
        if value in made and value not in names:
            names[value] = output
        else:  # an input, a constant, or the same value twice
            nodes.append(Node("Identity", [value], [output], {}))
    for node in nodes:
        node.inputs = [names.get(name, name) for name in node.inputs]
        node.outputs = [names.get(name, name) for name in node.outputs]


def _declared(
    name: str, arrays: Sequence[Any], sizes: Sequence[int], dynamic: str | None
) -> onnx.ValueInfoProto:
    shape: list[int | str | None] = []
    for found in zip(*[array.shape for array in arrays], strict=True):
        if len(set(found)) == 1:
            shape.append(int(found[0]))
        else:
            shape.append(dynamic if list(found) == [*sizes] else None)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(arrays[0].dtype))
    return helper.make_tensor_value_info(name, kind, shape)


def _merged(run: Written) -> dict[str, Array]:
    """The constants that are used; equal small ones are one."""
    used = {name for node in run.writer.nodes for name in node.inputs}
    kept: dict[str, Array] = {}
    by_content: dict[Any, str] = {}
    renamed: dict[str, str] = {}
    for name, array in run.writer.constants.items():
        if name not in used:
            continue
        key = (array.dtype, array.shape, array.tobytes()) if array.size <= 64 else name
        renamed[name] = by_content.setdefault(key, name)
        kept.setdefault(renamed[name], array)
    for node in run.writer.nodes:
        node.inputs = [renamed.get(name, name) for name in node.inputs]
    return kept


# -- files ----------------------------------------------------------------------------------------


def export(
    model: Layer | Callable[..., Any],
    path: str | os.PathLike[str],
    inputs: Sequence[Tensor],
    *,
    opset: int | None = None,
    dynamic: str | Collection[str] = (),
    training: bool = False,
    model_name: str = "sonnx",
) -> None:
    """Write a model to an ONNX file: :func:`to_onnx` and :func:`save`.

    The file exists only if all of it could be written.

    Args:
        model: a model, a layer, or a function of Tensors.
        path: of the file.
        inputs: Tensors with the shapes and types of its inputs.
        opset, dynamic, training, model_name: see :func:`to_onnx`.

    Raises:
        ArgumentError, FormatError: see :func:`to_onnx`.
        OSError: the file cannot be written.

    Example:
        >>> sonnx.export(layer.Linear(2), "m.onnx", [Tensor(shape=(1, 3))], dynamic=("batch",))
        >>> sonnx.load("m.onnx").graph.name
        'sonnx'
    """
    made = to_onnx(inputs, model, model_name, opset=opset, dynamic=dynamic, training=training)
    save(made, path)


def save(
    model_proto: ModelProto, path: str | os.PathLike[str], external: bool | None = None
) -> None:
    """Write an ONNX model to a file, completely or not at all.

    Args:
        model_proto: what :func:`to_onnx` has returned.
        path: of the file.
        external: whether the weights go to a file of their own beside it, whose name begins with
            the model's; if None, only if they are too large for one file (2 GiB).

    Raises:
        OSError: it cannot be written.

    Example:
        >>> made = sonnx.to_onnx([Tensor(shape=(1, 3))], layer.Linear(2))
        >>> sonnx.save(made, "m.onnx")
        >>> sonnx.load("m.onnx") == made
        True
    """
    target = Path(path)
    total = sum(len(each.raw_data) for each in model_proto.graph.initializer)
    if external is None:
        external = total > LARGEST
    if not external:
        with writing(target) as file:
            file.write(model_proto.SerializeToString())
        return
    large = [each for each in model_proto.graph.initializer if len(each.raw_data) >= SMALL]
    digest = hashlib.sha256()
    for tensor in large:
        digest.update(tensor.raw_data)
    # The name tells the content: until the model's file is replaced, the old one has its own data.
    data = target.with_name(f"{target.name}.{digest.hexdigest()[:16]}.data")
    with writing(data) as file:
        for tensor in large:
            file.write(tensor.raw_data)
    with writing(target) as file:
        file.write(_without_data(model_proto, data.name).SerializeToString())
    for old in target.parent.glob(f"{target.name}.{'?' * 16}.data"):
        if old != data:
            with suppress(OSError):
                old.unlink()


def _without_data(model: ModelProto, location: str) -> ModelProto:
    """The model with references to its larger weights, one after the other in a file."""
    made = ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _copy(made, field, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _copy(made.graph, field, value)
    offset = 0
    for tensor in model.graph.initializer:
        size = len(tensor.raw_data)
        if size < SMALL:
            made.graph.initializer.append(tensor)
            continue
        entry = made.graph.initializer.add(
            name=tensor.name, dims=tensor.dims, data_type=tensor.data_type,
            data_location=TensorProto.EXTERNAL,
        )  # fmt: skip
        for key, value in (("location", location), ("offset", offset), ("length", size)):
            entry.external_data.add(key=key, value=str(value))
        offset += size
    return made


def _copy(made: Any, field: Any, value: Any) -> None:
    if field.is_repeated:
        getattr(made, field.name).extend(value)
    elif field.message_type is not None:
        getattr(made, field.name).CopyFrom(value)
    else:
        setattr(made, field.name, value)
