"""What docs/data.md shows runs."""

import re
from pathlib import Path

import pytest

from singa import data, metric

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")


def test_the_blocks_run_in_order(capsys):
    names = {}

    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)

    first, last = capsys.readouterr().out.splitlines()
    assert first == "44 batches in an epoch"
    expected = names["accuracy"].value, names["f1"].value
    assert [float(number) for number in last.split()] == pytest.approx(expected)
    assert 0 < expected[0] < 1


def test_it_names_all_there_is():
    named = {*re.findall(r"`(?:data\.)?([A-Z]\w+)[(`]", PAGE)}

    assert {name for name in metric.__all__ if name[0].isupper()} - {"Metric"} <= named
    assert {"ArrayDataset", "ImageFolder", "TextLines", "CsvTable"} <= named
    assert all(f"`{name}`" in PAGE for name in data.NAMES)
