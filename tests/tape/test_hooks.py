"""Hooks on Tensors' gradients and on operations."""

import numpy as np
import pytest

from singa import autograd
from singa.errors import DTypeError, GradientError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor


def leaf(values=(1.0, 2.0)):
    return Tensor(data=list(values), stores_grad=True)


def test_a_hook_sees_a_gradient_once_it_is_complete():
    x, seen = leaf(), []
    with autograd.enable_grad():
        h = x * 3.0
        y = (h * h + h).sum()
    handles = [h.register_hook(lambda g: seen.append(("h", g.tolist())))]
    handles += [x.register_hook(lambda g: seen.append(("x", g.tolist())))]
    assert autograd.gradients(y)[x].tolist() == [21, 39]
    assert seen == [("h", [7, 13]), ("x", [21, 39])]
    for handle in handles:
        handle.remove()
        handle.remove()
    autograd.gradients(y)
    assert len(seen) == 2


def test_what_a_hook_returns_takes_the_gradients_place():
    x = leaf()
    with autograd.enable_grad():
        h = x * 3.0
        y = (h * h).sum()
    with h.register_hook(lambda g: g * 0.5), x.register_hook(lambda g: g.clip(0, 10)):
        assert autograd.grad(y, x).tolist() == [9, 10]
        assert autograd.gradients(y, create_graph=True)[x].tolist() == [9, 10]
    assert autograd.grad(y, x).tolist() == [18, 36]
    with x.register_hook(lambda g: g * 2.0):
        assert autograd.grad(x, x, np.ones(2)).tolist() == [2, 2]


def test_a_hook_belongs_to_a_compiled_step():
    x = leaf()
    steps = Steps()

    def step(t):
        return autograd.gradients((x * t).sum())[x]

    t = Tensor(data=[1.0, 1.0])
    with autograd.enable_grad():
        assert steps(step, (t,), {}, False).tolist() == [1, 1]
        with x.register_hook(lambda g: g * 10.0):
            assert steps(step, (t,), {}, False).tolist() == [10, 10]
        assert steps(step, (t,), {}, False).tolist() == [1, 1]


def test_wrong_hooks_are_named():
    x = leaf()
    with pytest.raises(GradientError, match="register_hook: this Tensor has no gradient"):
        Tensor((2,)).register_hook(print)
    with autograd.enable_grad():
        y = (x * x).sum()
    with (
        x.register_hook(lambda g: 1.0),
        pytest.raises(DTypeError, match="the hook returned float; a Tensor or None"),
    ):
        autograd.grad(y, x)
    with (
        x.register_hook(lambda g: g.sum()),
        pytest.raises(ShapeError, match=r"float32 of shape \(\) for a gradient .* \(2,\)"),
    ):
        autograd.grad(y, x)


def test_hooks_around_operations_of_a_class_and_of_all():
    x, seen, call = leaf((-1.0, 2.0)), [], autograd.Operation.__call__
    handles = [
        autograd.ReLU.register_forward_pre_hook(lambda op, xs: [xs[0] + 3.0]),
        autograd.ReLU.register_forward_hook(lambda op, xs, ys: seen.append(ys[0].tolist())),
        autograd.Operation.register_forward_hook(lambda op, xs, ys: seen.append(op.name)),
        autograd.ReLU.register_backward_hook(
            lambda op, dxs, dys: seen.append((dxs[0].tolist(), dys[0].tolist()))
        ),
    ]
    with autograd.enable_grad():
        y = autograd.relu(x).sum()
    autograd.gradients(y)
    assert seen == ["Add", [2, 5], "ReLU", "ReduceSum", ([1, 1], [1, 1])]
    for handle in handles:
        handle.remove()
    assert autograd.relu(x).tolist() == [0, 2]
    autograd.gradients(y)
    assert len(seen) == 5
    assert autograd.Operation.__call__ is call
