"""The rules of recording and of the backward pass."""

import gc
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa import autograd, device
from singa.errors import DeviceError, DTypeError, GradientError, ShapeError
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("recording")


def param(*values):
    return Tensor(data=np.array(values, np.float64), stores_grad=True)


class Traced(autograd.Operation):
    """Doubles its input, and notes when its backward is first made."""

    log: list[str]

    def __init__(self, label, log):
        super().__init__()
        self.label = label
        type(self).log = log

    def forward(self, x):
        return 2 * x

    def backward(self, dy):
        self.log.append(self.label)
        return 2 * dy


def test_gradients_come_in_reverse_order_of_use():
    w = [param(1.0, 2.0) for _ in range(4)]
    y = w[0]
    for p in w[1:]:
        y = y * p
    names = dict(zip(w, "abcd", strict=True))
    order = [names[p] for p, _ in autograd.backward(autograd.reduce_sum(y))]
    assert order == ["d", "c", "a", "b"]  # the product a b uses both at once


def test_a_gradient_is_yielded_before_the_rest_of_the_pass_runs():
    log = []
    early, late = param(1.0), param(2.0)
    y = Traced("early", log)(early)[0] + 0.0
    loss = autograd.reduce_sum(autograd.mul(y, late))
    pairs = autograd.backward(loss)
    first, _ = next(pairs)
    assert first is late
    assert log == []
    assert [p for p, _ in pairs] == [early]
    assert log == ["early"]


def test_fan_out_and_shared_parameters_accumulate_and_are_yielded_once():
    a = param(3.0, -1.0)
    loss = autograd.reduce_sum(a * a + autograd.cat((a, a), 0)[:2] - a)
    [(p, g)] = list(autograd.backward(loss))
    assert p is a
    np.testing.assert_allclose(g, 2 * np.array([3.0, -1.0]))


def test_assigning_parameters_during_the_pass_does_not_change_it():
    a, b = param(2.0), param(5.0)
    grads = {}
    for p, g in autograd.backward(autograd.reduce_sum(a * b * b)):
        p.set_value(0.0)
        grads[p] = g.item()
    assert (grads[a], grads[b]) == (25.0, 20.0)


def test_an_intermediate_with_stores_grad_is_yielded_when_complete():
    a = param(2.0)
    h = a * 3.0
    h.stores_grad = True
    loss = autograd.reduce_sum(h * h + h)
    grads = autograd.gradients(loss)
    assert grads[h].item() == 13.0
    assert grads[a].item() == 39.0


def test_an_intermediate_is_complete_even_if_it_was_marked_after_its_first_use():
    a = param(2.0)
    h = a * 3.0
    first = h * h
    h.stores_grad = True
    assert autograd.gradients(autograd.reduce_sum(first + h))[h].item() == 13.0


def test_the_result_itself_can_store_its_gradient():
    a = param(2.0)
    y = autograd.reduce_sum(a * a)
    y.stores_grad = True
    assert [p for p, _ in autograd.backward(y)] == [y, a]


class SplitPair(autograd.Operation):
    def forward(self, x):
        return x[:1], x[1:], jnp.argmax(x)

    def backward(self, da, db, dwhere):
        return jnp.concatenate((da, db))


def test_outputs_that_nobody_used_count_as_zero():
    a = param(1.0, 2.0, 3.0)
    first, _, where = SplitPair()(a)
    np.testing.assert_array_equal(autograd.gradients(first, 7.0)[a], [7, 0, 0])
    assert where.creator is None
    assert not where.requires_grad


class FirstOnly(autograd.Operation):
    def forward(self, a, b):
        return a + b

    def backward(self, dy):
        return dy, None


def test_a_none_gradient_is_no_gradient():
    a, b, c = param(1.0), param(2.0), param(3.0)
    y = FirstOnly()(a, b * c)[0]
    assert list(autograd.gradients(y)) == [a]


def test_a_parameter_with_a_none_and_a_real_gradient_gets_the_real_one():
    a, b = param(1.0), param(2.0)
    y = FirstOnly()(a, b)[0] + b * 5.0
    assert autograd.gradients(y)[b].item() == 5.0


def test_integer_inputs_have_no_gradient():
    x = Tensor(data=np.ones((2, 3)), stores_grad=True)
    ids = Tensor(data=np.array([0, 2]), stores_grad=True)
    assert list(autograd.gradients(autograd.softmax_cross_entropy(x, ids))) == [x]


