"""ONNX: any model in, trainable.

- ``reading.py``: files, and their arrays in ``values.py``.
- ``graph.py``: a graph as plain Python objects.
- ``roles.py``: which initial values are learned.
- ``rules/``: how each operator is computed, a file for each family.
- ``running.py``: runs a graph.
- ``network.py``: SONNXModel.
"""

from singa.sonnx import forms as forms
from singa.sonnx import rules as rules
from singa.sonnx.exporting import export, save, to_onnx
from singa.sonnx.network import SONNXModel
from singa.sonnx.reading import load

__all__ = ["SONNXModel", "export", "load", "save", "to_onnx"]
