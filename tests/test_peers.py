"""The pages that compare numbers with other libraries' agree with their data and the code."""

from pathlib import Path

import pytest

from docs import differences, kinks
from singa import autograd

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards


def test_the_slopes_at_kinks():
    assert kinks.written() == kinks.PAGE.read_text(encoding="utf-8")  # make docs


def test_the_differences_from_pytorch():
    page = differences.PAGE.read_text(encoding="utf-8")
    text, errors = differences.with_table(page)
    assert errors == []
    assert text == page  # make docs


def test_a_way_that_leads_elsewhere_is_an_error():
    case = {"what": "-", "ours": "1", "same": "2"}
    _, errors = differences.compared({"inputs": {}, "section": {"name": case}}, {"name": "1"})
    assert errors == ["name: 2 gives 2, PyTorch 1", "name: 1 gives PyTorch's 1"]
