"""DataLoader: which samples are in which batch, and how batches are made; see test_workers too."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singa import device
from singa.data import ArrayDataset, DataLoader, collate, loader, random_split
from singa.data.batching import permutation
from singa.errors import ArgumentError, ShapeError
from singa.tensor import Tensor


def numbered(length):
    """Images and labels that can be told apart, and that show which belong together."""
    labels = np.arange(length, dtype=np.int32)
    images = np.broadcast_to(labels[:, None, None], (length, 2, 2)).astype(np.float32)
    return ArrayDataset(images, labels)


class OneByOne:
    """The same samples, but for whole batches."""

    def __init__(self, length):
        self.samples = numbered(length)

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        assert type(index) is int
        return self.samples[index]


def order(epoch):
    return [label for _, labels in epoch for label in labels.tolist()]


@given(
    length=st.integers(1, 50),
    batch_size=st.integers(1, 60),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**64),
    drop_last=st.booleans(),
    dataset=st.sampled_from([numbered, OneByOne]),
)
def test_an_epoch_has_every_sample_once(length, batch_size, shuffle, seed, drop_last, dataset):
    if drop_last and length < batch_size:
        drop_last = False
    loader = DataLoader(dataset(length), batch_size, shuffle, seed, drop_last)

    epoch = list(loader)

    assert len(epoch) == len(loader)
    for images, labels in epoch:
        np.testing.assert_array_equal(images[:, 1, 1], labels)
        assert images.shape[1:] == (2, 2)
        assert images.dtype == np.float32
        assert labels.dtype == np.int32
    sizes = [len(labels) for _, labels in epoch]
    rest = length % batch_size
    assert sizes == [batch_size] * (length // batch_size) + [rest] * (rest > 0 and not drop_last)
    seen = order(epoch)
    assert len(seen) == sum(sizes)
    assert len(set(seen)) == len(seen)


@given(
    ranks=st.integers(2, 5),
    length=st.integers(5, 40),
    batch_size=st.integers(5, 20),
    shuffle=st.booleans(),
    drop_last=st.booleans(),
    epoch=st.integers(0, 3),
)
def test_ranks_share_the_batches_of_a_single_process(
    ranks, length, batch_size, shuffle, drop_last, epoch
):
    drop_last &= length >= batch_size
    options = (batch_size, shuffle, 7, drop_last)
    dataset = random_split(numbered(length + 3), [length, 3])[0]
    alone = [labels.tolist() for _, labels in DataLoader(dataset, *options).batches_of(epoch)]
    parts = []
    for rank in range(ranks):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loader, "rank", lambda rank=rank: rank)
            patch.setattr(loader, "world_size", lambda: ranks)
            own = DataLoader(dataset, *options, shard=True)
            parts.append([labels.tolist() for _, labels in own.batches_of(epoch)])
            assert len(parts[-1]) == len(own)
            assert len(own.example()[1]) == len(parts[-1][0])
            assert own.sizes()[0] == len(own.example(whole=True)[1])
            later = [labels.tolist() for _, labels in own.batches_of(epoch, 1)]
            assert later == parts[-1][1:]
    together = [[*chain(*batch)] for batch in zip(*parts, strict=True)]
    if len(alone) > 1 and len(alone[-1]) < ranks:  # it does not suffice for all ranks
        alone[-2:] = [alone[-2] + alone[-1]]
    assert together == alone
    for batch in zip(*parts, strict=True):
        sizes = [*map(len, batch)]
        assert min(sizes) >= max(max(sizes) - 1, 1)


def test_ranks_compare_how_they_share_the_samples(monkeypatch):
    heard = []
    monkeypatch.setattr(loader, "exchanges", [heard.append])
    for seed in (0, 1):
        own = DataLoader(numbered(4), 2, True, seed, shard=True)
        list(own), list(own)
    list(DataLoader(numbered(4), 2))
    assert heard[0] == "epoch 0 of 4 samples with (2, True, 0, False)"
    assert len(heard) == len(set(heard)) == 4


def test_fewer_samples_than_ranks_are_refused(monkeypatch):
    monkeypatch.setattr(loader, "world_size", lambda: 5)
    message = "4 samples in batches of 3 cannot be shared by 5 ranks: each needs one or more"
    with pytest.raises(ArgumentError, match=message):
        list(DataLoader(numbered(4), 3, shard=True))


def test_without_shuffling_the_order_stays():
    loader = DataLoader(numbered(10), 4)

    assert order(loader) == list(range(10))
    assert order(loader) == list(range(10))


def test_every_epoch_has_its_own_order_and_the_same_seed_repeats_all_of_them():
    first = DataLoader(numbered(100), 32, shuffle=True, seed=7)
    again = DataLoader(OneByOne(100), 10, shuffle=True, seed=7)
    other = DataLoader(numbered(100), 32, shuffle=True, seed=8)

    epochs = [order(first) for _ in range(3)]

    assert [order(again) for _ in range(3)] == epochs
    assert len({tuple(epoch) for epoch in epochs}) == 3
    assert order(other) != epochs[0]


def test_an_epoch_can_be_resumed_at_any_batch():
    loader = DataLoader(numbered(100), 32, shuffle=True, seed=7)
    epochs = [list(loader) for _ in range(3)]
    assert loader.epoch == 3

    resumed = DataLoader(numbered(100), 32, shuffle=True, seed=7)
    rest = list(resumed.batches_of(1, start=3))
    resumed.epoch = 2

    assert order(rest) == order(epochs[1][3:])
    assert order(resumed) == order(epochs[2])
    assert resumed.epoch == 3


def test_epochs_under_way_at_the_same_time_do_not_disturb_each_other():
    loader = DataLoader(numbered(100), 32, shuffle=True, seed=7)
    first, second = iter(loader), iter(loader)
    assert loader.epoch == 2

    pairs = list(zip(first, second, strict=True))

    alone = DataLoader(numbered(100), 32, shuffle=True, seed=7)
    assert order(batch for batch, _ in pairs) == order(alone)
    assert order(batch for _, batch in pairs) == order(alone)


def test_the_arrays_stay_as_they_were():
    dataset = numbered(20)
    order(DataLoader(dataset, 8, shuffle=True))

    images, labels = dataset.arrays
    assert labels.tolist() == list(range(20))
    assert images[:, 0, 0].tolist() == list(range(20))


def test_orders_are_the_same_on_every_machine_and_release():
    # Published accuracies depend on these, so they never change.
    assert permutation(10, 0).tolist() == [3, 2, 1, 8, 6, 0, 7, 4, 5, 9]
    assert permutation(10, 7, 3).tolist() == [2, 4, 7, 3, 5, 1, 8, 9, 0, 6]


def test_no_samples_make_no_batches():
    loader = DataLoader(numbered(0), 4, shuffle=True)

    assert len(loader) == 0
    assert list(loader) == []


def test_a_transform_draws_the_same_for_a_sample_in_an_epoch():
    def noisy(image, label, random):
        return image + random.random(), label

    def noise(loader):
        return {
            int(label): float(image[0, 0]) - int(label)
            for images, labels in loader
            for image, label in zip(images, labels, strict=True)
        }

    loader = DataLoader(numbered(20), 8, shuffle=True, seed=1, transform=noisy)
    first, second = noise(loader), noise(loader)
    others = noise(DataLoader(numbered(20), 3, seed=1, transform=noisy))

    assert len({round(value, 5) for value in first.values()}) == 20
    assert first != second
    assert others == first


def test_batches_come_as_tensors_on_the_device():
    cpu = device.get_default_device()
    plain = DataLoader(numbered(10), 4, shuffle=True)
    for prefetch in (1, 5):
        loader = DataLoader(numbered(10), 4, shuffle=True, device=cpu, prefetch=prefetch)

        batches = list(loader)

        assert len(batches) == 3
        for (images, labels), expected in zip(batches, plain.batches_of(0), strict=True):
            assert isinstance(images, Tensor)
            assert images.device is cpu
            assert not images.requires_grad
            np.testing.assert_array_equal(images.to_numpy(), expected[0])
            np.testing.assert_array_equal(labels.to_numpy(), expected[1])
            assert labels.to_numpy().dtype == np.int32


def test_batches_are_made_ahead_for_the_device():
    made = []

    def note(image, label, random):
        made.append(int(label))
        return image, label

    cpu = device.get_default_device()
    batches = iter(DataLoader(numbered(10), 1, transform=note, device=cpu, prefetch=3))
    assert made == []
    next(batches)
    assert made == [0, 1, 2, 3]
    next(batches)
    assert made == [0, 1, 2, 3, 4]


def test_strings_and_fields_by_name():
    class Named:
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return {"text": "abc"[i], "x": float(i), "y": i, "z": np.float16(i), "b": i > 1}

    cpu = device.get_default_device()
    (batch,) = DataLoader(Named(), 3)
    (tensors,) = DataLoader(Named(), 3, device=cpu)

    assert batch["text"] == tensors["text"] == ["a", "b", "c"]
    for name, dtype in {"x": "float32", "y": "int32", "z": "float16", "b": "bool"}.items():
        assert batch[name].dtype == tensors[name].dtype == dtype
        np.testing.assert_array_equal(batch[name], [0, 1, 2] if name != "b" else [0, 0, 1])


def test_a_collate_of_ones_own():
    loader = DataLoader(OneByOne(5), 2, collate=lambda samples: [label for _, label in samples])

    assert list(loader) == [[0, 1], [2, 3], [4]]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (
            [np.zeros(2), np.zeros(3)],
            "collate: sample 1 of a batch is of shape (3,), sample 0 of (2,); "
            "DataLoader(..., collate=) takes a function for such samples",
        ),
        ([(1, 2), (1,)], "collate: the samples do not have the same number of fields"),
    ],
)
def test_samples_that_do_not_fit_are_refused(samples, message):
    with pytest.raises(ShapeError) as raised:
        collate(samples)

    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ArgumentError, "DataLoader: batch_size is 0, at least 1 is expected"),
        ({"seed": -1}, ArgumentError, "DataLoader: seed is -1, at least 0 is expected"),
        ({"workers": -1}, ArgumentError, "DataLoader: workers is -1, at least 0 is expected"),
        ({"prefetch": 0}, ArgumentError, "DataLoader: prefetch is 0, at least 1 is expected"),
        (
            {"batch_size": 11, "drop_last": True},
            ArgumentError,
            "DataLoader: 10 samples do not fill one batch of 11, and drop_last leaves out what is "
            "smaller",
        ),
        ({"batch_size": 2.5}, TypeError, "'float' object cannot be interpreted as an integer"),
        ({"seed": 0.5}, TypeError, "'float' object cannot be interpreted as an integer"),
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments, error, message):
    with pytest.raises(error) as raised:
        DataLoader(**{"dataset": numbered(10), "batch_size": 4} | arguments)

    assert str(raised.value) == message


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match=r"same number of rows are expected, got shapes \(3,\) a"):
        ArrayDataset(np.zeros(3), np.zeros((2, 3)))
    with pytest.raises(ShapeError, match=r"got shapes \(\)"):
        ArrayDataset(np.zeros(()))
    with pytest.raises(ArgumentError, match="at least one array"):
        ArrayDataset()
    with pytest.raises(IndexError):
        ArrayDataset(np.zeros(3))[3]
