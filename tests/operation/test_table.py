"""Every operation against its oracles: one table, walked by every test below.

A row has a plain formula in jax.numpy. Forward must equal it; backward must equal ``jax.vjp`` of
it, and central differences in float64; every float type must come through; a compiled step must
give the same; and no 64-bit value may hide in a float32 program. An operation without a row fails.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from singa import autograd, operation
from singa.device import DTYPES
from singa.graph import Capture, Steps
from singa.operation import AveragePooling2d, Convolution2d, MaxPooling2d
from singa.tensor import Tensor

ANY, POSITIVE, PROBABILITY = (-2.0, 2.0), (0.3, 2.0), (0.1, 0.9)


@dataclass
class Row:
    """One operation: on Tensors, as a plain formula, and what to feed it."""

    op: type
    ours: Callable[..., Any]
    plain: Callable[..., Any]
    shapes: list[tuple[int, ...]]
    range: tuple[float, float] = ANY
    constants: tuple[Any, ...] = ()  # further inputs, without gradients
    tolerance: float = 1e-6  # of the central differences


IDS = np.array([2, 0, 3], np.int32)
ONE_HOT = np.eye(4, dtype=np.int32)[IDS]
KEY = np.array([1, 2], np.uint32)
WINDOW = ((3, 2), (2, 1), ((1, 1), (0, 1)))


def plain_conv(x, w, b, groups=1):
    y = jax.lax.conv_general_dilated(
        x, w, (2, 1), ((1, 1), (0, 2)), rhs_dilation=(1, 2), feature_group_count=groups
    )
    return y + b[:, None, None]


def plain_cross_entropy(x, t):
    return -(t * jax.nn.log_softmax(x)).sum() / len(x)


def plain_bce(x, t):
    return -(t * jnp.log(x) + (1 - t) * jnp.log(1 - x)).sum() / len(x)


def plain_pool(x, start, function):
    (window, stride, pads) = WINDOW
    return jax.lax.reduce_window(
        x, jnp.asarray(start, x.dtype), function, (1, 1, *window), (1, 1, *stride),
        ((0, 0), (0, 0), *pads),
    )  # fmt: skip


def plain_avg(x):
    return plain_pool(x, 0, jax.lax.add) / plain_pool(jnp.ones_like(x), 0, jax.lax.add)


def plain_norm(x, scale, bias):
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    wide = (slice(None),) + (None,) * (x.ndim - 2)
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-5) * scale[wide] + bias[wide]


def plain_frozen(x, scale, bias):
    wide = (slice(None), None, None)
    return x / jnp.sqrt(2 + 1e-5) * scale[wide] + bias[wide]


def frozen(x, scale, bias):
    mean = Tensor((3,), dtype=x.dtype)
    return autograd.FrozenBatchNormalization2d(1e-5)(x, scale, bias, mean, mean + 2.0)[0]


def plain_dropout(x):
    return jnp.where(jax.random.bernoulli(jnp.asarray(KEY), jnp.float32(0.7), x.shape), x / 0.7, 0)


def dropped(x):
    key = Tensor((2,), requires_grad=False)
    key.data = jnp.asarray(KEY)
    return autograd.Dropout(0.3)(x, key)[0]


ops = autograd
conv = partial(ops.conv2d, stride=(2, 1), padding=(1, 1, 0, 2), dilation=(1, 2))

TABLE = {
    "add": Row(ops.Add, ops.add, jnp.add, [(2, 3), (3,)]),
    "sub": Row(ops.Sub, ops.sub, jnp.subtract, [(2, 1), (1, 3)]),
    "mul": Row(ops.Mul, ops.mul, jnp.multiply, [(3,), (2, 1, 3)]),
    "div": Row(ops.Div, ops.div, jnp.divide, [(2, 3), (2, 1)], POSITIVE),
    "pow": Row(ops.Pow, ops.pow, jnp.power, [(2, 3), (3,)], POSITIVE),
    "pow by number": Row(ops.Pow, lambda x: x**3, lambda x: x**3, [(2, 3)]),
    "negative": Row(ops.Negative, ops.negative, jnp.negative, [(2, 3)]),
    "abs": Row(ops.Abs, ops.abs, jnp.abs, [(2, 3)]),
    "exp": Row(ops.Exp, ops.exp, jnp.exp, [(2, 3)]),
    "log": Row(ops.Log, ops.log, jnp.log, [(2, 3)], POSITIVE),
    "sqrt": Row(ops.Sqrt, ops.sqrt, jnp.sqrt, [(2, 3)], POSITIVE),
    "relu": Row(ops.ReLU, ops.relu, jax.nn.relu, [(2, 3)]),
    "sigmoid": Row(ops.Sigmoid, ops.sigmoid, jax.nn.sigmoid, [(2, 3)]),
    "tanh": Row(ops.Tanh, ops.tanh, jnp.tanh, [(2, 3)]),
    "softmax": Row(ops.SoftMax, ops.softmax, partial(jax.nn.softmax, axis=1), [(2, 3, 2)]),
    "matmul": Row(ops.Matmul, ops.matmul, jnp.matmul, [(2, 3), (3, 4)]),
    "matmul of batches": Row(ops.Matmul, ops.matmul, jnp.matmul, [(2, 1, 2, 3), (3, 3, 4)]),
    "matmul by matrix": Row(ops.Matmul, ops.matmul, jnp.matmul, [(2, 2, 3), (3, 4)]),
    "matmul of vectors": Row(ops.Matmul, ops.matmul, jnp.matmul, [(3,), (2, 3, 4)]),
    "affine": Row(ops.Affine, ops.affine, lambda x, w, b: x @ w + b, [(2, 3), (3, 4), (4,)]),
    "affine of batches": Row(
        ops.Affine, ops.affine, lambda x, w, b: x @ w + b, [(2, 1, 3), (3, 4), (4,)]
    ),
    "add_bias": Row(ops.AddBias, ops.add_bias, jnp.add, [(4, 3), (1, 3)]),
    "add_bias by column": Row(
        ops.AddBias, partial(ops.add_bias, axis=1), lambda x, b: x + b[:, None], [(4, 3), (4,)]
    ),
    "reshape": Row(
        ops.Reshape, lambda x: ops.reshape(x, (0, -1)), lambda x: x.reshape(2, 6), [(2, 3, 2)]
    ),
    "flatten": Row(ops.Flatten, ops.flatten, lambda x: x.reshape(2, 6), [(2, 3, 2)]),
    "transpose": Row(
        ops.Transpose,
        lambda x: ops.transpose(x, (2, 0, 1)), lambda x: x.transpose(2, 0, 1), [(2, 3, 4)],
    ),
    "cat": Row(
        ops.Concat,
        lambda *xs: ops.cat(xs, 1), lambda *xs: jnp.concatenate(xs, 1), [(2, 3), (2, 1), (2, 2)],
    ),
    "cast": Row(ops.Cast, lambda x: ops.cast(x, x.dtype), lambda x: x, [(2, 3)]),
    "getitem": Row(ops.GetItem, lambda x: x[1, ::-2], lambda x: x[1, ::-2], [(2, 5)]),
    "getitem by array": Row(ops.GetItem, lambda x: x[IDS, None], lambda x: x[IDS, None], [(4, 2)]),
    "reduce_sum": Row(
        ops.ReduceSum, lambda x: ops.reduce_sum(x, (0, -1)),
        lambda x: x.sum((0, 2), keepdims=True), [(2, 3, 4)],
    ),
    "reduce_mean": Row(
        ops.ReduceMean, lambda x: ops.reduce_mean(x, 1, keepdims=False),
        lambda x: x.mean(1), [(2, 3, 4)],
    ),
    "conv2d": Row(Convolution2d, conv, plain_conv, [(2, 3, 5, 6), (4, 3, 3, 2), (4,)]),
    "conv2d in groups": Row(
        Convolution2d,
        partial(conv, groups=2), partial(plain_conv, groups=2), [(2, 4, 5, 6), (6, 2, 3, 2), (6,)],
    ),
    "batchnorm_2d": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0], plain_norm,
        [(3, 3, 2, 2), (3,), (3,)],
    ),
    "batchnorm_2d of rows": Row(
        ops.BatchNormalization2d, lambda *xs: ops.BatchNormalization2d(1e-5)(*xs)[0], plain_norm,
        [(5, 3), (3,), (3,)],
    ),
    "batchnorm_2d frozen": Row(
        ops.FrozenBatchNormalization2d, frozen, plain_frozen, [(2, 3, 2, 2), (3,), (3,)]
    ),
    "max_pool_2d": Row(
        MaxPooling2d, lambda x: MaxPooling2d(*WINDOW)(x)[0],
        lambda x: plain_pool(x, -jnp.inf, jax.lax.max), [(2, 2, 6, 5)],
    ),
    "avg_pool_2d": Row(
        AveragePooling2d, lambda x: AveragePooling2d(*WINDOW)(x)[0], plain_avg, [(2, 2, 6, 5)]
    ),
    "dropout": Row(ops.Dropout, dropped, plain_dropout, [(4, 5)]),
    "softmax_cross_entropy by id": Row(
        ops.SoftMaxCrossEntropy, ops.softmax_cross_entropy,
        lambda x, t: plain_cross_entropy(x, jnp.asarray(ONE_HOT)), [(3, 4)], constants=(IDS,),
    ),
    "softmax_cross_entropy one-hot": Row(
        ops.SoftMaxCrossEntropy, ops.softmax_cross_entropy, plain_cross_entropy, [(3, 4)],
        constants=(ONE_HOT,),
    ),
    "softmax_cross_entropy soft": Row(
        ops.SoftMaxCrossEntropy, ops.softmax_cross_entropy, plain_cross_entropy,
        [(3, 4), (3, 4)], PROBABILITY,
    ),
    "mse_loss": Row(
        ops.MeanSquareError, ops.mse_loss, lambda x, t: ((x - t) ** 2).mean(), [(3, 4), (3, 4)]
    ),
    "binary_cross_entropy": Row(
        ops.BinaryCrossEntropy, ops.binary_cross_entropy, plain_bce, [(3, 4), (3, 4)], PROBABILITY
    ),
    "comparison": Row(
        ops.Compare, lambda a, b: ops.cast(ops.less(a, b), a.dtype) + a * 0.0,
        lambda a, b: (a < b).astype(a.dtype) + a * 0, [(2, 3), (3,)],
    ),
}  # fmt: skip

every_row = pytest.mark.parametrize("name", TABLE)
FLOATS = ["float16", "bfloat16", "float32", "float64"]


@pytest.fixture(autouse=True)
def _recording():
    autograd.training = True
    yield
    autograd.training = False


def inputs(row, dtype):
    """Arrays for the row's differentiable inputs; no two elements are equal, none is 0."""
    rng = np.random.default_rng(len(row.shapes))
    low, high = row.range
    arrays = []
    for shape in row.shapes:
        size = int(np.prod(shape))
        spread = low + (high - low) * (np.arange(size) + rng.uniform(0.2, 0.8, size)) / size
        arrays.append(jnp.asarray(rng.permutation(spread).reshape(shape), DTYPES[dtype]))
    return arrays


