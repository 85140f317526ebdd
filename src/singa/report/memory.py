"""The memory that a compiled step needs, as XLA planned it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from singa.core.tensor import Tensor
from singa.errors import ReportError
from singa.graph.program import Program
from singa.placement import part_bytes


@dataclass(frozen=True)
class MemoryReport:
    """The memory that one compiled step needs while it runs, in bytes; ``str()`` gives a table.

    On a mesh it is what each of the devices needs.

    Attributes:
        parameters: the parameters that it reads.
        states: other Tensors that it reads: running statistics, momentum, hyper-parameters, the
            random stream.
        arguments: the arguments that the caller passes: the batch.
        constants: arrays that are a part of the program.
        results: what it returns, and new values that get memory of their own.
        donated: new values that are written into the memory of the old ones, which are already
            counted in ``parameters`` and ``states``.
        scratch: a block for intermediate results, which share it at different times.
        code: the program itself; 0 if XLA does not say.
        peak: the most that is in use at any one time: all of the above, donated memory once.
        device: where the step runs; empty if it reads no Tensor.
        devices: the number of devices.

    Example:
        >>> from singa.models import MLP
        >>> mlp = MLP()
        >>> mlp.optimizer = opt.SGD(0.1, momentum=0.9)
        >>> mlp.compile([Tensor((32, 1, 8, 8))], use_graph=True)
        >>> _ = mlp(Tensor((32, 1, 8, 8)), Tensor((32,), dtype=tensor.int32))
        >>> report = mlp.memory_report()
        >>> report.parameters, report.states > report.parameters, report.arguments
        (30040, True, 8320)
    """

    parameters: int
    states: int
    arguments: int
    constants: int
    results: int
    donated: int
    scratch: int
    code: int
    peak: int
    device: str
    devices: int = 1

    def __str__(self) -> str:
        rows = [
            ("parameters", self.parameters, ""),
            ("other state", self.states, "momentum, running statistics, ..."),
            ("arguments", self.arguments, "the batch"),
            ("constants", self.constants, ""),
            ("results", self.results, ""),
            ("scratch", self.scratch, "intermediate results"),
            ("code", self.code, "" if self.code else "not reported by XLA here"),
            ("peak", self.peak, "the most at any one time"),
            ("donated", self.donated, "new values in the memory of the old ones"),
        ]
        each = f" on each of the {self.devices} devices of" if self.devices > 1 else " on"
        lines = ["Memory of one step" + (f"{each} {self.device}" if self.device else "")]
        for name, size, remark in rows:
            lines += ["  " + "-" * 24] if name == "peak" else []
            lines.append(f"  {name:12}{readable(size):>12}  {remark}".rstrip())
        return "\n".join(lines)


def readable(size: int) -> str:
    """A number of bytes as readable text: ``512 B``, ``1.5 KiB``, ``20.0 MiB``.

    Example:
        >>> report.readable(512), report.readable(1536), report.readable(20 * 2**20)
        ('512 B', '1.5 KiB', '20.0 MiB')
    """
    if size < 1024:
        return f"{size} B"
    value, unit = size / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if value >= 1023.95:
            value, unit = value / 1024, larger
    return f"{value:.1f} {unit}"


def memory_report(program: Program | None) -> MemoryReport:
    """The memory that XLA has planned for a compiled step.

    Raises:
        ReportError: there is no program, it was not compiled as a whole, or XLA reports nothing.

    Example:
        >>> program = graph.Program(lambda x: 2 * x, [Tensor((256,))])
        >>> report = report.memory_report(program)
        >>> report.arguments, report.results  # bytes
        (1024, 1024)
    """
    if program is None:
        raise ReportError(
            "memory_report: no step has been compiled yet: compile the model with use_graph=True "
            "and call it once"
        )
    if program.compiled is None:
        raise ReportError(
            "memory_report: with sequential=True the operations run one by one, and there is no "
            "compiled step: model.graph(True) makes one"
        )
    plan = program.compiled.memory_analysis()
    if plan is None:
        raise ReportError("memory_report: XLA does not report memory on this device")
    captured = program.capture
    tensors = [x for x in captured.inputs if isinstance(x, Tensor)]
    arrays = [x for x in captured.inputs if not isinstance(x, Tensor)]
    inputs = plan.argument_size_in_bytes
    outputs = plan.output_size_in_bytes
    donated = plan.alias_size_in_bytes
    scratch = plan.temp_size_in_bytes
    code = plan.generated_code_size_in_bytes
    return MemoryReport(
        parameters=sum(part_bytes(x._data) for x in tensors if x.is_parameter),
        states=sum(part_bytes(x._data) for x in tensors if not x.is_parameter),
        arguments=program.arg_bytes,
        constants=_bytes([*arrays, *captured.jaxpr.consts]),
        results=outputs - donated,
        donated=donated,
        scratch=scratch,
        code=code,
        # Not the plan's own peak_memory_in_bytes, which leaves out the scratch on CPUs. Scratch is
        # one block, in which arrays that are not needed at the same time share memory.
        peak=inputs + outputs - donated + scratch + code,
        device=next((x.device.name for x in tensors), ""),
        devices=math.prod(tensors[0].device.axes.values()) if tensors else 1,
    )


def _bytes(arrays: Iterable[Any]) -> int:
    return sum(x.size * x.dtype.itemsize for x in arrays)
