"""docs/data.md has the names of all datasets and metrics. (tests/test_docs.py runs it.)"""

import re
from pathlib import Path

from singa import data, metric

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")


def test_it_names_all_there_is():
    named = {*re.findall(r"`(?:data\.)?([A-Z]\w+)[(`]", PAGE)}

    assert {name for name in metric.__all__ if name[0].isupper()} - {"Metric"} <= named
    assert {"ArrayDataset", "ImageFolder", "TextLines", "CsvTable"} <= named
    assert all(f"`{name}`" in PAGE for name in data.NAMES)
