"""The folders of examples/ about images: each runs for a few steps, learns, and draws."""

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from singa import autograd

EXAMPLES = Path(__file__).parents[2] / "examples"
ON_DIGITS = ("--data", "digits")
ALL_AT_ONCE = ("--batch-size", 359)  # the test images too: most of the time is for compiling

pytestmark = pytest.mark.slow

pytest.importorskip("matplotlib", reason="the examples draw with matplotlib")


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Run the main.py of a folder in an empty folder, and return what it prints."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(autograd, "training", False)  # put back afterwards

    def run(name, *arguments):
        folder = EXAMPLES / name
        # As if it had been started there: its modules are found, and forgotten afterwards.
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setattr(sys, "argv", ["main.py", *ON_DIGITS, *map(str, arguments)])
        before = set(sys.modules)
        try:
            runpy.run_path(str(folder / "main.py"), run_name="__main__")
        finally:
            for module in set(sys.modules) - before:
                if getattr(sys.modules[module], "__file__", None) in map(str, folder.glob("*.py")):
                    del sys.modules[module]
        return capsys.readouterr().out

    return run


def column(output, name):
    """The numbers in one column of the table that ``fit`` prints."""
    lines = [line.split() for line in output.splitlines()]
    head = next(i for i, words in enumerate(lines) if words[:1] == ["epoch"])
    place = lines[head].index(name)
    rows = [words for words in lines[head + 1 :] if words and re.fullmatch(r"\d+/\d+", words[0])]
    return [float(words[place].rstrip("%")) for words in rows]


def drawn(name):
    """The pixels of a picture, of which there are some that differ."""
    from matplotlib.image import imread

    pixels = imread(name)
    assert pixels.std() > 0.05
    return pixels


@pytest.mark.parametrize("model", ["resnet", "alexnet", "xception"])
def test_image_classification(run, model):
    sizes = ("--width", 4, "--epochs", 3, "--lr", 0.01)
    output = run("image_classification", "--model", model, *sizes, *ALL_AT_ONCE)

    losses = column(output, "loss")
    assert losses[-1] < losses[0]
    drawn(f"{model}.png")


def test_autoencoder(run):
    output = run("autoencoder", "--epochs", 2, "--hidden", 32, *ALL_AT_ONCE)

    losses = column(output, "val_loss")
    assert losses[-1] < losses[0]
    drawn("autoencoder.png")


def test_rbm_which_takes_the_digits_if_its_data_set_is_not_there(run, monkeypatch):
    monkeypatch.delenv("SINGA_DATA_DIR", raising=False)

    output = run("rbm", "--data", "mnist", "--epochs", 2, "--hidden", 100)

    assert "On the digits that ship with the package instead." in output
    errors = column(output, "loss")
    assert errors[-1] < errors[0]
    drawn("rbm.png")


@pytest.mark.parametrize("loss", ["gan", "lsgan", "wgan-gp"])
def test_gan(run, loss):
    output = run("gan", "--loss", loss, "--epochs", 2, "--width", 4, "--limit", 320)

    losses = re.findall(r"epoch \d: critic +(-?\d+\.\d+), generator +(-?\d+\.\d+)", output)
    (first, _), (last, _) = np.array(losses, float)
    assert last < first  # the critic has learned
    drawn(f"{loss}.png")


def test_fine_tuning(run):
    output = run("fine_tuning", "--epochs", 2, "--images", 5, "--steps", 20, "--width", 4)

    accuracies = dict(re.findall(r"each, ([\w ]+?) *: test accuracy (\d+\.\d+)%", output))
    assert {*accuracies} == {"from scratch", "the whole network", "the head alone"}
    assert float(accuracies["the whole network"]) > 30  # five classes
    drawn("fine_tuning.png")


def test_onnx_fine_tuning(run):
    output = run("onnx_fine_tuning", "--epochs", 3, "--images", 2, "--steps", 40)

    accuracies = dict(re.findall(r"each, ([\w ,]+?) *: test accuracy (\d+\.\d+)%", output))
    assert len(accuracies) == 3
    frozen = accuracies["the file, frozen, and a new head"]
    assert float(frozen) > 70  # two answers
    assert f"wrote answers.onnx: test accuracy {frozen}%" in output
    drawn("onnx_fine_tuning.png")


def test_lora(run):
    sizes = ("--size", 32, "--depth", 1, "--ranks", 2, "--turned", 640)
    output = run("lora", "--epochs", 5, "--tuning-epochs", 8, *sizes)

    found = re.findall(r"^(.+?) +([\d,]+) parameters.*accuracy (\d+\.\d+)%", output, re.MULTILINE)
    counts = {name: int(count.replace(",", "")) for name, count, _ in found}
    accuracies = {name: float(accuracy) for name, _, accuracy in found}
    # A block of 4 layers (32, 32), one (32, 64) and one (64, 32).
    assert counts["LoRA, rank 2"] == 2 * (4 * 64 + 2 * 96)
    assert counts["the head alone"] == 330
    assert accuracies["LoRA, rank 2"] > accuracies["as it is"]
    assert abs(accuracies["the last, merged"] - accuracies["LoRA, rank 2"]) < 1
    drawn("lora.png")


def test_private_training(run):
    options = ("--epochs", 2, "--batch-size", 64, "--noise", 0.5)
    output = run("private_training", "--data", "digits", *options)

    accuracies = [float(x) for x in re.findall(r"test accuracy (\d+\.\d)%", output)]
    epsilons = [float(x) for x in re.findall(r"epsilon (\S+)\n", output)]
    assert len(accuracies) == 2
    assert accuracies[0] > 80
    assert accuracies[1] > 40
    assert epsilons[0] == float("inf")
    assert 5 < epsilons[1] < 50
    drawn("private.png")
