"""Reads an ONNX model: from a path, from bytes, or what the package onnx has made of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, TypeAlias

import onnx
import onnx.inliner
from google.protobuf.message import DecodeError
from onnx import ModelProto, NodeProto

from singa.errors import DataError, FormatError, SingaError
from singa.sonnx.graph import DAMAGED, Graph, graph_of
from singa.sonnx.oddities import check_names, warn_of_oddities
from singa.sonnx.running import missing_operators
from singa.sonnx.values import Weights

Source: TypeAlias = "str | os.PathLike[str] | bytes | ModelProto"

LARGEST = 2**31 - 1
"""A file of more bytes is none: its weights have to be in other files."""


def load(path: str | os.PathLike[str]) -> ModelProto:
    """The model in a file, without its external data.

    Raises:
        DataError: there is no such file.
        FormatError: it is no ONNX model.

    Example:
        >>> sonnx.save(sonnx.to_onnx([Tensor((1, 3))], layer.Linear(2)), "linear.onnx")
        >>> [node.op_type for node in sonnx.load("linear.onnx").graph.node]
        ['Gemm']
    """
    file = Path(path)
    try:
        size = file.stat().st_size
        if size > LARGEST:
            raise FormatError(f"{file.name}: {size} bytes are too many for an ONNX file")
        return _parsed(file.read_bytes(), file.name)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None


def _parsed(content: bytes, name: str) -> ModelProto:
    model = ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, RecursionError, ValueError):
        raise FormatError(f"{name}: it is no ONNX model") from None
    if not model.HasField("graph") or not model.opset_import:
        raise FormatError(f"{name}: it is no ONNX model: it has no graph, or no set of operators")
    return model


def read(source: Source) -> Graph:
    """The graph of a model; functions in it are inlined.

    Raises:
        DataError, FormatError: see :func:`load`.
    """
    folder = None
    if isinstance(source, ModelProto):
        model = source
    elif isinstance(source, (bytes, bytearray)):
        model = _parsed(bytes(source), "these bytes")
    else:
        folder = Path(source).parent
        model = load(source)
    try:
        graph = _graph(model, folder)
        check_names(graph)
    except (*DAMAGED, RuntimeError) as error:
        if isinstance(error, SingaError):
            raise
        lines = str(error).splitlines() or [type(error).__name__]
        raise FormatError(f"{model.graph.name}: it cannot be read: {lines[0]}") from error
    warn_of_oddities(model)
    return graph


def _graph(model: ModelProto, folder: Path | None) -> Graph:
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    graph = graph_of(model, Weights(folder))
    if defined := _defined_by_others(graph):
        graph = graph_of(_inlined(model, defined), Weights(folder))
    return graph


def _inlined(model: ModelProto, operators: list[tuple[str, str]]) -> ModelProto:
    """The model with these operators replaced by what they are defined by, where that is known."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for node in copy.graph.node:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if (domain, node.op_type) in operators:
            _add_defaults(node)
    model = copy
    try:
        return onnx.inliner.inline_selected_functions(model, operators, False, True)
    except RuntimeError:  # of an optional input that is not there
        return model


def _defined_by_others(graph: Graph) -> list[tuple[str, str]]:
    """The operators without a rule that ONNX defines by other operators."""
    found = []
    for node in missing_operators(graph):
        known = 0 < node.version < 2**31
        if known and onnx.defs.has(node.kind, node.version, node.domain):
            schema: Any = onnx.defs.get_schema(node.kind, node.version, node.domain)
            if schema.has_function or schema.has_context_dependent_function:
                found.append((node.domain, node.kind))
    return found


def _add_defaults(node: NodeProto) -> None:
    """Add the attributes that are not given, with their defaults: definitions refer to them."""
    given = {each.name for each in node.attribute}
    for name, attribute in onnx.defs.get_schema(
        node.op_type, domain=node.domain
    ).attributes.items():
        if attribute.default_value.name and name not in given:
            node.attribute.append(attribute.default_value)
