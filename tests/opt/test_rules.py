"""Every rule and schedule against optax's, eager and captured, in three ways of use."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from singa import autograd, model, opt
from singa.tensor import Tensor

pytestmark = pytest.mark.row_by_row("name")

STEPS = 50
SHAPES = [(4, 3), (5,), (), (2, 3, 2)]
IN_STEPS = SHAPES[:2]
"""Of a rule of single elements: more shapes make the program longer, and show nothing more."""


def with_l2(decay, rule):
    return optax.chain(optax.add_decayed_weights(decay), rule)


def transformed(init, rule):
    """As an optimizer of optax: a rule of one parameter in NumPy's terms."""

    def update(grads, states, params):
        step, states = states
        found = [rule(p, g, s, step + 1) for p, g, s in zip(params, grads, states, strict=True)]
        new, states = zip(*found, strict=True)
        return [p - old for p, old in zip(new, params, strict=True)], (step + 1, list(states))

    return optax.GradientTransformation(lambda params: (0, [init(p) for p in params]), update)


def adam(p, g, state, t, lr, b2, decay, amsgrad=False):
    m, v, largest = state
    m, v = 0.9 * m + 0.1 * g, b2 * v + (1 - b2) * g * g
    largest = jax.numpy.maximum(largest, v) if amsgrad else v
    u = m / (1 - 0.9**t) / ((largest / (1 - b2**t)) ** 0.5 + 1e-8)
    return p - lr * (u + decay * p), (m, v, largest)


def amsgrad(lr, b2):
    """PyTorch's: optax corrects the variances before it compares them."""
    return transformed(lambda p: (p * 0,) * 3, lambda *xs: adam(*xs, lr, b2, 0.01, True))


def rprop(lr):
    """PyTorch's: optax goes by the sign of the gradient before the last one."""

    def rule(p, g, state, t):
        size, last = state
        sign = jax.numpy.sign(g * last)
        size = jax.numpy.clip(size * (1.2 * (sign > 0) + 0.5 * (sign < 0) + (sign == 0)), 1e-6, 50)
        g = g * (sign >= 0)
        return p - size * jax.numpy.sign(g), (size, g)

    return transformed(lambda p: (p * 0 + lr, p * 0), rule)


def muon():
    """By singular vectors: the polynomial is applied to the singular values."""

    def rule(p, g, state, t):
        if p.ndim < 2:
            return adam(p, g, state, t, 0.02 * 0.05, 0.999, 0.01)
        m = 0.95 * state + 0.05 * g
        u, s, v = jax.numpy.linalg.svd((0.05 * g + 0.95 * m).reshape(len(p), -1), False)
        s = s / (s * s).sum() ** 0.5
        for _ in range(5):
            s = 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5
        rows, columns = len(p), g.size // len(p)
        scale = max(1, columns / rows if p.ndim == 2 else rows / columns) ** 0.5
        return p - 0.02 * (scale * ((u * s) @ v).reshape(p.shape) + 0.01 * p), m

    return transformed(lambda p: (p * 0,) * 3 if p.ndim < 2 else p * 0, rule)


