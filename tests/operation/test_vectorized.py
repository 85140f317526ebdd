"""The polynomials of float32 beside NumPy's functions of float64: errors, and what IEEE says."""

import jax
import numpy as np
import pytest
from scipy import special

from singa.operation import vectorized

RNG = np.random.default_rng(0)
EDGES = np.float32([0.0, -0.0, 1.0, -1.0, 0.5, np.inf, -np.inf, np.nan, 1e-30, -1e30, 2.0, -3.0])
SIZES = 10.0 ** RNG.uniform(-30, 30, 500)
NUMBERS = np.float32([*EDGES, *RNG.normal(size=500), *SIZES, *-SIZES])
SHARES = np.float32([0, 1, *RNG.uniform(0, 1, 500), *10.0 ** RNG.uniform(-30, 0, 500)])
SINES = np.float32([*EDGES, *SHARES, *-SHARES, *(1 - SHARES)])
NEAR_HALF = np.float32(0.5 + 10.0 ** RNG.uniform(-7, -1, 200) * RNG.choice([-1, 1], 200))
QUARTERS = np.arange(-1000, 1000) * np.pi / 2
ANGLES = np.float32([*RNG.uniform(-5e5, 5e5, 1000), *QUARTERS, *RNG.normal(size=500), 0, np.nan])
WHOLE = np.float32([*np.arange(-300, 300), 0.5, np.inf, -np.inf, np.nan, 1e5])
ODDS = np.float32([-0.0, -1, 2, np.inf, np.nan, *SHARES, *NEAR_HALF])


def logit(x):
    """In float64, 2 x - 1 is exact for every float32."""
    return np.where(abs(x - 0.5) < 0.3, 2 * np.arctanh(2 * x - 1), np.log(x / (1 - x)))


def erfcx_slope(x):
    return 2 * x * special.erfcx(x) - 2 / np.sqrt(np.pi)


def turns(x):
    whole = np.round(x)
    sign, rest = 1 - 2 * abs(np.fmod(whole, 2)), x - whole
    return np.stack([sign * np.sin(np.pi * rest), sign * np.sin(np.pi * (0.5 - abs(rest)))])


@pytest.mark.parametrize(
    ("function", "oracle", "xs"),
    [
        (vectorized.log1p_of_share, np.log1p, [SHARES]),
        (vectorized.softplus, lambda x: np.logaddexp(x, 0), [NUMBERS]),
        (vectorized.logaddexp, np.logaddexp, [*np.float32(np.meshgrid(EDGES, abs(EDGES)))]),
        (vectorized.logaddexp, np.logaddexp, [abs(NUMBERS), RNG.permutation(NUMBERS)]),
        (vectorized.logit, logit, [ODDS]),
        (vectorized.asin, np.arcsin, [SINES]),
        (vectorized.acos, np.arccos, [SINES]),
        (vectorized.atan, np.arctan, [NUMBERS]),
        (vectorized.atan2, np.arctan2, [*np.float32(np.meshgrid(EDGES, EDGES))]),
        (vectorized.atan2, np.arctan2, [NUMBERS, RNG.permutation(NUMBERS)]),
        (vectorized.erfcx, special.erfcx, [NUMBERS]),
        (vectorized.erfcx_slope, erfcx_slope, [NUMBERS[~(abs(NUMBERS) > 100)]]),
        (lambda x: jax.numpy.stack(vectorized.turns(x)), turns, [NUMBERS[abs(NUMBERS) < 1e6]]),
        (vectorized.sin, np.sin, [ANGLES]),
        (vectorized.cos, np.cos, [ANGLES]),
        (vectorized.tan, np.tan, [ANGLES]),
        (vectorized.sin, np.sin, [NUMBERS]),  # some of them are beyond the range of the polynomials
        (vectorized.fmod, np.fmod, [*np.float32(np.meshgrid(EDGES, EDGES))]),
        (vectorized.fmod, np.fmod, [ANGLES, RNG.permutation(ANGLES)]),
        (vectorized.remainder, np.mod, [WHOLE, RNG.permutation(WHOLE)]),
        (vectorized.floor_divide, np.floor_divide, [WHOLE, RNG.permutation(WHOLE)]),
        (lambda x: vectorized.normal(x)[0], special.ndtr, [NUMBERS[abs(NUMBERS) < 2]]),
    ],
)
def test_the_last_places_are_right_and_so_are_zeros_infinities_and_nan(function, oracle, xs):
    ours = np.asarray(jax.jit(function)(*xs))
    with np.errstate(all="ignore"):
        expected = oracle(*[x.astype(np.float64) for x in xs])
        # Smaller numbers are flushed to 0, and larger ones are infinite.
        expected = np.where(abs(expected) < np.finfo(np.float32).tiny, 0 * expected, expected)
        expected = np.where(np.isinf(np.float32(expected)), np.float32(expected), expected)
        error = abs(ours.astype(np.float64) - expected)
        place = np.spacing(abs(np.float32(expected)))
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(expected))
    same = (ours == expected) | np.isnan(expected)
    assert (error[~same] / place[~same]).max(initial=0) <= 6
    zeros = (expected == 0) & (np.abs(ours) == 0)
    if oracle in (np.arctan, np.arctan2, np.sin, np.tan, np.fmod):
        np.testing.assert_array_equal(np.signbit(ours[zeros]), np.signbit(expected[zeros]))


def test_whole_and_half_turns_are_exact():
    quarters = np.arange(-9, 10, dtype=np.float32) / 2
    sine, cosine = vectorized.turns(jax.numpy.asarray(quarters))
    np.testing.assert_array_equal(sine, np.round(np.sin(np.pi * quarters)))
    np.testing.assert_array_equal(cosine, np.round(np.cos(np.pi * quarters)))
