"""vmap: beside a loop over the samples, for operations, layers, derivatives and random numbers."""

import jax
import numpy as np
import pytest

from catalogue import TABLE
from singa import autograd, device, layer, model, tensor
from singa.errors import ArgumentError, CaptureError, DTypeError, GradientError, ShapeError
from singa.graph import Steps
from singa.tensor import Tensor

RNG = np.random.default_rng(3)
COUNT = 3

# What mapping could do wrong does not depend on the formula: a part of them, and all that call
# native kernels.
NATIVE = "conv", "pool", "norm", "lstm", "gru", "rnn", "attention", "embedding"
ROWS = [
    name
    for i, (name, row) in enumerate(TABLE.items())
    if row.op.traceable and (i % 48 == 0 or (i % 8 == 0 and any(word in name for word in NATIVE)))
]


def of(*shape):
    return Tensor(data=RNG.uniform(0.2, 0.8, shape).astype(np.float32), stores_grad=True)


@pytest.mark.parametrize("name", ROWS)
def test_it_computes_what_a_loop_computes_and_has_its_gradients(name):
    row = TABLE[name]
    low, high = row.range
    # The last input is the same for all samples, if there are several: its gradients are summed.
    axes = [0 for _ in row.shapes]
    if len(axes) > 1:
        axes[-1] = None
    arrays = [
        RNG.uniform(low, high, shape if axis is None else (COUNT, *shape)).astype(np.float32)
        for shape, axis in zip(row.shapes, axes, strict=True)
    ]
    constants = [Tensor(data=c) for c in row.constants]

    def sample(*xs):
        return row.ours(*xs, *constants)

    def both(*xs):
        with autograd.enable_grad():
            mapped = autograd.vmap(sample, axes)(*xs)
            looped = autograd.stack(
                [
                    sample(*[x if a is None else x[i] for x, a in zip(xs, axes, strict=True)])
                    for i in range(COUNT)
                ]
            )
            weight = Tensor(data=np.cos(np.arange(mapped.size(), dtype=np.float32)))
            weight = weight.reshape(mapped.shape)
            found = autograd.grad(mapped, xs, weight), autograd.grad(looped, xs, weight)
        return mapped, looped, *found

    xs = tuple(Tensor(data=a, stores_grad=True) for a in arrays)
    mapped, looped, dxs, expected = Steps()(both, xs, {}, False)
    np.testing.assert_allclose(mapped, looped, rtol=2e-5, atol=1e-5)
    for dx, e in zip(dxs, expected, strict=True):
        np.testing.assert_allclose(dx, e, rtol=2e-4, atol=2e-5)


