"""Ways to store values between steps, and to read them: the same numbers eagerly and compiled.

Each case is a class whose model is made again, called several times, and changed in between.
"""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Iterator
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from singa import autograd, layer, model, opt
from singa.tensor import Tensor

# Many steps here change what they read, and are captured again each time.
pytestmark = pytest.mark.filterwarnings("ignore::singa.errors.RecompilationWarning")

LATEST: Any = None
SCALE = {"a": 1.0}


class Net(model.Model):
    """A model that is trained, and its loss."""

    def __init__(self):
        super().__init__()
        self.linear = layer.Linear(1)
        self.optimizer = opt.SGD(0.02, momentum=0.5)

    def forward(self, x):
        return self.linear(x)

    def loss(self, x):
        loss = (self.forward(x) ** 2).sum()
        self.optimizer(loss)
        return loss


class OnAGlobal(Net):
    def train_one_batch(self, x):
        global LATEST
        loss = self.loss(x)
        LATEST = loss if LATEST is None else LATEST * 0.5 + loss
        return LATEST


def _counter():
    count = 0.0

    def next_number():
        nonlocal count
        count += 1.0
        return count

    return next_number


class InAClosure(Net):
    def __init__(self):
        super().__init__()
        self.next_number = _counter()

    def train_one_batch(self, x):
        return self.loss(x) * self.next_number()


class OnAClass(Net):
    count: ClassVar[int] = 0
    average: ClassVar[Any] = None

    def train_one_batch(self, x):
        cls = type(self)
        cls.count += 1
        loss = self.loss(x) * float(cls.count)
        cls.average = loss if cls.average is None else cls.average * 0.5 + loss
        return cls.average


class OnABaseClass(OnAClass):
    def train_one_batch(self, x):
        OnAClass.count += 1
        return self.loss(x) * float(self.count)


class Slots:
    __slots__ = ("__private", "value")

    def __init__(self):
        self.value, self.__private = 0.0, 1.0

    def add(self, x):
        self.value = x + self.value
        self.__private = self.__private + 1.0
        return self.value * self.__private


class InSlots(Net):
    def __init__(self):
        super().__init__()
        self.slots = Slots()

    def train_one_batch(self, x):
        return self.slots.add(self.loss(x))


def counted(x):
    counted.calls += 1
    return x * float(counted.calls)


counted.calls = 0


class OnAFunction(Net):
    def train_one_batch(self, x):
        return counted(self.loss(x))


class Outputs(dict):
    """As a dict, and as attributes."""

    def __init__(self, **values):
        super().__init__(values)
        for name, value in values.items():
            setattr(self, name, value)


@dataclasses.dataclass(slots=True)
class Found:
    loss: Any


class Lazy(layer.Layer):
    w = None

    def forward(self, x):
        if self.w is None:
            self.w = Tensor(data=np.ones((x.shape[1], 1), np.float32), stores_grad=True)
        return autograd.matmul(x, self.w)


class WithALazyParameter(Net):
    def __init__(self):
        super().__init__()
        self.linear = Lazy()

    def train_one_batch(self, x):
        return self.loss(x)


class WithACachedProperty(Net):
    @functools.cached_property
    def positions(self):
        return Tensor(data=np.ones((1, 3), np.float32)) * 2.0

    def forward(self, x):
        return self.linear(x + self.positions)

    def train_one_batch(self, x):
        return self.loss(x)


@pytest.fixture(autouse=True)
def _as_at_first():
    yield
    _reset()


def made(cls, graph, compiles=False):
    _reset()
    net = cls()
    x = Tensor(data=np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3))
    if compiles:
        net.compile([x], is_train=True, use_graph=graph)
    net.train()
    net.graph(graph, sequential=not compiles)
    net.forward(x)
    for param in net.get_params().values():
        param.set_value(0.5)
    return net, x


def _reset():
    global LATEST
    LATEST = None
    OnAClass.count, OnAClass.average, counted.calls = 0, None, 0
    for name in vars(OnABaseClass).keys() & {"count", "average"}:
        delattr(OnABaseClass, name)


@pytest.mark.parametrize("compiles", [False, True])
@pytest.mark.parametrize(
    "cls",
    [
        OnAGlobal, InAClosure, OnAClass, OnABaseClass, InSlots, OnAFunction, WithALazyParameter,
        WithACachedProperty,
    ],
)  # fmt: skip
def test_what_a_step_keeps_is_kept(cls, compiles):
    losses, kept = [], []
    for graph in (False, True):
        net, x = made(cls, graph, compiles)
        results = [net(x) for _ in range(5)]  # all are kept: none may change later
        losses.append([result.item() for result in results])
        kept.append((LATEST and LATEST.item(), OnAClass.count, counted.calls))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)
    assert kept[1] == pytest.approx(kept[0])


def _generated(x) -> Iterator[Any]:
    yield x


RESULTS = {
    "slots": lambda x: Found(x),
    "a dict with attributes": lambda x: Outputs(loss=x).loss,
    "attributes of a dict": lambda x: Outputs(loss=x),
    "a namespace": lambda x: SimpleNamespace(loss=x),
    "values of a dict": lambda x: {"a": x}.values(),
    "a function": lambda x: lambda: x,
    "a partial function": lambda x: functools.partial(lambda y: y, x),
    "map": lambda x: map(autograd.identity, [x]),
    "a generator": _generated,
    "an iterator": lambda x: iter([x]),
}


def numbers(found):
    if isinstance(found, Tensor):
        return [found.item()]
    if isinstance(found, dict):
        return [found["loss"].item(), found.loss.item()]
    if hasattr(found, "loss"):
        return [found.loss.item()]
    return [found().item()] if callable(found) else [x.item() for x in found]


