"""Capture and execution of a training step.

- ``capture.py``: one run of the step, with every Tensor that it reads or assigns noted.
- ``program.py``: what was captured, compiled and run.
- ``step.py``: which program serves which call.
- ``memory.py``: the memory that a compiled step needs.
"""

from singa.graph.capture import Capture
from singa.graph.memory import MemoryReport, memory_report
from singa.graph.program import Program
from singa.graph.step import Rollback, Steps

__all__ = ["Capture", "MemoryReport", "Program", "Rollback", "Steps", "memory_report"]
