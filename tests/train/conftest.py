import pytest

from singa import tape


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(monkeypatch, tmp_path):
    monkeypatch.setattr(tape.mode, "training", False)  # a training sets it for the process
    monkeypatch.chdir(tmp_path)
