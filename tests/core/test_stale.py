"""Cached compiled code is compiled again when something that it reads has changed."""

import itertools
from dataclasses import dataclass, field
from types import MethodType

import numpy as np
import pytest

from singa import autograd, model, opt
from singa.errors import CaptureError
from singa.tape.table import Table
from singa.tensor import Tensor

FACTOR = 1.0
BASE = [1.0]
LOG = []


@pytest.fixture(autouse=True)
def _globals(monkeypatch):
    monkeypatch.setitem(globals(), "FACTOR", 1.0)
    monkeypatch.setitem(globals(), "BASE", [1.0])
    autograd.training = True
    yield
    autograd.training = False


@pytest.fixture
def tracings(monkeypatch):
    """One element for each tracing."""
    seen = []
    traced = Table.traced
    monkeypatch.setattr(Table, "traced", lambda *args: (seen.append(1), traced(*args))[1])
    return seen


class Thing:
    def __init__(self, a):
        self.a = a


class Reads:
    """Has a method that reads all kinds of things that can change."""

    factor = 1.0

    def helper(self):
        return 1.0

    @property
    def product(self):
        return self.number * self.listed[0] * self.mapped["a"] * self.array[0] * self.thing.a

    def gain(self):
        return FACTOR * BASE[0] * self.factor * self.helper() * self.product * elsewhere(self)

    def fill(self):
        self.number, self.elsewhere, self.thing = 1.0, 1.0, Thing(1.0)
        self.listed, self.mapped, self.array = [1.0], {"a": 1.0}, np.ones(1, np.float32)


def elsewhere(owner):
    return owner.elsewhere


OF_ALL = {
    "class attribute": lambda o: setattr(type(o), "factor", 2.0),
    "inherited class attribute": lambda o: setattr(type(o).__mro__[1], "factor", 2.0),
    "global": lambda o: globals().update(FACTOR=2.0),
    "contents of a global": lambda o: BASE.__setitem__(0, 2.0),
    "helper method": lambda o: setattr(type(o), "helper", lambda self: 2.0),
    "property": lambda o: setattr(type(o), "product", 2.0),
}
OF_ONE = {
    "helper method of one": lambda o: setattr(o, "helper", lambda: 2.0),
    "attribute": lambda o: setattr(o, "number", 2.0),
    "attribute that a function reads": lambda o: setattr(o, "elsewhere", 2.0),
    "list": lambda o: o.listed.__setitem__(0, 2.0),
    "dict": lambda o: o.mapped.update(a=2.0),
    "array": lambda o: o.array.__setitem__(0, 2.0),
    "object": lambda o: setattr(o.thing, "a", 2.0),
    "another object": lambda o: setattr(o, "thing", Thing(2.0)),
}


class Step(model.Model):
    def __init__(self, owner, use, graph):
        super().__init__()
        self.owner, self.use = owner, use
        self.p, self.step = Tensor(data=[0.0], stores_grad=True), Tensor(data=np.int32(0))
        self.train()
        self.graph(graph)

    def train_one_batch(self):
        return self.use(self.owner, self.p, self.step)


def an_optimizer():
    class Inherited(Reads):
        pass

    class Mine(Inherited, opt.Optimizer):
        def __init__(self):
            super().__init__(0.5)
            self.fill()

        def rule(self, p, g, state, hyper, step):
            return p + self.gain() * g, state

    def use(optimizer, p, step):
        before = p * 1.0
        optimizer.update_all([(p, Tensor(data=[1.0]))])
        return p - before

    return Mine, use


def a_forward():
    class Inherited(Reads):
        pass

    class Mine(Inherited, autograd.Operation):
        def __init__(self):
            super().__init__()
            self.fill()

        def forward(self, x):
            return x + self.gain()

    return Mine, lambda operation, p, step: operation(p)[0]


def a_backward():
    class Inherited(Reads):
        pass

    class Mine(Inherited, autograd.Operation):
        def __init__(self):
            super().__init__()
            self.fill()

        def forward(self, x):
            return x

        def backward(self, dy):
            return dy * self.gain()

    def use(operation, p, step):
        [(_, gradient)] = autograd.backward(operation(p)[0])
        return gradient

    return Mine, use


def a_schedule():
    class Inherited(Reads):
        pass

    class Mine(Inherited, opt.DecayScheduler):
        def __init__(self):
            super().__init__(1.0)
            self.fill()

        def value(self, step):
            return self.init_value * self.gain()

    return Mine, lambda schedule, p, step: schedule(step)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize("change", [*OF_ALL, *OF_ONE])
@pytest.mark.parametrize("make", [an_optimizer, a_forward, a_backward, a_schedule])
def test_what_was_compiled_follows_what_it_reads(make, change, graph):
    kind, use = make()
    step, other = Step(kind(), use, graph), Step(kind(), use, graph)
    assert [step().item(), step().item(), other().item()] == [1.0] * 3
    (OF_ALL | OF_ONE)[change](step.owner)
    assert [step().item(), step().item()] == [2.0] * 2
    assert other().item() == Step(kind(), use, graph)().item() == (2.0 if change in OF_ALL else 1.0)


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "captured"])
@pytest.mark.parametrize(("name", "make"), [("rule", an_optimizer), ("value", a_schedule)])
def test_methods_that_are_assigned_are_followed(make, name, graph):
    kind, use = make()
    step = Step(kind(), use, graph)
    assert step().item() == 1.0
    twice = {"rule": lambda self, p, g, *_: (p + self.number * g, {}), "value": lambda self, _: 2.0}
    setattr(step.owner, name, MethodType(twice[name], step.owner))
    step.owner.number = 2.0
    assert step().item() == 2.0
    setattr(kind, name, {"rule": lambda *_: (_[1] + 3, {}), "value": lambda *_: 3.0}[name])
    delattr(step.owner, name)
    assert step().item() == 3.0


