import re

import pytest

from singa.cli import demo
from singa.model import Model
from singa.train import picture


@pytest.fixture
def short(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_EPOCHS", 2)
    return tmp_path / "demo-output"


@pytest.mark.slow
def test_the_demo_learns_saves_loads_and_draws(short, capsys):
    assert demo.main() == 0

    out = capsys.readouterr().out
    before, after = re.search(
        r"test accuracy ([\d.]+)%; ([\d.]+)% by a fresh model from the checkpoint", out
    ).groups()
    assert before == after
    assert float(before) > 80
    assert (short / "cnn.zip").is_file()
    assert (short / "cnn.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_the_demo_fails_if_the_checkpoint_does_not_bring_back_the_model(short, capsys, monkeypatch):
    monkeypatch.setattr(Model, "load_states", lambda self, path: None)

    assert demo.main() == 1
    assert "must be the same" in capsys.readouterr().out


def test_the_demo_without_matplotlib(short, capsys, monkeypatch):
    monkeypatch.setattr(picture, "find_spec", lambda name: None)

    assert demo.main() == 1
    assert capsys.readouterr().err == (
        "singa.cli.demo: drawing needs matplotlib: pip install 'singa-xla[demo]'\n"
    )
    assert not short.exists()