RULES = {
    "SGD": (lambda: opt.SGD(0.1), lambda: optax.sgd(0.1)),
    "SGD nesterov": (
        lambda: opt.SGD(0.05, momentum=0.9, nesterov=True),
        lambda: optax.sgd(0.05, 0.9, nesterov=True),
    ),
    "RMSProp": (lambda: opt.RMSProp(0.01), lambda: optax.rmsprop(0.01, 0.9, 1e-8)),
    "RMSProp decay": (
        lambda: opt.RMSProp(0.01, rho=0.7, epsilon=1e-3, weight_decay=0.1),
        lambda: with_l2(0.1, optax.rmsprop(0.01, 0.7, 1e-3)),
    ),
    "AdaGrad": (lambda: opt.AdaGrad(0.1), lambda: optax.adagrad(0.1, 0.0, 1e-8)),
    "AdaGrad decay": (
        lambda: opt.AdaGrad(0.1, epsilon=1e-2, weight_decay=0.1),
        lambda: with_l2(0.1, optax.adagrad(0.1, 0.0, 1e-2)),
    ),
    "Adam": (lambda: opt.Adam(), lambda: optax.adam(0.1)),
    "Adam decay": (
        lambda: opt.Adam(0.01, beta_1=0.8, beta_2=0.95, epsilon=1e-2, weight_decay=0.1),
        lambda: with_l2(0.1, optax.adam(0.01, 0.8, 0.95, 1e-2)),
    ),
    "Adam without mean": (lambda: opt.Adam(0.01, beta_1=0), lambda: optax.adam(0.01, 0.0)),
    "AdamW": (lambda: opt.AdamW(), lambda: optax.adamw(0.001, weight_decay=0.01)),
    "NAdam": (lambda: opt.NAdam(), lambda: optax.nadam(0.002)),
    "Lion": (
        lambda: opt.Lion(1e-3, weight_decay=0.1),
        lambda: optax.lion(1e-3, weight_decay=0.1),
    ),
    "LAMB": (lambda: opt.LAMB(0.01), lambda: optax.lamb(0.01, weight_decay=0.01)),
    "Adafactor": (
        lambda: opt.Adafactor(0.01, factored_from=3),
        lambda: optax.adafactor(0.01, min_dim_size_to_factor=3),
    ),
    "Adafactor whole": (lambda: opt.Adafactor(), lambda: optax.adafactor(0.01)),
    "RMSProp centered": (
        lambda: opt.RMSProp(0.01, momentum=0.8, centered=True),
        lambda: optax.rmsprop(0.01, 0.9, 1e-8, centered=True, momentum=0.8),
    ),
    "Adamax": (lambda: opt.Adamax(), lambda: optax.adamax(0.002)),
    "RAdam": (
        lambda: opt.RAdam(0.01, beta_2=0.95),
        lambda: optax.radam(0.01, b2=0.95),
    ),
    "Adadelta": (
        lambda: opt.Adadelta(0.5, weight_decay=0.1),
        lambda: with_l2(0.1, optax.adadelta(0.5, eps=1e-6)),
    ),
    "Rprop": (lambda: opt.Rprop(0.01), lambda: rprop(0.01)),
    "Adafactor relative": (
        lambda: opt.Adafactor(0.5, factored_from=3, relative_step=True),
        lambda: optax.adafactor(
            lambda i: jnp.minimum(0.5, (i + 1.0) ** -0.5), min_dim_size_to_factor=3
        ),
    ),
    "Adafactor warming up": (
        lambda: opt.Adafactor(relative_step=True, warmup_init=True, beta_1=0.5),
        lambda: optax.adafactor(lambda i: 1e-6 * (i + 1.0), momentum=0.5),
    ),
    "Adafactor with momentum": (
        lambda: opt.Adafactor(factored_from=3, beta_1=0.9, scale_by_parameter=False),
        lambda: optax.adafactor(
            0.01, min_dim_size_to_factor=3, momentum=0.9, multiply_by_parameter_scale=False
        ),
    ),
    "maximized": (
        lambda: opt.SGD(0.1, maximize=True, clip_value=0.3),
        lambda: optax.chain(optax.clip(0.3), optax.scale(0.1)),
    ),
    "AMSGrad": (lambda: opt.AdamW(0.01, beta_2=0.5, amsgrad=True), lambda: amsgrad(0.01, 0.5)),
    "Muon": (lambda: opt.Muon(), lambda: muon()),
    "clipped by value": (
        lambda: opt.SGD(0.1, clip_value=0.3),
        lambda: optax.chain(optax.clip(0.3), optax.sgd(0.1)),
    ),
    "clipped by norm": (
        lambda: opt.Adam(0.1, clip_norm=1.5),
        lambda: optax.chain(optax.clip_by_global_norm(1.5), optax.adam(0.1)),
    ),
    "scheduled": (
        lambda: opt.AdamW(opt.LinearWarmup(opt.CosineDecay(0.01, 30), 10), weight_decay=0.1),
        lambda: optax.adamw(optax.warmup_cosine_decay_schedule(0, 0.01, 10, 40), weight_decay=0.1),
    ),
}


