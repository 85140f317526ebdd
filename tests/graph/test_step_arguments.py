"""Arguments of steps: in the caller's order, exact, and not changed without the caller's notice."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
from collections import OrderedDict, defaultdict, namedtuple

import jax
import numpy as np
import pytest

from singa import autograd, model
from singa.errors import CaptureError
from singa.tensor import Tensor

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
Pair = namedtuple("Pair", "second first")


class Net(model.Model):
    def __init__(self, function, graph):
        super().__init__()
        self.function = function
        self.eval()
        self.graph(graph)

    def forward(self, *args, **options):
        return self.function(self, *args, **options)


def numbers(count):
    return [Tensor(data=np.full((1,), i, np.float32)) for i in range(count)]


def join(values):
    return autograd.cat(list(values), 0)


# -- order ----------------------------------------------------------------------------------------


def orders(keys):
    """Containers of three Tensors, by keys in three orders."""
    for names in (keys, keys[::-1], (keys[1], keys[2], keys[0])):
        yield dict(zip(names, numbers(3), strict=True))


@pytest.mark.parametrize("graph", [False, True])
def test_keyword_arguments_come_in_the_callers_order(graph):
    net = Net(lambda self, **options: join(options.values()), graph)
    for options in orders(["b", "a", "c"]):
        assert net(**options).tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", [dict, OrderedDict, lambda found: defaultdict(list, found)])
@pytest.mark.parametrize("keys", [["b", "a", "c"], [1, "a", None], [(1, "a"), Pair, 2.5]])
@pytest.mark.parametrize("graph", [False, True])
def test_dicts_come_in_the_callers_order(kind, keys, graph):
    def forward(self, found):
        assert type(found) is type(kind({}))
        if isinstance(found, defaultdict):
            assert found.default_factory is list
        return join(found.values()), [*found]

    net = Net(forward, graph)
    for found in orders(keys):
        values, names = net(kind(found))
        assert (values.tolist(), names) == ([0, 1, 2], [*found])


def test_equal_keys_of_other_types_are_other_calls():
    net = Net(lambda self, found: type(next(iter(found))).__name__, True)
    assert [net({key: 0}) for key in (1, True, 1.0)] == ["int", "bool", "float"]


# -- containers ---------------------------------------------------------------------------------

CONTAINERS = {
    "list": lambda: numbers(2),
    "dict": lambda: {"b": numbers(1)[0], "a": [1, 2]},
    "ordered": lambda: OrderedDict(b=1, a=2),
    "default": lambda: defaultdict(list, b=[1]),
    "nested": lambda: ({"inside": numbers(2)},),
    "pair": lambda: Pair(numbers(2), {}),
}


def innermost(container):
    """Something in it that can be changed."""
    while isinstance(container, tuple):
        container = container[0]
    return container.get("inside", container) if isinstance(container, dict) else container


def flat(container):
    return jax.tree.leaves(container, is_leaf=lambda leaf: isinstance(leaf, Tensor))


@pytest.mark.parametrize("given", ["positional", "named"])
@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_a_container_that_is_changed_is_refused_and_stays_as_it_was(make, given):
    def change(self, log, x=None):
        found = innermost(log)
        if isinstance(found, list):
            found.append(1.0)
        else:
            found["new"] = x

    net = Net(change, True)
    container = make()
    before = repr(container)
    args, options = ((container,), {}) if given == "positional" else ((), {"log": container})
    name = "argument 0" if given == "positional" else "argument log"
    with pytest.raises(CaptureError, match=rf"{name}: .*cannot change a \w+ .*Return"):
        net(*args, x=Tensor(data=X), **options)
    assert repr(container) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log.pop(),
        lambda log: log.reverse(),
        lambda log: log.clear(),
        lambda log: log.__setitem__(0, log[0] * 2),
    ],
)
def test_all_ways_to_change_a_list_are_refused(change):
    net = Net(lambda self, log: change(log), True)
    log = numbers(2)
    with pytest.raises(CaptureError, match="cannot change a list"):
        net(log)
    assert join(log).tolist() == [0, 1]


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("make", CONTAINERS.values(), ids=CONTAINERS)
def test_a_container_that_is_read_or_kept_or_copied_and_changed(make, graph):
    def use(self, found):
        self.kept = found
        copy = list(found)
        copy.append(5)
        return [x * 2 for x in flat(found)], len(copy)

    net = Net(use, graph)
    for _ in range(2):
        container = make()
        doubled, length = net(container)
        wanted = [np.asarray(x) * 2 for x in flat(container)]
        assert [np.asarray(x).tolist() for x in doubled] == [x.tolist() for x in wanted]
        assert length == len(container) + 1
        assert type(net.kept) is type(container)
        assert [np.asarray(x) for x in flat(net.kept)] == [np.asarray(x) for x in flat(container)]


@pytest.mark.parametrize("graph", [False, True])
def test_a_step_may_take_from_its_keyword_arguments(graph):
    def forward(self, **options):
        return options.pop("x") * len(options)

    assert Net(forward, graph)(x=numbers(2)[1], y=1, z=2).tolist() == [2]


@pytest.mark.parametrize("graph", [False, True])
def test_a_container_that_the_model_keeps_may_be_filled(graph):
    def forward(self, x):
        self.log["loss"] = x * 2

    net = Net(forward, graph)
    net.log = log = {}
    for x in numbers(3):
        net(x)
        assert log["loss"].tolist() == (x * 2).tolist()


def test_a_step_that_fails_gives_containers_back():
    def fail(self, log):
        log.append(1)
        raise KeyError

    log = []
    with pytest.raises(KeyError):
        Net(fail, True)(log)
    assert log == []


# -- plain values -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Partly:
    """Is equal to others of its name."""

    name: str
    scale: object = dataclasses.field(default=1.0, compare=False, repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    name: str
    scale: object = dataclasses.field(default=1.0, compare=False)


class Extended(Partly):
    """Has more than fields."""

    def __init__(self, name, scale):
        super().__init__(name)
        object.__setattr__(self, "scale", scale)


class Own:
    def __init__(self, name, scale):
        self.name, self.scale = name, scale

    def __eq__(self, other):
        return isinstance(other, Own) and self.name == other.name

    def __hash__(self):
        return hash(self.name)


class Text(str):
    def __new__(cls, name, scale):
        text = super().__new__(cls, name)
        text.scale = scale
        return text


SCALES = [1.0, 2.0, 0.0, -0.0, True, 1, 1.0]


@pytest.mark.parametrize("kind", [Partly, Slotted, Extended, Own, Text])
def test_values_that_are_equal_but_for_a_part(kind):
    eager, compiled = [], []
    for graph, seen in ((False, eager), (True, compiled)):
        net = Net(lambda self, value: value.scale, graph)
        seen += [repr(net(kind("a", scale))) for scale in SCALES]
    assert compiled == eager == [repr(scale) for scale in SCALES]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (decimal.Decimal("1.0"), decimal.Decimal("1.00")),
        (range(0), range(5, 5)),
        (slice(0, 1), slice(False, 1.0)),
        (
            datetime.datetime(2024, 1, 1, 12, tzinfo=datetime.UTC),
            datetime.datetime(
                2024, 1, 1, 13, tzinfo=datetime.timezone(datetime.timedelta(hours=1))
            ),
        ),
        ((1, (0.0,)), (1, (-0.0,))),
        ({"a": 1}, {"a": True}),
    ],
)
def test_equal_values_that_differ_are_other_calls(one, other):
    assert one == other
    net = Net(lambda self, value: repr(value), True)
    assert [net(one), net(other), net(one)] == [repr(one), repr(other), repr(one)]
    assert net.captures == 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: Partly("a", (1, 2.0)),
        lambda: Slotted("a", Partly("b")),
        lambda: Pair(1, "b"),
        lambda: decimal.Decimal("1.5"),
        lambda: np.dtype("float32"),
        lambda: frozenset(["a"]),
        lambda: {"a": [1, None, {"b": 2.5}]},
    ],
)
def test_values_that_are_the_same_are_the_same_call(make):
    net = Net(lambda self, value: value, True)
    for _ in range(3):
        assert net(make()) == make()
    assert net.captures == 1