@pytest.mark.parametrize("kind", RESULTS)
@pytest.mark.parametrize("is_kept", [False, True])
def test_each_call_has_a_result_of_its_own(kind, is_kept):
    class Results(model.Model):
        def forward(self, x):
            found = RESULTS[kind](x.sum())
            if is_kept:
                self.found = found
            return found

    for graph in (False, True):
        net = Results()
        net.eval()
        net.graph(graph, sequential=True)
        results = []
        for i in range(3):
            results.append(net(Tensor(data=[float(i), 0.0])))
            if is_kept:
                results[-1] = net.found
        assert [numbers(found) for found in results] == [
            [float(i)] * (1 + (kind == "attributes of a dict")) for i in range(3)
        ]


class Config:
    scale = 1.0


class Outer:
    class Inner:
        scale = 1.0


def scaled(x, by=1.0):
    return x * by


class Floats(list):
    scale = 1.0


BASE = np.ones(2, np.float32)


class Plain:
    scale = 1.0


HELD = Plain()

# What the step computes of x, and the change that makes it twice that.
READS = {
    "an attribute of a class": (
        lambda: Config,
        lambda held, x: x * held.scale,
        lambda held: setattr(Config, "scale", 2.0),
    ),
    "an attribute of an object's class": (
        Config,
        lambda held, x: x * held.scale,
        lambda held: setattr(Config, "scale", 2.0),
    ),
    "an attribute of a class in a list": (
        lambda: [Config],
        lambda held, x: x * held[0].scale,
        lambda held: setattr(Config, "scale", 2.0),
    ),
    "a class inside a class": (
        lambda: Outer,
        lambda held, x: x * held.Inner.scale,
        lambda held: setattr(Outer.Inner, "scale", 2.0),
    ),
    "a function's default": (
        lambda: scaled,
        lambda held, x: held(x),
        lambda held: setattr(scaled, "__defaults__", (2.0,)),
    ),
    "an attribute of a list": (
        Floats,
        lambda held, x: x * held.scale,
        lambda held: setattr(held, "scale", 2.0),
    ),
    "a method of a dict": (
        lambda: SCALE.get,
        lambda held, x: x * held("a"),
        lambda held: SCALE.update(a=2.0),
    ),
    "the values of a dict": (
        lambda: SCALE.values(),
        lambda held, x: x * next(iter(held)),
        lambda held: SCALE.update(a=2.0),
    ),
    "the items of a dict": (
        lambda: SCALE.items(),
        lambda held, x: x * dict(held)["a"],
        lambda held: SCALE.update(a=2.0),
    ),
    "a proxy of a dict": (
        lambda: MappingProxyType(SCALE),
        lambda held, x: x * held["a"],
        lambda held: SCALE.update(a=2.0),
    ),
    "a view of an array": (
        lambda: np.broadcast_to(BASE, (3, 2)),
        lambda held, x: x * float(held[0, 0]),
        lambda held: BASE.fill(2.0),
    ),
    "a weak reference": (
        lambda: weakref.ref(HELD),
        lambda held, x: x * held().scale,
        lambda held: setattr(HELD, "scale", 2.0),
    ),
}


@pytest.mark.parametrize("kind", READS)
def test_what_a_step_reads_is_what_is_there_now(kind):
    make, compute, change = READS[kind]

    class Reads(model.Model):
        def __init__(self):
            super().__init__()
            self.held = make()

        def forward(self, x):
            return compute(self.held, x)

    try:
        for graph in (False, True):
            net, x = Reads(), Tensor(data=[1.0, 2.0])
            net.eval()
            net.graph(graph, sequential=True)
            assert net(x).tolist() == net(x).tolist() == [1.0, 2.0]
            assert net.captures == graph
            change(net.held)
            assert net(x).tolist() == [2.0, 4.0]
            _undo_changes()
    finally:
        _undo_changes()


def _undo_changes():
    Config.scale = Outer.Inner.scale = Floats.scale = HELD.scale = SCALE["a"] = 1.0
    scaled.__defaults__ = (1.0,)
    BASE.fill(1.0)


def test_a_class_attribute_that_cannot_be_compared_and_is_not_read_is_none_of_a_step_s_business():
    class Numbered(layer.Layer):
        numbers = iter(range(10))
        table = np.ones(2**19)  # 4 MiB, which anybody may write into

        def __init__(self):
            self.number = next(self.numbers)

        def forward(self, x):
            return x * 2.0

    class Reads(model.Model):
        def __init__(self):
            super().__init__()
            self.layer = Numbered()

        def forward(self, x):
            return self.layer(x)

    net = Reads()
    net.eval()
    net.graph(True)
    assert [net(Tensor(data=[1.0])).item() for _ in range(3)] == [2.0, 2.0, 2.0]
    assert net.captures == 1


def test_a_file_that_a_step_keeps_beside_what_it_changes_costs_no_capture(tmp_path):
    class Logging(model.Model):
        def __init__(self, log):
            super().__init__()
            self.kept = {"log": log}

        def forward(self, x):
            self.kept["latest"] = x * 2.0
            return self.kept["latest"]

    with (tmp_path / "log.txt").open("w") as log:
        net = Logging(log)
        net.eval()
        net.graph(True, sequential=True)
        assert [net(Tensor(data=[float(i)])).item() for i in range(4)] == [0.0, 2.0, 4.0, 6.0]
        assert net.captures == 2  # the second one finds a Tensor there already
