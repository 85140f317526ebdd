"""Reports about a captured step. Nothing here takes part in running it.

- ``summary.py``: a model layer by layer.
- ``memory.py``: the memory that a compiled step needs.
- ``profile.py``, ``profiler.py``: the time of each operation, and how it is measured;
  ``trace.py`` reads what jax's profiler recorded, ``hlo.py`` finds the operation of each entry.
- ``collectives.py``: what the devices of a mesh exchange in a step.
- ``work.py``: the number of multiplications and additions.
- ``drawing.py``: a drawing of the graph; ``scene.py`` has its contents, ``placement.py`` their
  positions, with the help of ``layout.py`` and ``svg.py``.
- ``text.py``: tables and lists as plain text.

Imports :mod:`singa.graph`, and all that :mod:`singa.graph` may import.
"""

from singa.report.collectives import Collectives, collectives
from singa.report.drawing import draw
from singa.report.memory import MemoryReport, memory_report, readable
from singa.report.profile import Profile
from singa.report.profiler import Profiler, device_profiler
from singa.report.work import multiply_adds

__all__ = [
    "Collectives",
    "MemoryReport",
    "Profile",
    "Profiler",
    "collectives",
    "device_profiler",
    "draw",
    "memory_report",
    "multiply_adds",
    "readable",
]
