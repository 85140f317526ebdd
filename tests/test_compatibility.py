"""docs/compatibility.md is up to date: it agrees with its table and the code."""

import re
import tomllib
from inspect import signature
from pathlib import Path

import pytest

from docs import compatibility

ROOT = Path(__file__).parent.parent


@pytest.fixture
def table(monkeypatch):
    monkeypatch.chdir(ROOT)
    return tomllib.loads(compatibility.TABLE.read_text(encoding="utf-8"))


def test_the_page_is_that_of_the_table_and_the_code(table):
    text, errors = compatibility.page(table)
    assert errors == []
    assert text == compatibility.PAGE.read_text(encoding="utf-8")  # make docs


def test_every_sentence_is_on_the_page(table):
    text, _ = compatibility.page(table)
    for name, section in table.items():
        if name != "defects":
            for kind in ("arguments", "behaviour", "missing"):
                assert all(sentence in text for sentence in section.get(kind, {}).values())


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda part: part.update(names="nothing(x)"), "singa.tensor.nothing is not here, and"),
        (lambda part: part.update(missing={"abs": "gone"}), "singa.tensor.abs is here"),
        (lambda part: part.pop("renamed"), r"singa.tensor.abs\(t\): t is called x"),
        (lambda part: part.pop("arguments"), "singa.tensor.Tensor.*the default of dtype is None"),
        (
            lambda part: part["arguments"].update(to_numpy="-"),
            r".*to_numpy\(t\): its arguments are the same",
        ),
        (lambda part: part["behaviour"].update(flat="-"), ".*'flat', which is none of its names"),
    ],
)
def test_what_nobody_declared_is_an_error(table, change, error):
    change(table["singa.tensor"])
    _, errors = compatibility.page(table)
    assert any(re.match(error, found) for found in errors), errors


@pytest.mark.parametrize(
    ("theirs", "ours", "reason"),
    [
        (lambda x, a=1: 0, lambda x, a=1, b=2, *, c=3: 0, ""),
        (lambda x, a=1: 0, lambda x, *args: 0, ""),
        (lambda *xs, a=1: 0, lambda *args, a=True: 0, ""),
        (lambda x, a=1: 0, lambda x, *, a=1: 0, "a=1 is not taken"),
        (lambda x, a=1: 0, lambda x, b=1: 0, "a is called b"),
        (lambda x, a=1: 0, lambda x, a=2: 0, "the default of a is 2"),
        (lambda x: 0, lambda x, y: 0, "y is wanted as well"),
        (lambda *, a=1: 0, lambda *args: 0, "a=1 is not taken"),
        (lambda *xs: 0, lambda x: 0, "*xs is not taken"),
        (lambda a=1: 0, lambda x=1: 0, ""),
    ],
)
def test_arguments_are_compared_by_place_name_and_default(theirs, ours, reason):
    found = compatibility.refused(signature(theirs), signature(ours), {"a": "x"})
    assert found == reason


def test_a_defect_without_its_test_is_an_error(table):
    table["defects"]["1"]["tests"] = ["tests/test_compatibility.py::test_of_nothing"]
    del table["defects"]["2"]["tests"], table["defects"]["50"]
    errors = list(compatibility.defect_errors(table["defects"]))
    assert [error[:8] for error in errors] == ["the defe", "defect 1", "defect 2"]
