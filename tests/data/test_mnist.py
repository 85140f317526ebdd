import gzip
import struct

import numpy as np
import pytest

from singa.data import load_fashion_mnist, load_mnist, mnist
from singa.errors import DataError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
LISTED = ", ".join(FILES)


@pytest.fixture(autouse=True)
def no_other_folders(monkeypatch, tmp_path):
    """Neither this machine's variable nor its Debian package take part in a test."""
    monkeypatch.delenv("SINGA_DATA_DIR", raising=False)
    monkeypatch.setitem(mnist._SYSTEM_FOLDERS, "fashion-mnist", tmp_path / "system")


def write(folder, *, train=30, test=20, first_labels=(), compress=False, **replaced):
    """Writes four files of random images, and returns the arrays in the order of FILES."""
    generator = np.random.default_rng(0)
    arrays = {}
    for part, length in (("train", train), ("t10k", test)):
        images = generator.integers(0, 256, (length, 28, 28), np.uint8)
        labels = generator.integers(0, 10, length, np.uint8)
        arrays[f"{part}-images-idx3-ubyte"] = images
        arrays[f"{part}-labels-idx1-ubyte"] = labels
    arrays[FILES[1]][: len(first_labels)] = first_labels
    folder.mkdir(parents=True, exist_ok=True)
    for file, array in (arrays | replaced).items():
        code = {"uint8": 8, "int8": 9}[array.dtype.name]
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
        content = header + array.tobytes()
        if compress:
            (folder / f"{file}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / file).write_bytes(content)
    return [arrays[file] for file in FILES]


@pytest.mark.parametrize("compress", [False, True])
def test_shapes_types_and_values(tmp_path, compress):
    train_images, train_labels, test_images, test_labels = write(tmp_path, compress=compress)

    data = load_mnist(tmp_path)

    assert data.train_images.shape == (30, 1, 28, 28)
    assert data.train_images.dtype == data.test_images.dtype == np.float32
    assert data.train_labels.dtype == data.test_labels.dtype == np.int32
    assert data.train_images.min() == 0
    assert data.train_images.max() == 1
    np.testing.assert_array_equal(np.round(data.train_images[:, 0] * 255), train_images)
    np.testing.assert_array_equal(np.round(data.test_images[:, 0] * 255), test_images)
    np.testing.assert_array_equal(data.train_labels, train_labels)
    np.testing.assert_array_equal(data.test_labels, test_labels)
    assert data.class_names == tuple("0123456789")
    assert repr(data) == "Dataset(train=30, test=20, image_shape=(1, 28, 28), classes=10)"


def test_fashion_mnist_has_its_own_class_names(tmp_path):
    write(tmp_path)

    names = load_fashion_mnist(str(tmp_path)).class_names

    assert len(names) == 10
    assert names[0] == "T-shirt/top"
    assert names[9] == "Ankle boot"


def test_the_argument_comes_before_the_environment_before_the_system(tmp_path, monkeypatch):
    write(tmp_path / "argument", train=1)
    write(tmp_path / "environment", train=2)
    write(tmp_path / "system", train=3)
    assert len(load_fashion_mnist().train_images) == 3

    monkeypatch.setenv("SINGA_DATA_DIR", str(tmp_path / "environment"))
    assert len(load_fashion_mnist().train_images) == 2
    assert len(load_fashion_mnist(tmp_path / "argument").train_images) == 1

    monkeypatch.setenv("SINGA_DATA_DIR", str(tmp_path / "empty"))
    assert len(load_fashion_mnist().train_images) == 3


@pytest.mark.parametrize("as_argument", [False, True])
def test_the_subfolder_of_the_data_set_comes_first(tmp_path, monkeypatch, as_argument):
    monkeypatch.setenv("SINGA_DATA_DIR", str(tmp_path))
    data_dir = tmp_path if as_argument else None
    write(tmp_path, train=1)
    assert len(load_mnist(data_dir).train_images) == 1
    assert len(load_fashion_mnist(data_dir).train_images) == 1

    write(tmp_path / "mnist", train=2)
    write(tmp_path / "fashion-mnist", train=3)
    assert len(load_mnist(data_dir).train_images) == 2
    assert len(load_fashion_mnist(data_dir).train_images) == 3


def test_an_incomplete_folder_is_passed_over(tmp_path):
    write(tmp_path, train=1)
    write(tmp_path / "mnist", train=2)
    (tmp_path / "mnist" / FILES[2]).unlink()

    assert len(load_mnist(tmp_path).train_images) == 1


def test_an_argument_is_never_replaced_by_another_folder(tmp_path, monkeypatch):
    write(tmp_path / "environment")
    write(tmp_path / "system")
    monkeypatch.setenv("SINGA_DATA_DIR", str(tmp_path / "environment"))

    with pytest.raises(DataError, match="were not found"):
        load_fashion_mnist(tmp_path / "argument")


def test_nothing_found_says_where_it_looked_and_how_to_get_the_files(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    write(folder)
    (folder / FILES[0]).unlink()
    (folder / FILES[3]).unlink()
    (folder / "fashion-mnist").mkdir()
    monkeypatch.setenv("SINGA_DATA_DIR", str(folder))

    with pytest.raises(DataError) as raised:
        load_fashion_mnist()

    assert str(raised.value) == (
        "the files of fashion-mnist were not found: looked in "
        f"{folder / 'fashion-mnist'} (none of the files); "
        f"{folder} (without {FILES[0]}, {FILES[3]}); "
        f"{tmp_path / 'system'} (no such folder). "
        f"Install Debian's package dataset-fashion-mnist, or get the files {LISTED} (each may end "
        "in .gz) and name their folder as data_dir or in the environment variable SINGA_DATA_DIR."
    )


def test_nowhere_to_look_says_so():
    with pytest.raises(DataError) as raised:
        load_mnist()

    assert str(raised.value) == (
        f"the files of mnist were not found: no folder was named. Get the files {LISTED} (each may "
        "end in .gz) and name their folder as data_dir or in the environment variable "
        "SINGA_DATA_DIR."
    )


@pytest.mark.parametrize(
    ("load", "name", "other", "first_labels"),
    [
        (load_mnist, "mnist", "fashion-mnist", [9, 0, 0, 3, 0, 2, 7, 2, 5, 5]),
        (load_fashion_mnist, "fashion-mnist", "mnist", [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]),
    ],
)
def test_one_is_not_taken_for_the_other(tmp_path, load, name, other, first_labels):
    write(tmp_path, first_labels=first_labels)

    with pytest.raises(DataError) as raised:
        load(tmp_path)

    assert str(raised.value) == f"{tmp_path}: the files are those of {other}, not of {name}"


def zeros(*shape, dtype=np.uint8):
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("file", "array", "message"),
    [
        (
            FILES[0],
            zeros(30, 32, 32),
            "uint8 of shape (N, 28, 28) is expected, found uint8 of shape (30, 32, 32)",
        ),
        (
            FILES[2],
            zeros(20, 784),
            "uint8 of shape (N, 28, 28) is expected, found uint8 of shape (20, 784)",
        ),
        (
            FILES[2],
            zeros(20, 28, 28, dtype=np.int8),
            "uint8 of shape (N, 28, 28) is expected, found int8 of shape (20, 28, 28)",
        ),
        (
            FILES[1],
            zeros(20),
            "uint8 of shape (30,), a label per image, is expected, found uint8 of shape (20,)",
        ),
        (
            FILES[3],
            zeros(20, dtype=np.int8),
            "uint8 of shape (20,), a label per image, is expected, found int8 of shape (20,)",
        ),
        (FILES[3], zeros(20) + np.uint8(10), "labels from 0 to 9 are expected, found 10"),
    ],
)
def test_files_that_do_not_fit_say_which_and_how(tmp_path, file, array, message):
    write(tmp_path, **{file: array})

    with pytest.raises(DataError) as raised:
        load_mnist(tmp_path)

    assert str(raised.value) == f"{tmp_path / file}: {message}"


def test_a_damaged_file_is_named(tmp_path):
    write(tmp_path)
    (tmp_path / FILES[1]).write_bytes(b"\x00\x00\x08\x01\x00\x00\x00\x1e")

    with pytest.raises(DataError, match=f"{FILES[1]}: truncated"):
        load_mnist(tmp_path)


def test_the_real_fashion_mnist(monkeypatch):
    monkeypatch.undo()
    try:
        data = load_fashion_mnist()
    except DataError as error:
        pytest.skip(str(error))

    assert data.train_images.shape == (60_000, 1, 28, 28)
    assert data.test_images.shape == (10_000, 1, 28, 28)
    assert np.bincount(data.train_labels).tolist() == [6_000] * 10
    assert np.bincount(data.test_labels).tolist() == [1_000] * 10
    assert data.train_images.max() == 1
    # The mean pixel that is given for Fashion-MNIST wherever it is normalized.
    assert data.train_images.mean() == pytest.approx(0.2860, abs=1e-4)
