"""The code in README.md runs, and its links work."""

import json
import re
from pathlib import Path

from benchmarks import readme
from singa import autograd, device

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_blocks_run_in_order(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards
    device.get_default_device().set_rand_seed(0)
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    names = {}
    for block in blocks:
        exec(block, names)

    assert len(blocks) == 4
    *losses, predicted = capsys.readouterr().out.splitlines()
    assert len(losses) == 3
    assert all(float(loss) < 1 for loss in losses), losses
    assert len(re.findall(r"\d", predicted)) == 10


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)", README)

    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert links
    assert not missing


def test_it_is_short():
    assert README.count("\n") <= 200


def test_the_table_of_times_is_that_of_the_results():
    results = json.loads((ROOT / readme.RESULTS).read_text(encoding="utf-8"))["results"]

    assert readme.with_table(README, results) == README
    assert "| MLP 64-100-10, batch 32 |" in README