def tensors(row, arrays):
    """The same as Tensors: parameters, and the constants."""
    params = [Tensor(data=a, stores_grad=True) for a in arrays]
    return params, [*params, *(Tensor(data=c) for c in row.constants)]


def output_gradient(y):
    rng = np.random.default_rng(7)
    return jnp.asarray(rng.uniform(-1, 1, y.shape), y.dtype)


def both(row, dtype):
    """Our outputs and gradients, and those of the plain formula."""
    arrays = inputs(row, dtype)
    params, args = tensors(row, arrays)
    y = row.ours(*args)
    plain = partial(_with_constants, row)
    expected, pullback = jax.vjp(plain, *arrays)
    dy = output_gradient(expected)
    found = autograd.gradients(y, dy)
    zero = Tensor((), dtype=dtype)
    ours = [found.get(p, zero) for p in params]
    return y, ours, expected, pullback(dy), arrays, dy


def _with_constants(row, *arrays):
    return row.plain(*arrays, *map(jnp.asarray, row.constants))


def test_every_operation_has_a_row():
    assert {row.op for row in TABLE.values()} == set(operation.OPERATIONS)


@every_row
def test_forward_is_the_plain_formula(name):
    y, _, expected, *_ = both(TABLE[name], "float64")
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-12)


@every_row
def test_backward_is_what_jax_derives_from_the_plain_formula(name):
    _, ours, _, expected, *_ = both(TABLE[name], "float64")
    for g, e in zip(ours, expected, strict=True):
        assert g.shape in (e.shape, ())
        np.testing.assert_allclose(np.broadcast_to(g, e.shape), e, rtol=1e-9, atol=1e-12)


