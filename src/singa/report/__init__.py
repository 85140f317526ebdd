"""What can be told of a captured step: nothing here takes part in running it.

- ``summary.py``: a model layer by layer.
- ``memory.py``: the memory that a compiled step needs.
- ``profile.py``, ``profiler.py``: where the time goes, and how that is found out;
  ``trace.py`` and ``hlo.py`` read what jax's profiler recorded, and of which operation.
- ``work.py``: how many multiplications and additions there are.
- ``drawing.py``: a drawing of the graph, of what is in ``scene.py``, where ``placement.py`` puts
  it, by ``layout.py`` and ``svg.py``.

Imports :mod:`singa.graph`, and whatever that may import.
"""

from singa.report.drawing import draw
from singa.report.memory import MemoryReport, memory_report, readable
from singa.report.profile import Profile
from singa.report.profiler import Profiler, device_profiler
from singa.report.work import multiply_adds

__all__ = [
    "MemoryReport",
    "Profile",
    "Profiler",
    "device_profiler",
    "draw",
    "memory_report",
    "multiply_adds",
    "readable",
]
