"""The recorded operators, indexing and methods of Tensors."""

import operator

import numpy as np
import pytest

from singa import autograd, device, tensor
from singa.errors import BoundsError, DTypeError, ShapeError
from singa.tensor import Tensor


def test_types_and_values_of_arithmetic_with_python_numbers():
    f, i = Tensor(data=[1.0, 2.0]), Tensor(data=[1, 2])
    half = Tensor(data=np.ones(2, np.float16))
    assert str((f * 2 + 1 - 0.5).dtype) == "float32"
    assert str((half * 2.5).dtype) == "float16"
    assert str((i * 2).dtype) == "int32"
    assert str((i + 0.5).dtype) == "float32"
    assert str((i / 2).dtype) == "float32"
    np.testing.assert_allclose(2 - f, [1, 0])
    np.testing.assert_allclose(1 / f, [1, 0.5])
    np.testing.assert_allclose(2**f, [2, 4])
    np.testing.assert_allclose(-(f**2), [-1, -4])
    np.testing.assert_allclose(np.ones((2, 2)) @ Tensor(data=np.ones((2, 1))), [[2], [2]])


def test_in_place_arithmetic_updates_a_parameter_without_recording_it():
    autograd.training = True
    w, x = Tensor(data=[1.0, 2.0], stores_grad=True), Tensor(data=[3.0, 4.0])
    same = w
    for p, g in autograd.backward(autograd.reduce_sum(w * x)):
        p -= 0.5 * g
    autograd.training = False
    assert same is w
    assert w.creator is None
    np.testing.assert_allclose(w, [-0.5, 0])


def test_in_place_arithmetic_on_results_keeps_the_gradients_right():
    autograd.training = True
    w = Tensor(data=np.array([2.0]), stores_grad=True)
    total = Tensor(data=np.zeros(1))
    h = w * 3.0
    total += h
    h *= h
    total += h
    grads = autograd.gradients(total)
    autograd.training = False
    assert total.item() == 42.0
    assert grads[w].item() == 3 + 2 * 9 * 2.0


def test_in_place_arithmetic_cannot_change_the_shape():
    t = Tensor((1, 2))
    with pytest.raises(ShapeError, match="6 elements of shape"):
        t += Tensor((3, 2))


def test_operators_and_indexing_are_recorded():
    autograd.training = True
    a = Tensor(data=np.arange(6.0).reshape(2, 3), stores_grad=True)
    y = ((a + a) * a - a / 2.0)[1, 1:].reshape((2, 1)).T()
    autograd.training = False
    grads = autograd.gradients(y, np.ones((1, 2)))[a].to_numpy()
    np.testing.assert_allclose(grads, [[0, 0, 0], [0, 4 * 4 - 0.5, 4 * 5 - 0.5]])


def test_walking_over_a_tensor_ends():
    rows = list(Tensor(data=np.arange(6).reshape(3, 2)))
    np.testing.assert_array_equal(
        np.stack([row.to_numpy() for row in rows]), [[0, 1], [2, 3], [4, 5]]
    )
    with pytest.raises(DTypeError, match="without axes cannot be iterated"):
        iter(Tensor())


def test_transpose_without_axes_reverses_them():
    assert Tensor((2, 3, 4)).transpose().shape == (4, 3, 2)
    assert Tensor((2, 3, 4)).transpose((0, 2, 1)).shape == (2, 4, 3)


X = np.array([[1.5, -2.25, 0.75], [-0.5, 2.0, 3.5]], np.float32)