@every_row
def test_backward_is_the_slope_of_forward(name):
    row = TABLE[name]
    if name == "comparison":
        pytest.skip("a comparison is flat but for its jumps")
    _, ours, _, _, arrays, dy = both(row, "float64")
    rng = np.random.default_rng(3)
    directions = [rng.standard_normal(a.shape) for a in arrays]
    h = 1e-6

    def along(t):
        moved = [a + t * d for a, d in zip(arrays, directions, strict=True)]
        return float((row.ours(*tensors(row, moved)[1]).to_numpy() * dy).sum())

    numeric = (along(h) - along(-h)) / (2 * h)
    analytic = sum(float((g.to_numpy() * d).sum()) for g, d in zip(ours, directions, strict=True))
    assert analytic == pytest.approx(numeric, rel=row.tolerance, abs=1e-7)


@pytest.mark.parametrize("dtype", FLOATS)
@every_row
def test_every_float_type_goes_in_and_comes_out(name, dtype):
    row = TABLE[name]
    y, ours, *_ = both(row, dtype)
    assert str(y.dtype) == dtype
    assert {str(g.dtype) for g in ours} == {dtype}
    exact, gradients, *_ = both(row, "float64")
    if dtype == "float32":
        np.testing.assert_allclose(y, exact, rtol=1e-4, atol=1e-5)
        for g, e in zip(ours, gradients, strict=True):
            np.testing.assert_allclose(g, e, rtol=1e-3, atol=1e-4)
    else:
        assert np.isfinite(y.to_numpy().astype(np.float32)).all()


