"""Parameters in parts: rules that say along which axes of a mesh each of them is split.

The placement of an array is a part of the array, and it is kept when a Tensor is assigned. So all
that is needed here is to place each parameter once; the optimizer's state follows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from typing import Any, TypeAlias

import jax
from jax.core import Tracer
from jax.sharding import Mesh

from singa.core.guard import changed
from singa.core.tensor import Tensor
from singa.core.watching import local
from singa.device import Device
from singa.errors import ArgumentError, CaptureError, DeviceError
from singa.placement import Split, announce, split_as, split_of

Splits: TypeAlias = Sequence[Sequence[str]]
"""For each axis of an array, the names of the mesh's axes along which it is split."""

RuleFunction: TypeAlias = Callable[[str, tuple[int, ...], Splits, Mapping[str, int]], Split | None]
Rule: TypeAlias = Mapping[str, Split] | RuleFunction
"""Patterns of names with splits; or a function of a parameter's name and shape, of how it is split
by the rules before, and of the sizes of the mesh's axes, that gives how to split it further."""

_OUTPUTS = ("*linear1", "*self_attn", "*multihead_attn")
_INPUTS = ("*linear2", "*out_proj")
"""Patterns of the layers of transformers, for :func:`tensor_parallel`."""


def place(x: Tensor, split: Split) -> Tensor:
    """Spread a Tensor over the mesh that it is on, in place; its values do not change.

    Args:
        x: the Tensor.
        split: for each of its axes, the axis of the mesh along which it is split, several of them,
            or None. Axes at the end may be left out. ``()`` is the whole Tensor on each device.

    Raises:
        DeviceError: it is not on a mesh.
        ArgumentError: there is no such axis, or it does not divide.
        CaptureError: it is computed in a step that is being compiled.

    Example:
        >>> mesh = device.create_mesh({"data": 1, "model": 1})
        >>> x = distributed.place(Tensor((4, 6), mesh), (None, "model"))
        >>> distributed.placement(x)
        (None, 'model')
    """
    mesh = _mesh(x.device, f"place: {x.name or 'the Tensor'}")
    if local.capture is not None:
        raise CaptureError("place: a Tensor is placed outside of the step that is being compiled")
    sharding = split_as(mesh, x.shape, tuple(split), f"place: {x.name or 'the Tensor'}")
    if local.journal is not None:
        local.journal.note(x)
    announce(f"another placement, {sharding.spec},", [x._data])
    x._data = jax.device_put(x._data, sharding)
    changed(x, "device")
    return x


def placement(x: Tensor) -> tuple[Any, ...]:
    """For each axis of a Tensor, the axis of the mesh along which it is split; None for none.

    Several of the mesh's axes are a tuple of names.

    Example:
        >>> mesh = device.create_mesh({"data": 1, "model": 1})
        >>> distributed.placement(Tensor((4, 6), mesh)), distributed.placement(Tensor((4, 6)))
        (('data', None), (None, None))
    """
    splits = split_of(x._data)
    return tuple(names[0] if len(names) == 1 else names or None for names in splits)


def follow(state: Tensor, param: Tensor) -> None:
    """Spread a state of the optimizer as its parameter is, on whose mesh it is.

    Its shape is the parameter's, or has further axes before that, which are not split. State of
    other shapes, which is small, stays as it is.

    Example:
        >>> mesh = device.create_mesh({"data": 1, "model": 1})
        >>> w = distributed.place(Tensor((4, 6), mesh), (None, "model"))
        >>> history = Tensor((3, 4, 6), mesh, requires_grad=False)
        >>> follow(history, w)
        >>> distributed.placement(history)
        (None, None, 'model')
    """
    before = state.ndim - param.ndim
    if before < 0 or state.shape[before:] != param.shape or isinstance(param._data, Tracer):
        return
    split = ((),) * before + split_of(param._data)
    if split_of(state._data) != split:
        place(state, split)


