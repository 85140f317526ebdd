"""Every operation against its oracles: one table, which every test below goes through.

A row has a plain formula in jax.numpy. Forward must equal it; backward must equal ``jax.vjp`` of
it, and central differences in float64; second derivatives must equal jax's; every float type must
be preserved; a compiled step must give the same results; and a float32 program may not have 64-bit
values. A test fails if an operation has no row.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catalogue import TABLE
from singa import autograd, operation
from singa.device import DTYPES, real_type
from singa.graph import Capture, Steps
from singa.tensor import Tensor

pytestmark = [pytest.mark.row_by_row("name"), pytest.mark.usefixtures("recording")]
every_row = pytest.mark.parametrize("name", TABLE)
compiled_rows = pytest.mark.parametrize("name", [n for n, r in TABLE.items() if r.op.traceable])
ROWS_OF = {row.op: [n for n, r in TABLE.items() if r.op is row.op] for row in TABLE.values()}
HALVES = ["float16", "bfloat16"]
TYPES = {
    name: ["float64", "float32", *([HALVES[i // 4 % 2]] if name == rows[0] else [])]
    for i, rows in enumerate(ROWS_OF.values())
    for name in rows
}
"""Operations take turns with the two short types, in the first of their rows."""

BY_KERNELS = {rows[0]: TYPES[rows[0]][1:][i % 2] for i, rows in enumerate([*ROWS_OF.values()][::2])}
"""Rows of which one more type than float64 is computed by kernels, besides the step."""

FIRST = {rows[0] for rows in ROWS_OF.values()}
TWICE = [n for n, row in TABLE.items() if n in FIRST and row.op.traceable and row.twice]
"""The first row of each operation: the others differ from it in what both derivatives take over."""
TWICE_EAGERLY = TWICE[::40]
"""The others are differentiated twice in the step, which is compiled sooner than five kernels.

The formulas are the same. That each operation's kernels pass on what they store is tested with the
first derivatives, and what differentiates their backward passes is the same for all.
"""


def inputs(row, dtype):
    """Arrays for the row's differentiable inputs; no two elements are equal, none is 0."""
    rng = np.random.default_rng(len(row.shapes))
    low, high = row.range
    arrays = []
    for shape in row.shapes:
        size = int(np.prod(shape))
        spread = low + (high - low) * (np.arange(size) + rng.uniform(0.2, 0.8, size)) / size
        # jnp.asarray would compile a program for each shape and type.
        arrays.append(jax.device_put(rng.permutation(spread).reshape(shape).astype(DTYPES[dtype])))
    return arrays


def tensors(row, arrays):
    """The same as Tensors: parameters, and the constants."""
    params = [Tensor(data=a, stores_grad=True) for a in arrays]
    return params, [*params, *(Tensor(data=c) for c in row.constants)]


def output_gradient(y):
    rng = np.random.default_rng(7)
    return jax.device_put(rng.uniform(-1, 1, y.shape).astype(y.dtype))


def gradients_of(row, params, args):
    """The output, and the gradients of the parameters."""
    y = row.ours(*args)
    found = autograd.gradients(y, output_gradient(y))
    return y, [found[p] if p in found else Tensor((), dtype=str(p.dtype)) for p in params]


@cache
def computed(name, dtype):
    """Our output and gradients; the inputs, and the output's gradient."""
    row = TABLE[name]
    arrays = inputs(row, dtype)
    y, gradients = gradients_of(row, *tensors(row, arrays))
    return y.detach(), gradients, arrays, output_gradient(y)  # the record would keep the kernels


def directions_of(row):
    """The gradients' gradients are of their sum with these weights."""
    rng = np.random.default_rng(11)
    return [rng.uniform(-1, 1, shape) for shape in row.shapes]


