"""Reading what others wrote: no more of it than is wanted, whatever it says of itself."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any, BinaryIO

import numpy as np

from singa.errors import DataError

MOST_JSON = 4 * 2**20
"""Bytes of JSON that are read. As Python's objects they take up to 40 times as many."""

_MOST_CONTAINERS = 200_000
_DEEPEST = 100
_LONGEST = 1000  # digits of a number; reading one takes the square of that in time
# One that is not closed is all of the rest: looking for its end from each quote takes forever.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read it. What is no file, such as a pipe, could be waited for forever.

    Raises:
        DataError: it is no file.
        OSError: it cannot be read.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder, open complains itself
        raise DataError(f"{path}: it is no regular file")
    return open(path, "rb")


def read_file(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a file that is not larger than so many bytes.

    Raises:
        DataError: it is larger, or no file.
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise DataError(f"{path}: larger than {most} bytes, the most that is read")
    return content


def parse_json(content: bytes) -> Any:
    """What a JSON document says.

    Raises:
        DataError: it is no JSON, or of a size, a depth or a number that nobody writes.
    """
    if len(content) > MOST_JSON:
        raise DataError(f"JSON of more than {MOST_JSON} bytes")
    bare = np.frombuffer(_STRING.sub(b"", content), np.uint8) | 0x20  # [ and { differ in that bit
    begins, ends = bare == ord("{"), bare == ord("}")
    if np.count_nonzero(begins) > _MOST_CONTAINERS:
        raise DataError(f"JSON of more than {_MOST_CONTAINERS} lists and objects")
    depths = (begins.astype(np.int8) - ends.astype(np.int8)).cumsum(dtype=np.int32)
    if depths.max(initial=0) > _DEEPEST:
        raise DataError(f"JSON that is nested more than {_DEEPEST} deep")
    try:
        return json.loads(content, parse_int=_integer, parse_float=_float)
    except (ValueError, RecursionError) as error:
        raise DataError(f"not JSON: {error}") from None


def _integer(text: str) -> int:
    _check_length(text)
    return int(text)


def _float(text: str) -> float:
    _check_length(text)
    return float(text)


def _check_length(text: str) -> None:
    if len(text) > _LONGEST:
        raise ValueError(f"a number of {len(text)} characters")
