import contextlib
import gzip
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from singa.data import read_idx
from singa.errors import DataError

CODES = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}


def idx_bytes(array):
    code = CODES[array.dtype.name]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture(scope="session")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("idx") / "values"


arrays = st.sampled_from(sorted(CODES)).flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    )
)


@given(array=arrays, compress=st.booleans())
def test_reads_what_was_written(path, array, compress):
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if compress else content)

    read = read_idx(path)

    assert read.dtype == array.dtype
    assert read.dtype.isnative
    assert read.flags.writeable
    np.testing.assert_array_equal(read, array, strict=True)


def test_values_are_big_endian_and_in_row_major_order(path):
    header = b"\x00\x00\x0b\x02" + b"\x00\x00\x00\x02" + b"\x00\x00\x00\x03"
    path.write_bytes(header + b"\x00\x01\x00\x02\x00\x03\x01\x00\xff\xff\x80\x00")

    assert read_idx(path).tolist() == [[1, 2, 3], [256, -1, -32768]]


def test_path_may_be_a_string(path):
    path.write_bytes(idx_bytes(np.arange(3, dtype=np.uint8)))

    assert read_idx(str(path)).tolist() == [0, 1, 2]


@given(array=arrays, data=st.data())
def test_a_cut_file_is_never_read(path, array, data):
    content = idx_bytes(array)
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])

    with pytest.raises(DataError, match=r"truncated|not an IDX file"):
        read_idx(path)


@given(array=arrays, data=st.data())
def test_a_cut_gzip_file_is_never_read(path, array, data):
    content = gzip.compress(idx_bytes(array))
    path.write_bytes(content[: data.draw(st.integers(2, len(content) - 1))])

    with pytest.raises(DataError, match="damaged gzip file"):
        read_idx(path)


@given(content=st.binary(max_size=64))
def test_foreign_bytes_are_read_or_refused_but_never_crash(path, content):
    path.write_bytes(content)

    with contextlib.suppress(DataError):
        assert idx_bytes(read_idx(path)) == content


DAMAGED = {
    "empty": (b"", "not an IDX file, it begins with the bytes ''"),
    "three bytes": (b"\x00\x00\x08", "not an IDX file, it begins with the bytes '00 00 08'"),
    "foreign": (b"\x89PNG\r\n", "not an IDX file, it begins with the bytes '89 50 4e 47'"),
    "unknown type": (
        b"\x00\x00\x0a\x00",
        "not an IDX file, it begins with the bytes '00 00 0a 00'",
    ),
    "header cut": (
        b"\x00\x00\x08\x03" + bytes(11),
        "truncated, the header of 3 dimensions takes 16 bytes, but the file has 15",
    ),
    "values cut": (
        idx_bytes(np.zeros((2, 3), np.int16))[:-1],
        "truncated, shape (2, 3) of int16 takes 12 bytes after the header, but the file has 11",
    ),
    "too many values": (
        idx_bytes(np.zeros((2, 3), np.float64)) + b"\x00",
        "too long, shape (2, 3) of float64 takes 48 bytes after the header, but the file has more",
    ),
    "oversized": (
        b"\x00\x00\x0e\x04" + b"\xff" * 16,
        f"truncated, shape {(2**32 - 1,) * 4} of float64 takes {8 * (2**32 - 1) ** 4} bytes",
    ),
    "too many dimensions": (
        b"\x00\x00\x08\xff" + struct.pack(">I", 1) * 255 + b"\x00",
        "NumPy has no arrays of shape (1, 1,",
    ),
    "empty but oversized": (
        b"\x00\x00\x08\x04" + struct.pack(">4I", 0, *(2**32 - 1,) * 3),
        "NumPy has no arrays of shape (0, 4294967295,",
    ),
    "gzip header only": (b"\x1f\x8b\x08\x00", "damaged gzip file"),
    "after the gzip stream": (gzip.compress(b"\0\0\x08\0\1") + b"foreign", "damaged gzip file"),
}


@pytest.mark.parametrize(("content", "message"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_files_say_what_is_wrong(path, content, message):
    path.write_bytes(content)

    with pytest.raises(DataError) as raised:
        read_idx(path)

    assert str(raised.value).startswith(f"{path}: {message}")


def test_a_corrupt_gzip_stream_is_refused(path):
    content = bytearray(gzip.compress(idx_bytes(np.arange(200, dtype=np.uint8))))
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(DataError, match="damaged gzip file"):
        read_idx(path)


def test_a_missing_file_is_python_s_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "absent")