# By name: what is called, on a Tensor and on a NumPy array alike.
ALIKE = {
    "sum": lambda x: x.sum(), "sum over an axis": lambda x: x.sum(axis=1, keepdims=True),
    "mean": lambda x: x.mean(axis=(0, 1)), "prod": lambda x: x.prod(0), "max": lambda x: x.max(1),
    "min": lambda x: x.min(), "var": lambda x: x.var(axis=0), "std": lambda x: x.std(1, ddof=1),
    "all": lambda x: (x > -3).all(), "any": lambda x: (x > 3).any(axis=1),
    "argmax": lambda x: x.argmax(), "argmin": lambda x: x.argmin(1),
    "argmax, axes kept": lambda x: x.argmax(keepdims=True), "cumsum": lambda x: x.cumsum(axis=1),
    "reshape": lambda x: x.reshape((3, 2)), "reshape by sizes": lambda x: x.reshape(-1, 2),
    "squeeze": lambda x: x[None].squeeze(), "clip": lambda x: x.clip(-1, 1),
    "repeat": lambda x: x.repeat([2, 0, 1], axis=1), "repeat all": lambda x: x.repeat(2),
    "round": lambda x: x.round(), "abs": abs, "astype": lambda x: x.astype(np.int32),
    "floor division": lambda x: x // 0.75, "remainder": lambda x: x % -0.75,
    "reflected": lambda x: 2.5 % abs(x) + 7 // abs(x),
    "logic": lambda x: (x > 0) & (x < 2) | ~(x != 2) ^ (x == 3.5),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_tensors_answer_as_numpy_does(name):
    np.testing.assert_allclose(ALIKE[name](Tensor(data=X)), ALIKE[name](X), rtol=1e-6)


ALSO = {
    "matmul": operator.matmul, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "square": np.square,
    "floor": np.floor, "ceil": np.ceil, "tanh": np.tanh, "pow": np.power,
    "relu": lambda x: np.maximum(x, 0), "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softmax": lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
    "norm": np.linalg.norm, "flatten": lambda x: x, "unsqueeze": lambda x: x[..., None],
    "T": np.transpose,
}  # fmt: skip


@pytest.mark.parametrize("name", ALSO)
def test_methods_do_what_their_names_say(name):
    x = np.abs(X[:, :2])
    rest = [x] if name in ("matmul", "pow") else []
    ours = getattr(Tensor(data=x), name)(*[Tensor(data=y) for y in rest])
    np.testing.assert_allclose(ours, ALSO[name](x, *rest), rtol=1e-6)


def test_methods_are_recorded():
    autograd.training = True
    x = Tensor(data=X, stores_grad=True)
    y = (x.max(axis=1) * x.sum(axis=1)).mean() + x.expand(2, 2, 3).masked_fill(X > 0, 0.0).sum()
    autograd.training = False
    grads = autograd.gradients(y)[x].to_numpy()
    top = (X.max(1, keepdims=True) == X) * X.sum(1, keepdims=True) + X.max(1, keepdims=True)
    np.testing.assert_allclose(grads, top / 2 + 2 * (X <= 0), rtol=1e-6)


def test_logic_by_bits_is_refused():
    with pytest.raises(DTypeError, match=r"& \| \^ ~ are for bool Tensors, got int32 and int32"):
        Tensor(data=[1, 2]) & 1
    with pytest.raises(DTypeError, match="got float32"):
        ~Tensor(data=1.0)


def test_setting_elements_is_recorded():
    autograd.training = True
    x, v = Tensor(data=X.copy(), stores_grad=True), Tensor(data=[5.0, 7.0], stores_grad=True)
    y = x * 2.0
    before = y
    y[:, 1] = v * v
    y[0, 0] = 9
    total = y.sum()
    autograd.training = False
    assert y is before
    np.testing.assert_allclose(y, [[9, 25, 1.5], [-1, 49, 7]])
    grads = autograd.gradients(total)
    np.testing.assert_array_equal(grads[x], [[0, 0, 2], [2, 0, 2]])
    np.testing.assert_array_equal(grads[v], [10, 14])


def test_setting_elements_of_a_parameter_updates_it():
    w = Tensor(data=X.copy(), stores_grad=True)
    w[w < 0] = 0.0
    np.testing.assert_array_equal(w, np.maximum(X, 0))
    assert w.is_dummy()


def test_setting_elements_that_do_not_fit_changes_nothing():
    t = Tensor(data=X.copy())
    with pytest.raises(ShapeError, match=r"\(3,\) does not broadcast to the elements' \(2, 2\)"):
        t[:, 1:] = np.ones(3)
    with pytest.raises(ShapeError, match=r"\(1, 3\) does not broadcast to the elements' \(3,\)"):
        t[0] = np.ones((1, 3))
    with pytest.raises(BoundsError, match=r"Tensor\[...\]: index 2"):
        t[2] = 0
    np.testing.assert_array_equal(t, X)


def test_sums_and_means_by_rows_and_columns_in_place():
    t = Tensor(data=X.copy())
    row, column = Tensor(data=[1.0, 2.0, 4.0]), Tensor(data=[2.0, 8.0])
    same = t
    t.add_row(row), t.mult_column(column), t.add_column(column), t.div_row(row), t.mult_row(row)
    expected = (X + np.array([1, 2, 4])) * [[2], [8]] + [[2], [8]]
    assert same is t
    np.testing.assert_allclose(t, expected)
    np.testing.assert_allclose(t.div_column(column), expected / [[2], [8]])
    with pytest.raises(ShapeError, match="6 elements"):
        Tensor((2, 1)).add_row(row)


def test_to_another_type_or_device():
    t = Tensor(data=X)
    assert t.to(device.get_default_device()) is t
    assert t.to("float16").dtype == tensor.float16
    assert t.astype(tensor.int32).dtype == tensor.int32


def test_what_is_detached_gets_no_gradient():
    autograd.training = True
    x = Tensor(data=[3.0], stores_grad=True)
    y = (x * x).detach() * x
    autograd.training = False
    assert autograd.gradients(y)[x].item() == 9