def test_frozen_parameters_are_not_yielded_and_come_back_when_unfrozen():
    a, b = param(2.0), param(3.0)
    a.requires_grad = False
    assert not a.stores_grad
    assert list(autograd.gradients(autograd.reduce_sum(a * b))) == [b]
    a.requires_grad = True
    assert a.stores_grad
    assert set(autograd.gradients(autograd.reduce_sum(a * b))) == {a, b}


def test_a_leaf_that_stores_no_gradient_costs_no_gradient_work():
    x, w = Tensor(data=np.ones((2, 3))), Tensor(data=np.ones((3, 4)), stores_grad=True)
    y = autograd.matmul(x, w)
    assert y.creator.src[0] is None
    assert len(y.creator.input_gradients({0: y.data}, (False, True))) == 1


def test_nothing_is_recorded_outside_of_training():
    a = param(2.0)
    autograd.training = False
    y = autograd.reduce_sum(a * a)
    assert y.creator is None
    with pytest.raises(GradientError, match=r"nothing was recorded.*autograd\.training was False"):
        autograd.backward(y)


def test_backward_complains_at_the_call_and_not_at_the_first_step():
    with pytest.raises(GradientError, match=r"none of the Tensors .* has stores_grad=True"):
        autograd.backward(autograd.reduce_sum(Tensor((2,))))
    a = param(1.0, 2.0)
    with pytest.raises(GradientError, match=r"shape \(2,\); without dy a scalar is needed"):
        autograd.backward(a * 1.0)
    with pytest.raises(ShapeError, match=r"dy is of shape \(3,\), y of \(2,\)"):
        autograd.backward(a * 1.0, np.ones(3))
    with pytest.raises(DTypeError, match="a Tensor is expected, got float"):
        autograd.backward(1.0)


@pytest.mark.parametrize("dy", [3.0, np.array(3.0), Tensor(data=3.0)], ids=["number", "array", "T"])
def test_dy_scales_all_gradients(dy):
    x = Tensor(data=np.array([[0.2, 0.5], [0.1, 0.9]]), stores_grad=True)
    t = Tensor(data=np.array([[0.0, 1.0], [1.0, 0.0]]))
    for loss in (autograd.mse_loss, autograd.softmax_cross_entropy, autograd.binary_cross_entropy):
        once, thrice = autograd.gradients(loss(x, t))[x], autograd.gradients(loss(x, t), dy)[x]
        np.testing.assert_allclose(thrice.to_numpy(), 3 * once.to_numpy(), rtol=1e-6)


def test_a_record_can_be_walked_twice_with_the_same_result():
    x = param(0.3, -0.7)
    loss = autograd.mse_loss(autograd.sigmoid(x) * x, Tensor(data=np.zeros(2)))
    first, second = autograd.gradients(loss)[x], autograd.gradients(loss)[x]
    np.testing.assert_array_equal(first, second)


def test_two_walks_may_run_side_by_side():
    a, b = param(2.0), param(3.0)
    loss = autograd.reduce_sum(a * b)
    pairs = list(zip(autograd.backward(loss), autograd.backward(loss), strict=True))
    assert all(p is q and g.item() == h.item() for (p, g), (q, h) in pairs)


def test_a_hundred_thousand_operations_neither_recurse_nor_leak():
    gc.disable()
    try:
        a = param(1.0, 1.0)
        y = a
        for _ in range(100_000):
            y = autograd.relu(y)
        np.testing.assert_array_equal(autograd.gradients(y, np.ones(2))[a], [1, 1])
        last = weakref.ref(y.creator)
        del y
        assert last() is None
    finally:
        gc.enable()


def test_a_loss_that_goes_out_of_scope_frees_its_record_without_the_collector():
    gc.disable()
    try:
        a = param(1.0)
        h = a * 2.0
        loss = autograd.reduce_sum(autograd.exp(h))
        list(autograd.backward(loss))
        operations = [weakref.ref(h.creator), weakref.ref(loss.creator)]
        del h, loss
        assert [ref() for ref in operations] == [None, None]
    finally:
        gc.enable()


def test_defect_17_a_chain_with_a_shortcut_around_every_block_takes_one_step_for_each_operation():
    """It took two to the power of the number of blocks, and recursed."""
    walked = []
    blocks = 3000
    y = a = param(1.0)
    for _ in range(blocks):
        y = y + autograd.negative(y)
    with autograd.Operation.register_backward_hook(lambda operation, *_: walked.append(operation)):
        assert autograd.gradients(y, np.ones(1))[a].item() == 0
    assert len(walked) == len(set(walked)) == 2 * blocks


