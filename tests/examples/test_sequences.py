"""The examples of sequences, and of learning to learn, run and learn."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from singa import autograd

EXAMPLES = Path(__file__).parents[2] / "examples"

pytestmark = pytest.mark.slow

pytest.importorskip("matplotlib", reason="the examples draw with matplotlib")


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run an example in an empty folder, and return what it prints; it leaves one picture."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards

    def run(name, options):
        monkeypatch.setattr(sys, "argv", [name, *options.split()])
        monkeypatch.syspath_prepend(EXAMPLES / name)
        runpy.run_path(str(EXAMPLES / name / "main.py"), run_name="__main__")
        (picture,) = tmp_path.iterdir()
        assert picture.name == f"{name}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        return capsys.readouterr().out

    return run


def numbers(pattern, output):
    return [float(number) for number in re.findall(pattern, output)]


def test_char_rnn(run):
    output = run(
        "char_rnn",
        "--limit 6000 --epochs 3 --hidden 32 --batch-size 8 --length 32 --temperatures 0.5",
    )

    bits = numbers(r"test (\d+\.\d+)", output)
    assert len(bits) == 3
    assert bits[-1] < bits[0] - 0.1
    assert output.count("--- temperature 0.5 ---") == 2


def test_tiny_gpt(run):
    prompt = "Alice"
    output = run(
        "tiny_gpt",
        "--steps 30 --warmup 5 --batch-size 8 --context 32 --width 32 --heads 2 --layers 1 "
        f"--lr 0.01 --characters 50 --prompt {prompt}",
    )

    losses = numbers(r"test (\d+\.\d+)", output)
    assert losses[-1] < losses[0] - 0.3
    assert f"\n{prompt}" in output


def test_translation(run):
    output = run(
        "translation", "--epochs 2 --days 2000 --batch-size 32 --width 32 --heads 2 --layers 1"
    )

    losses = numbers(r"loss (\d+\.\d+)", output)
    assert losses[-1] < losses[0]
    assert losses[-1] < 1.2  # of 2.4 for equal chances of ten digits and a hyphen
    assert re.search(r"14\. März 2031 -> \S{10}\n", output)


def test_answer_ranking(run):
    output = run(
        "answer_ranking", "--countries 15 --epochs 20 --batch-size 32 --width 32 --hidden 16"
    )

    losses = numbers(r"loss (\d+\.\d+)", output)
    assert losses[-1] < losses[0] / 1.5
    *_, last, by_words = numbers(r"MRR (\d+\.\d+)", output)
    assert last > by_words


def test_maml(run):
    output = run("maml", "--steps 400 --hidden 20 --tasks 10 --lr 0.005")

    after = {
        name: [float(error) for error in re.findall(r" (\d+\.\d+)", errors)]
        for name, errors in re.findall(r"(.*): error(.*)", output)
    }
    assert after["MAML"][-1] < after["MAML"][0] / 1.5
    assert after["MAML"][-1] < after["Pre-trained"][-1]


def test_data_parallel(run):
    output = run("data_parallel", "--epochs 4")

    found = {
        name: (float(accuracy), float(apart))
        for name, accuracy, apart in re.findall(r"(.{24})  .{9}  +(\S+)%  (\S+)\n", output)
    }
    assert len(found) == 5
    assert all(accuracy > 80 for accuracy, _ in found.values())
    apart = [apart for _, apart in found.values()]
    assert apart[:4] == [0, 0, 0, 0]
    assert apart[4] > 0


def test_sharded_gpt(tmp_path):
    options = "--steps 2 --batch-size 8 --context 4 --width 16 --heads 2 --layers 1"
    found = subprocess.run(  # a process of its own, with eight devices
        [sys.executable, str(EXAMPLES / "sharded_gpt" / "main.py"), *options.split()],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-3000:]
    assert [path.name for path in tmp_path.iterdir()] == ["sharded_gpt.png"]
    losses = numbers(r"loss (\d+\.\d+)", found.stdout)
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-3)
    whole, parts, columns, both = numbers(r"(\d+\.\d+) MiB of state", found.stdout)
    assert max(parts, both) < columns < whole
