"""ONNX: any model in, trainable.

- ``reading.py``: files, and their arrays in ``values.py``.
- ``graph.py``: a graph as plain Python objects.
- ``roles.py``: which initial values are learned.
- ``rules/``: how each operator is computed, a file for each family.
- ``running.py``: runs a graph.
- ``network.py``: SONNXModel.
"""

try:
    import onnx as _onnx  # noqa: F401
except ImportError:
    from singa.errors import DependencyError

    raise DependencyError(
        "singa.sonnx needs the package onnx: pip install 'singa-xla[onnx]'"
    ) from None

from singa.sonnx import rules as rules
from singa.sonnx.network import SONNXModel
from singa.sonnx.reading import load

__all__ = ["SONNXModel", "load"]
