"""Any sequence of updates: eagerly, compiled, and as NumPy computes it."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from singa import autograd, model, opt
from singa.tensor import Tensor

# What is drawn asks for ever new programs.
# A sequence changes something before most calls: each change is a capture.
pytestmark = pytest.mark.filterwarnings("ignore::singa.errors.RecompilationWarning")

NAMES = "abc"
START = {"a": [1.0, -2.0], "b": [0.5, 0.25], "c": [-1.0, 3.0]}
LR, DECAY, MOMENTUM, BETA_1, BETA_2, EPSILON = 0.25, 0.75, 0.5, 0.75, 0.875, 1e-8

RULES = {
    "momentum": lambda **o: opt.SGD(opt.ExponentialDecay(LR, 1, DECAY), momentum=MOMENTUM, **o),
    "Adam": lambda **o: opt.Adam(opt.ExponentialDecay(LR, 1, DECAY), BETA_1, BETA_2, EPSILON, **o),
}


class Net(model.Model):
    """Each call is a step in which one thing is done with the optimizer, and may then fail."""

    def __init__(self, rule, accumulate, graph):
        super().__init__()
        self.params = {
            n: Tensor(data=np.array(START[n], np.float32), stores_grad=True) for n in NAMES
        }
        self.optimizer = RULES[rule](accumulate=accumulate)
        self.train()
        self.graph(graph)

    def train_one_batch(self, way, names, fails, *grads):
        pairs = [(self.params[n], grads[NAMES.index(n)]) for n in names]
        if way == "update":
            for pair in pairs:
                self.optimizer.update(*pair)
        elif way == "update_all":
            self.optimizer.update_all(pairs)
        elif way == "step":
            self.optimizer.step()
        else:
            with autograd.mixed_precision("float16" if way == "scaled" else "float32"):
                loss = autograd.reduce_sum(pairs[0][0] * pairs[0][1])
                for p, g in pairs[1:]:
                    loss = loss + autograd.reduce_sum(p * g)
                self.optimizer(loss)
        if fails:
            raise ZeroDivisionError
        return grads[0] * 1.0

    def begin(self):
        for name, param in self.params.items():
            param.requires_grad = True
            param.copy_from_numpy(np.array(START[name], np.float32))
        self.optimizer.set_states({})

    def reload(self):
        """The state goes out and comes back, as through a file."""
        names = {param: name for name, param in self.params.items()}
        states = {n: t.to_numpy() for n, t in self.optimizer.get_states(names).items()}
        self.optimizer.set_states({})
        self.optimizer.set_states(states, names)


@cache  # so that a program is compiled once for all examples
def nets(rule, accumulate):
    return [Net(rule, accumulate, graph) for graph in (False, True)]


class Oracle:
    """The same in NumPy, with a dict for everything."""

    def __init__(self, rule, accumulate):
        self.rule, self.accumulate = rule, accumulate
        self.params = {n: np.array(START[n]) for n in NAMES}
        self.first, self.second = ({n: np.zeros(2) for n in NAMES} for _ in range(2))
        self.updates = dict.fromkeys(NAMES, 0)
        self.steps, self.micro, self.is_open, self.scale = 0, 0, False, 2.0**15
        self.had_turn, self.sums, self.frozen = set(), {}, set()

    def do(self, way, names, grads):
        if way == "update":
            for n in names:
                if not self.is_open or not self.steps or n in self.had_turn:
                    self.begin()
                self.update(n, grads[n])
        elif way == "step":
            if not self.is_open and not self.micro:
                self.steps += 1
            self.is_open = False
        elif way == "scaled" and any(abs(grads[n]).max() > 1e30 for n in names):
            self.is_open, self.scale = True, self.scale / 2
        else:
            for n in names:
                self.sums[n] = self.sums.get(n, 0) + grads[n] / self.accumulate
            self.micro = (self.micro + 1) % self.accumulate
            self.is_open = True
            if not self.micro:
                self.begin()
                for n in self.sums:
                    if self.accumulate == 1 or n in names or n not in self.frozen:
                        self.update(n, self.sums[n])
                self.sums = {}

    def begin(self):
        self.steps, self.is_open, self.had_turn = self.steps + 1, True, set()

    def update(self, n, g):
        self.had_turn.add(n)
        self.updates[n] += 1
        lr, t = LR * DECAY ** (self.steps - 1), self.updates[n]
        if self.rule == "momentum":
            self.first[n] = MOMENTUM * self.first[n] + g
            self.params[n] = self.params[n] - lr * self.first[n]
        else:
            self.first[n] = BETA_1 * self.first[n] + (1 - BETA_1) * g
            self.second[n] = BETA_2 * self.second[n] + (1 - BETA_2) * g * g
            mean, square = self.first[n] / (1 - BETA_1**t), self.second[n] / (1 - BETA_2**t)
            self.params[n] = self.params[n] - lr * mean / (np.sqrt(square) + EPSILON)


GRADS = st.lists(st.sampled_from([-2.0, -0.5, 0.25, 1.0]), min_size=6, max_size=6)
SOME = st.sampled_from(["a", "b", "ab", "ba", "abc", "bc"])


def actions(*ways):
    return st.lists(
        st.one_of(
            st.tuples(st.sampled_from(ways), SOME, GRADS, st.sampled_from([False] * 5 + [True])),
            st.tuples(st.sampled_from(["freeze", "reload", "overflow"]), SOME),
        ),
        min_size=1,
        max_size=9,
    )


def play(rule, accumulate, script):
    oracle, pair = Oracle(rule, accumulate), nets(rule, accumulate)
    for net in pair:
        net.begin()
    for way, names, *more in script:
        if way == "freeze":
            oracle.frozen ^= {names[0]}
            for net in pair:
                net.params[names[0]].requires_grad = names[0] not in oracle.frozen
            continue
        if way == "reload":
            for net in pair:
                net.reload()
            continue
        grads, fails = more if more else ([1.0] * 6, False)
        if way in ("loss", "scaled", "overflow"):  # which do not see what is frozen
            names = "".join(n for n in names if n not in oracle.frozen)
            if not names:
                continue
        if way == "overflow":
            way, grads = "scaled", [3e38] * 6
        by_name = {n: np.array(grads[2 * i : 2 * i + 2]) for i, n in enumerate(NAMES)}
        tensors = [Tensor(data=by_name[n].astype(np.float32)) for n in NAMES]
        for net in pair:
            if fails:
                with pytest.raises(ZeroDivisionError):
                    net(way, names, True, *tensors)
            else:
                net(way, names, False, *tensors)
        if not fails:
            oracle.do(way, names, by_name)
        for net in pair:
            check(net, oracle)


def check(net, oracle):
    o = net.optimizer
    counted = [int(t.to_numpy()) for t in (o.step_counter, o.micro_step, o.is_open)]
    assert counted == [oracle.steps, oracle.micro, oracle.is_open]
    assert o.loss_scale.item() == oracle.scale
    states = o.get_states({param: name for name, param in net.params.items()})
    for name in NAMES:
        turn = states.get(f"{name}:turn")
        assert (0 if turn is None else turn.to_numpy()[0]) == oracle.updates[name]
        np.testing.assert_allclose(
            net.params[name].to_numpy(), oracle.params[name], rtol=2e-4, atol=1e-5, err_msg=name
        )


few = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("rule", RULES)
@few
@given(script=actions("update", "update_all", "loss", "scaled", "step"))
def test_any_sequence_of_updates_is_what_numpy_says(rule, script):
    play(rule, 1, script)


@pytest.mark.parametrize("rule", RULES)
@few
@given(script=actions("update_all", "loss", "scaled", "step"))
def test_any_sequence_of_micro_batches_is_what_numpy_says(rule, script):
    play(rule, 3, script)
