"""Reader of IDX files, the format in which MNIST is published.

An IDX file is two zero bytes, a byte for the data type, a byte for the number of dimensions, each
dimension as a big-endian uint32, and the values, big-endian, the last dimension varying fastest
(http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.files import content
from singa.errors import DataError

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


Check = Callable[[np.dtype[Any], tuple[int, ...]], None]
"""A function that raises DataError if a data type or a shape is not the expected one."""


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Reads an IDX file, compressed by gzip or not, into an array of native byte order.

    Raises:
        DataError: the file is not IDX, is damaged, or its size does not fit its header.
        OSError: the file cannot be read.

    Example:
        >>> labels = data.read_idx(data.folder("digits") / "labels-idx1-ubyte.gz")
        >>> labels.shape, labels.dtype
        ((1797,), dtype('uint8'))
    """
    return read_wanted(path, lambda dtype, shape: None)


def read_wanted(path: str | os.PathLike[str], check: Check) -> npt.NDArray[Any]:
    """:func:`read_idx` with a check of the header before the values are read."""
    with content(path) as file:
        start = file.read(4)
        if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _DTYPES:
            raise DataError(f"{path}: not an IDX file, it begins with the bytes '{start.hex(' ')}'")
        dtype, dimensions = _DTYPES[start[2]], start[3]
        begin = 4 + 4 * dimensions
        sizes = file.read(4 * dimensions)
        if len(sizes) < 4 * dimensions:
            raise DataError(
                f"{path}: truncated, the header of {dimensions} dimensions takes {begin} bytes, "
                f"but the file has {4 + len(sizes)}"
            )
        shape = struct.unpack(f">{dimensions}I", sizes)
        check(dtype.newbyteorder("="), shape)

        # Compared before anything of that shape is made: a damaged header may claim exabytes.
        expected = math.prod(shape) * dtype.itemsize
        takes = f"shape {shape} of {dtype.name} takes {expected} bytes after the header"
        if expected > file.most:
            raise DataError(
                f"{path}: truncated, {takes}, but the file has at most {file.most - begin}"
            )
        values = file.read(expected)
        if len(values) < expected:
            raise DataError(f"{path}: truncated, {takes}, but the file has {len(values)}")
        if file.read(1):
            raise DataError(f"{path}: too long, {takes}, but the file has more")
    try:
        array = np.frombuffer(values, dtype).reshape(shape)
    except ValueError as error:  # more dimensions than NumPy has, or a zero among huge ones
        raise DataError(f"{path}: NumPy has no arrays of shape {shape}: {error}") from error
    # Convert in place: the values may take most of the memory.
    native = dtype.newbyteorder("=")
    return array.view(native) if dtype.isnative else array.byteswap(inplace=True).view(native)
