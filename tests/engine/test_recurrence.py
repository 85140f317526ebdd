"""The native recurrences against the loops that they replace."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from singa.engine import native
from singa.engine.native import recurrence
from singa.operation import GRUSequence, LSTMSequence, RNNSequence

pytestmark = pytest.mark.skipif(not native.available, reason=f"native kernels are {native.status}")
# The kernels are compiled already. What XLA optimizes around them is tested with fixed shapes.
optimized_once = pytest.mark.usefixtures("optimized_once")

CELLS = {
    "tanh": partial(RNNSequence, "tanh"),
    "relu": partial(RNNSequence, "relu"),
    "gru": GRUSequence,
    "lstm": LSTMSequence,
}
every_cell = pytest.mark.parametrize("cell", CELLS)
# Around the widths of vector registers, and the rows that are computed at the same time.
batches = st.sampled_from([2, 3, 5, 13, 25, 32])
hidden_sizes = st.sampled_from([1, 3, 4, 7, 8, 9, 16, 17, 31, 33])


def array(*shape, seed=0):
    numbers = np.random.default_rng(seed).standard_normal(shape)
    return jax.device_put(numbers.astype(np.float32))  # jnp.asarray would compile something


def inputs(cell, steps, batch, features, hidden, lengths=None):
    made = CELLS[cell]()
    wide = made.gates * hidden
    shapes = [
        (steps, batch, features), (features, wide), (hidden, wide), (wide,), (wide,),
        *[(batch, hidden)] * made.states,
    ]  # fmt: skip
    arrays = [array(*shape, seed=i) for i, shape in enumerate(shapes)]
    arrays[2] /= hidden**0.5  # so that rounding errors do not grow from step to step
    return arrays if lengths is None else [*arrays, np.array(lengths, np.int32)]


def both_ways(operation):
    """Outputs and gradients, as a function of the inputs."""

    def run(*xs):
        fresh = operation.copy()
        ys = fresh.forward(*xs)
        return ys, [dx for dx in fresh.backward(*map(jnp.cos, ys)) if dx is not None]

    return run


def natively(function, *arrays):
    lowered = jax.jit(function).lower(*arrays)
    assert "singa_recurrence_gradient" in lowered.as_text()
    return jax.tree.leaves(lowered.compile()(*arrays))


def by_formula(function, *arrays):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native, "available", False)
        lowered = jax.jit(lambda *xs: function(*xs)).lower(*arrays)
    assert "singa_" not in lowered.as_text()
    return jax.tree.leaves(lowered.compile()(*arrays))


def agree(ones, others, rtol=2e-5):
    for one, other in zip(ones, others, strict=True):
        scale = float(np.abs(other).max(initial=1e-3))
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * scale)


@pytest.mark.slow
@every_cell
@settings(max_examples=3)
@given(drawn=st.data())
def test_values_and_gradients(cell, drawn):
    draw = drawn.draw
    steps, batch, hidden = draw(st.integers(1, 5)), draw(batches), draw(hidden_sizes)
    lengths = None
    if draw(st.booleans()):
        lengths = draw(st.lists(st.integers(0, steps + 1), min_size=batch, max_size=batch))
    operation = CELLS[cell](reverse=draw(st.booleans()))
    arrays = inputs(cell, steps, batch, draw(st.integers(1, 5)), hidden, lengths)
    function = both_ways(operation)
    agree(natively(function, *arrays), by_formula(function, *arrays))


@optimized_once
@every_cell
def test_what_is_shared_out_among_threads_is_the_same_every_time(cell):
    arrays = inputs(cell, 20, 33, 40, 96)
    step = jax.jit(both_ways(CELLS[cell]()))
    first = [np.asarray(a).tobytes() for a in jax.tree.leaves(step(*arrays))]
    agree(jax.tree.leaves(step(*arrays)), by_formula(both_ways(CELLS[cell]()), *arrays), 1e-4)
    with ThreadPoolExecutor(4) as threads:
        for result in threads.map(lambda _: step(*arrays), range(8)):
            assert [np.asarray(a).tobytes() for a in jax.tree.leaves(result)] == first


@optimized_once
@pytest.mark.parametrize("cell", ["tanh", "lstm"])
def test_the_hyperbolic_tangent_of_every_kind_of_number(cell):
    """Without a recurrent weight, one step is the function of what comes from the inputs."""
    special = [0.0, 1e-30, -1e-37, np.inf, -np.inf, np.nan, 88.0, -1e30]
    spread = np.geomspace(1e-20, 30, 4000)
    x = np.array([*special, *spread, *-spread], np.float32)
    gates = 4 if cell == "lstm" else 1
    zero = jnp.zeros(gates, jnp.float32)
    states = [jnp.zeros((len(x), 1), jnp.float32)] * (2 if cell == "lstm" else 1)
    lengths = jnp.ones(len(x), jnp.int32)
    projected = jnp.asarray(np.repeat(x[None, :, None], gates, -1))
    every = jax.jit(partial(recurrence.forward, cell, False))(
        projected, jnp.zeros((1, gates), jnp.float32), zero, zero, *states, lengths
    )
    found = every[-1][0, :, 2 if cell == "lstm" else 0]  # the gate g
    expected = np.tanh(x.astype(np.float64))
    unit = np.spacing(np.abs(expected).astype(np.float32))  # NaN of NaN
    assert np.nanmax(np.abs(found - expected) / unit) <= 3
    assert np.all(np.isnan(found) == np.isnan(x))
    assert np.nanmax(np.abs(found)) == 1


@every_cell
def test_derivatives_of_derivatives_are_those_of_the_formula(cell):
    arrays = inputs(cell, 3, 2, 2, 3, lengths=[3, 1])
    *floats, lengths = arrays

    def penalty(*xs):
        _, gradients = both_ways(CELLS[cell]())(*xs, lengths)
        return sum((d**2).sum() for d in gradients)

    slopes = jax.grad(penalty, tuple(range(len(floats))))
    agree(natively(slopes, *floats), by_formula(slopes, *floats), 1e-4)


@every_cell
def test_other_types_single_sequences_and_empty_batches_take_the_formula(cell):
    for arrays in (
        [a.astype(jnp.float64) for a in inputs(cell, 2, 3, 2, 4)],
        [a.astype(jnp.float64) for a in inputs(cell, 2, 3, 2, 4)],
        inputs(cell, 2, 1, 2, 4),
        inputs(cell, 2, 0, 2, 4),
    ):
        lowered = jax.jit(both_ways(CELLS[cell]())).lower(*arrays)
        assert "singa_" not in lowered.as_text()
        for result in jax.tree.leaves(lowered.compile()(*arrays)):
            assert np.isfinite(np.asarray(result, np.float64)).all()


@optimized_once
def test_infinities_in_the_padding_stay_there():
    arrays = inputs("lstm", 3, 2, 2, 5, lengths=[3, 1])
    arrays[0] = arrays[0].at[1:, 1].set(jnp.inf)
    function = both_ways(LSTMSequence())
    found = natively(function, *arrays)
    assert all(np.isfinite(each).all() for each in found)
    agree(found, by_formula(function, *arrays))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"w_hh": (4, 12)}, "the weight does not fit"),
        ({"projected": (2, 3, 12)}, "shapes do not fit together"),
        ({"b_hh": (4,)}, "shapes do not fit together"),
        ({"c0": (0, 4)}, "shapes do not fit together"),
        ({"h0": (2, 4)}, "shapes do not fit together"),
        ({"lengths": (2,)}, "shapes do not fit together"),
        ({"cell": 4}, "unknown cell"),
        ({"cell": -1}, "unknown cell"),
    ],
)
def test_what_does_not_fit_is_refused_and_not_computed(change, words):
    shapes = {
        "projected": (2, 3, 16), "w_hh": (4, 16), "b_ih": (16,), "b_hh": (16,),
        "h0": (3, 4), "c0": (3, 4), "lengths": (3,), "cell": 3,
    } | change  # fmt: skip
    cell = shapes.pop("cell")
    arrays = [
        jnp.zeros(shape, jnp.int32 if name == "lengths" else jnp.float32)
        for name, shape in shapes.items()
    ]
    call = jax.ffi.ffi_call(
        "singa_recurrence",
        [jax.ShapeDtypeStruct((2, 3, wide), jnp.float32) for wide in (4, 4, 16)],
    )
    with pytest.raises(jax.errors.JaxRuntimeError, match=words):
        jax.block_until_ready(
            jax.jit(lambda *xs: call(*xs, cell=np.int64(cell), reverse=False))(*arrays)
        )
