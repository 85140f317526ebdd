import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa.data import load_digits
from singa.errors import ArgumentError

CLASS_SIZES = np.array([178, 182, 177, 183, 181, 182, 181, 179, 174, 180])


def rows(images):
    """The images as a set; the data has no two equal ones."""
    return {image.tobytes() for image in images}


def test_shapes_types_and_range():
    digits = load_digits()

    assert digits.train_images.shape == (1438, 1, 8, 8)
    assert digits.test_images.shape == (359, 1, 8, 8)
    assert digits.train_labels.shape == (1438,)
    assert digits.test_labels.shape == (359,)
    for images in (digits.train_images, digits.test_images):
        assert images.dtype == np.float32
        assert images.min() == 0
        assert images.max() == 1
        assert set(np.unique(images * 16)) == set(range(17))
    assert digits.train_labels.dtype == digits.test_labels.dtype == np.int32
    assert digits.class_names == tuple("0123456789")
    assert repr(digits) == "Dataset(train=1438, test=359, image_shape=(1, 8, 8), classes=10)"


def test_images_belong_to_their_labels():
    digits = load_digits()
    means = np.stack([digits.train_images[digits.train_labels == d].mean(0) for d in range(10)])

    # The nearest class mean is right for 9 in 10 test images; by chance it is for 1 in 10.
    distances = ((digits.test_images[:, None] - means) ** 2).sum((2, 3, 4))
    assert (distances.argmin(1) == digits.test_labels).mean() > 0.85


@given(test_fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**32))
@settings(max_examples=25)
def test_the_split_is_balanced_and_loses_nothing(test_fraction, seed):
    digits = load_digits(test_fraction, seed)

    test_sizes = np.bincount(digits.test_labels, minlength=10)
    train_sizes = np.bincount(digits.train_labels, minlength=10)
    np.testing.assert_array_equal(test_sizes + train_sizes, CLASS_SIZES)
    assert np.abs(test_sizes - CLASS_SIZES * test_fraction).max() <= 0.5
    assert rows(digits.train_images).isdisjoint(rows(digits.test_images))
    assert len(rows(digits.train_images) | rows(digits.test_images)) == 1797


def test_the_same_seed_gives_the_same_split_and_another_gives_another():
    first, again, other = load_digits(), load_digits(seed=0), load_digits(seed=1)

    np.testing.assert_array_equal(first.train_images, again.train_images)
    np.testing.assert_array_equal(first.test_labels, again.test_labels)
    assert rows(first.test_images) != rows(other.test_images)


def test_both_parts_are_shuffled_from_end_to_end():
    ends = []
    for seed in range(40):
        digits = load_digits(seed=seed)
        for labels in (digits.train_labels, digits.test_labels):
            ends += [labels[:10], labels[-10:]]

    # Ten labels drawn at random have 10 * (1 - 0.9**10) = 6.5 different values on average.
    assert np.mean([len(np.unique(labels)) for labels in ends]) == pytest.approx(6.5, abs=0.3)


def test_the_split_never_changes():
    # Published accuracies depend on it.
    digits = load_digits()

    assert digits.train_labels[:10].tolist() == [3, 7, 3, 5, 3, 0, 0, 1, 6, 4]
    assert digits.test_labels[:10].tolist() == [5, 5, 9, 4, 8, 5, 4, 4, 4, 3]


@pytest.mark.parametrize("test_fraction", [0, 1, -0.5, 1.5, float("nan")])
def test_a_fraction_outside_of_0_to_1_is_refused(test_fraction):
    with pytest.raises(ArgumentError) as raised:
        load_digits(test_fraction)

    assert str(raised.value) == (
        f"load_digits: test_fraction is {test_fraction}, a number between 0 and 1 is expected"
    )


def test_a_negative_seed_is_refused():
    with pytest.raises(ArgumentError, match=r"load_digits: seed is -1, at least 0 is expected"):
        load_digits(seed=-1)
