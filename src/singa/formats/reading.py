"""Reading untrusted files: no more than a limit, even if the file gives a wrong size."""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any, BinaryIO

import numpy as np

from singa.errors import DataError

MOST_JSON = 4 * 2**20
"""The most bytes of JSON that are read. As Python objects they take up to 40 times as many."""

_MOST_CONTAINERS = 200_000
_DEEPEST = 100
_LONGEST = 1000  # digits of a number; the time to read one grows with their square
# A string that is not closed matches to the end: searching for its end from each quote would take
# quadratic time.
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)


def open_file(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a file to read it. A pipe or the like is refused, because opening it may never end.

    Raises:
        DataError: it is not a regular file.
        OSError: it cannot be read.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # for a folder, open raises an error
        raise DataError(f"{path}: it is not a regular file")
    return open(path, "rb")


def read_file(path: str | os.PathLike[str], most: int) -> bytes:
    """The content of a file of at most ``most`` bytes.

    Raises:
        DataError: it is larger, or not a regular file.
        OSError: it cannot be read.
    """
    with open_file(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise DataError(f"{path}: larger than {most} bytes, the most that is read")
    return content


def parse_json(content: bytes) -> Any:
    """The value of a JSON document.

    Raises:
        DataError: it is not JSON, or it is too large, too deep or has too long numbers.
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