@cache
def derived(name):
    """The plain formula's output, gradients and second derivatives, in float64.

    The latter are those of :func:`twice`. All is one program, which is compiled sooner than three.
    """
    row, dy = TABLE[name], output_gradient(computed(name, "float64")[0])
    constants, directions = list(map(jax.device_put, row.constants)), directions_of(row)

    def slope(dy, *arrays):
        y, pullback = jax.vjp(lambda *xs: row.plain(*xs, *constants), *arrays)
        dxs = pullback(jnp.broadcast_to(dy, y.shape).astype(y.dtype))
        return sum(jnp.vdot(dx, d) for dx, d in zip(dxs, directions, strict=True)), (y, dxs)

    def plain(dy, *arrays):
        if name not in TWICE:
            return slope(dy, *arrays)[1], None
        second, first = jax.grad(slope, range(1 + len(arrays)), has_aux=True)(dy, *arrays)
        return first, second

    (y, dxs), second = jax.jit(plain)(dy, *inputs(row, "float64"))
    return y, dxs, second


class Along(autograd.Operation):
    """The sum of all elements of the first half of its inputs times those of the second half.

    One program, and one for its backward, where ``(dx * d).sum()`` of each input would be four.
    """

    def forward(self, *xs):
        half = len(xs) // 2
        return sum(jnp.vdot(x, d) for x, d in zip(xs[:half], xs[half:], strict=True))


def twice(row, params, args, weight):
    """The output, the gradients, and the gradients of these times some directions."""
    y = row.ours(*args)
    dxs = autograd.grad(y, params, weight, create_graph=True)
    # The weight, times 0, so that the sum is recorded in any case.
    constants = [Tensor(data=d) for d in (*directions_of(row), np.zeros(weight.shape))]
    total = Along()(*dxs, weight, *constants)[0]
    return y, dxs, autograd.grad(total, [weight, *params])


def test_every_operation_has_a_row():
    assert {row.op for row in TABLE.values()} == set(operation.OPERATIONS)


@every_row
def test_forward_is_the_plain_formula(name):
    (y, *_), (expected, *_) = computed(name, "float64"), derived(name)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@every_row
def test_backward_is_what_jax_derives_from_the_plain_formula(name):
    (_, ours, *_), (_, expected, _) = computed(name, "float64"), derived(name)
    for g, e in zip(ours, expected, strict=True):
        assert g.shape in (e.shape, ())
        # Of a Tensor, NumPy's function would be an operation, and compiled for each shape.
        np.testing.assert_allclose(np.broadcast_to(g.to_numpy(), e.shape), e, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", [n for n, r in TABLE.items() if not r.draws])
def test_backward_is_the_slope_of_forward(name):
    row = TABLE[name]
    _, ours, arrays, dy = computed(name, "float64")
    arrays, dy = [np.asarray(a) for a in arrays], np.asarray(dy)
    rng = np.random.default_rng(3)
    directions = [rng.standard_normal(a.shape) for a in arrays]
    h = 1e-6

    def along(t):
        moved = [a + t * d for a, d in zip(arrays, directions, strict=True)]
        return float((row.ours(*tensors(row, moved)[1]).to_numpy() * dy).sum())

    numeric = (along(h) - along(-h)) / (2 * h)
    analytic = sum(float((g.to_numpy() * d).sum()) for g, d in zip(ours, directions, strict=True))
    assert analytic == pytest.approx(numeric, rel=row.tolerance, abs=1e-7)


@cache
def in_steps(name):
    """Outputs, gradients, and second derivatives of compiled steps, by their type."""
    row = TABLE[name]
    types = [t for t in TYPES[name][1:] if t != BY_KERNELS.get(name) or t == "float32"]
    of_types = [tensors(row, inputs(row, dtype)) for dtype in types]
    weight = Tensor(data=output_gradient(computed(name, "float64")[0]), stores_grad=True)

    def step(of_types):
        return [gradients_of(row, params, args) for params, args in of_types]

    def wide(params, args, weight):
        again = name in TWICE and name not in TWICE_EAGERLY
        return twice(row, params, args, weight) if again else gradients_of(row, params, args)

    found = dict(zip(types, Steps()(step, (of_types,), {}, False), strict=True))
    more = Steps()(wide, (*tensors(row, inputs(row, "float64")), weight), {}, False)
    return {"float64": more, **found}


def of_type(name, dtype):
    """Output and gradients of a float type, by kernels or as a part of the step.

    A step of all types is compiled sooner than kernels of each. So by kernels there are, besides
    float64, one type of every second operation; and what has no step.
    """
    if dtype in ("float64", BY_KERNELS.get(name)) or not TABLE[name].op.traceable:
        return computed(name, dtype)[:2]
    return in_steps(name)[dtype]


@pytest.mark.parametrize(("name", "dtype"), [(n, dtype) for n in TABLE for dtype in TYPES[n]])
def test_every_float_type_goes_in_and_comes_out(name, dtype):
    y, ours = of_type(name, dtype)
    assert str(y.dtype) == dtype
    assert {str(g.dtype) for g in ours} == {dtype}
    if dtype == "float32" and not TABLE[name].draws:
        exact, gradients, *_ = computed(name, "float64")
        np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-5)
        for g, e in zip(ours, gradients, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-3, atol=1e-4)
    else:
        assert np.isfinite(y.to_numpy().astype(np.float32)).all()


