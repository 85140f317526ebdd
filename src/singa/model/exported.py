"""A Model as a file for other tools."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from importlib import import_module
from typing import Any

from singa.core.tensor import Tensor
from singa.model.saved import Saved

WRITER = "singa.sonnx"
"""The part that writes such files. It needs a package that not everyone has, and uses Models
itself: so it is imported by name, when it is needed."""


class Exported(Saved):
    """The part of a Model that writes it for other tools."""

    def export(
        self,
        path: str | os.PathLike[str],
        inputs: Sequence[Tensor],
        *,
        opset: int | None = None,
        dynamic: str | Collection[str] = (),
        training: bool = False,
    ) -> None:
        """Write the model to an ONNX file, for prediction; see :func:`singa.sonnx.export`.

        The file has what ``forward`` computes. Parameters and states keep their names.

        Args:
            path: of the file.
            inputs: Tensors with the shapes and types of ``forward``'s inputs.
            opset: the version of ONNX's operators; the lowest that has those needed if None.
            dynamic: the name of the first axis of all inputs, such as ``{"batch"}``: its size is
                open then. If there is none, all sizes are those given.
            training: dropout stays in the file, for a tool that trains it.

        Raises:
            FormatError: ONNX has no operators for some operations; or the result depends on
                something that no operation has computed.
            DependencyError: the package onnx is not installed.

        Example:
            >>> from singa.models import MLP
            >>> MLP().export("mlp.onnx", [Tensor((1, 1, 8, 8))], dynamic={"batch"})
            >>> [each.shape for each in sonnx.SONNXModel("mlp.onnx").onnx_graph.inputs]
            [('batch', 1, 8, 8)]
        """
        writer: Any = import_module(WRITER)
        writer.export(self, path, inputs, opset=opset, dynamic=dynamic, training=training)
