import json
import platform
import subprocess
import sys

import jax
import numpy as np

import singa as package
from singa import data
from singa.engine import compilation_cache, dispatch, memory, native


def test_json(singa):
    status, out, err = singa("info", "--json")

    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["singa"] == package.__version__
    assert found["python"] == platform.python_version()
    assert (found["jax"], found["numpy"]) == (jax.__version__, np.__version__)
    assert "cpu" in found["devices"]
    assert found["x64"] is True
    assert found["allocator"] == memory.status
    assert found["programs run"] == dispatch.status
    assert found["compilation cache"] == compilation_cache.status
    assert found["native kernels"] == native.status
    assert found["Winograd's convolutions"] == native.winograd_status()
    assert found["data"].keys() == {*data.NAMES}
    assert found["data"]["digits"].endswith("optdigits")


def test_text(singa, monkeypatch):
    monkeypatch.delenv("SINGA_DATA_DIR", raising=False)

    status, out, err = singa("info")

    assert (status, err) == (0, "")
    rows = dict(line.split("  ", 1) for line in out.splitlines())
    assert rows["singa"].strip() == package.__version__
    assert rows["x64"].strip() == "on"
    assert rows["data mnist"].strip() == "not found"


def test_help_and_version(singa):
    assert singa("--version") == (0, f"singa {package.__version__}\n", "")
    for arguments, example in (
        (["--help"], "singa train mlp"),
        (["train", "-h"], "singa train cnn --epochs 10 --resume cnn.zip"),
        (["evaluate", "-h"], "singa evaluate cnn.zip"),
        (["predict", "-h"], "singa predict cnn.zip digit.png"),
        (["summary", "-h"], "singa summary cnn"),
        (["profile", "-h"], "singa profile cnn --graph step.svg"),
        (["bench", "-h"], "singa bench --json"),
        (["board", "-h"], "singa board runs"),
        (["info", "-h"], "singa info --json"),
    ):
        status, out, _ = singa(*arguments)
        assert status == 0
        assert f"\n    {example}\n" in out


def test_no_command_is_misuse(singa):
    status, _, err = singa()

    assert status == 2
    assert "Usage: singa" in err


def test_import_singa_is_without_the_command_line():
    code = "import sys, singa; print(*{'typer', 'rich', 'matplotlib'} & sys.modules.keys())"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout == "\n"