@pytest.mark.parametrize("name", TWICE)
def test_the_gradient_of_a_gradient_is_what_jax_derives_from_the_plain_formula(name):
    row, (*_, expected) = TABLE[name], derived(name)
    if name in TWICE_EAGERLY:
        weight = Tensor(data=output_gradient(computed(name, "float64")[0]), stores_grad=True)
        *_, found = twice(row, *tensors(row, inputs(row, "float64")), weight)
    else:
        *_, found = in_steps(name)["float64"]
    for ours, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, e, rtol=1e-8, atol=1e-10)


@compiled_rows
def test_a_compiled_step_gives_the_same(name):
    y, gradients, *_ = computed(name, "float64")
    result, found, *_ = in_steps(name)["float64"]
    np.testing.assert_allclose(result, y, rtol=1e-12, atol=1e-12)
    for one, other in zip(found, gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    if BY_KERNELS.get(name) == "float32":
        (y, gradients, *_), (result, found) = (
            computed(name, "float32"),
            in_steps(name)["float32"],
        )
        np.testing.assert_allclose(result, y, rtol=1e-5, atol=1e-6)
        for one, other in zip(found, gradients, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@every_row
def test_inputs_stay_as_they_were(name):
    arrays = computed(name, "float64")[2]
    before = inputs(TABLE[name], "float64")
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


def avals(jaxpr):
    """Every value of a program, those of the programs inside it too."""
    for eqn in jaxpr.eqns:
        yield from (var.aval for var in (*eqn.invars, *eqn.outvars))
        for parameter in eqn.params.values():
            for inner in parameter if isinstance(parameter, (list, tuple)) else [parameter]:
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    yield from avals(inner)


@compiled_rows
def test_a_float32_program_has_no_64_bit_values(name):
    row = TABLE[name]
    _, args = tensors(row, inputs(row, "float32"))

    def step(*args):
        result = row.ours(*args)
        dy = Tensor(data=np.ones(result.shape, np.float32))
        return list(autograd.gradients(result, dy).values())

    values = list(avals(Capture(step, args).jaxpr.jaxpr))
    assert values
    found = [
        aval
        for aval in values
        if isinstance(aval.dtype, np.dtype) and real_type(aval.dtype).itemsize == 8
    ]
    # Python's numbers inside jax's own functions, and the indices of an axis, are no elements.
    wide = {str(a) for a in found if not (a.weak_type or a.dtype.kind == "i") or a.size > 8}
    assert row.wide or wide == set()
