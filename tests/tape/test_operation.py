"""What a user's own Operation may do, and how often it is traced."""

import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd
from singa.errors import ArgumentError, CaptureError, DTypeError, GradientError
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("recording")


def param(*values):
    return Tensor(data=np.array(values, np.float64), stores_grad=True)


def gradient(y, x):
    return autograd.gradients(y, np.ones(y.shape))[x].to_numpy()


class Counting(autograd.Operation):
    """x * factor, which counts how often each part runs as Python."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        self.runs.append("forward")
        self.shape = x.shape
        return x * self.factor

    def backward(self, dy):
        self.runs.append("backward")
        assert dy.shape == self.shape
        return dy * self.factor


def counting():
    """A class of its own, so that no other test has traced it."""
    return type("Fresh", (Counting,), {"runs": []})


def test_forward_and_backward_run_as_python_once_per_configuration_and_shape():
    cls = counting()
    for _ in range(3):
        x = param(1.0, 2.0)
        np.testing.assert_array_equal(gradient(cls(3.0)(x)[0], x), [3, 3])
    assert cls.runs == ["forward", "backward"]
    x = param(1.0, 2.0, 3.0)
    gradient(cls(3.0)(x)[0], x)
    assert cls.runs == ["forward", "backward"] * 2
    x = param(1.0, 2.0)
    gradient(cls(4.0)(x)[0], x)
    assert cls.runs == ["forward", "backward"] * 3


@pytest.mark.parametrize("factor", [1, 1.0, True], ids=repr)
def test_equal_values_of_different_types_are_different_configurations(factor):
    cls = counting()
    x = Tensor(data=np.array([2], np.int32))
    results = [cls(value)(x)[0] for value in (1, 1.0, True, factor)]
    assert [str(y.dtype)[:3] for y in results[:3]] == ["int", "flo", "int"]
    assert cls.runs == ["forward"] * 3


def test_lists_and_dicts_are_configurations_by_value():
    class Weighted(autograd.Operation):
        runs = 0

        def __init__(self, weights, names):
            super().__init__()
            self.weights, self.names = weights, names

        def forward(self, x):
            Weighted.runs += 1
            return x * sum(self.weights) * len(self.names)

    x = param(1.0)
    assert Weighted([1.0, 2.0], {"a": [1]})(x)[0].item() == 3.0
    assert Weighted([1.0, 2.0], {"a": [1]})(x)[0].item() == 3.0
    assert Weighted.runs == 1
    assert Weighted([1.0, 4.0], {"a": [1]})(x)[0].item() == 5.0
    assert Weighted.runs == 2


def test_arrays_in_the_configuration_may_change_without_a_new_tracing():
    cls = counting()
    x = param(1.0, 2.0)
    for scale in (np.array([2.0, 3.0]), np.array([5.0, 7.0])):
        y = cls(scale)(x)[0]
        np.testing.assert_array_equal(y, np.array([1.0, 2.0]) * scale)
        np.testing.assert_array_equal(gradient(y, x), scale)
    assert cls.runs == ["forward", "backward"]


def test_a_subclass_need_not_call_super_init():
    class Plain(autograd.Operation):
        def __init__(self, k):
            self.k = k

        def forward(self, x):
            return x * self.k

        def backward(self, dy):
            return dy * self.k

    x = param(2.0)
    assert gradient(Plain(3.0)(x)[0], x) == 3.0
    assert Plain(3.0).name == "Plain"


def test_without_a_backward_one_is_derived():
    class Wave(autograd.Operation):
        def forward(self, x, n):
            return jnp.sin(x) * n, n + 1

    x, n = param(0.3, 0.5), Tensor(data=np.array([2, 3]))
    y, more = Wave()(x, n)
    np.testing.assert_allclose(gradient(y, x), np.cos([0.3, 0.5]) * [2, 3])
    np.testing.assert_array_equal(more, [3, 4])


def test_one_operation_called_twice_is_two_records():
    cls = counting()
    op, a, b = cls(2.0), param(1.0), param(10.0)
    y, z = op(a)[0], op(b)[0]
    assert y.creator is not z.creator
    assert set(autograd.gradients(y + z)) == {a, b}


def test_what_forward_left_can_be_looked_at_and_backward_called_directly():
    x = param(-1.0, 2.0)
    y = autograd.relu(x)
    np.testing.assert_array_equal(y.creator.y, [0, 2])
    np.testing.assert_array_equal(y.creator.backward(jnp.ones(2)), [0, 1])
    with pytest.raises(AttributeError, match="'ReLU' object has no attribute 'nothing'"):
        _ = y.creator.nothing


class OnHost(autograd.Operation):
    traceable = False

    def forward(self, x):
        self.kept = np.asarray(x)
        return self.kept[self.kept > 0]

    def backward(self, dy):
        dx = np.zeros_like(self.kept)
        dx[self.kept > 0] = np.asarray(dy)
        return dx


def test_host_operations_run_as_python_with_real_values():
    x = param(-1.0, 2.0, 3.0)
    y = OnHost()(x)[0]
    np.testing.assert_array_equal(y, [2, 3])
    np.testing.assert_array_equal(gradient(y * 2.0, x), [0, 2, 2])


def test_a_gradient_of_the_broadcast_shape_is_summed_and_converted():
    class Spread(autograd.Operation):
        def forward(self, a, b):
            return a + b

        def backward(self, dy):
            return dy, dy.astype(jnp.float32)

    a, b = Tensor(data=np.ones((2, 3)), stores_grad=True), Tensor(data=np.ones((3, 1, 1)))
    b.stores_grad = True
    y = Spread()(a, b)[0]
    grads = autograd.gradients(y, np.ones(y.shape))
    np.testing.assert_array_equal(grads[a], np.full((2, 3), 3.0))
    np.testing.assert_array_equal(grads[b], np.full((3, 1, 1), 6.0))
    assert grads[b].dtype == np.float64


def returning(*dxs):
    class Wrong(autograd.Operation):
        def forward(self, a, b):
            return a * b

        def backward(self, dy):
            return dxs

    a, b = param(1.0, 2.0), param(3.0, 4.0)
    return Wrong()(a, b)[0]


@pytest.mark.parametrize(
    ("dxs", "words"),
    [
        ((np.ones(2),), "Wrong.backward returned 1 gradients for 2 inputs"),
        ((np.ones(2), np.ones(3)), r"shape \(3,\) for input 1, which is of shape \(2,\)"),
        ((np.ones((2, 2)), 1.0), "returned float as the gradient of input 1"),
    ],
    ids=["count", "shape", "type"],
)
def test_a_wrong_gradient_is_refused_with_words(dxs, words):
    with pytest.raises(GradientError, match=words):
        autograd.gradients(returning(*dxs), np.ones(2))


def test_wrong_inputs_and_outputs_are_refused_with_words():
    with pytest.raises(DTypeError, match="ReLU: its inputs must be Tensors, got ndarray"):
        autograd.relu(np.ones(2))
    with pytest.raises(DTypeError, match="ReLU: at least one input Tensor is needed"):
        autograd.Operator.__call__(autograd.ReLU())

    class Text(autograd.Operation):
        def forward(self, x):
            return "text"

    with pytest.raises(DTypeError, match=r"Text\.forward returned str"):
        Text()(param(1.0))
    with pytest.raises(NotImplementedError, match="Operation has no forward"):
        autograd.Operation()(param(1.0))


def test_a_tensor_inside_an_operation_is_refused_because_it_would_be_frozen():
    cls = counting()
    with pytest.raises(ArgumentError, match="the Tensor in its attribute 'factor' would be frozen"):
        cls(param(1.0))(param(1.0))

    outside = param(1.0)

    class Peeks(autograd.Operation):
        def forward(self, x):
            return x * outside.data

    with pytest.raises(CaptureError, match="Peeks: forward and backward compute with CTensors"):
        Peeks()(param(1.0))


def test_a_tensor_that_an_operation_makes_may_be_used_and_returned():
    class TensorsInside(autograd.Operation):
        def forward(self, x):
            self.x = x
            return Tensor(data=x) * 3.0

        def backward(self, dy):  # as SINGA's examples write it
            dx = Tensor(self.x.shape, dtype=self.x.dtype)
            dx.copy_from_numpy(np.full(self.x.shape, 3.0))
            dx *= dy
            return dx

    class Leaves(autograd.Operation):
        def forward(self, x):
            self.kept = Tensor(data=x)
            return x

        def backward(self, dy):
            return dy

    x = param(1.0, 2.0)
    y = TensorsInside()(x)[0]
    np.testing.assert_array_equal(y, [3, 6])
    np.testing.assert_array_equal(gradient(y, x), [3, 3])
    with pytest.raises(CaptureError, match=r"leaves a Tensor for backward: its array is expected"):
        Leaves()(x)


def test_an_error_names_the_operation_and_its_inputs():
    class Fails(autograd.Operation):
        def forward(self, x):
            raise ValueError("no")

    with pytest.raises(ValueError, match="no") as caught:
        Fails()(Tensor((2, 3)))
    assert caught.value.__notes__[-1] == "in Fails(float32[2, 3])"
