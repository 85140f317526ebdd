"""The code in docs/training.md runs, and the page is complete."""

import re
from pathlib import Path

import pytest

from singa import train

PAGE = (Path(__file__).parents[2] / "docs/training.md").read_text(encoding="utf-8")
NUMBER = re.compile(r"[\d.,]+(e-\d+)?%?")


@pytest.mark.slow
def test_the_blocks_run_in_order(tmp_path, capsys):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    names = {}

    fences = r"```python\n(.*?)```(?:\n\n```text form\n(.*?)```)?"
    for code, shown in re.findall(fences, PAGE, re.DOTALL):
        exec(code, names)
        # The outputs shown have the form of the real ones, whatever the numbers.
        assert _form(capsys.readouterr().out) == _form(shown), code

    written = {path.name for path in (tmp_path / "runs/mlp").iterdir()}
    documented = {*re.findall(r"`([\w.]+)/?`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.M)))}
    assert written == documented | {"report.html"}


def _form(output):
    return [NUMBER.sub("#", line).split() for line in output.splitlines()]


def test_it_names_what_is_exported():
    assert {name for name in train.__all__ if f"train.{name}" in PAGE} >= {
        "Callback", "Checkpoint", "EarlyStopping", "Training", "evaluate", "fit", "predict",
        "read_about",
    }  # fmt: skip
