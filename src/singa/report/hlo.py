"""Which operation each instruction of a compiled step belongs to, from the program's text.

The metadata of an instruction names the recorded operation that it came from
(``op_name="jit(step)/op.7/jit(ReLU)/max"``; :mod:`singa.graph.program` puts in the number). An
instruction that XLA has added itself has no such name: it is a copy, a change of layout, or was
rewritten without the name. It belongs to the operation that uses its result. If the step itself was
fused (:mod:`singa.graph.fusing`), the name has the numbers of both operations.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (.*)$")
_NAME = re.compile(r"%([\w.\-]+)")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)"
    r"|(?:branch_computations|called_computations)=\{([^}]*)\}"
)
_OP_NAME = re.compile(r'op_name="([^"]*)"')
# Collectives of several operations are one, with their names as "(op.2/dot:op.3/add)".
_PLACE = re.compile(r"(?:^|[/(:])op\.(\d+)(?=[/:)]|$)")

# Opcodes that contain other instructions, which are timed themselves.
_CONTAINERS = {"while", "conditional", "call", "async-start"}

# Opcodes that take almost no time in a fused loop.
_IDLE = {
    "bitcast", "broadcast", "constant", "convert", "copy", "get-tuple-element", "iota",
    "parameter", "reshape", "slice", "transpose", "tuple",
}  # fmt: skip


@dataclass
class Instruction:
    """An instruction of a program.

    Attributes:
        name: its own, in the program.
        opcode: what it does: ``dot``, ``fusion``, ``all-reduce``, ...
        result: the type of its result: ``f32[2,3]{1,0}``, or several in parentheses.
        operands: the names of the instructions whose results it takes.
        called: the names of the computations that it runs.
        attributes: all that stands after the operands.
        places: the number of its operation, and of others that were fused into it.
    """

    name: str
    opcode: str
    result: str
    operands: list[str]
    called: list[str]
    attributes: str
    places: list[int]

    @property
    def place(self) -> int | None:
        return self.places[0] if self.places else None


@dataclass(frozen=True)
class Work:
    """The work of an instruction.

    Attributes:
        operation: the number, in the recorded step, of the operation to which it belongs; None if
            there is none.
        includes: the numbers of the other operations that a fused loop also computes.
        is_container: whether its time is that of other instructions.
    """

    operation: int | None = None
    includes: frozenset[int] = frozenset()
    is_container: bool = False


class Instructions:
    """The instructions of a compiled program.

    Args:
        text: the program, as ``jax.stages.Compiled.as_text()`` gives it.

    Attributes:
        module: the program's name in profiles.
    """

    def __init__(self, text: str) -> None:
        self.module = text.split(None, 2)[1].rstrip(",")
        self.instructions: dict[str, Instruction] = {}
        self.members: dict[str, list[Instruction]] = {}
        self.roots: dict[str, Instruction] = {}
        members: list[Instruction] = []
        computation = ""
        for line in text.splitlines():
            if found := _INSTRUCTION.match(line):
                instruction = _parse(found[2], found[3])
                members.append(instruction)
                self.instructions[instruction.name] = instruction
                if found[1]:
                    self.roots[computation] = instruction
            elif found := _COMPUTATION.match(line):
                computation = found[2]
                members = self.members[computation] = []
        # Which instruction uses whose result, also into and out of fused and called computations.
        self.users: dict[str, list[str]] = {name: [] for name in self.instructions}
        self.sources: dict[str, list[str]] = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for source, user in self._flow(instruction):
                self.users[source].append(user)
                self.sources[user].append(source)

    def __contains__(self, name: str) -> bool:
        return name in self.instructions

    def work(self, name: str) -> Work:
        """The work of the instruction with that name."""
        instruction = self.instructions[name]
        operation = instruction.place
        roots = [self.roots[called] for called in instruction.called if called in self.roots]
        if operation is None and instruction.opcode == "fusion" and roots:
            operation = roots[0].place
        if operation is None:
            operation = self._nearest(instruction.name, self.users.__getitem__)
        if operation is None:
            operation = self._nearest(instruction.name, self.sources.__getitem__)
        included = set(instruction.places)
        if instruction.opcode == "fusion":
            included |= {
                place
                for called in instruction.called
                for member in self.members.get(called, [])
                if member.opcode not in _IDLE
                for place in member.places
            }
        return Work(operation, frozenset(included - {operation}), instruction.opcode in _CONTAINERS)

    def _flow(self, instruction: Instruction) -> Iterable[tuple[str, str]]:
        inner = [name for name in instruction.called if name in self.roots]
        operands = [name for name in instruction.operands if name in self.instructions]
        if not inner or instruction.opcode in ("reduce", "reduce-window", "scatter", "sort"):
            return [(operand, instruction.name) for operand in operands]
        flow = [(self.roots[name].name, instruction.name) for name in inner]
        for name in inner:
            parameters = [m for m in self.members[name] if m.opcode == "parameter"]
            parameters.sort(key=lambda parameter: int(parameter.operands[0]))
            if len(parameters) == len(operands):
                flow += [(o, p.name) for o, p in zip(operands, parameters, strict=True)]
            else:
                flow += [(operand, p.name) for operand in operands for p in parameters]
        return flow

    def _nearest(self, name: str, neighbours: Callable[[str], list[str]]) -> int | None:
        """The first operation that is found, breadth first."""
        seen, reached = {name}, [name]
        while reached:
            found = [n for r in reached for n in neighbours(r) if n not in seen]
            for n in found:
                place = self.instructions[n].place
                if place is not None:
                    return place
            seen.update(found)
            reached = list(dict.fromkeys(found))
        return None


def _parse(name: str, definition: str) -> Instruction:
    """An instruction from ``type opcode(operands), attributes``."""
    start = _after(definition, 0) if definition.startswith("(") else definition.index(" ")
    rest = definition[start:].lstrip()
    opcode, _, _ = rest.partition("(")
    end = _after(rest, len(opcode))
    inside, attributes = rest[len(opcode) + 1 : end - 1], rest[end:]
    operands = [inside] if opcode == "parameter" else _NAME.findall(inside)
    called: list[str] = []
    for one, many in _CALLED.findall(attributes):
        called += [one] if one else [n.strip().lstrip("%") for n in many.split(",")]
    op_name = _OP_NAME.search(attributes)
    places = [int(place) for place in _PLACE.findall(op_name[1])] if op_name else []
    return Instruction(name, opcode, definition[:start], operands, called, attributes, places)


def _after(text: str, start: int) -> int:
    """The position after the parenthesis that closes the one at ``start``."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if not depth:
            return i + 1
    return len(text)
