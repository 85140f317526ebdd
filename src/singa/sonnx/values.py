"""The arrays in an ONNX file: decoded, and read from the model's own folder only."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import SparseTensorProto, TensorProto, numpy_helper

from singa.errors import FormatError

Array = np.ndarray[Any, Any]


class Weights:
    """Reads the arrays of one model.

    Args:
        folder: where its external data is; None if it has none.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def array(self, proto: TensorProto) -> Array:
        """The array of a tensor of the file.

        Raises:
            FormatError: its data is not of the declared size, or its file is not there or not in
                the model's folder.
        """
        name = proto.name or "a constant"
        if any(size < 0 for size in proto.dims):
            raise FormatError(f"{name}: sizes cannot be negative, got {list(proto.dims)}")
        if proto.data_location == TensorProto.EXTERNAL:
            return self._external(proto, name)
        if proto.data_type != TensorProto.STRING and proto.HasField("raw_data"):
            self._check_size(proto, name, len(proto.raw_data))
        try:
            return numpy_helper.to_array(proto)
        except (ValueError, TypeError, KeyError) as error:
            raise FormatError(f"{name}: its data does not fit its declaration: {error}") from None

    def _external(self, proto: TensorProto, name: str) -> Array:
        found = {each.key: each.value for each in proto.external_data}
        if self._folder is None:
            raise FormatError(f"{name}: its data is in another file; give the path of the model")
        path = (self._folder / found.get("location", "")).resolve()
        if not path.is_relative_to(self._folder.resolve()) or not path.is_file():
            raise FormatError(f"{name}: its file is not in the model's folder")
        try:
            offset = int(found.get("offset", 0))
            length = int(found.get("length", path.stat().st_size - offset))
        except ValueError:
            raise FormatError(f"{name}: the place of its data is no number") from None
        if offset < 0 or length < 0 or offset + length > path.stat().st_size:
            raise FormatError(f"{name}: its data would be beyond the end of {path.name}")
        self._check_size(proto, name, length)
        kind = onnx.helper.tensor_dtype_to_np_dtype(proto.data_type)
        if _bits(proto.data_type) < 8:
            with path.open("rb") as file:
                file.seek(offset)
                inside = TensorProto(dims=proto.dims, data_type=proto.data_type)
                inside.raw_data = file.read(length)
            return numpy_helper.to_array(inside)
        # Mapped, so that what is not used is not read.
        return (
            np.memmap(path, kind, "r", offset, tuple(proto.dims))
            if length
            else np.zeros(tuple(proto.dims), kind)
        )

    @staticmethod
    def _check_size(proto: TensorProto, name: str, given: int) -> None:
        needed = math.ceil(math.prod(proto.dims) * _bits(proto.data_type) / 8)
        if needed != given:
            raise FormatError(
                f"{name}: {list(proto.dims)} elements need {needed} bytes, the file has {given}"
            )

    def dense(self, proto: SparseTensorProto) -> Array:
        """A sparse tensor as an array."""
        shape = tuple(proto.dims)
        values, places = self.array(proto.values), self.array(proto.indices)
        if math.prod(shape) > 64 * max(1, values.size) + 2**24:
            raise FormatError(f"{proto.values.name}: a sparse tensor of shape {shape} is too large")
        dense = np.zeros(shape, values.dtype)
        flat = dense.reshape(-1)
        if places.ndim == 2:
            places = np.ravel_multi_index(tuple(places.T), shape)
        flat[places] = values
        return dense


def _bits(kind: int) -> int:
    """The size of one element of an ONNX type."""
    try:
        name = TensorProto.DataType.Name(kind)
    except ValueError:
        raise FormatError(f"there is no type of number {kind}") from None
    if name in ("UNDEFINED", "STRING"):
        raise FormatError(f"values of the type {name} have no size")
    short = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}
    if name in short:
        return short[name]
    return 8 * np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).itemsize
