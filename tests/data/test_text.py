import pickle

import numpy as np
import pytest

from singa.data import CsvTable, DataLoader, TextLines
from singa.errors import ArgumentError, DataError


def write(tmp_path, content):
    file = tmp_path / "file.txt"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_lines(tmp_path, end, last):
    lines = ["one", "", "dreißig", " four "]
    dataset = TextLines(write(tmp_path, end.join(lines) + end * last))

    assert len(dataset) == 4
    assert [dataset[i] for i in range(4)] == [(line,) for line in lines]
    assert dataset[-1] == (" four ",)
    assert list(DataLoader(dataset, 3)) == [(lines[:3],), (lines[3:],)]
    assert pickle.loads(pickle.dumps(dataset))[2] == ("dreißig",)
    with pytest.raises(IndexError):
        dataset[4]


def test_no_lines_and_damaged_lines(tmp_path):
    assert len(TextLines(write(tmp_path, ""))) == 0
    dataset = TextLines(write(tmp_path, b"good\nb\xe4d\n"))

    assert dataset[0] == ("good",)
    with pytest.raises(DataError, match=r"file.txt, line 2: not utf-8: "):
        dataset[1]
    assert TextLines(dataset.path, encoding="latin-1")[1] == ("bäd",)


def test_a_table_with_names_as_labels(tmp_path):
    file = write(tmp_path, '\ufeffwidth,"kind, if any",height\n1,b,2.5\n\n3,a,-4\n5e1,b,nan\n')

    table = CsvTable(file, label="kind, if any")

    features, labels = table.arrays
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, [[1, 2.5], [3, -4], [50, np.nan]])
    assert table.columns == ("width", "height")
    assert labels.dtype == np.int32
    assert labels.tolist() == [1, 0, 1]
    assert table.class_names == ("a", "b")
    assert table[1][1] == 0
    assert len(table) == 3


def test_a_table_of_integers_without_a_header(tmp_path):
    file = write(tmp_path, "1; 2; 7\n3; 4; 8\n")

    table = CsvTable(file, label=-1, header=False, delimiter=";")

    features, labels = table.arrays
    assert (features.dtype, labels.dtype) == (np.int32, np.int32)
    assert (features.tolist(), labels.tolist()) == ([[1, 2], [3, 4]], [7, 8])
    assert (table.columns, table.class_names) == (("0", "1"), ())
    assert CsvTable(file, header=False, delimiter=";", dtype=np.float64).arrays[0].dtype == float
    (batch,) = DataLoader(CsvTable(file, header=False, delimiter=";"), 2)
    assert batch[0].tolist() == [[1, 2, 7], [3, 4, 8]]


def test_types_of_labels_and_of_large_numbers(tmp_path):
    file = write(tmp_path, "x,y\n1,0.5\n3000000000,2\n")

    features, labels = CsvTable(file, label=1).arrays

    assert (features.dtype, labels.dtype) == (np.float32, np.float32)
    assert features.tolist() == [[1], [3e9]]
    assert labels.tolist() == [0.5, 2]


def test_a_header_alone(tmp_path):
    features, labels = CsvTable(write(tmp_path, "x,y\n"), label="y").arrays

    assert (features.shape, labels.shape) == ((0, 1), (0,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n1,2\n3\n", "line 3: 1 values, but 2 in line 1"),
        ("x,y\n1,2\n\n3,4,5\n", "line 4: 3 values, but 2 in line 1"),
        ("x,y\n1,2\n3,\n", "line 3: column 'y' is '', a number is expected"),
        ("x,y\n1,2\n\nthree,4\n", "line 4: column 'x' is 'three', a number is expected"),
        ('x,y\n1,"2"3\n', "line 2: ',' expected after '\"'"),
        ('x,y\n1,"2\n', "line 2: unexpected end of data"),
        (b"x,y\n1,\xff\n", "line 2: not utf-8: invalid start byte"),
        ("", "file.txt: nothing is in it"),
        ("x\n1\n", None),
    ],
)
def test_damaged_tables_are_told_of_with_file_and_line(tmp_path, content, message):
    file = write(tmp_path, content)
    label = None if message else 0

    with pytest.raises(DataError) as raised:
        CsvTable(file, label)

    assert str(raised.value).startswith(str(file))
    assert str(raised.value).endswith(message or "no column is left for the features")


def test_a_label_column_that_is_not_there(tmp_path):
    file = write(tmp_path, "x,y\n1,2\n")

    for label in ("z", 2, -3):
        with pytest.raises(ArgumentError, match=f"has no column {label!r}; its columns are x, y"):
            CsvTable(file, label)
