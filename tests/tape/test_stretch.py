"""Several backwards in one compiled program give what single ones give, bit for bit.

``autograd.backward`` yields each gradient when it is complete, so it calls the backwards one by
one; ``autograd.gradients`` may call a program for a stretch of them.
"""

import jax.numpy as jnp
import numpy as np
import pytest

from singa import Tensor, autograd, opt, report
from singa.tape import stretch
from singa.tape.kernel import table
from tape.random_programs import draw, in_singa

pytestmark = pytest.mark.usefixtures("only_its_own")  # it counts programs

DRAWN = 8


@pytest.fixture(autouse=True)
def training(monkeypatch):
    monkeypatch.setattr(autograd, "training", True)


@pytest.fixture
def at_once(monkeypatch):
    """Each stretch is compiled when it comes for the first time."""
    monkeypatch.setattr(stretch, "OFTEN", 1)


def programs():
    return [
        kernel for kernel in table.kernels.values() if isinstance(kernel, stretch.StretchKernel)
    ]


def same(found, expected):
    """The same gradients of the same Tensors, in the same order."""
    assert [id(x) for x, _ in found] == [id(x) for x, _ in expected]
    for (_, dx), (_, other) in zip(found, expected, strict=True):
        assert dx.dtype == other.dtype
        np.testing.assert_array_equal(dx.to_numpy(), other.to_numpy(), strict=True)


@pytest.mark.parametrize("number", range(DRAWN))
def test_random_programs(number, at_once):
    program = draw(number)
    program.stored.clear()
    leaves = [
        Tensor(
            data=leaf.astype(np.float64 if number % 2 else np.float32),
            requires_grad=not frozen,
            stores_grad=not frozen,
        )
        for leaf, frozen in zip(program.leaves, program.frozen, strict=True)
    ]
    y, _ = in_singa(program, leaves, checkpointed=number % 4 == 0)
    same([*autograd.gradients(y).items()], [*autograd.backward(y)])
    learned = [leaf for leaf in leaves if leaf.stores_grad][:2]  # only the edges to these
    alone = dict(autograd.backward(y))
    for leaf, dx in zip(learned, autograd.grad(y, learned), strict=True):
        expected = alone[leaf].to_numpy() if leaf in alone else np.zeros(leaf.shape)
        np.testing.assert_array_equal(dx.to_numpy(), expected)


def chain(w, length):
    """One parameter at the beginning and in each of ``length`` equal layers."""
    y = w
    for _ in range(length):
        y = autograd.tanh(y + w)
    return y.sum()


def test_equal_layers_share_a_program_also_in_chains_of_other_lengths(at_once):
    w = Tensor(data=np.linspace(-1, 1, 6, dtype=np.float32), stores_grad=True)
    before = len(programs())
    y = chain(w, 5 * stretch.MOST)
    same([*autograd.gradients(y).items()], [*autograd.backward(y)])
    made = len(programs()) - before
    assert 1 <= made <= 4  # the loss, the middle, and the end of the chain
    longer = chain(w, 7 * stretch.MOST)
    same([*autograd.gradients(longer).items()], [*autograd.backward(longer)])
    assert len(programs()) - before == made


def test_what_comes_seldom_is_not_compiled():
    w = Tensor(data=np.linspace(-1, 1, 7, dtype=np.float32), stores_grad=True)
    before = len(programs())
    for _ in range(3):
        autograd.gradients(chain(w, 3))
    assert len(programs()) == before


def test_a_backward_is_traced_once(at_once):
    traced = []

    class Doubled(autograd.Operation):
        def forward(self, x):
            return 2 * x

        def backward(self, dy):
            traced.append(dy.shape)
            return 2 * dy

    w = Tensor(data=[1.0, 2.0], stores_grad=True)
    for _ in range(3):
        y = w
        for _ in range(4):
            y = Doubled()(y)[0]
        assert autograd.gradients(y.sum())[w].tolist() == [16.0, 16.0]
    assert traced == [(2,)]


def test_hooks_are_called(at_once):
    w = Tensor(data=[0.5, 2.0], stores_grad=True)
    seen = []
    y = w * w
    with y.register_hook(lambda dy: dy * 3.0):
        assert autograd.gradients(chain(y, 0))[w].tolist() == [3.0, 12.0]
    with w.register_hook(lambda dw: dw + 1.0):
        assert autograd.gradients(chain(w * w * 1.0, 0))[w].tolist() == [2.0, 5.0]
    with autograd.Mul.register_backward_hook(lambda record, dxs, dys: seen.append(record.name)):
        autograd.gradients((w * w * w).sum())
    assert seen == ["Mul", "Mul"]


def test_a_profile_has_each_backward(at_once):
    w = Tensor(data=np.linspace(-1, 1, 11, dtype=np.float32), stores_grad=True)
    before = len(programs())
    profiler = report.Profiler(skip=0, limit=1)
    y = chain(w, 5)
    profiler.run(lambda: autograd.gradients(y)[w], args=y, state=list, compiled=None)
    rows = {(row.name, row.direction) for row in profiler.finish().rows}
    assert len(programs()) == before
    assert ("Tanh", "backward") in rows, rows


def test_short_types_are_summed_wide_as_before(at_once):
    w = Tensor(data=jnp.full(3, 0.1, jnp.bfloat16), stores_grad=True)
    y = sum([w * float(i) for i in range(1, 9)], start=w).sum()
    same([*autograd.gradients(y).items()], [*autograd.backward(y)])


def test_optimizers_take_the_same_steps(at_once):
    start = np.linspace(-1, 1, 6, dtype=np.float32)
    a, b = Tensor(data=start, stores_grad=True), Tensor(data=start, stores_grad=True)
    one, other = opt.SGD(0.1, momentum=0.9), opt.SGD(0.1, momentum=0.9)
    for _ in range(2):
        one(chain(a, 4))
        other.update_all(autograd.backward(chain(b, 4)))
    np.testing.assert_array_equal(a.to_numpy(), b.to_numpy())


def test_behind_what_runs_on_the_host_each_record_is_alone(at_once):
    class Shifted(autograd.Operation):
        traceable = False

        def forward(self, x):
            return np.asarray(x) + 1.0

        def backward(self, dy):
            return np.asarray(dy)

    w = Tensor(data=np.linspace(-1, 1, 6), stores_grad=True)
    y = autograd.tanh(Shifted()(chain(w, 3) * w)[0]).sum()
    order = [y.creator]
    while order[-1].src[0][0] is not None:
        order.append(order[-1].src[0][0])
    sizes = [len(records) for records in stretch.stretches(order)]
    assert sizes == [2, 1] + [1] * (len(order) - 3)
    same([*autograd.gradients(y).items()], [*autograd.backward(y)])
