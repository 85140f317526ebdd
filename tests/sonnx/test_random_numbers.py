"""Random numbers of ONNX files: their distributions, types and seeds."""

import numpy as np
import pytest

from singa.sonnx.network import SONNXModel
from singa.tensor import Tensor
from tests.sonnx import beside

COUNT = 4000
PROBABILITIES = np.array([[0.1, 0.2, 0.7]], np.float32)
CASES = {
    "RandomNormal": ([], {"shape": [COUNT], "mean": 3.0, "scale": 2.0}, 3, 2),
    "RandomUniform": ([], {"shape": [COUNT], "low": -1.0, "high": 3.0}, 1, 4 / 12**0.5),
    "RandomNormalLike": ([np.zeros(COUNT, np.float32)], {"dtype": 11}, 0, 1),
    "RandomUniformLike": ([np.zeros(COUNT, np.float32)], {}, 0.5, 1 / 12**0.5),
    "Bernoulli": ([np.full(COUNT, 0.25, np.float32)], {"dtype": 7}, 0.25, 0.1875**0.5),
    "Multinomial": ([np.log(PROBABILITIES)], {"sample_size": COUNT}, 1.6, 0.44**0.5),
}


@pytest.mark.parametrize("kind", CASES)
def test_distributions(kind):
    inputs, options, mean, deviation = CASES[kind]
    first, second = _two_draws(kind, inputs, options)
    assert first.dtype == {"Multinomial": np.int32, "Bernoulli": np.int64}.get(
        kind, np.float64 if options.get("dtype") == 11 else np.float32
    )
    assert abs(first.mean() - mean) < 4 * deviation / COUNT**0.5
    assert first.std() == pytest.approx(deviation, rel=0.1)
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("kind", ["RandomUniform", "Bernoulli"])
def test_a_seed_gives_the_same_numbers_each_time(kind):
    inputs, options, *_ = CASES[kind]
    first, second = _two_draws(kind, inputs, options | {"seed": 2.0})
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, _two_draws(kind, inputs, options | {"seed": 3.0})[0])


def _two_draws(kind, inputs, options):
    model = SONNXModel(beside.model_of(kind, inputs, options, version=22))
    given = [Tensor(data=x) for x in inputs]
    return [model.forward(*given)[0].to_numpy() for _ in range(2)]
