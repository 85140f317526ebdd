"""A step's result and its changes of Python objects are the same eagerly and compiled."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, defaultdict, deque, namedtuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa import autograd, model
from singa.tensor import Tensor

X = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
Pair = namedtuple("Pair", "first second")


@dataclasses.dataclass
class Record:
    value: object


class Model(model.Model):
    def __init__(self, graph=True):
        super().__init__()
        self.eval()
        self.graph(graph)


KINDS = {
    "list": list,
    "tuple": tuple,
    "deque": lambda xs: deque(xs, maxlen=5),
    "pair": lambda xs: Pair(xs, len(xs)),
    "dict": lambda xs: {("z", i) if i % 2 else 9 - i: x for i, x in enumerate(xs)},
    "ordered": lambda xs: OrderedDict((str(9 - i), x) for i, x in enumerate(xs)),
    "default": lambda xs: defaultdict(list, dict(enumerate(xs))),
    "record": Record,
}

SPECS = st.recursive(
    st.sampled_from(["made", "argument", "parameter", "array", "number", "text", "none", "own"]),
    lambda inner: st.tuples(st.sampled_from([*KINDS]), st.lists(inner, max_size=3)),
    max_leaves=8,
)


class Leaves(Model):
    """Leaves what a spec says, in its result and on an attribute."""

    def __init__(self, spec, graph):
        super().__init__(graph)
        self.spec = spec
        self.parameter = Tensor(data=X[0], stores_grad=True)
        self.own = [1, {"two": 2}]

    def build(self, spec, x):
        if isinstance(spec, tuple):
            kind, inner = spec
            return KINDS[kind]([self.build(each, x) for each in inner])
        return {
            "made": lambda: x * 2.0,
            "argument": lambda: x,
            "parameter": lambda: self.parameter,
            "array": lambda: (x + 1.0).data,
            "number": lambda: 3.5,
            "text": lambda: "text",
            "none": lambda: None,
            "own": lambda: self.own,
        }[spec]()

    def forward(self, x):
        left = self.build(self.spec, x)
        self.left = left
        return left


def look(value, net, x):
    """A value as something that can be compared."""
    if value is net.own:
        return "own"
    if value is net.parameter:
        return "parameter"
    if value is x:
        return "argument"
    if isinstance(value, Tensor):
        assert value.creator is None
        return ("Tensor", value.requires_grad, value.to_numpy().tolist())
    if isinstance(value, dict):
        return (type(value), [(key, look(each, net, x)) for key, each in value.items()])
    if isinstance(value, (list, tuple, deque)):
        return (type(value), [look(each, net, x) for each in value])
    if isinstance(value, Record):
        return (Record, look(value.value, net, x))
    if hasattr(value, "dtype"):
        return ("array", np.asarray(value).tolist())
    return value


@given(spec=SPECS)
@settings(max_examples=25, deadline=None)
def test_any_nesting_is_left_anew_by_each_call(spec):
    nets = [Leaves(spec, graph) for graph in (False, True)]
    kept = []
    for scale in (1.0, 2.0, 3.0):
        looked_at = []
        for net in nets:
            x = Tensor(data=X * scale)
            result = net(x)
            assert net.left is result or isinstance(result, (int, float, str))
            looked_at.append(look(result, net, x))
            kept.append((result, net, x, looked_at[-1]))
        assert looked_at[0] == looked_at[1]
    assert nets[1].captures == 1
    for result, net, x, was in kept:  # no later call has changed what an earlier one has left
        assert look(result, net, x) == was


def test_what_is_in_two_places_is_one_object_and_may_be_inside_of_itself():
    class Shares(Model):
        def forward(self, x):
            shared = [x * 1.0]
            shared.append(shared)
            self.a = self.b = shared
            return {"shared": shared, "x": x}

    net, seen = Shares(), []
    for _ in range(3):
        x = Tensor(data=X)
        result = net(x)
        assert net.a is net.b is result["shared"] is net.a[1]
        assert result["x"] is x
        assert all(net.a is not other for other in seen)
        seen.append(net.a)


def test_what_the_step_makes_is_not_what_a_user_has_changed_since():
    class Notes(Model):
        def forward(self, x):
            self.notes = ["a"]
            return x * 1.0

    net = Notes()
    for _ in range(3):
        net(Tensor(data=X))
        assert net.notes == ["a"]
        net.notes.append("mine")
    assert net.captures == 1


def test_containers_that_were_there_stay_who_they_are():
    class Puts(Model):
        def __init__(self):
            super().__init__()
            self.cache = {"inner": [1, 2]}

        def forward(self, x):
            self.cache["h"] = x * 1.0
            self.cache.pop("other", None)
            return x * 1.0

    net = Puts()
    cache, inner = net.cache, net.cache["inner"]
    for scale in (1.0, 2.0):
        net.cache["other"] = 1
        net(Tensor(data=X * scale))
        assert net.cache is cache
        assert cache["inner"] is inner
        assert list(cache) == ["inner", "h"]
        np.testing.assert_array_equal(cache["h"], X * scale)


@pytest.mark.parametrize("graph", [False, True])
def test_a_step_that_fails_gives_back_records_and_attributes(graph):
    class Fails(Model):
        def __init__(self):
            super().__init__(graph)
            self.flag = "before"

        def forward(self, x):
            x.data = x.data * 2.0
            x.requires_grad = False
            self.flag = "after"
            self.new = x * 1.0
            raise KeyError("asked to")

    with autograd.enable_grad():
        x = Tensor(data=X, stores_grad=True) * 2.0
    creator, value, net = x.creator, x.to_numpy(), Fails()
    with pytest.raises(KeyError, match="asked to"):
        net(x)
    assert x.creator is creator
    assert x.requires_grad
    np.testing.assert_array_equal(x, value)
    assert net.flag == "before"
    assert not hasattr(net, "new")


def test_flags_that_the_step_sets_are_set():
    class Freezes(Model):
        def __init__(self, graph):
            super().__init__(graph)
            self.w = Tensor(data=X, stores_grad=True)

        def forward(self, x):
            self.w.requires_grad = False
            return x * self.w

    for graph in (False, True):
        net = Freezes(graph)
        for _ in range(2):
            net(Tensor(data=X))
            assert not net.w.requires_grad


@pytest.mark.parametrize("graph", [False, True])
def test_what_is_assigned_is_assigned_though_it_was_so_when_the_step_was_captured(graph):
    class Sets(Model):
        def __init__(self):
            super().__init__(graph)
            self.mode, self.branch, self.other, self.rest = "on", Model(), Model(), [1]
            self.kept, self.w = self.other, Tensor(data=X)
            self.chosen = self.w

        def forward(self, x):
            self.mode, self.kept, self.chosen = "on", self.other, self.w
            rest, self.rest = self.rest, []
            self.rest = rest
            self.passing = x
            del self.passing
            return x * 2

    net = Sets()
    for _ in range(3):
        net(Tensor(data=X))
        assert net.mode == "on"
        assert net.kept is net.other
        assert net.chosen is net.w
        assert net.rest == [1]
        assert not hasattr(net, "passing")
        net.mode, net.kept, net.chosen, net.rest, net.passing = "off", net.branch, None, [1], 1