OF_WHOLE_PARAMETERS = "LAMB", "Adafactor", "Muon"


def for_optax(name, arrays):
    """Of a rule of single elements one array, of which the program is a quarter as long."""
    if name.startswith(OF_WHOLE_PARAMETERS):
        return list(arrays)
    return [np.concatenate([np.ravel(a) for a in arrays])]


def problem(dtype):
    rng = np.random.default_rng(0)
    params = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    grads = [[rng.standard_normal(shape).astype(dtype) for shape in SHAPES] for _ in range(STEPS)]
    return params, grads


@pytest.mark.parametrize(("dtype", "rtol"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_that_of_optax(name, dtype, rtol):
    ours, theirs = (make() for make in RULES[name])
    start, grads = problem(dtype)
    if dtype == "float64":
        ours = type(ours)(**_as_given(ours), dtype="float64")
    params = [Tensor(data=p, stores_grad=True) for p in start]
    others = [jax.device_put(p) for p in for_optax(name, start)]
    state = theirs.init(others)

    @jax.jit
    def updated(grads, state, others):
        updates, state = theirs.update(grads, state, others)
        return optax.apply_updates(others, updates), state

    for step in grads:
        ours.update_all(zip(params, map(_tensor, step), strict=True))
        others, state = updated(for_optax(name, step), state, others)
    if name == "scheduled" or name.startswith("Adafactor"):
        rtol = max(rtol, 1e-5)  # schedules are float32 here, and Adafactor's decay is in optax
    found = for_optax(name, [p.to_numpy() for p in params])
    for p, other in zip(found, others, strict=True):
        np.testing.assert_allclose(p, other, rtol=rtol, atol=rtol)
    for p, shape in zip(params, SHAPES, strict=True):
        assert (str(p.dtype), p.shape) == (dtype, shape)


def _tensor(array):
    return Tensor(data=array)


def _as_given(optimizer):
    """The fields of an optimizer, with the numbers that its constant schedules were made from."""
    fields = [n for n in type(optimizer).__signature__.parameters if n != "dtype"]
    values = {name: getattr(optimizer, name) for name in fields}
    return {n: v.init_value if isinstance(v, opt.Constant) else v for n, v in values.items()}


SCHEDULES = {
    "ExponentialDecay": (
        opt.ExponentialDecay(0.1, 10, 0.5),
        optax.exponential_decay(0.1, 10, 0.5),
    ),
    "StepDecay": (
        opt.StepDecay(0.1, 10, 0.5),
        optax.exponential_decay(0.1, 10, 0.5, staircase=True),
    ),
    "MultiStep": (
        opt.MultiStep(0.1, [3, 10, 20]),
        optax.piecewise_constant_schedule(0.1, {2.5: 0.1, 9.5: 0.1, 19.5: 0.1}),
    ),
    "PolynomialDecay": (
        opt.PolynomialDecay(0.1, 30, end_value=0.01, power=2),
        optax.polynomial_schedule(0.1, 0.01, 2, 30),
    ),
    "linear": (opt.PolynomialDecay(0.1, 30), optax.linear_schedule(0.1, 0, 30)),
    "CosineDecay": (
        opt.CosineDecay(0.1, 30, end_value=0.02),
        optax.cosine_decay_schedule(0.1, 30, alpha=0.2),
    ),
    "OneCycle": (opt.OneCycle(0.5, 40), optax.cosine_onecycle_schedule(40, 0.5)),
    "LinearWarmup": (
        opt.LinearWarmup(0.1, 10, init_value=0.01),
        optax.warmup_constant_schedule(0.01, 0.1, 10),
    ),
    "warm-up and cosine": (
        opt.LinearWarmup(opt.CosineDecay(0.1, 25), 5),
        optax.warmup_cosine_decay_schedule(0, 0.1, 5, 30),
    ),
    "Sequential": (
        opt.Sequential([0.1, opt.ExponentialDecay(0.5, 10, 0.5), 0.2], [10, 30]),
        optax.join_schedules(
            [
                optax.constant_schedule(0.1),
                optax.exponential_decay(0.5, 10, 0.5),
                optax.constant_schedule(0.2),
            ],
            [10, 30],
        ),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_that_of_optax(name):
    ours, theirs = SCHEDULES[name]
    got = [ours(Tensor(data=step)) for step in range(STEPS)]
    assert {(value.shape, str(value.dtype)) for value in got} == {((), "float32")}
    expected = [float(theirs(step)) for step in range(STEPS)]
    np.testing.assert_allclose([v.item() for v in got], expected, rtol=1e-5, atol=1e-8)


def test_a_schedule_s_attributes_may_be_assigned():
    schedule = opt.CosineDecay(0.1, 10)
    assert schedule(Tensor(data=0)).item() == pytest.approx(0.1)
    schedule.init_value = 0.3
    assert schedule(Tensor(data=0)).item() == pytest.approx(0.3)


class Net(model.Model):
    """Some parameters of several shapes, trained on a loss that is not the same in every step."""

    def __init__(self, optimizer, use=None, shapes=IN_STEPS):
        super().__init__()
        rng = np.random.default_rng(3)
        self.params = [
            Tensor(data=rng.standard_normal(s).astype(np.float32), stores_grad=True) for s in shapes
        ]
        self.optimizer = optimizer
        self.use = use or (lambda optimizer, loss: optimizer(loss))
        self.train()

    def train_one_batch(self, x):
        loss = None
        for p in self.params:
            term = autograd.reduce_sum(autograd.tanh(p * x) * p)
            loss = term if loss is None else loss + term
        self.use(self.optimizer, loss)
        return loss

    def run(self, steps, start=0):
        return [
            self(Tensor(data=np.float32(1 + i % 3))).item() for i in range(start, start + steps)
        ]

    def values(self):
        return [p.to_numpy() for p in self.params]


@pytest.mark.parametrize("name", RULES)
def test_captured_and_eager_steps_agree(name):
    shapes = SHAPES if name.startswith(OF_WHOLE_PARAMETERS) else IN_STEPS
    nets = [Net(RULES[name][0](), shapes=shapes) for _ in range(2)]
    nets[1].graph(True)
    losses = [net.run(12) for net in nets]
    np.testing.assert_allclose(*losses, rtol=1e-4, atol=1e-5)
    assert nets[1].captures == nets[1].compilations == 1
    for eager, captured in zip(*(net.values() for net in nets), strict=True):
        np.testing.assert_allclose(eager, captured, rtol=1e-4, atol=1e-5)


def by_update(optimizer, loss):
    for p, g in autograd.backward(loss):
        optimizer.update(p, g)


def by_apply(optimizer, loss):
    for p, g in autograd.backward(loss):
        optimizer.apply("", p, g)
    optimizer.step()


BY_PARAMETER = [name for name in RULES if name != "clipped by norm"]  # whose norm is of them all


# Captured steps are compared with eager ones above, and rules with optax's. That a parameter alone
# is updated as it is with others depends little on the rule: every third one is enough.
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", BY_PARAMETER[::3])
def test_three_ways_of_use_give_the_same_numbers(name, graph):
    nets = [Net(RULES[name][0](), use) for use in (None, by_update, by_apply)]
    for net in nets:
        net.graph(graph)
        net.run(6)
        assert net.optimizer.step_counter.item() == 6
    for other in nets[1:]:
        for one, two in zip(nets[0].values(), other.values(), strict=True):
            np.testing.assert_allclose(one, two, rtol=2e-6, atol=1e-6)
