import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singa.data import batches
from singa.data.batching import permutation
from singa.errors import ArgumentError, ShapeError


def numbered(length):
    """Images and labels that can be told apart, and that show which belong together."""
    labels = np.arange(length, dtype=np.int32)
    return np.broadcast_to(labels[:, None, None], (length, 2, 2)).astype(np.float32), labels


def order(epoch):
    return [label for _, labels in epoch for label in labels.tolist()]


@given(
    length=st.integers(1, 50),
    batch_size=st.integers(1, 60),
    seed=st.none() | st.integers(0, 2**64),
    drop_last=st.booleans(),
)
def test_an_epoch_has_every_image_once(length, batch_size, seed, drop_last):
    images, labels = numbered(length)
    if drop_last and length < batch_size:
        drop_last = False
    data = batches(images, labels, batch_size, seed=seed, drop_last=drop_last)

    epoch = list(data)

    assert len(epoch) == len(data)
    for batch_images, batch_labels in epoch:
        np.testing.assert_array_equal(batch_images[:, 1, 1], batch_labels)
        assert batch_images.shape[1:] == (2, 2)
        assert batch_images.dtype == np.float32
        assert batch_labels.dtype == np.int32
    sizes = [len(batch_labels) for _, batch_labels in epoch]
    rest = length % batch_size
    assert sizes == [batch_size] * (length // batch_size) + [rest] * (rest > 0 and not drop_last)
    seen = order(epoch)
    assert len(seen) == sum(sizes)
    assert len(set(seen)) == len(seen)


def test_no_seed_keeps_the_order():
    images, labels = numbered(10)
    data = batches(images, labels, 4)

    assert order(data) == list(range(10))
    assert order(data) == list(range(10))


def test_every_epoch_has_its_own_order_and_the_same_seed_repeats_all_of_them():
    first = batches(*numbered(100), 32, seed=7)
    again = batches(*numbered(100), 10, seed=7)
    other = batches(*numbered(100), 32, seed=8)

    epochs = [order(first) for _ in range(3)]

    assert [order(again) for _ in range(3)] == epochs
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert order(other) != epochs[0]


def test_setting_the_epoch_resumes_there():
    data = batches(*numbered(100), 32, seed=7)
    epochs = [order(data) for _ in range(3)]
    assert data.epoch == 3

    resumed = batches(*numbered(100), 32, seed=7)
    resumed.epoch = 2

    assert order(resumed) == epochs[2]


def test_epochs_under_way_at_the_same_time_do_not_disturb_each_other():
    data = batches(*numbered(100), 32, seed=7)
    first, second = iter(data), iter(data)
    assert data.epoch == 2

    pairs = list(zip(first, second, strict=True))

    alone = batches(*numbered(100), 32, seed=7)
    assert order(batch for batch, _ in pairs) == order(alone)
    assert order(batch for _, batch in pairs) == order(alone)


def test_the_arrays_stay_as_they_were():
    images, labels = numbered(20)
    order(batches(images, labels, 8, seed=0))

    assert labels.tolist() == list(range(20))
    assert images[:, 0, 0].tolist() == list(range(20))


def test_orders_are_the_same_on_every_machine_and_release():
    # Published accuracies depend on these, so they never change.
    assert permutation(10, 0).tolist() == [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]
    assert permutation(10, 7, 3).tolist() == [2, 4, 7, 3, 5, 1, 8, 9, 0, 6]


def test_no_images_make_no_batches():
    data = batches(*numbered(0), 4, seed=0)

    assert len(data) == 0
    assert list(data) == []


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"labels": np.zeros(3)}, ShapeError, "batches: 10 images, but 3 labels"),
        ({"batch_size": 0}, ArgumentError, "batches: batch_size is 0, at least 1 is expected"),
        ({"seed": -1}, ArgumentError, "batches: seed is -1, at least 0 is expected"),
        (
            {"batch_size": 11, "drop_last": True},
            ArgumentError,
            "batches: 10 images do not fill one batch of 11, and drop_last leaves out what is "
            "smaller",
        ),
        ({"batch_size": 2.5}, TypeError, "'float' object cannot be interpreted as an integer"),
        ({"seed": 0.5}, TypeError, "'float' object cannot be interpreted as an integer"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, error, message):
    images, labels = numbered(10)

    with pytest.raises(error) as raised:
        batches(**{"images": images, "labels": labels, "batch_size": 4} | arguments)

    assert str(raised.value) == message