@every_row
def test_a_compiled_step_gives_the_same(name):
    row = TABLE[name]
    y, ours, _, _, arrays, dy = both(row, "float32")
    params, args = tensors(row, arrays)

    def step(*args):
        result = row.ours(*args)
        return result, autograd.gradients(result, dy)[params[0]]

    result, gradient = Steps()(step, tuple(args), {}, False)
    np.testing.assert_allclose(result, y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(gradient, ours[0], rtol=1e-4, atol=1e-5)


@every_row
def test_inputs_stay_as_they_were(name):
    row = TABLE[name]
    arrays = inputs(row, "float32")
    before = [np.array(a) for a in arrays]
    both(row, "float32")
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


@every_row
def test_a_float32_program_has_no_64_bit_values(name):
    row = TABLE[name]
    _, args = tensors(row, inputs(row, "float32"))

    def step(*args):
        result = row.ours(*args)
        dy = Tensor(data=np.ones(result.shape, np.float32))
        return list(autograd.gradients(result, dy).values())

    values = list(avals(Capture(step, args).jaxpr.jaxpr))
    assert len(values) > 4
    found = [
        aval for aval in values if isinstance(aval.dtype, np.dtype) and aval.dtype.itemsize == 8
    ]
    # Python's numbers inside jax's own functions, and the indices of an axis, are no elements.
    wide = {str(a) for a in found if not (a.weak_type or a.dtype.kind == "i") or a.size > 8}
    assert wide == set()
