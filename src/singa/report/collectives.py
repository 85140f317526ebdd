"""The collectives of a compiled step: what its devices exchange, how much, and along which axes.

XLA's partitioner decides which there are, so they are read from the compiled program's own text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, TypeAlias

import numpy as np
from jax.sharding import Mesh

from singa.errors import ReportError
from singa.graph.program import Program
from singa.graph.recording import Key, Node, Recording
from singa.report.hlo import Instruction, Instructions
from singa.report.memory import readable
from singa.report.profile import titles
from singa.report.text import aligned, listed

Groups: TypeAlias = "np.ndarray[Any, Any]"

ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER = "all-reduce", "all-gather", "reduce-scatter"
_KINDS = (
    ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, "all-to-all", "ragged-all-to-all",
    "collective-permute", "collective-broadcast",
)  # fmt: skip
_PASSED_ON = ("collective-permute", "collective-broadcast")  # whole, from device to device

_TYPE = re.compile(r"\b(pred|[a-z]+\d+\w*)\[([\d,]*)\]")
_GROUPS = re.compile(
    r"replica_groups=(\{\{[\d,{} ]*\}\}|\{\}|mesh\[[^]]*\][^{]*\{[^}]*\}|\[[\d,]*\]<=\S+)"
)
_PAIRS = re.compile(r"source_target_pairs=\{(\{[\d,{} ]*\})\}")
_IOTA = re.compile(r"(?:\[([\d,]+)\]<=)?\[([\d,]+)\](?:T\(([\d,]+)\))?")
_AXIS = re.compile(r"'([^']+)'(?:=(\d+)|:\((\d+)\)(\d+))?")
_TIMES = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


@dataclass(frozen=True)
class Collective:
    """One exchange between the devices of a mesh in a compiled step.

    Attributes:
        kind: XLA's name: ``all-reduce``, ``all-gather``, ``reduce-scatter``, ``all-to-all``,
            ``collective-permute``, ...
        axes: the mesh's axes along which devices exchange; empty if the groups are other ones.
        devices: how many exchange with each other.
        bytes: of the arrays, on one device: what is summed, the whole that is gathered or
            scattered, or what a device passes on.
        times: how often it runs in a step: more than once in a loop.
        parts: the operations of the step that it belongs to, with the bytes of each.
    """

    kind: str
    axes: tuple[str, ...]
    devices: int
    bytes: int
    times: int
    parts: tuple[tuple[Key | None, int], ...]

    @property
    def sent(self) -> float:
        """The bytes that each device sends in a step, by the algorithms in rings.

        With n devices and B bytes that is 2 (n - 1) / n B for an all-reduce, and (n - 1) / n B for
        an all-gather, a reduce-scatter and an all-to-all; B for what is passed on.
        (Thakur et al., 2005: "Optimization of Collective Communication Operations in MPICH".)

        Example:
            >>> from singa.report.collectives import Collective
            >>> Collective("all-reduce", ("data",), 4, 1000, 1, ()).sent
            1500.0
        """
        if self.kind in _PASSED_ON:
            return float(self.times * self.bytes)
        rounds = 2 if self.kind == ALL_REDUCE else 1
        return self.times * rounds * (self.devices - 1) / self.devices * self.bytes

    @property
    def where(self) -> str:
        """Along which axes, in words: ``over data``, ``over data and model``, ``among 4``."""
        return f"over {' and '.join(self.axes)}" if self.axes else f"among {self.devices}"


class Collectives:
    """What the devices of a mesh exchange in one step; ``str()`` gives a table.

    Attributes:
        rows: a :class:`Collective` for each of the compiled program, in its order.
        devices: the number of devices.

    Example:
        >>> from singa.models import MLP
        >>> mlp = MLP()
        >>> mlp.optimizer = opt.SGD(0.1)
        >>> x, t = Tensor((32, 1, 8, 8)), Tensor((32,), dtype=tensor.int32)
        >>> mlp.compile([x], use_graph=True)
        >>> _ = mlp(x, t)
        >>> print(mlp.collectives())
        The devices exchange nothing: there is one
    """

    def __init__(self, rows: Iterable[Collective], devices: int) -> None:
        self.rows, self.devices = list(rows), devices

    @property
    def sent(self) -> float:
        """The bytes that each device sends in a step; see :attr:`Collective.sent`."""
        return sum(row.sent for row in self.rows)

    def of(self, key: Key) -> list[str]:
        """What an operation exchanges, in words: ``all-reduce 25.4 KiB over data``."""
        total: dict[tuple[str, str], int] = {}
        for row in self.rows:
            for owner, size in row.parts:
                if owner == key:
                    of = row.kind, row.where
                    total[of] = total.get(of, 0) + row.times * size
        return [f"{kind} {readable(size)} {where}" for (kind, where), size in total.items()]

    def __str__(self) -> str:
        if not self.rows:
            why = "there is one" if self.devices == 1 else "each has all that it needs"
            return f"The devices exchange nothing: {why}"
        names = titles(key for row in self.rows for key, _ in row.parts if key is not None)
        lines = [["collective", "axes", "devices", "times", "bytes", "sent by each", "of"]]
        for row in self.rows:
            of = dict.fromkeys(names[key] for key, _ in row.parts if key is not None)
            cells = [row.kind, row.where, str(row.devices), str(row.times), readable(row.bytes)]
            lines.append([*cells, readable(round(row.sent)), listed([*of])])
        head = f"{len(self.rows)} collectives in a step on {self.devices} devices; each sends "
        return "\n".join([head + readable(round(self.sent)), "", *aligned(lines, range(2, 6))])


def collectives(program: Program | None) -> Collectives:
    """What the devices exchange in a compiled step.

    Raises:
        ReportError: there is no program, it was not compiled as a whole, or XLA describes its
            groups of devices in a form that is not known here.

    Example:
        >>> program = graph.Program(lambda x: 2 * x, [Tensor((256,))])
        >>> report.collectives(program).rows
        []
    """
    if program is None or program.compiled is None:
        raise ReportError(
            "collectives: they are those of a compiled step: compile the model with "
            "use_graph=True, and call it once"
        )
    nodes = Recording(program.capture).nodes
    return found_in(program.mesh, nodes, Instructions(program.compiled.as_text()))


def found_in(mesh: Mesh | None, nodes: Sequence[Node], instructions: Instructions) -> Collectives:
    """The same, of a program on this mesh whose text was read already.

    Args:
        mesh: None for one device.
        nodes: the operations of the step.
        instructions: the program's.
    """
    if mesh is None or mesh.size == 1:
        return Collectives((), 1)
    keys = [node.key for node in nodes]
    times = _times(instructions)
    rows = []
    for computation, members in instructions.members.items():
        for member in members:
            kind = member.opcode.removesuffix("-start")
            if kind in _KINDS:
                axes, devices = _along(member, mesh)
                factor = devices if kind == ALL_GATHER else 1
                parts = tuple(
                    (None if place is None else keys[place], factor * size)
                    for place, size in _parts(member, instructions)
                )
                size = sum(size for _, size in parts)
                rows.append(Collective(kind, axes, devices, size, times[computation], parts))
    return Collectives(rows, mesh.size)


def _parts(member: Instruction, instructions: Instructions) -> list[tuple[int | None, int]]:
    """The operation and the bytes of each array that is given to a collective."""
    own = set(member.places)
    found = []
    for name in member.operands:
        if name in instructions:
            # XLA puts the arrays of several operations into one collective.
            place = member.place if len(own) == 1 else instructions.work(name).operation
            found.append((place, size_of(instructions.instructions[name].result)))
    return found


def size_of(result: str) -> int:
    """The bytes of the arrays of an instruction's type: ``(f32[100,10]{1,0}, bf16[])``.

    Example:
        >>> from singa.report.collectives import size_of
        >>> size_of("(f32[100,10]{1,0}, bf16[])")
        4002
    """
    total = 0
    for kind, sizes in _TYPE.findall(result):
        bits = 8 if kind == "pred" else int(re.findall(r"\d+", kind)[0])
        total += math.prod(map(int, filter(None, sizes.split(",")))) * bits
    return -(-total // 8)


def _times(instructions: Instructions) -> dict[str, int]:
    """How often each computation of a program runs, where XLA knows it; else once."""
    callers: dict[str, tuple[str, int]] = {}
    for computation, members in instructions.members.items():
        for member in members:
            found = _TIMES.search(member.attributes) if member.opcode == "while" else None
            for called in member.called:
                callers[called] = computation, int(found[1]) if found else 1
    times = {}
    for computation in instructions.members:
        times[computation], at = 1, computation
        while at in callers:
            at, count = callers[at]
            times[computation] *= count
    return times


def _along(member: Instruction, mesh: Mesh) -> tuple[tuple[str, ...], int]:
    """The axes of the mesh along which a collective's devices exchange, and how many do."""
    coordinates = np.array(np.unravel_index(np.arange(mesh.size), _sizes(mesh)))
    if pairs := _PAIRS.search(member.attributes):
        ends = coordinates[:, _listed(pairs[1])]  # (axes of the mesh, pairs, 2)
        differ = (ends[..., 0] != ends[..., 1]).any(1)
        axes = tuple(name for name, moved in zip(mesh.axis_names, differ, strict=True) if moved)
        return axes, math.prod(mesh.shape[name] for name in axes)
    found = _GROUPS.search(member.attributes)
    if found is None:
        raise _unknown(member.attributes)
    groups = _groups(found[1], mesh.size)
    wanted = {frozenset(group) for group in groups.tolist()}
    for names in _subsets(mesh.shape):
        last = [i for i, name in enumerate(mesh.axis_names) if name in names]
        count = math.prod(mesh.shape[name] for name in names)
        numbers = np.arange(mesh.size).reshape(_sizes(mesh))
        moved = np.moveaxis(numbers, last, range(-len(last), 0)).reshape(-1, count)
        if {frozenset(group) for group in moved.tolist()} == wanted:
            return names, groups.shape[1]
    return (), groups.shape[1]


