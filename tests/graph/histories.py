"""Histories of a model: it is changed in random ways between random calls, eagerly and compiled.

Two initially equal models have the same history, one eagerly and one in compiled steps. After each
call their results and their contents must be the same. And the compiled model must not capture more
programs than there were kinds of call: a kind is all that the step reads, except Tensors' values.

``python -m tests.graph.histories --first 0 --count 20000`` runs any number of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import sys
from types import SimpleNamespace

import numpy as np

from singa import autograd, device, layer, model, opt, tensor
from singa.tensor import Tensor

CPU = device.create_cpu_device()
FACTOR = 1.0  # a global that the step reads
TABLE = {"shift": 0.0}  # one whose elements it reads
WIDTH = 3


@dataclasses.dataclass
class Config:
    """A plain object that the step reads."""

    power: int = 1
    weights: list = dataclasses.field(default_factory=lambda: [1.0, 0.5])


def make_penalty(strength):
    """A function with a closure, which can be changed from outside."""

    def penalty(loss, p):
        return loss + (p * p).sum() * strength

    def change(value):
        nonlocal strength
        strength = value

    return penalty, change


class Block(layer.Layer):
    gain = 1.0  # a class attribute

    def __init__(self):
        super().__init__()
        self.linear = layer.Linear(WIDTH)

    def act(self, x):
        return autograd.tanh(x)

    def forward(self, x):
        return self.act(self.linear(x)) * self.gain


def squared(self, x):
    return autograd.square(x) * 0.5


class Net(model.Model):
    def __init__(self, seed):
        super().__init__()
        CPU.set_rand_seed(seed)
        self.blocks = [Block(), Block(), Block()]
        self.by_name = {"norm": layer.BatchNorm2d(), "head": layer.Linear(2)}
        self.options = {"scale": 1.0, "double": False}
        self.config = Config()
        self.nested = SimpleNamespace(inner=SimpleNamespace(sign=1.0))
        self.table = np.array([1.0, 0.25])
        self.flag = False
        self.carries = False
        self.counts = False
        self.remembers = False
        self.count = 0
        self.h = tensor.from_numpy(np.zeros(WIDTH))
        self.total = tensor.from_numpy(np.zeros(()))
        self.cache = {}
        self.penalty, self.change_penalty = make_penalty(0.0)
        self.optimizer = opt.SGD(0.05, momentum=0.5)

    def forward(self, x):
        for block, weight in zip(self.blocks, self.config.weights * 2, strict=False):
            x = block(x) * weight
        x = x * self.options["scale"] * float(self.table[0]) * FACTOR + TABLE["shift"]
        if self.flag:
            x = x * 2.0
        if self.config.power == 2:
            x = x * x
        x = x * self.nested.inner.sign
        if self.carries:
            x = x + self.h * 0.5
            self.h = x.mean(axis=0)
        if self.counts:
            self.count += 1
            x = x * (1.0 + 0.1 * self.count)
        if self.remembers:
            x = x + self.cache.get("last", 0.0)
            self.cache["last"] = x.mean(axis=0) * 0.1
        self.seen = x
        self.steps = {"norm": self.by_name["norm"](self.seen)}
        return self.by_name["head"](self.steps["norm"])

    def train_one_batch(self, x, y):
        out = self.forward(x)
        loss = autograd.mse_loss(out, y)
        loss = self.penalty(loss, self.by_name["head"].W)
        self.total += loss
        if self.options["double"]:
            self.optimizer(loss)
            out = self.forward(x)
            loss = autograd.mse_loss(out, y)
        self.optimizer(loss)
        if FAILS["now"]:
            raise RuntimeError("asked to fail")
        return out, loss


FAILS = {"now": False}


class History:
    """One history of two models."""

    def __init__(self, seed, sequential=True):
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.log = []
        self.facts = {}  # what makes a kind of call
        self.kinds = set()
        self.restore = []
        self.nets = [Net(seed), Net(seed)]
        self.handles = {}
        self.kept = []  # Tensors that somebody keeps, and what they were
        x = Tensor(data=np.zeros((2, WIDTH)))
        for net, graph in zip(self.nets, (False, True), strict=True):
            CPU.set_rand_seed(seed)
            net.compile([x], use_graph=graph, sequential=sequential)
        self.spares = {}  # things made in pairs, by what they are

    # -- mutations --------------------------------------------------------------------------------

    def both(self, change):
        for net in self.nets:
            change(net)

    def say(self, name, value):
        self.facts[name] = value
        self.log.append(f"{name} = {value!r}")

    def scale(self):
        value = self.random.choice([1.0, 0.5, -0.0, 0.0])
        self.say("scale", repr(value))
        self.both(lambda net: net.options.update(scale=value))

    def new_options(self):
        self.log.append("options is another dict of the same")
        self.both(lambda net: setattr(net, "options", dict(net.options)))

    def flag(self):
        value = self.random.choice([True, False])
        self.say("flag", value)
        self.both(lambda net: setattr(net, "flag", value))

    def power(self):
        value = self.random.choice([1, 2])
        self.say("power", value)
        self.both(lambda net: setattr(net.config, "power", value))

    def weight(self):
        value = self.random.choice([1.0, 0.5, 2.0])
        self.say("weight", value)
        self.both(lambda net: net.config.weights.__setitem__(0, value))

    def sign(self):
        value = self.random.choice([1.0, -1.0])
        self.say("sign", value)
        self.both(lambda net: setattr(net.nested.inner, "sign", value))

    def element(self):
        value = self.random.choice([1.0, 0.5])
        self.say("element", value)
        self.both(lambda net: net.table.__setitem__(0, value))

    def of_the_world(self):
        value = self.random.choice([1.0, 0.75])
        self.say("factor", value)
        globals()["FACTOR"] = value

    def in_the_world(self):
        value = self.random.choice([0.0, 0.125])
        self.say("shift", value)
        TABLE["shift"] = value

    def closure(self):
        value = self.random.choice([0.0, 0.01])
        self.say("penalty", value)
        self.both(lambda net: net.change_penalty(value))

    def class_attribute(self):
        value = self.random.choice([1.0, 0.5])
        self.say("gain", value)
        Block.gain = value

    def method(self):
        value = self.random.choice([True, False])
        self.say("squared", value)
        Block.act = squared if value else ACT

    def exchange(self):
        i, j = self.random.sample(range(len(self.facts.get("order", (0, 1, 2)))), 2)
        order = list(self.facts.get("order", (0, 1, 2)))
        order[i], order[j] = order[j], order[i]
        self.say("order", tuple(order))

        def change(net):
            blocks = net.blocks
            blocks[i], blocks[j] = blocks[j], blocks[i]

        self.both(change)

    def share(self):
        order = list(self.facts.get("order", (0, 1, 2)))
        if len(order) < 3:
            return
        order[2] = order[0]
        self.say("order", tuple(order))
        self.both(lambda net: net.blocks.__setitem__(2, net.blocks[0]))

    def take_out(self):
        value = len(self.facts.get("order", (0, 1, 2)))
        if value != 3:
            return
        order = list(self.facts.get("order", (0, 1, 2)))[:2]
        self.say("order", tuple(order))
        self.both(lambda net: net.blocks.pop())

    def new_layer(self):
        number = self.facts.get("layers", 0) + 1
        self.say("layers", number)
        for net in self.nets:
            CPU.set_rand_seed(number)
            net.by_name["head"] = layer.Linear(2)
            net.by_name["head"](Tensor(data=np.zeros((2, WIDTH))))

    def freeze(self):
        which = self.random.randrange(2)
        value = self.random.choice([True, False])
        self.say(f"frozen {which}", value)

        def change(net):
            (net.blocks[0], net.by_name["head"])[which].get_params()
            p = (net.blocks[0].linear, net.by_name["head"])[which].W
            p.requires_grad = not value

        self.facts["frozen of", which] = id(
            (self.nets[1].blocks[0].linear, self.nets[1].by_name["head"])[which].W
        )
        self.both(change)
        self.facts[f"frozen {which}"] = value, self.facts.pop(("frozen of", which))

    def optimizer(self):
        number = self.facts.get("optimizer", 0) + 1
        self.say("optimizer", number)
        self.facts.pop("decay", None)  # was the former optimizer's
        kind = self.random.choice([opt.SGD, opt.Adam, opt.RMSProp])
        self.both(lambda net: setattr(net, "optimizer", kind(0.02)))

    def rate(self):
        value = self.random.choice([0.01, 0.02, 0.05])
        self.log.append(f"lr = {value}")
        if not isinstance(self.nets[0].optimizer.lr, opt.Constant):
            # A number in the place of a schedule is another one.
            self.facts["schedule"] = self.facts["schedule"] + 1
        self.both(lambda net: setattr(net.optimizer, "lr", value))

    def schedule(self):
        number = self.facts.get("schedule", 0) + 1
        self.say("schedule", number)
        self.both(lambda net: setattr(net.optimizer, "lr", opt.StepDecay(0.05, 2, 0.5)))

    def decay(self):
        value = self.random.choice([0.0, 0.1])
        self.say("decay", value)

        def change(net):
            if hasattr(net.optimizer, "weight_decay"):
                net.optimizer.weight_decay = value

        self.both(change)

    def hook(self):
        value = self.random.choice([True, False])
        if value == ("hook" in self.handles):
            return
        if value:
            self.handles["hook"] = [
                net.by_name["head"].b.register_hook(lambda g: g * 0.5) for net in self.nets
            ]
        else:
            for handle in self.handles.pop("hook"):
                handle.remove()
        self.say("hook", (value, id(self.nets[1].by_name["head"].b)))

    def irrelevant_hook(self):
        self.log.append("a hook on something else")
        Tensor(data=1.0, stores_grad=True).register_hook(lambda g: g)

    def irrelevant(self):
        self.log.append("a note")
        self.both(lambda net: setattr(net, "note", self.random.random()))

    def carries(self):
        value = self.random.choice([True, False])
        self.say("carries", value)
        self.both(lambda net: setattr(net, "carries", value))

    def counts(self):
        value = self.random.random() < 0.3
        self.say("counts", value)
        self.both(lambda net: setattr(net, "counts", value))

    def remembers(self):
        value = self.random.choice([True, False])
        self.say("remembers", value)
        self.both(lambda net: setattr(net, "remembers", value))

    def double(self):
        value = self.random.choice([True, False])
        self.say("double", value)
        self.both(lambda net: net.options.update(double=value))

    def new_state(self):
        self.log.append("h = another Tensor")
        values = self.numbers.standard_normal(WIDTH)
        self.both(lambda net: setattr(net, "h", Tensor(data=values)))

    def values(self):
        self.log.append("a parameter has other values")
        values = self.numbers.standard_normal(2)
        self.both(lambda net: net.by_name["head"].b.copy_from_numpy(values))

    def keep(self):
        self.log.append("somebody keeps h")
        self.kept += [(net.h, net.h.to_numpy()) for net in self.nets]

    # -- calls ------------------------------------------------------------------------------------

    def call(self):
        size = self.random.choice([2, 2, 2, 3])
        trains = self.random.random() < 0.7
        fails = trains and not self.facts.get("remembers") and self.random.random() < 0.1
        x, y = self.numbers.standard_normal((size, WIDTH)), self.numbers.standard_normal((size, 2))
        FAILS["now"] = fails
        facts = dict(self.facts)
        if facts.get("counts"):
            facts["count"] = self.nets[0].count
        if facts.get("remembers"):
            last = self.nets[0].cache.get("last")
            facts["last"] = last is not None and last.requires_grad
            facts["has last"] = last is not None
        if facts.get("carries"):
            facts["h"] = self.nets[0].h.requires_grad
        facts = {k: v for k, v in facts.items() if trains or k not in TRAINING_ONLY}
        self.log.append(f"call({size}, trains={trains}, fails={fails})")
        results = []
        before = [everything(net) for net in self.nets] if fails else None
        for net in self.nets:
            CPU.set_rand_seed(1)
            net.train(trains)
            try:
                result = net(*[Tensor(data=a) for a in (x, y)[: 1 + trains]])
                results.append([t.to_numpy() for t in (result if trains else (result,))])
            except RuntimeError as error:
                if not fails or str(error) != "asked to fail":
                    raise
        FAILS["now"] = False
        if fails:
            assert not results
            for net, was in zip(self.nets, before, strict=True):
                # What was made once, such as buffers of an optimizer, stays.
                now = everything(net)
                same({name: now[name] for name in was}, was, "after a failure")
        else:
            self.kinds.add((size, trains, repr(sorted(facts.items()))))
            same(results[1], results[0], "results")
        self.failures = getattr(self, "failures", 0) + fails
        same(everything(self.nets[1]), everything(self.nets[0]), "state")
        for tensor_, value in self.kept:
            same([tensor_.to_numpy()], [value], "what was kept")
        captures = self.nets[1].captures
        most = len(self.kinds) + self.failures
        assert captures <= most, f"{captures} captures, and {most} kinds of call"

    def expect_notifications(self):
        """Each guard has been notified of each change of what does not have to be compared."""
        programs = [p for each in self.nets[1]._steps._programs.values() for p in each]
        guards = [program.guard for program in programs]
        guards += [read for net in self.nets for read, _ in net.optimizer._plans.values()]
        for read in guards:
            assert not unnoticed(read)

    def run(self):
        mutations = [
            getattr(self, name)
            for name in vars(History)
            if name not in ("both", "say", "call", "expect_notifications", "run") and name[0] != "_"
        ]
        try:
            self.call()
            for _ in range(self.random.randint(3, 9)):
                for _ in range(self.random.choice([0, 1, 1, 2, 3])):
                    self.random.choice(mutations)()
                    self.expect_notifications()
                self.call()
                self.expect_notifications()
        finally:
            Block.gain, Block.act = 1.0, ACT
            globals()["FACTOR"], TABLE["shift"], FAILS["now"] = 1.0, 0.0, False


def unnoticed(guard):
    """What a guard has read that has changed without a notification: names of attributes."""
    return [
        key[1]
        for key, read in guard._reads.items()
        if key not in guard._doubted and read.owner() is not None and not guard._is_as_read(key)
    ]


ACT = Block.act
TRAINING_ONLY = {
    "optimizer", "schedule", "decay", "hook", "frozen 0", "frozen 1", "penalty",
}  # fmt: skip


def everything(net):
    found = {name: t.to_numpy() for name, t in net.get_states().items()}
    found |= {
        f"of the optimizer: {n}": t.to_numpy()
        for n, t in net.optimizer.get_states({t: n for n, t in net.get_params().items()}).items()
    }
    found |= {"h": net.h.to_numpy(), "total": net.total.to_numpy(), "count": np.array(net.count)}
    found |= {f"cache {k}": t.to_numpy() for k, t in net.cache.items()}
    if hasattr(net, "seen"):
        found["seen"] = net.seen.to_numpy()
    return found


def same(ours, theirs, what):
    if isinstance(ours, dict):
        assert ours.keys() == theirs.keys(), (what, ours.keys() ^ theirs.keys())
        for name in ours:
            np.testing.assert_allclose(
                ours[name], theirs[name], rtol=1e-7, atol=1e-9, err_msg=f"{what}: {name}"
            )
    else:
        assert len(ours) == len(theirs), what
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-7, atol=1e-9, err_msg=what)


def run(seed, sequential=True):
    """Live through one history; says which, if it fails."""
    history = History(seed, sequential)
    try:
        history.run()
    except BaseException as error:
        error.add_note(f"history {seed}: " + "; ".join(history.log))
        raise
    return history


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--go-on", action="store_true", help="after a failure")
    options = parser.parse_args()
    captures = kinds = failed = 0
    for seed in range(options.first, options.first + options.count):
        try:
            history = run(seed, sequential=seed % 20 != 0)
        except Exception as error:
            if not options.go_on:
                raise
            failed += 1
            print(seed, type(error).__name__, str(error)[:300], *error.__notes__[-1:], "\n")
            continue
        captures += history.nets[1].captures
        kinds += len(history.kinds)
        if sys.stderr.isatty():
            print(f"\r{seed + 1 - options.first} of {options.count}", end="", file=sys.stderr)
    print(
        f"{options.count} histories, {failed} failed; {captures} captures of {kinds} kinds of call"
    )


if __name__ == "__main__":
    import warnings

    from singa.errors import RecompilationWarning

    warnings.simplefilter("ignore", RecompilationWarning)
    main()
