"""Sorts, searches, running totals and scattering along an axis: kernels, formulas, and NumPy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from engine.formulas import agree, built
from singa.engine import native
from singa.engine.native import ordering
from singa.operation import CumMax, CumMin
from singa.operation.cumulative import recurrence, running
from singa.operation.ordering import searched_rows, sorted_rows
from singa.operation.places import last_written_along, written_along, written_rows

SPECIAL = [0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1, -1]
TYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 bfloat16 float32 float64"


def drawn(dtype, shape, seed=0):
    """Numbers of the whole range of a type, with ties and special values."""
    rng, dtype = np.random.default_rng(seed), np.dtype(jnp.dtype(dtype))
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        several = rng.integers(ends.min, ends.max, shape, dtype, endpoint=True)
        return np.where(rng.random(shape) < 0.5, several, rng.integers(0, 3, shape).astype(dtype))
    several = 10 * rng.standard_normal(shape)
    return np.where(rng.random(shape) < 0.5, rng.choice(SPECIAL, shape), several).astype(dtype)


def of_both(function, *xs, monkeypatch):
    """The results with native kernels, and those without."""
    found = []
    for available in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(native, "available", available)
            lowered = jax.jit(lambda *xs: function(*xs)).lower(*xs)
            assert ("singa_" in lowered.as_text()) == available
            found.append(jax.tree.leaves(lowered.compile()(*xs)))
    return found


def wide(x):
    """In a type that NumPy sorts."""
    x = np.asarray(x)
    return x if x.dtype.kind in "biu" else x.astype(np.float64)


def numpys_order(x, descending):
    if not descending:
        return np.argsort(x, -1, kind="stable")
    return (x.shape[-1] - 1 - np.argsort(x[..., ::-1], -1, kind="stable"))[..., ::-1]


@built
@pytest.mark.parametrize("length", [1, 40, 300])
def test_sorted_rows_of_all_types_are_numpys(length):
    xs = {name: drawn(name, (2, 3, length), length) for name in TYPES.split()}
    counts = {length, max(length // 20, 1), max(length // 10, 1)}  # each way to select

    @jax.jit
    def every_way(xs):
        return {
            (name, count, descending): ordering.sort(x, count, descending)
            for name, x in xs.items()
            for count in counts
            for descending in (False, True)
        }

    for (name, count, descending), (y, order) in every_way(xs).items():
        x = wide(xs[name])
        wanted = numpys_order(x, descending)[..., :count]
        np.testing.assert_array_equal(order, wanted, err_msg=f"{name} {count} {descending}")
        np.testing.assert_array_equal(wide(y), np.take_along_axis(x, wanted, -1), err_msg=name)


@built
def test_searches_in_rows_of_all_types_are_numpys():
    xs = {name: drawn(name, (2, 50)) for name in TYPES.split()}
    xs = {name: np.take_along_axis(x, numpys_order(wide(x), False), -1) for name, x in xs.items()}
    values = {name: drawn(name, (2, 3), 1) for name in xs}
    for side in ("left", "right"):
        search = partial(ordering.search, right=side == "right")
        found = jax.jit(lambda xs, values, search=search: jax.tree.map(search, xs, values))(
            xs, values
        )
        for name in xs:
            wanted = [
                np.searchsorted(wide(x), wide(v), side)
                for x, v in zip(xs[name], values[name], strict=True)
            ]
            np.testing.assert_array_equal(found[name], wanted, err_msg=f"{name} {side}")


@built
def test_sorts_and_searches_are_the_formulas(monkeypatch):
    x, sorted_x = drawn("float32", (3, 130)), np.sort(drawn("float32", (3, 20), 1))

    def every_way(x, sorted_x):
        found = [sorted_rows(x, n, down) for n in (130, 7) for down in (False, True)]
        return found, [searched_rows(sorted_x, x, right) for right in (False, True)]

    one, other = of_both(every_way, x, sorted_x, monkeypatch=monkeypatch)
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@built
@pytest.mark.parametrize(
    ("dtype", "shape", "axis"),
    [("float32", (3, 21), 1), ("float64", (9, 2, 19), 0), ("int32", (9, 2, 19), 0),
     ("int64", (6, 21), 1)],
)  # fmt: skip
def test_running_totals_are_the_formulas(dtype, shape, axis, monkeypatch):
    x = (np.random.default_rng(0).uniform(-2, 2, shape) * (1 if dtype[0] == "f" else 2)).astype(
        dtype
    )

    def every_way(x):
        ways = [
            (way, r, e) for way in ("sum", "product") for r in (False, True) for e in (r, not r)
        ]
        totals = [running(x, axis, *way) for way in ways]
        return totals, [recurrence(x, x + 1, axis, reverse) for reverse in (False, True)]

    agree(of_both(every_way, x, monkeypatch=monkeypatch))


@built
def test_running_sums_of_float32_have_the_error_of_one_rounding():
    x = np.random.default_rng(0).uniform(0, 1, 100_000).astype(np.float32)
    found = jax.jit(lambda x: running(x, 0, "sum"))(x)
    np.testing.assert_allclose(found, x.astype(np.float64).cumsum(), rtol=1.2e-7)


@built
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64"])
def test_running_extremes_are_the_formulas(dtype, monkeypatch):
    x = drawn(dtype, (5, 33))

    def every_way(x):
        return [kind(axis).forward(x) for kind in (CumMax, CumMin) for axis in (0, 1)]

    one, other = of_both(every_way, x, monkeypatch=monkeypatch)
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(wide(ours), wide(theirs))


@built
@pytest.mark.parametrize(
    ("dtype", "shape", "other", "axis"),
    [("float32", (5, 33), (5, 70), 1), ("float64", (4, 3, 5), (9, 3, 5), 0),
     ("int32", (4, 3, 5), (9, 3, 5), 0), ("int64", (5, 33), (5, 70), 1),
     ("bool", (5, 33), (5, 70), 1), ("complex128", (5, 33), (5, 70), 1)],
)  # fmt: skip
def test_scattering_is_the_formulas(dtype, shape, other, axis, monkeypatch):
    ways = ("set",) if dtype in ("bool", "complex128") else ("set", "add", "max", "min")
    x, updates = (drawn(dtype, s, seed) for seed, s in enumerate((shape, other)))
    places = np.random.default_rng(2).integers(-2, shape[axis] + 2, other).astype(np.int32)

    def every_way(x, places, updates):
        found = [written_along(x, places, updates, axis, how) for how in ways]
        found.append(last_written_along(places, axis, shape[axis]))
        if axis == 0:
            found += [written_rows(x, places[:, 0, 0], updates, how) for how in ways]
        return found

    one, other = of_both(every_way, x, places, updates, monkeypatch=monkeypatch)
    for ours, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@built
@pytest.mark.parametrize("dtype", ["int64", "uint32"])
def test_places_that_an_int32_cannot_hold_stay_out_of_bounds(dtype):
    ends = np.iinfo(dtype)
    places = np.array([2**31 + 1, min(2**32, ends.max), 1, ends.max], dtype)
    x, ones = np.zeros(3, np.float32), np.ones(4, np.float32)
    assert written_along(x, places, ones, 0, "add").tolist() == [0, 1, 0]
    assert written_rows(x, places, ones, "add").tolist() == [0, 1, 0]
    assert last_written_along(places, 0, 3).tolist() == [False, False, True, False]


@built
def test_few_long_rows_are_shared_out_among_threads_in_the_order_of_updates(monkeypatch):
    rng = np.random.default_rng(0)
    x, updates = np.zeros((50, 16), np.float32), rng.standard_normal((20_000, 16), np.float32)
    rows = rng.integers(0, 50, 20_000).astype(np.int32)

    def every_way(x, rows, updates):
        return [written_rows(x, rows, updates, how) for how in ("set", "add", "max", "min")]

    agree(of_both(every_way, x, rows, updates, monkeypatch=monkeypatch))


@built
def test_mapped_kernels_and_derivatives_are_those_of_the_formula(monkeypatch):
    x = np.random.default_rng(0).standard_normal((4, 3, 9)).astype(np.float32)

    def loss(x):
        y, _ = sorted_rows(x, 5)
        return (jnp.cos(y) * running(y, 1, "sum") * recurrence(y, y, 1)).sum()

    def slopes(x):
        return jax.vmap(jax.value_and_grad(loss))(x)

    agree(of_both(slopes, x, monkeypatch=monkeypatch))
