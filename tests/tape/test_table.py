"""Compiled code that was not used for long is dropped, without an effect on results."""

import gc
import random

import jax
import numpy as np
import pytest

from singa import autograd, device
from singa.tape.kernel import table
from singa.tape.table import Table, Tracing
from singa.tensor import Tensor

pytestmark = pytest.mark.usefixtures("only_its_own")  # it counts what is held


class Kernel:
    def __init__(self, name):
        self.name, self.tracings, self.shapes = name, [], {}


def used(table, name, shape):
    """Use a kernel for a shape as an operation does; whether it had to be traced."""
    kernel = table.kernels.get(name)
    if kernel is None:
        kernel = table.kernels[name] = Kernel(name)
    is_new = shape not in kernel.shapes
    if is_new:
        kernel.shapes[shape] = Tracing()
        table.traced(kernel.tracings, kernel.shapes[shape], hash((name, shape)))
    if kernel.shapes[shape].used != table.clock:
        table.use(kernel.shapes[shape])
    return is_new


def held(table):
    return sum(len(kernel.tracings) for kernel in table.kernels.values())


def test_ever_new_shapes_do_not_add_up():
    table = Table(least=20, most=160)
    for size in range(500):
        for name in "abc":
            used(table, name, size)
        assert held(table) <= 21
        assert table.held == held(table)
    assert table.clock == 1500
    assert table.limit == 20
    assert len(table._gone) <= 160


def test_a_model_that_needs_more_than_the_limit_has_it_all_after_a_few_steps():
    table = Table(least=20, most=160)
    needed = [(f"operation {i % 37}", i) for i in range(100)]
    traced = [sum(used(table, *each) for each in needed) for _ in range(6)]
    assert traced[0] == 100
    assert traced[3:] == [0, 0, 0]
    # It stays while other shapes come and go, and goes when it is not used any more.
    for size in range(300):
        assert not sum(used(table, *each) for each in needed)
        used(table, "other", size)
    assert 100 <= held(table) <= 2 * 160
    for size in range(1000):
        used(table, "other", size + 1000)
    assert held(table) <= table.limit == 20


@pytest.fixture
def small_table():
    before = table.least, table.most, table.limit
    table.least, table.most, table.limit = 6, 12, 6
    yield table
    table.least, table.most, table.limit = before


@pytest.mark.parametrize("seed", range(2))
def test_results_stay_right_while_kernels_go(small_table, seed):
    """New sizes and old ones, and records that are walked when their kernels are long gone."""
    draw = random.Random(seed)
    waiting = []

    def finish(x, y):
        expected = np.where(x.to_numpy() >= -0.5, np.exp(x.to_numpy()), 0)
        np.testing.assert_allclose(y.to_numpy(), np.exp(np.clip(x.to_numpy(), -0.5, None)), 1e-6)
        np.testing.assert_allclose(autograd.grad(y.sum(), x).to_numpy(), expected, rtol=1e-6)

    for _ in range(16):
        size = draw.choice((1, 2, draw.randrange(3, 40)))
        x = Tensor(data=np.linspace(-1, 1, size, dtype=np.float32), stores_grad=True)
        with autograd.enable_grad():
            waiting.append((x, autograd.exp(autograd.clip(x, min=-0.5))))
            if draw.random() < 0.5:
                finish(*waiting.pop(draw.randrange(len(waiting))))
    with autograd.enable_grad():
        for x, y in waiting:
            finish(x, y)
    assert small_table.limit <= 24
    assert small_table.held <= 24 + 6


def test_what_was_compiled_is_freed_without_the_collector(small_table):
    client = jax.devices("cpu")[0].client
    gc.disable()
    try:
        counts = []
        for size in range(3, 15):
            x = Tensor(data=np.ones(size, np.float32), stores_grad=True)
            with autograd.enable_grad():
                y = autograd.exp(x)
            autograd.grad(y, x, y)
            counts.append(len(client.live_executables()))
        assert max(counts[6:]) <= max(counts[:6]) + 6
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "function",
    [
        lambda x, n: autograd.clip(x, -n, n),
        lambda x, n: autograd.leakyrelu(x, n),
        lambda x, n: autograd.selu(x, n, n + 1),
        lambda x, n: autograd.hardsigmoid(x, n, n / 2),
        lambda x, n: autograd.dropout(x, n),
        lambda x, n: autograd.huber_loss(x, x * 0.5, n),
    ],
    ids=["clip", "leakyrelu", "selu", "hardsigmoid", "dropout", "huber"],
)
def test_numbers_that_change_compile_nothing(function):
    device.get_default_device().set_rand_seed(0)  # else each tenth time no element is left
    x = Tensor(data=np.linspace(-2, 2, 9, dtype=np.float32), stores_grad=True)
    autograd.training = True
    try:
        compiled = []
        for number in (0.25, 0.5, 0.75):
            y = function(x, number).sum()
            dx = autograd.grad(y, x)
            assert dx.dtype == np.float32
            assert np.any(dx.to_numpy())
            compiled.append(table.clock)
        assert compiled[1:] == compiled[:1] * 2
    finally:
        autograd.training = False
