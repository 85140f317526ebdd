"""Names that other libraries have: the error says what to write here, and that exists."""

import copy
import pickle
import re

import numpy as np
import pytest

from singa import autograd, device, layer, model, opt, tensor
from singa.core import hints
from singa.errors import ArgumentError, CaptureError, ShapeError, TrainingWarning
from singa.models import MLP
from singa.tensor import Tensor

OWNERS = {
    "TENSOR": lambda: Tensor(data=[1.0]),
    "LAYER": lambda: layer.Linear(2),
    "OPTIMIZER": lambda: opt.SGD(0.1),
}


@pytest.mark.parametrize("kind", OWNERS)
def test_a_missing_attribute_says_what_to_write(kind):
    owner = OWNERS[kind]()
    for name, hint in getattr(hints, kind).items():
        with pytest.raises(AttributeError, match=re.escape(f"{name!r}: {hint}")):
            getattr(owner, name)
        assert not hasattr(owner, name)


@pytest.mark.parametrize("kind", OWNERS)
def test_what_a_hint_names_exists(kind):
    places = {"t": Tensor(data=[1.0]), "autograd": autograd, "tensor": tensor, "opt": opt}
    net = MLP()
    net.set_optimizer(opt.SGD(0.1))
    for name, hint in getattr(hints, kind).items():
        for owner, member in re.findall(r"\b(t|autograd|tensor|opt)\.(\w+)", hint):
            assert hasattr(places[owner], member), name
        if kind == "LAYER":
            for member in re.findall(r"(?:^|(?<!singa\.)model\.|and )(\w+)\(", hint):
                assert hasattr(net, member), name


def test_functions_that_are_no_methods_are_named():
    for name in ("logsumexp", "scatter_add", "sort", "erf", "where"):
        with pytest.raises(AttributeError, match=rf"{name!r}: autograd\.{name}$"):
            getattr(Tensor((2,)), name)


def test_other_missing_attributes_are_as_everywhere():
    for owner in (Tensor((2,)), layer.Linear(2), opt.SGD(0.1), MLP()):
        with pytest.raises(AttributeError, match=r"object has no attribute 'nonsense'$"):
            owner.nonsense  # noqa: B018 (reading it raises)
        copy.deepcopy(owner)
        pickle.loads(pickle.dumps(owner))


def test_a_list_as_the_shape_may_have_been_meant_as_the_elements():
    with pytest.warns(UserWarning, match=r"Tensor\(data=\[1, 2, 3\]\) has these"):
        assert Tensor([1, 2, 3]).shape == (1, 2, 3)
    with pytest.warns(UserWarning, match=r"Tensor\(data=\[2, 3\]\) has these"):
        assert Tensor(np.array([2, 3])).shape == (2, 3)
    elements = ([1.5, 2.0], 2.5, np.float32(1), np.ones(2, np.float32), Tensor((2,)).data)
    for given in (*elements, Tensor((2,))):
        with pytest.raises(ShapeError, match=r"Tensor\(data=...\) makes"):
            Tensor(given)


def test_counts_are_numbers_and_may_be_called():
    t = Tensor((2, 3))
    assert t.ndim == t.ndim() == 2
    assert t.size == t.size() == 6
    assert isinstance(t.ndim, int)
    assert repr(t.ndim) == "2"
    # As a part of a configuration it is an integer like every other: nothing is compiled anew.
    from singa.core.exact import exact

    assert exact(t.ndim) == exact(Tensor((3, 2)).ndim)


def test_numbers_are_formatted_and_rounded():
    loss = Tensor(data=1.2345)
    assert f"{loss:.2f}" == "1.23"
    assert f"{loss}" == str(loss)
    assert round(loss, 1) == pytest.approx(1.2)
    assert round(loss) == 1


def test_devices_have_names():
    t = Tensor((2,), device="cpu")
    assert t.device is device.get_default_device()
    assert t.to("cpu") is t
    assert t.to_device("cpu") is t
    assert t.to("float16").dtype == tensor.float16


def test_an_unknown_axis_argument_says_which_there_are():
    for compute in (Tensor.sum, Tensor.mean, Tensor.max, Tensor.argmax, Tensor.any):
        with pytest.raises(TypeError, match="no argument named dim; there are axis and keepdims"):
            compute(Tensor((2, 3)), dim=1)


def test_optimizers_are_not_given_parameters():
    p = Tensor((2,), stores_grad=True)
    no_layer = MLP().get_params()  # empty: there was no input yet
    groups = [{"params": [p]}]
    for params in ([p], {"p": p}, iter([p]), (p for _ in range(2)), no_layer.values(), [], groups):
        with pytest.raises(ArgumentError, match=r"SGD: an optimizer is not given the parameters"):
            opt.SGD(params, lr=0.1)


