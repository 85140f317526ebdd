"""ONNX: any model in, trainable, and out again.

- ``reading.py``: files, and their arrays in ``values.py``.
- ``graph.py``: a graph as plain Python objects.
- ``oddities.py``: what other tools would refuse.
- ``folding.py``: kernels in another layout.
- ``roles.py``: which initial values are learned.
- ``bounds.py``: how much a file may ask for.
- ``rules/``: how each operator is computed, a file for each family.
- ``running.py``: runs a graph.
- ``network.py``: SONNXModel.
- ``recording.py``: what a model computes, ``history.py``: what Tensors were computed from, and
  ``writing.py``: as nodes.
- ``forms/``: how each operation is written, a file for each family.
- ``batches.py``: what depends on the size of the batch.
- ``exporting.py``: to_onnx, save and export.
- ``backend.py``: the names of SINGA's own module.
"""

try:
    import onnx as _onnx  # noqa: F401 (only whether it is there)
except ImportError:
    from singa.errors import DependencyError

    raise DependencyError(
        "singa.sonnx needs the package onnx: pip install 'singa-xla[onnx]'"
    ) from None

from singa.sonnx import forms as forms
from singa.sonnx import rules as rules
from singa.sonnx.backend import (
    OnnxAttributes,
    OnnxNode,
    SingaBackend,
    SingaFrontend,
    SingaRep,
    get_op,
    onnx_type_to_singa_type,
    prepare,
    run_node,
)
from singa.sonnx.exporting import export, save, to_onnx
from singa.sonnx.network import SONNXModel
from singa.sonnx.reading import load

__all__ = [
    "OnnxAttributes", "OnnxNode", "SONNXModel", "SingaBackend", "SingaFrontend", "SingaRep",
    "export", "get_op", "load", "onnx_type_to_singa_type", "prepare", "run_node", "save",
    "to_onnx",
]  # fmt: skip
