"""Capture and execution of a training step.

- ``capture.py``: one run of the step, with every Tensor that it reads or assigns noted.
- ``program.py``: what was captured, compiled and run.
- ``step.py``: which program serves which call.
- ``recording.py``: the operations of a captured step, one by one.

And the reports on it:

- ``memory.py``: the memory that a compiled step needs.
- ``profile.py``, ``profiler.py``: where the time goes, and how that is found out.
- ``drawing.py``, of what is in ``scene.py``, where ``placement.py`` puts it, by ``layout.py`` and
  ``svg.py``.
- ``trace.py``, ``hlo.py``: what jax's profiler recorded, and of which operation.
"""

from singa.graph.capture import Capture
from singa.graph.drawing import draw
from singa.graph.memory import MemoryReport, memory_report, readable
from singa.graph.profile import Profile
from singa.graph.profiler import Profiler, device_profiler
from singa.graph.program import Program
from singa.graph.recording import Recording
from singa.graph.step import Steps
from singa.graph.work import multiply_adds
from singa.journal import Journal

__all__ = [
    "Capture",
    "Journal",
    "MemoryReport",
    "Profile",
    "Profiler",
    "Program",
    "Recording",
    "Steps",
    "device_profiler",
    "draw",
    "memory_report",
    "multiply_adds",
    "readable",
]