# -- what is shared -----------------------------------------------------------------------------


def far(optimizer):
    p = Tensor(data=[0.0], stores_grad=True)
    optimizer.update_all([(p, Tensor(data=[1.0]))])
    return p.item()


class Listed(opt.Optimizer):
    factors: object = None

    def rule(self, p, g, state, hyper, step):
        return p + self.factors[0] * g, state


@pytest.mark.parametrize("make", [lambda x: [x], lambda x: {0: x}, lambda x: np.array([x])])
def test_fields_may_be_containers(make, tracings):
    assert [far(Listed(factors=make(x))) for x in (1.0, 2.0, 1.0, 2.0)] == [1.0, 2.0, 1.0, 2.0]
    assert len(tracings) == 2


class Scaled(autograd.Operation):
    def __init__(self, factors):
        super().__init__()
        self.factors = factors

    def forward(self, x):
        return x * self.factors[0]


def test_a_kernel_has_containers_of_its_own():
    scaled = Scaled([1.0])
    scaled(Tensor(data=[1.0]))
    scaled.factors[0] = 3.0
    assert Scaled([1.0])(Tensor(data=[1.0, 1.0]))[0].to_numpy().tolist() == [1.0, 1.0]


@dataclass(frozen=True)
class Named:
    name: str
    factor: float = field(default=1.0, compare=False)

    def __getitem__(self, _):
        return self.factor


@dataclass(frozen=True, slots=True)
class Slotted:
    name: str
    factor: float = field(default=1.0, compare=False)

    def __getitem__(self, _):
        return self.factor


@pytest.mark.parametrize("kind", [Named, Slotted])
def test_equal_objects_that_differ_are_told_apart(kind, tracings):
    assert [far(Listed(factors=kind("a", x))) for x in (1.0, 2.0, 1.0)] == [1.0, 2.0, 1.0]
    xs = [Scaled(kind("a", x))(Tensor(data=[1.0]))[0].item() for x in (1.0, 2.0, 1.0)]
    assert xs == [1.0, 2.0, 1.0]
    assert len(tracings) == 4


# -- what is no change --------------------------------------------------------------------------


class Counting(opt.Optimizer):
    calls_of_all = 0

    def __init__(self):
        super().__init__(0.5)
        self.calls = 0

    def __call__(self, loss):
        self.calls += 1
        type(self).calls_of_all += 1
        super().__call__(loss)

    def rule(self, p, g, state, hyper, step):
        return p - hyper["lr"] * g, state


def test_what_is_counted_elsewhere_costs_no_compilation(tracings):
    optimizer, p = Counting(), Tensor(data=[1.0], stores_grad=True)
    optimizer(p * p)
    tracings.clear()
    for _ in range(3):
        optimizer(p * p)
    assert optimizer.calls == 4
    assert not tracings


class Logging(autograd.Operation):
    calls = 0

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        LOG.append("forward")
        type(self).calls += 1
        return x * self.factor


def test_what_a_tracing_changes_itself_costs_no_compilation(tracings):
    for _ in range(3):
        for factor in (1.0, 2.0, 3.0):
            assert Logging(factor)(Tensor(data=[1.0]))[0].item() == factor
    assert len(tracings) == Logging.calls == 3


class Odd(opt.Optimizer):
    def __init__(self):
        super().__init__(0.5)
        self.numbers, self.large = itertools.count(1), np.ones(2**20)

    def rule(self, p, g, state, hyper, step):
        return p + next(self.numbers) * self.large[0] * g, state


def test_what_cannot_be_compared_is_no_error_eagerly():
    assert far(Odd()) == 1.0
    with pytest.raises(CaptureError, match=r"Odd\.(numbers|large): a compiled step"):
        Step(Odd(), lambda o, p, step: o.update_all([(p, Tensor(data=[1.0]))]), True)()


# -- Tensors ------------------------------------------------------------------------------------


class WithTensor(opt.Optimizer):
    def __init__(self):
        super().__init__(0.5)
        self.scale = Tensor(data=[2.0])

    def rule(self, p, g, state, hyper, step):
        return p - self.scale.data * g, state


class ScheduleWithTensor(opt.DecayScheduler):
    def __init__(self):
        super().__init__(1.0)
        self.scale = Tensor(data=[2.0])

    def value(self, step):
        return self.scale.data * step


def test_a_tensor_in_what_is_compiled_is_refused():
    with pytest.raises(CaptureError, match="WithTensor: rule and init compute with CTensors; a"):
        far(WithTensor())
    with pytest.raises(CaptureError, match="ScheduleWithTensor: the formulas of value compute wi"):
        ScheduleWithTensor()(Tensor(data=np.int32(0)))
