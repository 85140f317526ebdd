import sys

import pytest

from singa import cli, tape


@pytest.fixture(autouse=True)
def _training_flag(monkeypatch):
    """A training sets autograd.training for the process."""
    monkeypatch.setattr(tape.mode, "training", False)


@pytest.fixture
def singa(monkeypatch, capsys, tmp_path):
    """Run the command line in an empty folder: its exit status, and what it wrote where."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["singa", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        captured = capsys.readouterr()
        return exited.value.code or 0, captured.out, captured.err

    return run
