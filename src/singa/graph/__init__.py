"""Capture and execution of a training step.

- ``capture.py``: one run of the step, with every Tensor that it reads or assigns noted;
  ``effects.py``: what it does to other objects.
- ``program.py``: what was captured, compiled and run; ``sequence.py`` runs it operation by
  operation, ``interrupts.py`` keeps Ctrl-C from the moment in which arrays change hands.
- ``step.py``: which program serves which call.
- ``recording.py``: the operations of a captured step, one by one.
- ``fusing.py``: operations of a captured step that are computed as one.

Imports no report (:mod:`singa.report`) and no layer.
"""

from singa.graph.capture import Capture
from singa.graph.program import Program
from singa.graph.recording import Recording
from singa.graph.step import Steps

__all__ = ["Capture", "Program", "Recording", "Steps"]
