"""What docs/reports.md shows runs."""

import re
from pathlib import Path

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
    for text in shown:
        for line in text.splitlines():
            if line and line != "..." and not line.startswith(("Conv", "MaxP")):
                words = re.sub(r"[\d.]+", "#", line).split()
                assert words in [re.sub(r"[\d.]+", "#", o).split() for o in out.splitlines()], line


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert links
    assert not [link for link in links if not (ROOT / "docs" / link).exists()]
