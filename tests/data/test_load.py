import numpy as np
import pytest

import singa.data
from singa.errors import ArgumentError, DataError


def test_digits_by_name():
    digits = singa.data.load("digits")

    np.testing.assert_array_equal(digits.train_images, singa.data.load_digits().train_images)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_others_are_looked_for_in_the_folder(tmp_path, name):
    with pytest.raises(DataError) as raised:
        singa.data.load(name, tmp_path)

    assert str(raised.value).startswith(
        f"the files of {name} were not found: looked in {tmp_path / name} "
    )


def test_unknown_names_are_answered_with_the_known():
    with pytest.raises(ArgumentError) as raised:
        singa.data.load("cifar")

    assert str(raised.value) == (
        "unknown data set 'cifar'; one of digits, mnist, fashion-mnist, cifar-10, "
        "cifar-100 is expected"
    )


def test_digits_take_no_folder(tmp_path):
    with pytest.raises(ArgumentError, match="come with the package and are not read from"):
        singa.data.load("digits", data_dir=tmp_path)


def test_the_folder_of_a_data_set_is_told_without_loading_it(tmp_path):
    assert (singa.data.folder("digits") / "labels-idx1-ubyte.gz").is_file()
    with pytest.raises(DataError, match="the files of mnist were not found"):
        singa.data.folder("mnist", tmp_path)
