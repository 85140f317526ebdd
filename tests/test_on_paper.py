"""The formulas of benchmarks/on_paper.py, by hand."""

import pytest

from benchmarks import on_paper
from singa.report.collectives import Collective

NETWORK = on_paper.Network(inside=100.0, between=10.0, latency=1.0, node=4)


@pytest.mark.parametrize(
    ("kind", "size", "count", "expected"),
    [
        ("all-reduce", 400, 4, 2 * (3 / 4 * 400 / 100 + 3)),
        ("all-reduce", 400, 16, 2 * (3 / 4 * 400 / 100 + 3 / 4 * 100 / 10 + 3 + 2)),
        ("all-gather", 400, 16, 3 / 4 * 400 / 100 + 3 / 4 * 100 / 10 + 3 + 2),
        ("reduce-scatter", 400, 2, 1 / 2 * 400 / 100 + 1),
        ("all-to-all", 400, 8, 3 / 8 * 400 / 100 + 4 / 8 * 400 / 10 + 7),
        ("collective-permute", 400, 8, 400 / 10 + 1),
        ("collective-permute", 400, 4, 400 / 100 + 1),
    ],
)
def test_seconds(kind, size, count, expected):
    assert on_paper.seconds(kind, size, count, NETWORK.node, NETWORK) == pytest.approx(expected)


def test_a_step_of_two_axes():
    """The axis of the batch grows, over the nodes; the other one stays inside of a node."""
    rows = [
        Collective("all-reduce", ("data",), 4, 400, 1, ()),
        Collective("all-gather", ("model",), 2, 400, 3, ()),
    ]
    sent, seconds = on_paper.step(rows, {"data": 4, "model": 2}, 16, NETWORK)
    assert sent == 2 * 7 / 8 * 400 + 3 * 1 / 2 * 400
    data = on_paper.seconds("all-reduce", 400, 8, 2, NETWORK)  # in 4 nodes, 2 in each
    assert seconds == pytest.approx(data + 3 * (1 / 2 * 400 / 100 + 1))
    same, _ = on_paper.step(rows, {"data": 4, "model": 2}, 8, NETWORK)
    assert same == sum(row.sent for row in rows)
