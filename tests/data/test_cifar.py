import gzip

import numpy as np
import pytest

import singa.data
from singa.data import load_cifar10, load_cifar100
from singa.errors import DataError

TEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@pytest.fixture(autouse=True)
def no_other_folders(monkeypatch):
    monkeypatch.delenv("SINGA_DATA_DIR", raising=False)


def records(labels, seed):
    """Records as the format has them, and the pixels in them."""
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3, 32, 32), np.uint8)
    content = b"".join(
        bytes(label) + image.tobytes() for label, image in zip(labels, pixels, strict=True)
    )
    return content, pixels


def write_ten(folder):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = []
    for i in range(1, 6):
        content, some = records([[i], [2 * i - 1]], i)
        (folder / f"data_batch_{i}.bin").write_bytes(content)
        pixels.append(some)
    content, test = records([[9], [0], [3]], 6)
    (folder / "test_batch.bin").write_bytes(content)
    (folder / "batches.meta.txt").write_text("\n".join(TEN) + "\n\n")
    return np.concatenate(pixels), test


@pytest.mark.parametrize("subfolder", ["", "cifar-10", "cifar-10-batches-bin"])
def test_cifar_10(tmp_path, subfolder):
    train, test = write_ten(tmp_path / subfolder)

    data = load_cifar10(tmp_path)

    assert data.train_images.shape == (10, 3, 32, 32)
    assert data.train_images.dtype == np.float32
    assert data.train_labels.dtype == data.test_labels.dtype == np.int32
    np.testing.assert_array_equal(np.round(data.train_images * 255), train)
    np.testing.assert_array_equal(np.round(data.test_images * 255), test)
    assert data.train_images.max() == 1
    assert data.train_labels.tolist() == [1, 1, 2, 3, 3, 5, 4, 7, 5, 9]
    assert data.test_labels.tolist() == [9, 0, 3]
    assert data.class_names == TEN
    assert singa.data.folder("cifar-10", tmp_path) == tmp_path / subfolder


def test_cifar_100_has_the_fine_classes(tmp_path, monkeypatch):
    folder = tmp_path / "cifar-100-binary"
    folder.mkdir()
    train, pixels = records([[19, 98], [3, 0]], 0)
    test, _ = records([[1, 42]], 1)
    (folder / "train.bin.gz").write_bytes(gzip.compress(train))
    (folder / "test.bin").write_bytes(test)
    (folder / "fine_label_names.txt").write_text("".join(f"class {i}\n" for i in range(100)))
    monkeypatch.setenv("SINGA_DATA_DIR", str(tmp_path))

    data = load_cifar100()

    assert data.train_labels.tolist() == [98, 0]
    assert data.test_labels.tolist() == [42]
    np.testing.assert_array_equal(np.round(data.train_images * 255), pixels)
    assert data.class_names[98] == "class 98"
    assert len(singa.data.load("cifar-100").class_names) == 100


def test_a_truncated_file(tmp_path):
    write_ten(tmp_path)
    file = tmp_path / "data_batch_3.bin"
    file.write_bytes(file.read_bytes()[:-10])

    with pytest.raises(DataError) as raised:
        load_cifar10(tmp_path)

    assert str(raised.value) == (
        f"{file}: truncated, records of 3073 bytes are expected, but after 1 of them 3063 bytes "
        "are left"
    )


def test_a_label_that_does_not_exist(tmp_path):
    write_ten(tmp_path)
    file = tmp_path / "test_batch.bin"
    file.write_bytes(records([[4], [10]], 0)[0])

    with pytest.raises(DataError) as raised:
        load_cifar10(tmp_path)

    assert str(raised.value) == f"{file}: labels from 0 to 9 are expected, found 10 in record 1"


def test_the_python_version_is_not_read(tmp_path):
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02}q\x01")

    with pytest.raises(DataError) as raised:
        load_cifar10(tmp_path)

    assert "none of the files). The binary version is read, cifar-10-binary.tar.gz" in str(
        raised.value
    )
    assert "not the python version, which is pickles. Get the files data_batch_1.bin" in str(
        raised.value
    )