def shard(model: Any, *rules: Rule) -> None:
    """Spread a model's parameters over the mesh that they are on, by one or more rules.

    A rule is a mapping from patterns of names (as of files, ``*`` for any text) to splits, or one
    of :func:`fully_sharded` and :func:`tensor_parallel`, or a function like theirs. Later rules
    split further what earlier ones have split. All parameters are placed anew: those without a rule
    are whole on each device.

    The optimizer's state is spread as its parameter. If the model has no parameters yet, each layer
    spreads its own as soon as it has made them: so a model can be larger than one device. A pattern
    that matches none is refused when all have been made.

    Args:
        model: a Layer, usually a Model.
        rules: such as ``{"*.linear1.W": (None, "model")}``.

    Raises:
        ArgumentError: a pattern matches no parameter or layer, there is no such axis, it does not
            divide, or a rule is none.
        DeviceError: the parameters are not on a mesh.

    Example:
        >>> from singa.models import MLP
        >>> mesh, mlp = device.create_mesh({"data": 1, "model": 1}), MLP()
        >>> mlp.compile([Tensor((32, 1, 8, 8), mesh)])
        >>> distributed.shard(mlp, {"linear1.W": (None, "model")}, distributed.fully_sharded())
        >>> distributed.placement(mlp.linear1.W), distributed.placement(mlp.linear2.W)
        (('data', 'model'), ('data', None))
    """
    for rule in rules:
        if not isinstance(rule, Mapping) and not callable(rule):
            raise ArgumentError(
                "shard: a rule maps patterns of names to splits, such as "
                f"{{'*.linear1.W': (None, 'model')}}, or is a function; got {rule!r}"
            )
    params = model.get_params()
    if not params:
        model.when_made(partial(_spread, rules), partial(_expect_matches, rules))
        return
    _expect_matches(rules, params)
    _spread(rules, params)
    names = {p: name for name, p in params.items()}
    for optimizer in getattr(model, "optimizers", dict)().values():
        for key, state in optimizer.get_states(names).items():
            if (param := params.get(key.rpartition(":")[0])) is not None:
                follow(state.to_device(param.device), param)


def _spread(rules: Sequence[Rule], params: Mapping[str, Tensor]) -> None:
    """Place parameters by rules: all of them, or none if one cannot be placed."""
    splits: list[Split] = []
    for name, p in params.items():
        mesh = _mesh(p.device, f"shard: {name}")
        split = _split(rules, mesh, name, p)
        split_as(mesh, p.shape, split, f"shard: {name}")  # all are checked before one is placed
        splits.append(split)
    for p, split in zip(params.values(), splits, strict=True):
        place(p, split)


def _split(rules: Sequence[Rule], mesh: Mesh, name: str, p: Tensor) -> Split:
    """How the rules split a parameter."""
    splits: list[tuple[str, ...]] = [()] * p.ndim
    for rule in rules:
        if isinstance(rule, Mapping):
            found = next((rule[pattern] for pattern in rule if fnmatchcase(name, pattern)), None)
        else:
            found = rule(name, p.shape, splits, p.device.axes)
        more: Split = () if found is None else found
        if isinstance(more, str) or not isinstance(more, Sequence) or len(more) > p.ndim:
            split_as(mesh, p.shape, more, f"shard: {name}")  # raises
        for axis, names in enumerate(more):
            splits[axis] += (names,) if isinstance(names, str) else tuple(names or ())
    return splits


def _expect_matches(rules: Sequence[Rule], params: Mapping[str, Tensor]) -> None:
    for rule in rules:
        for pattern in rule if isinstance(rule, Mapping) else ():
            if not any(fnmatchcase(name, pattern) for name in params):
                raise ArgumentError(
                    f"shard: no parameter matches {pattern!r}; their names are {', '.join(params)}"
                )
        if isinstance(rule, _Products):
            rule.expect_matches([name.rpartition(".")[0] for name in params])


def _mesh(device: Device, what: str) -> Mesh:
    if device.mesh is None:
        raise DeviceError(
            f"{what} is on {device.name}, which is a single device; device.create_mesh makes a "
            "mesh, and a model is on the device of the inputs that it was compiled with"
        )
    return device.mesh


