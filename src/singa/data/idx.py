"""Reader of IDX files, the format that MNIST is published in.

An IDX file is two zero bytes, a byte for the data type, a byte for the number of dimensions, each
dimension as a big-endian uint32, and the values, big-endian, the last dimension varying fastest
(http://yann.lecun.com/exdb/mnist/).
"""

from __future__ import annotations

import math
import os
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from singa.data.files import read_file
from singa.errors import DataError

_DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def read_idx(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """Reads an IDX file, compressed by gzip or not, into an array of native byte order.

    Raises:
        DataError: the file is not IDX, is damaged, or does not hold exactly what it announces.
        OSError: the file cannot be read.

    Example:
        >>> labels = data.read_idx(data.folder("digits") / "labels-idx1-ubyte.gz")
        >>> labels.shape, labels.dtype
        ((1797,), dtype('uint8'))
    """
    content = read_file(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in _DTYPES:
        raise DataError(
            f"{path}: not an IDX file, it begins with the bytes '{content[:4].hex(' ')}'"
        )
    dtype, dimensions = _DTYPES[content[2]], content[3]
    begin = 4 + 4 * dimensions
    if len(content) < begin:
        raise DataError(
            f"{path}: truncated, the header of {dimensions} dimensions takes {begin} bytes, "
            f"but the file has {len(content)}"
        )
    shape = struct.unpack_from(f">{dimensions}I", content, 4)

    # Compared before anything is made of that shape: a damaged header may announce exabytes.
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - begin
    if found != expected:
        what = "truncated" if found < expected else "too long"
        raise DataError(
            f"{path}: {what}, shape {shape} of {dtype.name} takes {expected} bytes after the "
            f"header, but the file has {found}"
        )
    values = np.frombuffer(content, dtype, offset=begin)
    try:
        return values.reshape(shape).astype(dtype.newbyteorder("="))
    except ValueError as error:  # more dimensions than NumPy has, or a zero among huge ones
        raise DataError(f"{path}: NumPy has no arrays of shape {shape}: {error}") from error
