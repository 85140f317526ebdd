"""Which operation each instruction of a compiled step belongs to, from the program's text.

XLA names the recorded operation that an instruction came from in its metadata
(``op_name="jit(step)/op.7/jit(ReLU)/max"``; :mod:`singa.graph.program` puts in the number), if the
instruction did not come from XLA itself. Then it is a copy, or a change of layout, or was rewritten
without keeping the name, and it belongs to the operation that takes its result. Where the step
itself was fused (:mod:`singa.graph.fusing`), the name has the numbers of both operations.
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
_PLACE = re.compile(r"(?:^|/)op\.(\d+)(?=/|$)")

# What contains other instructions that are timed themselves.
_CONTAINERS = {"while", "conditional", "call", "async-start"}

# What does no work worth mentioning when it is part of a fused loop.
_IDLE = {
    "bitcast", "broadcast", "constant", "convert", "copy", "get-tuple-element", "iota",
    "parameter", "reshape", "slice", "transpose", "tuple",
}  # fmt: skip


@dataclass
class _Instruction:
    name: str
    opcode: str
    operands: list[str]
    called: list[str]
    places: list[int]  # of the operation it was made of; and of others that it takes along

    @property
    def place(self) -> int | None:
        return self.places[0] if self.places else None


@dataclass(frozen=True)
class Work:
    """What an instruction does.

    Attributes:
        operation: the number of the operation to which it belongs, by its place in the recorded
            step; None if there is none.
        includes: the numbers of the other operations that a fused loop also computes.
        is_container: its time is that of other instructions.
    """

    operation: int | None = None
    includes: frozenset[int] = frozenset()
    is_container: bool = False


class Instructions:
    """The instructions of a compiled program.

    Args:
        text: the program, as ``jax.stages.Compiled.as_text()`` gives it.

    Attributes:
        module: what the program is called in profiles.
    """

    def __init__(self, text: str) -> None:
        self.module = text.split(None, 2)[1].rstrip(",")
        self.instructions: dict[str, _Instruction] = {}
        self.members: dict[str, list[_Instruction]] = {}
        self.roots: dict[str, _Instruction] = {}
        members: list[_Instruction] = []
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
        # Who hands its result to whom, into and out of fused and called computations.
        self.users: dict[str, list[str]] = {name: [] for name in self.instructions}
        self.sources: dict[str, list[str]] = {name: [] for name in self.instructions}
        for instruction in self.instructions.values():
            for source, user in self._flow(instruction):
                self.users[source].append(user)
                self.sources[user].append(source)

    def __contains__(self, name: str) -> bool:
        return name in self.instructions

    def work(self, name: str) -> Work:
        """What the instruction of that name does."""
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

    def _flow(self, instruction: _Instruction) -> Iterable[tuple[str, str]]:
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
        """The first operation that is met, breadth first."""
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


def _parse(name: str, definition: str) -> _Instruction:
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
    return _Instruction(name, opcode, operands, called, places)


def _after(text: str, start: int) -> int:
    """The position after the parenthesis that closes the one at ``start``."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if not depth:
            return i + 1
    return len(text)
