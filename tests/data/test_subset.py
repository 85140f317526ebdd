"""Parts of datasets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from singa import data
from singa.errors import ArgumentError, BoundsError, DTypeError


class Squares:
    """A dataset without ``take``."""

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return np.float32(index), np.float32(index**2)


ARRAYS = data.ArrayDataset(np.arange(10), np.arange(10) ** 2)


@pytest.mark.parametrize("dataset", [ARRAYS, Squares()])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_subset_is_a_dataset(dataset, workers):
    subset = data.Subset(dataset, [7, 3, 5])
    assert len(subset) == 3
    assert [int(square) for _, square in (subset[i] for i in range(3))] == [49, 9, 25]
    loader = data.DataLoader(subset, 2, shuffle=False, workers=workers)
    assert [batch[1].tolist() for batch in loader] == [[49, 9], [25]]
    nested = data.Subset(subset, np.array([2, 0]))
    assert [int(nested[i][0]) for i in range(2)] == [5, 7]


def test_wrong_indices_are_refused():
    with pytest.raises(BoundsError, match="from 3 to 10, for a dataset of 10"):
        data.Subset(ARRAYS, [3, 10])
    with pytest.raises(BoundsError, match="from -1 to"):
        data.Subset(ARRAYS, [-1])
    with pytest.raises(DTypeError, match="integers of shape"):
        data.Subset(ARRAYS, [0.5])
    with pytest.raises(DTypeError, match="integers of shape"):
        data.Subset(ARRAYS, np.ones(10, bool))
    assert len(data.Subset(ARRAYS, [])) == 0


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(0, 9))
def test_parts_have_all_samples_and_none_twice(counts, seed):
    dataset = data.ArrayDataset(np.arange(sum(counts) or 1))
    counts = counts if sum(counts) else [1]
    parts = data.random_split(dataset, counts, seed)
    assert [len(part) for part in parts] == counts
    assert sorted(int(x) for part in parts for (x,) in part) == list(range(sum(counts)))
    again = data.random_split(dataset, counts, seed)
    assert [p.indices.tolist() for p in parts] == [p.indices.tolist() for p in again]


@given(st.integers(1, 50), st.integers(1, 5))
def test_shares_are_rounded_so_that_all_samples_are_somewhere(size, count):
    dataset = data.ArrayDataset(np.arange(size))
    parts = data.random_split(dataset, [1 / count] * count)
    assert sum(map(len, parts)) == size
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("sizes", [[5, 4], [0.5, 0.6], [-1, 11], [], [11]])
def test_sizes_that_do_not_add_up_are_refused(sizes):
    with pytest.raises(ArgumentError, match="random_split"):
        data.random_split(ARRAYS, sizes)
