"""Every operation of the catalogue with complex inputs: right, with right gradients, or refused.

All rows that take complex inputs are computed in one compiled step. The gradients are compared with
central differences, which know nothing of jax's convention for complex numbers.
"""

from functools import cache

import jax
import numpy as np
import pytest

from catalogue import TABLE
from singa import autograd
from singa.errors import DTypeError
from singa.graph import Steps
from singa.tensor import Tensor

H = 1e-6
ROWS = {name: row for name, row in TABLE.items() if row.op.traceable}
BY_PARTS = {
    "nanmean", "view_as_real", "fft", "fftn of four axes", "ifft2", "irfft", "irfft2", "hfft",
    "istft", "embedding_bag of rows", "clip, by Tensors",
}  # fmt: skip
"""Rows in which another operation refuses them; most make complex numbers of real inputs."""
EAGERLY = [
    "mul", "pow", "abs", "tanh", "matmul", "einsum", "reduce_prod", "cumprod", "setitem", "cat",
    "where", "angle", "frames",
]  # fmt: skip

pytestmark = pytest.mark.usefixtures("recording")


def inputs(row):
    """Complex arrays whose parts are in the row's range."""
    rng, (low, high) = np.random.default_rng(len(row.shapes)), row.range

    def part(shape):
        size = int(np.prod(shape))
        spread = low + (high - low) * (np.arange(size) + rng.uniform(0.2, 0.8, size)) / size
        return rng.permutation(spread).reshape(shape)

    return [part(shape) + 1j * part(shape) for shape in row.shapes]


def random_like(shape, is_complex=True):
    rng = np.random.default_rng(7)
    values = rng.uniform(-1, 1, shape)
    return values + 1j * rng.uniform(-1, 1, shape) if is_complex else values


def applied(row, arrays, constants):
    return row.ours(*[Tensor(data=a, stores_grad=True) for a in arrays], *constants)


def with_gradients(row, params, constants):
    """The output, and the gradients of the parameters for a random one of the output."""
    y = row.ours(*params, *constants)
    if not y.requires_grad or y.creator is None:
        return y, None
    dy = random_like(y.shape, autograd.is_complex(y))
    return y, autograd.grad(y, params, Tensor(data=dy))


def arguments(row):
    params = [Tensor(data=a, stores_grad=True) for a in inputs(row)]
    moved = [
        [Tensor(data=a + sign * H * random_like(a.shape)) for a in inputs(row)] for sign in (1, -1)
    ]
    return params, moved, [Tensor(data=c) for c in row.constants]


@cache
def in_one_step():
    """For each row that takes complex inputs: the output, the gradients, and outputs nearby."""

    def step(given):
        found = {}
        for name, (params, moved, constants) in given.items():
            row = ROWS[name]
            try:
                y, gradients = with_gradients(row, params, constants)
            except DTypeError as error:
                found[name] = str(error)
                continue
            found[name] = y, gradients, [row.ours(*xs, *constants) for xs in moved]
        return found

    return Steps()(step, ({name: arguments(row) for name, row in ROWS.items()},), {}, False)


@cache
def plain():
    """The plain formulas' outputs."""
    taken = [name for name, found in in_one_step().items() if not isinstance(found, str)]

    @jax.jit
    def compute(given):
        return {name: ROWS[name].plain(*xs) for name, xs in given.items()}

    def arrays(row):
        return list(map(jax.device_put, (*inputs(row), *row.constants)))

    return compute({name: arrays(ROWS[name]) for name in taken})


def test_those_that_are_for_complex_numbers_take_them():
    found = in_one_step()
    taken = {name for name, result in found.items() if not isinstance(result, str)}
    declared = {name for name, row in ROWS.items() if row.op.complex_numbers is not None}
    assert taken == declared - BY_PARTS
    assert {m for m in found.values() if isinstance(m, str) and "real" not in m} == set()


def test_forward_is_the_plain_formula():
    for name, expected in plain().items():
        y = in_one_step()[name][0]
        assert y.shape == expected.shape, name
        np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12, err_msg=name)


def test_gradients_are_the_slopes_by_the_real_and_the_imaginary_parts():
    count = 0
    for name, found in in_one_step().items():
        if isinstance(found, str) or found[1] is None:
            continue
        y, gradients, (above, below) = found
        dy = random_like(y.shape, autograd.is_complex(y))
        # A real number grows by the real part of conj(gradient) times the change.
        numeric = ((above.to_numpy() - below.to_numpy()) * dy.conj()).real.sum() / (2 * H)
        pairs = zip(gradients, inputs(ROWS[name]), strict=True)
        analytic = sum((g.to_numpy().conj() * random_like(x.shape)).real.sum() for g, x in pairs)
        assert analytic == pytest.approx(numeric, rel=1e-6, abs=1e-7), name
        count += 1
    assert count > 90


@pytest.mark.parametrize("name", EAGERLY)
def test_eagerly_it_is_the_same(name):
    params, _, constants = arguments(ROWS[name])
    y, gradients = with_gradients(ROWS[name], params, constants)
    expected, of_step, _ = in_one_step()[name]
    for one, other in zip([y, *gradients], [expected, *of_step], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