def test_derivatives_of_any_order_and_axes():
    a, x = of(2), of(2, 4)
    w = a * 2.0

    def f(c, x):  # w was computed outside, and is read
        return (x * x * w).sum() * c, x * c

    def ours(a, c, x):
        with autograd.enable_grad():
            w = a * 2.0
            y, z = autograd.vmap(lambda c, x: ((x * x * w).sum() * c, x * c), (None, 1), -1)(c, x)
            total = (y * y).sum() + (z * z * z).sum()
            first = autograd.grad(total, [a, c, x], create_graph=True)
            second = autograd.grad(sum([(g * g).sum() for g in first]), [a, c, x])
        assert (z.shape, y.shape) == ((2, 4), (4,))
        return total, first, second

    def plain(a, c, x):
        y, z = jax.vmap(lambda c, x: ((x * x * a * 2).sum() * c, x * c), (None, 1), -1)(c, x)
        return (y * y).sum() + (z**3).sum()

    def squares(*xs):
        return sum((g * g).sum() for g in jax.grad(plain, (0, 1, 2))(*xs))

    xs = a, of(), x
    arrays = [x.data for x in xs]
    for total, first, second in ours(*xs), Steps()(ours, xs, {}, False):
        np.testing.assert_allclose(total, plain(*arrays), rtol=1e-5)
        for found, expected in zip(first, jax.grad(plain, (0, 1, 2))(*arrays), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        for found, expected in zip(second, jax.grad(squares, (0, 1, 2))(*arrays), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_the_backward_of_an_operation_inside_is_used():
    straight = autograd.from_jax(jax.numpy.round, backward=lambda dy, x: 10 * dy)
    x = Tensor(data=[0.4, 1.6], stores_grad=True)
    with autograd.enable_grad():
        y = autograd.vmap(lambda x: straight(x) ** 2)(x)
        (dx,) = autograd.grad(y.sum(), [x], create_graph=True)
        again = autograd.grad(dx.sum(), x)
    assert dx.tolist() == [0, 40]
    assert again.tolist() == [200, 200]


def test_derivatives_inside():
    x, v = of(COUNT, 2), of(COUNT, 2)

    def cubes(x):
        return (x * x * x).sum()

    hessians = autograd.vmap(lambda x: autograd.hessian(cubes, x))(x)
    np.testing.assert_allclose(hessians[1], np.diag(6 * x.to_numpy()[1]), rtol=1e-5)
    _, tangents = autograd.vmap(lambda x, v: autograd.jvp(cubes, [x], [v]))(x, v)
    expected = (3 * x.to_numpy() ** 2 * v.to_numpy()).sum(1)
    np.testing.assert_allclose(tangents, expected, rtol=1e-5)
    table = autograd.vmap(lambda a: autograd.vmap(lambda b: (a * b).sum())(v))(x)
    np.testing.assert_allclose(table, x.to_numpy() @ v.to_numpy().T, rtol=1e-5)


class Net(model.Model):
    def __init__(self):
        super().__init__()
        self.conv, self.linear = layer.Conv2d(2, 3, padding=1), layer.Linear(2)

    def forward(self, x):
        return self.linear(autograd.flatten(autograd.relu(self.conv(x))))


def test_gradients_of_each_sample_eagerly_and_compiled():
    device.get_default_device().set_rand_seed(0)
    net = Net()
    x, y = of(COUNT, 1, 4, 4), Tensor(data=np.array([0, 1, 1], np.int32))
    net.forward(x)
    params = [*net.get_params().values()]

    def loss(x, y):
        return autograd.softmax_cross_entropy(net.forward(x), y)

    gradients_of = autograd.per_sample_gradients(loss, params)

    def step(x, y):
        losses, gradients = gradients_of(x, y)
        return losses, [gradients[p] for p in params]

    for losses, gradients in step(x, y), Steps()(step, (x, y), {}, False):
        for i in range(COUNT):
            with autograd.enable_grad():
                alone = loss(x[i : i + 1], y[i : i + 1])
            np.testing.assert_allclose(losses[i], alone, rtol=1e-5)
            for p, g in zip(params, gradients, strict=True):
                expected = autograd.grad(alone, p)
                np.testing.assert_allclose(g[i], expected, rtol=1e-4, atol=1e-6)


def test_random_numbers_differ_from_sample_to_sample_and_are_those_of_the_seed(monkeypatch):
    x = Tensor(data=np.ones((COUNT, 50), np.float32), stores_grad=True)
    drop = autograd.vmap(lambda x: autograd.dropout(autograd.dropout(x, 0.3), 0.3))
    monkeypatch.setattr(autograd, "training", True)

    def step(x):
        y = drop(x)
        return y, autograd.grad(y.sum(), x)

    found = []
    for call in step, step, lambda x: Steps()(step, (x,), {}, False):
        device.get_default_device().set_rand_seed(len(found) // 2)
        found.append([each.to_numpy() for each in call(x)])
    device.get_default_device().set_rand_seed(0)
    y, dx = found[0]
    np.testing.assert_allclose(dx, y, rtol=1e-6)  # the gradient has the same mask
    assert len({row.tobytes() for row in y}) == COUNT
    np.testing.assert_array_equal(found[0], found[1])
    device.get_default_device().set_rand_seed(1)
    np.testing.assert_array_equal(found[2], [each.to_numpy() for each in step(x)])


def test_what_the_function_reads_may_change():
    w, options = of(2), {"scale": 2.0}
    x = of(COUNT, 2)
    scaled = autograd.vmap(lambda x: x * w * options["scale"])
    for scale, value in (2.0, 1.0), (3.0, 1.0), (3.0, 5.0):
        options["scale"] = scale
        w.set_value(value)
        np.testing.assert_allclose(scaled(x), x.to_numpy() * scale * value, rtol=1e-6)


def test_no_record_where_nothing_is_recorded():
    x = of(COUNT, 2)
    with autograd.enable_grad():
        recorded, cut = autograd.vmap(lambda x: (x * 2, x.detach() * 2))(x)
    assert (recorded.requires_grad, cut.requires_grad) == (True, False)
    with autograd.no_grad():
        assert autograd.vmap(lambda x: x * 2)(x).creator is None


class Keeps(layer.Layer):
    def forward(self, x):
        self.last = x
        return x


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: autograd.vmap(lambda x: x, (0, 0))(x), ArgumentError, "2 axes for 1 arg"),
        (lambda x: autograd.vmap(lambda x: x, None)(x), ArgumentError, "only None"),
        (lambda x: autograd.vmap(lambda x: x, 2)(x), ArgumentError, r"in_axes\[0\] is 2"),
        (lambda x: autograd.vmap(lambda: x)(), ArgumentError, "at least one argument"),
        (lambda x: autograd.vmap(lambda x: x)([1.0]), DTypeError, "must be Tensors, got list"),
        (lambda x: autograd.vmap(lambda x: 1.0)(x), DTypeError, "return Tensors, got float"),
        (lambda x: autograd.vmap(lambda x: ())(x), DTypeError, "returns no Tensor"),
        (
            lambda x: autograd.vmap(lambda a, b: a, (0, 1))(x, x),
            ShapeError,
            "3 in argument 0, 2 in argument 1",
        ),
        (
            lambda x: autograd.vmap(layer.BatchNorm2d(2))(x.reshape((3, 1, 2, 1, 1))),
            CaptureError,
            "assigns a Tensor.* from outside",
        ),
        (lambda x: autograd.vmap(Keeps())(x), CaptureError, "assigns Keeps.last"),
        (
            lambda x: autograd.per_sample_gradients(lambda x: x.sum(), [Tensor((2,))])(x),
            GradientError,
            "leaf without",
        ),
    ],
)
def test_errors_in_words(call, error, words, monkeypatch):
    monkeypatch.setattr(autograd, "training", True)
    with pytest.raises(error, match=words):
        call(of(COUNT, 2))


def test_a_value_is_not_looked_at():
    with pytest.raises(CaptureError):
        autograd.vmap(lambda x: x if x.sum() > 0 else -x)(of(COUNT, 2))
    assert tensor.ones((2,)).sum().item() == 2  # nothing is left behind