@pytest.mark.parametrize(
    "last",
    [
        autograd.reduce_sum,
        lambda y: autograd.reduce_mean(y, keepdims=False),
        lambda y: autograd.matmul(y.reshape(1, 2), y.reshape(2, 1)),
        lambda y: autograd.split(y, 0, [1, 1])[1],
    ],
    ids=["reduce_sum", "reduce_mean", "matmul", "split"],
)
def test_defect_25_any_single_number_is_differentiated_without_dy(last):
    """Only losses were; and y.stores_grad, or an output that nobody used, was a crash."""
    a = param(1.0, 2.0)
    y = last(a * 3.0)
    y.stores_grad = True
    found, given = autograd.gradients(y), autograd.gradients(y, np.ones(y.shape))
    assert list(found) == [y, a]
    np.testing.assert_array_equal(found[y], np.ones(y.shape))
    np.testing.assert_array_equal(found[a], given[a])
    assert np.abs(found[a].to_numpy()).max() > 0


def test_defect_32_temporary_tensors_are_freed_without_the_collector():
    gc.disable()
    try:
        a = param(1.0)
        leaf = Tensor(data=np.ones(3))
        temporary = a * leaf
        freed = [weakref.ref(t) for t in (leaf, leaf.data, temporary, temporary.data)]
        del leaf, temporary
        assert [ref() for ref in freed] == [None] * 4
    finally:
        gc.enable()


def test_inputs_on_different_devices_are_refused():
    other = device.Device(jax.devices()[0])
    a, b = Tensor((2,)), Tensor((2,))
    b.device = other
    with pytest.raises(DeviceError, match="Add: inputs are on different devices"):
        autograd.add(a, b)


STEPS = [
    ("add", lambda a, b: a + b),
    ("sub", lambda a, b: a - b),
    ("mul", lambda a, b: a * b),
    ("tanh", lambda a, b: (autograd.tanh if isinstance(a, Tensor) else jnp.tanh)(a)),
    ("sigmoid", lambda a, b: (autograd.sigmoid if isinstance(a, Tensor) else jax.nn.sigmoid)(a)),
    ("matmul", lambda a, b: a @ b),
    ("index", lambda a, b: a[0] * b[:, 1]),
]


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 30), st.integers(0, 30)),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_any_program_has_the_gradients_that_jax_finds(program):
    def run(leaves):
        values = list(leaves)
        for step, i, j in program:
            a, b = values[i % len(values)], values[j % len(values)]
            y = STEPS[step][1](a, b)
            values.append(y if y.shape == (2, 2) else y * values[0])
        return values

    autograd.training = True
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-1, 1, (2, 2)) for _ in range(3)]
    leaves = [Tensor(data=a, stores_grad=True) for a in arrays]
    loss = autograd.reduce_sum(run(leaves)[-1])
    expected = jax.grad(lambda leaves: run(leaves)[-1].sum())([jnp.asarray(a) for a in arrays])
    found = autograd.gradients(loss)
    for leaf, e in zip(leaves, expected, strict=True):
        got = found[leaf].to_numpy() if leaf in found else np.zeros((2, 2))
        np.testing.assert_allclose(got, e, rtol=1e-9, atol=1e-9)


def test_a_gradient_that_is_handed_on_is_the_same_array():
    a, b = param(1.0, 2.0), param(3.0, 4.0)
    dy = Tensor(data=np.array([5.0, 6.0]))

    found = autograd.gradients(autograd.add(a, b), dy)
    assert found[a].data is dy.data
    assert found[b].data is dy.data

    found = autograd.gradients(autograd.sub(a, b), dy)
    assert found[a].data is dy.data
    np.testing.assert_array_equal(found[b], [-5.0, -6.0])


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize(("dtype", "terms"), [("float16", 2050), ("bfloat16", 300), ("float32", 9)])
def test_many_gradients_of_half_precision_are_added_up_in_float32(dtype, terms, create_graph):
    w = Tensor(data=np.ones(2), dtype=dtype, stores_grad=True)
    scaled = w * 2.0  # a result that is used many times, as the leaf is
    y = sum((w for _ in range(terms)), start=scaled * 0.0)
    for _ in range(terms):
        y = y + scaled
    gradients = autograd.gradients(y, np.ones(2), create_graph)
    assert gradients[w].dtype == w.dtype
    # One by one in half precision, ones beside 2,048 or 256 would be lost.
    expected = np.asarray(3.0 * terms, w.dtype)
    np.testing.assert_array_equal(gradients[w].to_numpy(), [expected, expected])
