"""Histories of models, eagerly and compiled: see :mod:`tests.graph.histories`."""

from __future__ import annotations

import pytest

from tests.graph import histories

# A history changes something before most calls: each change is a capture.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::singa.errors.RecompilationWarning"),
    pytest.mark.usefixtures("many_kernels"),
]


@pytest.mark.parametrize("first", range(0, 36, 12))
def test_eager_and_compiled_models_live_through_the_same_histories(first):
    for seed in range(first, first + 12):
        history = histories.run(seed, sequential=seed % 12 != 0)
        assert history.kinds
