"""When the pages that compiling and a first run have left are returned to the system."""

import numpy as np

from singa import graph
from singa.engine import memory
from singa.tensor import Tensor


def test_pages_are_returned_after_compiling_and_after_the_first_run(monkeypatch):
    returned = []
    monkeypatch.setattr(memory, "return_unused", lambda: returned.append(len(returned)))
    total, x = Tensor(data=np.zeros(3, np.float32)), Tensor(data=np.ones(3, np.float32))

    def step(x):
        total.data = (total + x).data
        return total

    program = graph.Program(step, [x])
    counts = [len(returned)]
    for _ in range(3):
        program([x])
        counts.append(len(returned))
    assert counts == [1, 2, 2, 2]
    np.testing.assert_array_equal(total.to_numpy(), [3, 3, 3])

    # What is compiled already leaves nothing new.
    other = graph.Program(step, [x], similar=[program])
    other([x])
    assert len(returned) == 2
    np.testing.assert_array_equal(total.to_numpy(), [4, 4, 4])
