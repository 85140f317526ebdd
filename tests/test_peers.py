"""The pages that compare numbers with other libraries' agree with their data and the code."""

from pathlib import Path

import pytest

from docs import kinks
from singa import autograd

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards


def test_the_slopes_at_kinks():
    assert kinks.written() == kinks.PAGE.read_text(encoding="utf-8")  # make docs