@pytest.mark.parametrize("use_graph", [False, True])
def test_a_call_with_the_wrong_arguments_says_what_it_is(use_graph):
    net, x = MLP(), Tensor((4, 64))
    net.set_optimizer(opt.SGD(0.1))
    net.compile([x], use_graph=use_graph)
    with pytest.raises(TypeError) as raised:
        net(x)
    assert "MLP is in training, where a call is train_one_batch(x" in raised.value.__notes__[-1]
    assert "model.eval() changes that" in raised.value.__notes__[-1]


def test_a_call_before_compile_says_that_it_is_forward():
    with pytest.raises(TypeError) as raised:
        MLP()(Tensor((4, 64)), Tensor((4,), dtype="int32"))
    assert "MLP is not compiled, where a call is forward(x" in raised.value.__notes__[-1]
    assert "model.compile([x]) changes that" in raised.value.__notes__[-1]


@pytest.mark.parametrize("use_graph", [False, True])
def test_a_step_that_forgets_the_optimizer_says_so_once(use_graph):
    class Forgetful(MLP):
        def train_one_batch(self, x, t):
            out = self.forward(x)
            if self.forgets:
                return out
            self.optimizer(autograd.softmax_cross_entropy(out, t))
            return out

    x, t = Tensor((4, 64)), Tensor((4,), dtype="int32")
    for forgets, optimizer in ((True, opt.SGD(0.1)), (False, opt.SGD(0.1, accumulate=3))):
        net = Forgetful()
        net.forgets = forgets
        net.set_optimizer(optimizer)
        net.compile([x], use_graph=use_graph)
        if forgets:
            with pytest.warns(TrainingWarning, match="the loss to the model's optimizer"):
                net(x, t)
        net(x, t)  # no warning


def test_any_model_has_an_optimizer_to_set():
    class Net(model.Model):
        pass

    with pytest.raises(AttributeError, match=r"model.set_optimizer\(opt.SGD\(0.1\)\) comes first"):
        Net().optimizer  # noqa: B018 (reading it raises)
    net = Net()
    net.set_optimizer(opt.SGD(0.1))
    assert list(net.optimizers()) == ["optimizer"]


class WithNumPy(autograd.Operation):
    def forward(self, x):
        return np.sin(x)


class WithIf(autograd.Operation):
    def forward(self, x):
        return x if x > 0 else -x


class WithNumber(autograd.Operation):
    def forward(self, x):
        return x * float(x)


@pytest.mark.parametrize("operation", [WithNumPy, WithIf, WithNumber])
def test_an_operation_that_looks_at_values_says_what_to_write(operation):
    with pytest.raises(CaptureError, match=r"run once for all values.*jnp.where instead of if"):
        operation()(Tensor(data=1.0))


def test_a_rule_that_looks_at_values_says_so_too():
    class Looks(opt.Optimizer):
        def rule(self, p, g, state, hyper, step):
            return (p if g > 0 else p - g), state

    p = Tensor(data=1.0, stores_grad=True)
    with pytest.raises(CaptureError, match=r"jnp\.where instead of if"):
        Looks(0.1).update(p, Tensor(data=1.0))


def test_indices_that_do_not_go_together_are_refused():
    x = Tensor((3, 4))
    with pytest.raises(ShapeError, match=r"got shapes \(2,\) and \(3,\)"):
        x[[0, 1], [0, 1, 2]]


def test_a_clone_is_recorded_and_a_deepcopy_is_not():
    x = Tensor(data=[1.0, 2.0], stores_grad=True, name="x")
    with autograd.enable_grad():
        for copied in (x.clone(), x.copy()):
            [(_, gradient)] = autograd.backward((copied * copied).sum())
            assert gradient.tolist() == [2.0, 4.0]
        leaf = x.deepcopy()
        assert (leaf.creator, leaf.stores_grad, leaf.name) == (None, True, "x")
        assert x.detach().creator is None
        assert not x.detach().requires_grad
    with autograd.no_grad():
        assert x.clone().creator is None


def test_a_gradient_asked_of_what_no_grad_computed_says_so():
    p = Tensor(data=[1.0], stores_grad=True)
    with autograd.enable_grad():
        with autograd.no_grad():
            loss = (p * p).sum()
        with pytest.raises(Exception, match="no_grad"):
            opt.SGD(0.1)(loss)
