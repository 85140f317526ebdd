"""What the pages in docs/ show runs."""

import re
from pathlib import Path

import pytest

from singa import autograd, device

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/reports.md").read_text(encoding="utf-8")


def test_the_blocks_of_reports_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards
    device.get_default_device().set_rand_seed(0)
    names = {}

    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)

    out = capsys.readouterr().out
    assert names["profile"].iterations == 8
    assert (tmp_path / "graph.svg").exists()
    # The outputs shown have the form of the real ones, whatever the numbers.
    shown = re.findall(r"```\n([A-Z0-9].*?)```", PAGE, re.DOTALL)
    assert len(shown) == 3
    real = [_form(line) for line in out.splitlines()]
    for line in "".join(shown).splitlines():
        if line != "..." and "%" not in line:  # which operations take longest, varies
            assert _form(line) in real, line


def _form(line):
    """A line without its numbers, and without what aligns it."""
    return re.sub(r"[\d.]+", "#", line).split()


def test_the_blocks_of_autograd_print_what_is_shown(monkeypatch, capsys):
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards
    page = (ROOT / "docs/autograd.md").read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```(?:\n\n```\n(.*?)```)?", page, re.DOTALL):
        code, shown = block
        exec(code, names)
        assert capsys.readouterr().out == shown, code


@pytest.mark.parametrize("page", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_links_lead_somewhere(page):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert not [link for link in links if not (ROOT / "docs" / link).exists()]
