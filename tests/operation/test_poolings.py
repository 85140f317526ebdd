"""Options of pooling, with the native kernels and without them, against windows one by one."""

import numpy as np
import pytest

from singa import autograd, layer
from singa.engine import native
from singa.errors import ShapeError
from singa.tape.kernel import table
from singa.tensor import Tensor

RNG = np.random.default_rng(0)


def windows(x, size, stride, pad, dilation, ceil_mode):
    """Each window's rows and columns that are in the image; and its start."""
    axes = []
    for length, k, s, p, d in zip(x.shape[2:], size, stride, pad, dilation, strict=True):
        room = length + 2 * p - d * (k - 1) - 1
        count = (-(-room // s) if ceil_mode else room // s) + 1
        count -= (count - 1) * s >= length + p  # it would begin behind the image
        starts = [i * s - p for i in range(count)]
        axes.append([(a, [i for i in range(a, a + d * k, d) if 0 <= i < length]) for a in starts])
    return axes


CASES = [
    ((5, 7), 2, 2, 0, 1, True),
    ((6, 5), (3, 2), (2, 3), 1, 1, True),
    ((4, 4), 2, 3, 1, 1, True),  # no window begins in the padding behind the image
    ((7, 6), (2, 3), 2, 1, (3, 2), False),
    ((7, 6), 2, (3, 1), 0, 2, True),
]


@pytest.mark.parametrize("is_native", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_windows_one_by_one(case, is_native, monkeypatch):
    if not is_native:
        monkeypatch.setattr(native, "available", False)
        monkeypatch.setattr(table, "kernels", {})  # what was compiled with them is not used
    shape, *sizes, ceil_mode = case
    k, s, p, d = ((each, each) if isinstance(each, int) else each for each in sizes)
    a = RNG.permutation(2 * 2 * np.prod(shape)).reshape(2, 2, *shape).astype(np.float32)
    x = Tensor(data=a)
    rows, columns = windows(a, k, s, p, d, ceil_mode)
    y, index = autograd.max_pool_2d(x, k, s, p, d, ceil_mode, True)
    assert str(index.dtype) == "int32"
    expected = np.stack(
        [np.stack([a[:, :, r][..., c].max((2, 3)) for _, c in columns], -1) for _, r in rows], 2
    )
    np.testing.assert_array_equal(y, expected)
    flat = np.take_along_axis(a.reshape(2, 2, -1), index.to_numpy().reshape(2, 2, -1), 2)
    np.testing.assert_array_equal(flat, expected.reshape(2, 2, -1))
    if max(d) == 1:
        for include_pad in (False, True):
            y = autograd.avg_pool_2d(x, k, s, p, ceil_mode, include_pad)
            ends = [size + pad for size, pad in zip(shape, p, strict=True)]
            counts = [
                [min(start + n, end) - start if include_pad else len(seen) for start, seen in axis]
                for axis, n, end in zip((rows, columns), k, ends, strict=True)
            ]
            sums = [[a[:, :, r][..., c].sum((2, 3)) for _, c in columns] for _, r in rows]
            means = np.array(sums).transpose(2, 3, 0, 1) / np.multiply.outer(*counts)
            np.testing.assert_allclose(y, means, rtol=1e-5)


def test_unpooling_is_the_opposite_of_pooling(monkeypatch):
    monkeypatch.setattr(autograd, "training", True)
    a = RNG.permutation(2 * 24).reshape(2, 1, 4, 6).astype(np.float32)
    pooled, index = layer.MaxPool2d(2, return_indices=True)(Tensor(data=a, stores_grad=True))
    back = autograd.max_unpool(pooled, index, 2)
    is_largest = a == np.repeat(np.repeat(pooled.to_numpy(), 2, 2), 2, 3)
    np.testing.assert_array_equal(back, np.where(is_largest, a, 0))
    again, places = layer.MaxPool1d(2, return_indices=True)(Tensor(data=a[:, 0]))
    assert again.shape == places.shape == (2, 4, 3)
    outside = autograd.max_unpool(pooled, Tensor(data=np.full(index.shape, 24, np.int32)), 2)
    assert np.isnan(outside.to_numpy()).all()


def test_windows_of_nothing_but_padding_are_refused():
    with pytest.raises(ShapeError, match="windows with nothing in them"):
        autograd.max_pool_1d(Tensor((1, 1, 2)), 2, 1, 1, dilation=3)


def test_unpooling_copies_the_bits_of_numbers():
    x, index = np.array([[[[-0.0]]]], np.float32), np.array([[[[1]]]], np.int32)
    y = autograd.max_unpool(Tensor(data=x), Tensor(data=index), 2).to_numpy()
    assert np.signbit(y).ravel().tolist() == [False, True, False, False]
