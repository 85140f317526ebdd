"""The functions of singa.tensor, by SINGA's names."""

import math

import numpy as np
import pytest

from singa import autograd, tensor
from singa.errors import ArgumentError, BoundsError, ShapeError
from singa.tensor import Tensor

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)
B = np.array([[2.0, 0.5, 1.0], [1.0, 4.0, 2.0]], np.float32)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("add", np.add), ("sub", np.subtract), ("eltwise_mult", np.multiply), ("div", np.divide),
        ("pow", np.power), ("lt", np.less), ("le", np.less_equal), ("gt", np.greater),
        ("ge", np.greater_equal), ("eq", np.equal),
    ],
)  # fmt: skip
def test_functions_of_two(name, formula):
    function = getattr(tensor, name)
    np.testing.assert_allclose(function(Tensor(data=A), Tensor(data=B)), formula(A, B), rtol=1e-6)
    np.testing.assert_allclose(function(Tensor(data=A), 2.0), formula(A, 2), rtol=1e-6)
    np.testing.assert_allclose(function(2.0, Tensor(data=A)), formula(2, A), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("abs", np.abs), ("exp", np.exp), ("ceil", np.ceil), ("log", np.log), ("sign", np.sign),
        ("sqrt", np.sqrt), ("square", np.square), ("tanh", np.tanh), ("sum", np.sum),
        ("average", np.mean), ("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
        ("softmax", lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
        ("sum_columns", lambda x: x.sum(1)), ("sum_rows", lambda x: x.sum(0)),
        ("contiguous", lambda x: x), ("transpose", np.transpose),
    ],
)  # fmt: skip
def test_functions_of_one(name, formula):
    np.testing.assert_allclose(getattr(tensor, name)(Tensor(data=A)), formula(A), rtol=1e-6)


@pytest.mark.parametrize("name", ["add", "sub", "eltwise_mult", "div"])
def test_a_given_tensor_becomes_the_result(name):
    out = Tensor((2, 3))
    assert getattr(tensor, name)(Tensor(data=A), Tensor(data=B), ret=out) is out
    np.testing.assert_array_equal(out, getattr(tensor, name)(Tensor(data=A), Tensor(data=B)))
    with pytest.raises(ShapeError):
        getattr(tensor, name)(Tensor(data=A), Tensor(data=B), ret=Tensor((2,)))


def test_reductions_and_powers_into_a_given_tensor():
    out = Tensor((3,))
    assert tensor.sum(Tensor(data=A), axis=0, out=out) is out
    np.testing.assert_array_equal(out, A.sum(0))
    assert tensor.pow(out, 2.0, out=out) is out
    np.testing.assert_array_equal(out, A.sum(0) ** 2)
    tensor.softmax(out, out=out)
    assert out.sum().item() == pytest.approx(1)
    np.testing.assert_array_equal(tensor.average(Tensor(data=A), 1), [2, 5])


def test_functions_are_recorded_and_so_is_a_given_tensor():
    autograd.training = True
    x, out = Tensor(data=A, stores_grad=True), Tensor((2, 3))
    tensor.eltwise_mult(x, tensor.exp(x), ret=out)
    total = tensor.sum(tensor.mult(out, tensor.transpose(x), alpha=2.0))
    autograd.training = False
    grad = autograd.gradients(total)[x].to_numpy()

    def f(a):
        return 2 * (a * np.exp(a) @ a.T).sum()

    x64, eps = A.astype(np.float64), 1e-5
    for place in np.ndindex(2, 3):
        step = np.zeros((2, 3))
        step[place] = eps
        np.testing.assert_allclose(grad[place], (f(x64 + step) - f(x64 - step)) / (2 * eps), 1e-4)


def test_products():
    a, b = Tensor(data=A), Tensor(data=B.T.copy())
    np.testing.assert_allclose(tensor.mult(a, b), A @ B.T)
    c = tensor.ones((2, 2))
    assert tensor.mult(a, b, c, alpha=0.5, beta=3.0) is c
    np.testing.assert_allclose(c, 0.5 * (A @ B.T) + 3)
    batch = np.arange(24.0, dtype=np.float32).reshape(2, 2, 2, 3)
    np.testing.assert_allclose(tensor.mult(Tensor(data=batch), b), batch @ B.T)
    np.testing.assert_allclose(tensor.einsum("ij,kj->ik", a, Tensor(data=B)), A @ B.T)
    with pytest.raises(ShapeError):
        tensor.mult(a, a)


@pytest.mark.parametrize("axes", [0, 1, 2, ([0], [2]), ((1, 0), (0, 1)), (-1, 1)], ids=str)
def test_tensordot_is_numpys(axes):
    a = np.arange(12.0, dtype=np.float32).reshape(2, 2, 3) % 5
    b = np.arange(12.0, dtype=np.float32).reshape(2, 3, 2) % 7
    if axes in (1, ((1, 0), (0, 1))):
        b = b.transpose(1, 0, 2) if axes == 1 else b[:, :2]
    ours = tensor.tensordot(Tensor(data=a), Tensor(data=b), axes)
    np.testing.assert_allclose(ours, np.tensordot(a, b, axes))


def test_tensordot_says_what_does_not_fit():
    a, b = Tensor((2, 3)), Tensor((4, 5))
    with pytest.raises(ShapeError):
        tensor.tensordot(a, b, 1)
    with pytest.raises(ArgumentError, match="tensordot: 2 axes of A for 1 of B"):
        tensor.tensordot(a, b, ([0, 1], [0]))
    for axes in (3, ([2], [0]), ([0, 0], [0, 1]), ([0, -2], [0, 1])):
        with pytest.raises(ArgumentError, match=r"tensordot: axes .* of A, of shape \(2, 3\)"):
            tensor.tensordot(a, b, axes)


def test_in_place_sums():
    y = Tensor(data=A.copy())
    assert tensor.axpy(2.0, Tensor(data=B), y) is y
    np.testing.assert_allclose(y, A + 2 * B)
    m = Tensor(data=A.copy())
    assert tensor.add_row(2.0, Tensor(data=[1.0, 2.0, 3.0]), 0.5, m) is m
    np.testing.assert_allclose(m, 2 * np.array([1, 2, 3]) + 0.5 * A)
    tensor.add_column(3.0, Tensor(data=[1.0, -1.0]), 0.0, m)
    np.testing.assert_allclose(m, [[3] * 3, [-3] * 3])
    with pytest.raises(ShapeError, match=r"add_row: a matrix is needed, got shape \(3,\)"):
        tensor.add_row(1.0, Tensor((3,)), 1.0, Tensor((3,)))


def test_making():
    np.testing.assert_array_equal(tensor.full((2,), 1.5), [1.5, 1.5])
    for arguments in [(4,), (1, 4), (3, 0, -1), (0.0, 1.0, 0.25)]:
        ours = tensor.arange(*arguments)
        np.testing.assert_array_equal(ours, np.arange(*arguments))
    assert tensor.arange(3).dtype == tensor.int32
    assert tensor.arange(0.0, 1.0, 0.25).dtype == tensor.float32
    t = tensor.random((100,))
    assert 0 <= t.min().item() < t.max().item() < 1
    assert tensor.gaussian(5.0, 0.1, t) is t
    assert t.min().item() > 4
    assert tensor.uniform(-2.0, -1.0, t).max().item() < -1
    assert set(tensor.bernoulli(0.5, t).tolist()) == {0.0, 1.0}


def test_about_shapes():
    assert tensor.product((2, 3, 4)) == 24
    assert tensor.sizeof(tensor.float16) == 2
    assert tensor.reshape(Tensor(data=A), (3, -1)).shape == (3, 2)
    np.testing.assert_array_equal(
        tensor.concatenate([Tensor(data=A), Tensor(data=B)], 1), np.concatenate([A, B], 1)
    )
    np.testing.assert_array_equal(tensor.repeat(Tensor(data=A), [1, 2], 0), A[[0, 1, 1]])


def test_copying_a_part():
    dst = Tensor(data=A.copy())
    tensor.copy_data_to_from(dst, Tensor(data=B), 2, dst_offset=3, src_offset=1)
    np.testing.assert_array_equal(dst, [[1, 2, 3], [0.5, 1, 6]])
    with pytest.raises(BoundsError, match="copy_data_to_from: 4 elements from 3 on; dst has 6"):
        tensor.copy_data_to_from(dst, Tensor(data=B), 4, dst_offset=3)


def test_what_a_tensor_says_of_itself():
    t = Tensor(data=-A)
    assert (t.is_empty(), t.is_transpose(), t.is_dummy()) == (False, False, True)
    assert Tensor((0, 3)).is_empty()
    kinds = [Tensor(data=[x]) for x in (1.0, 1, 1j, True)]
    assert [x.is_floating_point() for x in kinds] == [True, False, False, False]
    assert [x.is_complex() for x in kinds] == [False, False, True, False]
    assert t.contiguous() is t
    assert t.tolist() == (-A).tolist()
    assert t.l1() == 21
    assert t.l2() == pytest.approx(math.sqrt(91))
    copy = t.copy()
    t.reset_like(Tensor((2,), dtype="int32"))
    assert (t.shape, t.dtype) == ((2,), tensor.int32)
    np.testing.assert_array_equal(copy, -A)
