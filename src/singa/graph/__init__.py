"""Capture and execution of a training step.

- ``capture.py``: one run of the step that notes every Tensor that it reads or assigns;
  ``effects.py``: the step's changes of other objects.
- ``program.py``: compiles and runs the captured step; ``sequence.py`` runs it operation by
  operation, ``interrupts.py`` delays Ctrl-C while arrays are donated and assigned.
- ``step.py``: which program is used for which call.
- ``recording.py``: the operations of a captured step, one by one.
- ``fusing.py``: operations of a captured step that are computed as one.

Imports no report (:mod:`singa.report`) and no layer.
"""

from singa.graph.capture import Capture
from singa.graph.program import Program
from singa.graph.recording import Recording
from singa.graph.step import Steps

__all__ = ["Capture", "Program", "Recording", "Steps"]