def fully_sharded(axis: str | Sequence[str] = "data", least: int = 0) -> Rule:
    """A rule that splits every parameter along an axis of the mesh, usually that of the batch.

    Of each parameter, the longest axis that this divides and that is not split yet is split; a
    parameter without such an axis stays whole. A compiled step gathers a parameter where it
    computes with it, and again in the backward pass.

    (Zhao et al., 2023: "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel".)

    Args:
        axis: the mesh's axis; or several of them, to split into as many parts as there are devices
            along all of them.
        least: parameters with fewer elements stay whole.

    Example:
        >>> rule = distributed.fully_sharded("data")
        >>> rule("linear1.W", (12, 64), [(), ()], {"data": 8})
        (None, 'data')
    """
    return partial(_longest_axis, (axis,) if isinstance(axis, str) else tuple(axis), least)


def _longest_axis(
    along: tuple[str, ...],
    least: int,
    name: str,
    shape: tuple[int, ...],
    splits: Splits,
    axes: Mapping[str, int],
) -> Split | None:
    for axis in along:
        if axis not in axes:
            raise ArgumentError(
                f"fully_sharded: the mesh has no axis {axis!r}; its axes are {', '.join(axes)}"
            )
    parts = math.prod(axes[axis] for axis in along)
    free = [
        i
        for i, (size, names) in enumerate(zip(shape, splits, strict=True))
        if not names and size and size % parts == 0
    ]
    if not free or math.prod(shape) < least:
        return None
    longest = max(free, key=lambda i: shape[i])
    entry = along[0] if len(along) == 1 else along
    return tuple(entry if i == longest else None for i in range(len(shape)))


def tensor_parallel(
    axis: str = "model",
    outputs: Sequence[str] = _OUTPUTS,
    inputs: Sequence[str] = _INPUTS,
) -> Rule:
    """A rule that splits the products of matrices themselves along one axis of the mesh.

    Of two layers that follow each other, the first one's outputs and the second one's inputs are
    split. So each device computes some of the features between them, and the results are added up
    once, after the second one. The default is for transformers: the two layers of the network, and
    the projections before and after the heads, where a model has them. (Shoeybi et al., 2019:
    "Megatron-LM".)

    Args:
        axis: the mesh's axis.
        outputs: patterns of the paths of layers whose outputs are split: Linear, Embedding,
            MultiHeadAttention.
        inputs: patterns of the paths of Linear layers whose inputs are split.

    Example:
        >>> rule = distributed.tensor_parallel("model", outputs=["fc1"], inputs=["fc2"])
        >>> rule("fc1.W", (4, 8), [(), ()], {"model": 2}), rule("fc1.b", (8,), [()], {"model": 2})
        ((None, 'model'), ('model',))
        >>> rule("fc2.W", (8, 4), [(), ()], {"model": 2}), rule("fc2.b", (4,), [()], {"model": 2})
        (('model', None), None)
    """
    for paths in (outputs, inputs):
        if isinstance(paths, str):
            raise ArgumentError(f"tensor_parallel: a list of patterns is expected, got {paths!r}")
    return _Products(axis, tuple(outputs), tuple(inputs))


@dataclass(frozen=True)
class _Products:
    """The rule of :func:`tensor_parallel`, with its arguments."""

    axis: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]

    def __call__(
        self, name: str, shape: tuple[int, ...], splits: Splits, axes: Mapping[str, int]
    ) -> Split | None:
        path = name.rpartition(".")[0]
        is_matrix = len(shape) == 2
        if any(fnmatchcase(path, pattern) for pattern in self.inputs):
            return (self.axis, None) if is_matrix else None
        if any(fnmatchcase(path, pattern) for pattern in self.outputs):
            return (None, self.axis) if is_matrix else (self.axis,)
        return None

    def expect_matches(self, paths: Sequence[str]) -> None:
        """Raise if a pattern that the caller has given matches no layer, or if none does at all."""
        patterns = (*self.outputs, *self.inputs)
        idle = [each for each in patterns if not any(fnmatchcase(path, each) for path in paths)]
        given = [each for each in idle if each not in (*_OUTPUTS, *_INPUTS)]
        if given or len(idle) == len(patterns):
            raise ArgumentError(
                f"tensor_parallel: no layer matches {', '.join(map(repr, given or idle))}; those "
                f"with parameters are {', '.join(dict.fromkeys(paths))}"
            )