def _sizes(mesh: Mesh) -> tuple[int, ...]:
    return tuple(mesh.shape.values())


def _subsets(sizes: Mapping[str, int]) -> Iterable[tuple[str, ...]]:
    """Some of the axes, fewest first; axes of size 1 exchange nothing."""
    names = [name for name, size in sizes.items() if size > 1]
    return (some for count in range(1, len(names) + 1) for some in combinations(names, count))


def _groups(text: str, devices: int) -> Groups:
    """The groups of devices, (groups, devices of each), in any of XLA's three forms."""
    if text == "{}":
        return np.arange(devices)[None]
    if text.startswith("{"):
        return _listed(text[1:-1])
    if not text.startswith("mesh"):
        shape, numbers = _iota(text)
        return numbers.reshape(shape)
    sizes, _, chosen = text.rpartition("{")
    axes = {name: int(size) for name, size, *_ in _AXIS.findall(sizes)}
    if "device_ids" in sizes:
        order = sizes.partition("device_ids")[2]
        numbers = _iota(order)[1] if "[" in order else _numbers(order)
    else:
        numbers = np.arange(math.prod(axes.values()))
    return _along_axes(numbers, axes, _AXIS.findall(chosen))


def _along_axes(numbers: Groups, axes: Mapping[str, int], chosen: list[Any]) -> Groups:
    """The groups along some axes of a mesh; of an axis it may be a part, ``'x':(2)4``."""
    shape: list[int] = []
    last: list[int] = []
    parts = {name: (int(before or 1), int(size or axes[name])) for name, _, before, size in chosen}
    for name, size in axes.items():
        before, own = parts.get(name, (1, 1))
        if name in parts:
            last.append(len(shape) + 1)
        shape += [before, own, size // before // own]
    grid = np.moveaxis(numbers.reshape(shape), last, range(-len(last), 0))
    return grid.reshape(-1, math.prod(own for _, own in parts.values()))


def _iota(text: str) -> tuple[list[int], Groups]:
    """The shape and the numbers of ``[2,4]<=[4,2]T(1,0)``, or of ``[4,2]T(1,0)``."""
    found = _IOTA.search(text)
    if found is None:
        raise _unknown(text)
    before = _numbers(found[2]).tolist()
    grid = np.arange(math.prod(before)).reshape(before)
    shape = _numbers(found[1]).tolist() if found[1] else [grid.size]
    return shape, grid.transpose(_numbers(found[3])).ravel() if found[3] else grid.ravel()


def _listed(text: str) -> Groups:
    """The numbers of ``{0,1},{2,3}``."""
    return np.array([_numbers(group) for group in re.findall(r"\{([^{}]*)\}", text)])


def _numbers(text: str) -> Groups:
    return np.array([int(number) for number in re.findall(r"\d+", text)])


def _unknown(text: str) -> ReportError:
    return ReportError(f"collectives: XLA names its groups of devices in a new form: {text[:200]}")
